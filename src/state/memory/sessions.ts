/** Sessions of this process. */
import type { SessionRule } from '../../core/session.ts'
import {
  MAX_WATCHED_BYTES,
  type FoundSession,
  type SessionRecord,
  type SessionStore,
  type Started
} from '../sessions.ts'

interface HeldSession {
  owner: string
  holder: string | undefined
  record: SessionRecord
  level: string | undefined
  uris: Set<string>
  /** ms. */
  until: number
  last: number
}

/** Bounded by the rule; what has expired is dropped when room is needed, and by `prune`. */
export class MemorySessions implements SessionStore {
  readonly #now: () => number
  readonly #all = new Map<string, HeldSession>()
  /** Ids by owner, and by holder. */
  readonly #owners = new Map<string, Set<string>>()

  /** @param now ms */
  constructor (now: () => number) {
    this.#now = now
  }

  get size (): number {
    return this.#all.size
  }

  prune (): void {
    const now = this.#now()
    for (const [id, held] of this.#all) if (held.until <= now) this.#drop(id, held)
  }

  async start (
    owner: string,
    id: string,
    record: SessionRecord,
    { idleMs, maxMs, maxOfOwner, maxTotal, holder }: SessionRule
  ): Promise<Started> {
    for (const group of [owner, holder]) {
      const own = group === undefined ? undefined : this.#groupOf(group)
      if (own !== undefined && own.size >= maxOfOwner) {
        return { started: false, inAll: false, retryMs: this.#firstEnd(own) }
      }
    }
    if (this.#all.size >= maxTotal) this.prune()
    if (this.#all.size >= maxTotal) return { started: false, inAll: true, retryMs: this.#firstEnd(this.#all.keys()) }
    const now = this.#now()
    this.#all.set(id, {
      owner,
      holder,
      record,
      level: undefined,
      uris: new Set(),
      until: now + Math.min(idleMs, maxMs),
      last: now + maxMs
    })
    for (const group of [owner, holder]) {
      if (group !== undefined) this.#owners.set(group, (this.#owners.get(group) ?? new Set()).add(id))
    }
    return { started: true }
  }

  async find (owner: string, id: string, { idleMs }: SessionRule): Promise<FoundSession | undefined> {
    const held = this.#live(owner, id)
    if (held === undefined) return undefined
    held.until = Math.min(this.#now() + idleMs, held.last)
    return { record: held.record, level: held.level }
  }

  async end (owner: string, id: string): Promise<boolean> {
    const held = this.#live(owner, id)
    if (held !== undefined) this.#drop(id, held)
    return held !== undefined
  }

  async setLevel (owner: string, id: string, level: string): Promise<boolean> {
    const held = this.#live(owner, id)
    if (held !== undefined) held.level = level
    return held !== undefined
  }

  async watch (owner: string, id: string, uri: string, most: number): Promise<boolean> {
    const held = this.#live(owner, id)
    if (held === undefined) return false
    if (!held.uris.has(uri)) {
      const bytes = [...held.uris, uri].reduce((sum, each) => sum + Buffer.byteLength(each), 0)
      if (held.uris.size >= most || bytes > MAX_WATCHED_BYTES) return false
      held.uris.add(uri)
    }
    return true
  }

  async unwatch (owner: string, id: string, uri: string): Promise<void> {
    this.#live(owner, id)?.uris.delete(uri)
  }

  async watched (owner: string, id: string): Promise<readonly string[] | undefined> {
    const held = this.#live(owner, id)
    return held === undefined ? undefined : [...held.uris]
  }

  #live (owner: string, id: string): HeldSession | undefined {
    const held = this.#all.get(id)
    if (held === undefined || held.owner !== owner) return undefined
    if (held.until > this.#now()) return held
    this.#drop(id, held)
    return undefined
  }

  #drop (id: string, { owner, holder }: HeldSession): void {
    this.#all.delete(id)
    for (const group of [owner, holder]) {
      const own = group === undefined ? undefined : this.#owners.get(group)
      own?.delete(id)
      if (own?.size === 0) this.#owners.delete(group!)
    }
  }

  /** The living sessions of an owner or a holder. */
  #groupOf (group: string): ReadonlySet<string> | undefined {
    const now = this.#now()
    for (const id of this.#owners.get(group) ?? []) {
      const held = this.#all.get(id)!
      if (held.until <= now) this.#drop(id, held)
    }
    return this.#owners.get(group)
  }

  #firstEnd (ids: Iterable<string>): number {
    let first = Infinity
    for (const id of ids) first = Math.min(first, this.#all.get(id)!.until)
    return Math.max(1, first - this.#now())
  }
}
