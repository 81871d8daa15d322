/**
 * Who may use what, by name. A permission is a pattern: `*`, an exact name, or
 * a prefix and `*` (`get_*`). A leading `!` takes away what the others give,
 * wherever it stands in the list.
 */
import type { Principal } from './principal.ts'

/** What a pattern may look like. A `*` stands only at the end. */
export const PERMISSION_PATTERN = '^!?(\\*|[^\\s*!]{1,256}\\*?)$'

/** Anything with a name that a principal may or may not use. */
export type Kind = 'tool' | 'resource' | 'prompt'

/**
 * Whether a list of patterns allows a name: some pattern gives it and none
 * takes it away. An empty list allows nothing.
 */
export function allows (patterns: readonly string[], name: string): boolean {
  let given = false
  for (const pattern of patterns) {
    if (pattern.charCodeAt(0) === BANG) {
      if (matches(pattern, 1, name)) return false
    } else if (!given) {
      given = matches(pattern, 0, name)
    }
  }
  return given
}

/**
 * The one decision about names: listing, calling, reading, completing and
 * subscribing all ask it, so what a principal sees is what it can use.
 * Tools go by their bare name; resources by `resource:<uri>` and prompts by
 * `prompt:<name>`, so `*` covers everything and `get_*` covers only tools.
 */
export function mayUse (principal: Principal, kind: Kind, name: string): boolean {
  if (principal.role !== 'caller') return false
  return allows(principal.permissions, kind === 'tool' ? name : `${kind}:${name}`)
}

/** The scope a call needs, for a challenge (PRODUCT: `mcp:tool:<pattern>`). */
export function scopeFor (kind: Kind, name: string): string {
  return kind === 'tool' ? `mcp:tool:${name}` : `mcp:tool:${kind}:${name}`
}

const BANG = '!'.charCodeAt(0)
const STAR = '*'.charCodeAt(0)

function matches (pattern: string, from: number, name: string): boolean {
  const last = pattern.length - 1
  if (last >= from && pattern.charCodeAt(last) === STAR) {
    const length = last - from
    if (name.length < length) return false
    for (let i = 0; i < length; i++) {
      if (pattern.charCodeAt(from + i) !== name.charCodeAt(i)) return false
    }
    return true
  }
  return name.length === pattern.length - from && pattern.endsWith(name)
}
