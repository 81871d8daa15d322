/** Sessions in Redis: one hash each, found only under its owner, so that any replica can go on with it. */
import type { SessionRule } from '../../core/session.ts'
import {
  MAX_WATCHED_BYTES,
  type FoundSession,
  type SessionRecord,
  type SessionStore,
  type Started
} from '../sessions.ts'
import type { Client } from './client/connection.ts'
import type { Guard } from './client/guarded-client.ts'
import type { Names } from './names.ts'

export interface RedisSessionsOptions {
  client: Client
  names: Names
  ask: Guard
  /** ms since the epoch, by Redis. */
  now: () => number
}

/** record, last, level: what a session's hash holds beside the watched resources. */
const OWN_FIELDS = 3
const URI = 'uri:'
/** What the names of fields take beside the URIs, at most. */
const MAX_FIELDS_BYTES = 1024

export class RedisSessions implements SessionStore {
  readonly #client: Client
  readonly #names: Names
  readonly #ask: Guard
  readonly #now: () => number

  constructor ({ client, names, ask, now }: RedisSessionsOptions) {
    this.#client = client
    this.#names = names
    this.#ask = ask
    this.#now = now
  }

  async start (owner: string, id: string, record: SessionRecord, rule: SessionRule): Promise<Started> {
    const { idleMs, maxMs, maxOfOwner, maxTotal, holder } = rule
    const now = this.#now()
    const [ofAll, ofHolder] = await Promise.all([
      this.#full(this.#names.sessions, maxTotal, now),
      holder === undefined ? undefined : this.#full(this.#names.heldSessions(holder), maxOfOwner, now)
    ])
    if (ofAll !== undefined) return { started: false, inAll: true, retryMs: ofAll }
    if (ofHolder !== undefined) return { started: false, inAll: false, retryMs: ofHolder }
    const [list, session] = [this.#names.ownedSessions(owner), this.#names.session(owner, id)]
    const retryMs = await this.#ask(
      () => this.#client.startSession(list, session, id, JSON.stringify(record), idleMs, maxMs, maxOfOwner),
      list
    )
    if (retryMs > 0) return { started: false, inAll: false, retryMs }
    this.#count(owner, id, now + Math.min(idleMs, maxMs), rule)
    return { started: true }
  }

  async find (owner: string, id: string, rule: SessionRule): Promise<FoundSession | undefined> {
    const [list, session] = [this.#names.ownedSessions(owner), this.#names.session(owner, id)]
    const [text, level, moved] = await this.#ask(() => this.#client.findSession(list, session, id, rule.idleMs), list)
    if (text === undefined) return undefined
    if (moved !== undefined && moved > 0) this.#count(owner, id, moved, rule)
    return { record: JSON.parse(text) as SessionRecord, level: level === '' ? undefined : level }
  }

  async end (owner: string, id: string, holder?: string): Promise<boolean> {
    const [list, session] = [this.#names.ownedSessions(owner), this.#names.session(owner, id)]
    const counts = [this.#names.sessions, ...(holder === undefined ? [] : [this.#names.heldSessions(holder)])]
    const [ended] = await this.#ask(
      () =>
        Promise.all([
          this.#client.del(session), this.#client.zrem(list, id),
          ...counts.map(count => this.#client.zrem(count, `${owner}:${id}`))
        ]),
      list
    )
    return ended === 1
  }

  async setLevel (owner: string, id: string, level: string): Promise<boolean> {
    return await this.#note(this.#names.session(owner, id), 'level', level, '')
  }

  async watch (owner: string, id: string, uri: string, most: number): Promise<boolean> {
    return await this.#note(this.#names.session(owner, id), URI + uri, '1', most + OWN_FIELDS)
  }

  async unwatch (owner: string, id: string, uri: string): Promise<void> {
    const session = this.#names.session(owner, id)
    await this.#ask(() => this.#client.hdel(session, URI + uri), session)
  }

  async watched (owner: string, id: string): Promise<readonly string[] | undefined> {
    const session = this.#names.session(owner, id)
    const fields = await this.#ask(() => this.#client.hkeys(session), session)
    return fields.length === 0
      ? undefined
      : fields.filter(field => field.startsWith(URI)).map(field => field.slice(URI.length))
  }

  async #note (session: string, field: string, value: string, mostFields: number | ''): Promise<boolean> {
    return (
      (await this.#ask(
        () => this.#client.noteSession(session, field, value, mostFields, MAX_WATCHED_BYTES + MAX_FIELDS_BYTES),
        session
      )) === 1
    )
  }

  /** ms until the first of too many is gone; undefined where there is room. */
  async #full (counts: string, most: number, now: number): Promise<number | undefined> {
    const client = this.#client
    const [, size, first] = await this.#ask(
      () =>
        Promise.all([
          client.zremrangebyscore(counts, '-inf', now), client.zcard(counts),
          client.zrange(counts, '0', '0', 'WITHSCORES')
        ]),
      counts
    )
    return size >= most ? Math.max(1, Number(first[1] ?? now) - now) : undefined
  }

  /**
   * Of all owners, and of a holder, each in a slot of its own, so not in one
   * step with the owner's own. Best effort: off by a few.
   */
  #count (owner: string, id: string, gone: number, { idleMs, holder }: SessionRule): void {
    for (const counts of [this.#names.sessions, ...(holder === undefined ? [] : [this.#names.heldSessions(holder)])]) {
      this.#ask(
        () => Promise.all([this.#client.zadd(counts, gone, `${owner}:${id}`), this.#client.pexpire(counts, idleMs)]),
        counts
      ).catch(() => {})
    }
  }
}
