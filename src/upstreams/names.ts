/** The names by which callers know what an upstream offers: the same on every replica and after every start. */
import { createHash } from 'node:crypto'

/** What every client takes. */
const MAX_LENGTH = 64
const KEPT = MAX_LENGTH - 9

/** What a name depends on. */
export interface NamedUpstream {
  readonly name: string
  /** '' for none. */
  readonly prefix: string
}

/**
 * `<prefix>_<name>`, in letters, digits, `-` and `_`. Where that is another name than the upstream's own, or too long,
 * a digest of both names is its end, so that two names never become one.
 */
export function publicName ({ name: server, prefix }: NamedUpstream, name: string): string {
  const whole = prefix === '' ? name : `${prefix}_${name}`
  const clean = whole.replace(/[^A-Za-z0-9_-]/g, '_')
  if (clean === whole && clean.length <= MAX_LENGTH) return clean
  return `${clean.slice(0, KEPT)}_${createHash('sha256').update(`${server}\0${name}`).digest('hex').slice(0, 8)}`
}

/** Why a public name may not be offered: it would fall under permissions that are meant for another server. */
export function trespass (own: NamedUpstream, name: string, all: readonly NamedUpstream[]): string | undefined {
  const other = all.find(({ name: server, prefix }) => {
    return server !== own.name && prefix !== '' && prefix !== own.prefix && name.startsWith(`${prefix}_`)
  })
  return other && `its name "${name}" begins like those of ${other.name}, whose permissions would reach it`
}

/**
 * Names for one server of the file.
 *
 * @param all servers of the file
 */
export function namer (
  own: NamedUpstream, all: readonly NamedUpstream[]
): (name: string) => string | { readonly why: string } {
  return name => {
    const given = publicName(own, name)
    const why = trespass(own, given, all)
    return why === undefined ? given : { why }
  }
}
