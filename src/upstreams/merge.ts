/**
 * One catalogue of own entries and those of upstreams. Own ones win, then the order of the file: the same on every
 * replica and after every start.
 */
import type { Catalogue } from '../tools/catalogue.ts'
import type { UpstreamPart } from './offered.ts'

/** Something that another one keeps from being offered. */
export interface Overlap {
  readonly upstream: string
  readonly what: string
  /** Whose it is: the name of an upstream, or `this server`. */
  readonly owner: string
}

const KINDS = ['tools', 'prompts', 'resources', 'templates'] as const
const OWN = 'this server'

/** @param parts in the order of the file */
export function mergeParts (own: Catalogue, parts: readonly UpstreamPart[]): {
  catalogue: Catalogue, overlaps: readonly Overlap[]
} {
  const overlaps: Overlap[] = []
  const merged = Object.fromEntries(KINDS.map(kind => {
    const found = new Map<string, unknown>(own[kind])
    const owners = new Map<string, string>()
    for (const part of parts) {
      for (const [name, offered] of part[kind]) {
        if (found.has(name)) {
          overlaps.push({ upstream: part.name, what: `${kind.slice(0, -1)} "${name}"`, owner: owners.get(name) ?? OWN })
        } else {
          found.set(name, offered)
          owners.set(name, part.name)
        }
      }
    }
    // Whoever stands first among templates owns what several fit; the others are found by name.
    return [kind, kind === 'templates' ? found : new Map([...found].sort(([a], [b]) => a < b ? -1 : 1))]
  })) as unknown as Catalogue
  return { catalogue: merged, overlaps }
}
