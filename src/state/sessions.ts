/** Sessions of the older revisions, as every replica sees them; here in this process, in shared-sessions.ts in Redis. */
import type { SessionRule } from '../core/session.ts'

/** What a replica must know to go on with a session that another one began. */
export interface SessionRecord {
  /** What `initialize` was given: `protocolVersion`, `capabilities`, `clientInfo`. */
  readonly initialize: Readonly<Record<string, unknown>>
  /** ms since the epoch. */
  readonly began: number
}

export interface FoundSession {
  readonly record: SessionRecord
  /** What `logging/setLevel` set last. */
  readonly level: string | undefined
}

export type Started =
  | { readonly started: true }
  /** `retryMs` until the one idle longest is gone; `inAll` says whose cap it was. */
  | { readonly started: false, readonly inAll: boolean, readonly retryMs: number }

/**
 * An owner is a digest (core/session.ts); a session is found only under its
 * owner, so another's id names nothing.
 */
export interface SessionStore {
  start (owner: string, id: string, record: SessionRecord, rule: SessionRule): Promise<Started>
  /** Find a session, which keeps it for another `idleMs`. */
  find (owner: string, id: string, rule: SessionRule): Promise<FoundSession | undefined>
  /** @returns whether there was such a session */
  end (owner: string, id: string): Promise<boolean>
  /** @returns whether there was such a session */
  setLevel (owner: string, id: string, level: string): Promise<boolean>
  /** Note a resource that the client wants to hear of. @returns false for no such session or `most` noted already */
  watch (owner: string, id: string, uri: string, most: number): Promise<boolean>
  unwatch (owner: string, id: string, uri: string): Promise<void>
  /** The resources noted, or undefined for no such session. */
  watched (owner: string, id: string): Promise<readonly string[] | undefined>
}

interface Held {
  owner: string
  record: SessionRecord
  level: string | undefined
  uris: Set<string>
  /** ms since the epoch. */
  until: number
  last: number
}

/** Bounded by the rule; what has expired is dropped when room is needed, and by `prune`. */
export function localSessions (clock: () => number = Date.now): SessionStore & { prune (): void, readonly size: number } {
  const all = new Map<string, Held>()
  const owners = new Map<string, Set<string>>()

  const drop = (id: string, { owner }: Held) => {
    all.delete(id)
    const own = owners.get(owner)
    own?.delete(id)
    if (own?.size === 0) owners.delete(owner)
  }
  const live = (owner: string, id: string): Held | undefined => {
    const held = all.get(id)
    if (held === undefined || held.owner !== owner) return undefined
    if (held.until > clock()) return held
    drop(id, held)
    return undefined
  }
  const prune = () => {
    const now = clock()
    for (const [id, held] of all) if (held.until <= now) drop(id, held)
  }
  const firstEnd = (ids: Iterable<string>) => {
    let first = Infinity
    for (const id of ids) first = Math.min(first, all.get(id)!.until)
    return Math.max(1, first - clock())
  }

  return {
    get size () { return all.size },
    prune,

    async start (owner, id, record, { idleMs, maxMs, maxOfOwner, maxTotal }) {
      for (const other of owners.get(owner) ?? []) live(owner, other)
      const own = owners.get(owner) ?? new Set()
      if (own.size >= maxOfOwner) return { started: false, inAll: false, retryMs: firstEnd(own) }
      if (all.size >= maxTotal) prune()
      if (all.size >= maxTotal) return { started: false, inAll: true, retryMs: firstEnd(all.keys()) }
      const now = clock()
      all.set(id, { owner, record, level: undefined, uris: new Set(), until: now + Math.min(idleMs, maxMs), last: now + maxMs })
      owners.set(owner, own.add(id))
      return { started: true }
    },

    async find (owner, id, { idleMs }) {
      const held = live(owner, id)
      if (held === undefined) return undefined
      held.until = Math.min(clock() + idleMs, held.last)
      return { record: held.record, level: held.level }
    },

    async end (owner, id) {
      const held = live(owner, id)
      if (held !== undefined) drop(id, held)
      return held !== undefined
    },

    async setLevel (owner, id, level) {
      const held = live(owner, id)
      if (held !== undefined) held.level = level
      return held !== undefined
    },

    async watch (owner, id, uri, most) {
      const held = live(owner, id)
      if (held === undefined || (held.uris.size >= most && !held.uris.has(uri))) return false
      held.uris.add(uri)
      return true
    },

    async unwatch (owner, id, uri) { live(owner, id)?.uris.delete(uri) },

    async watched (owner, id) {
      const held = live(owner, id)
      return held === undefined ? undefined : [...held.uris]
    }
  }
}
