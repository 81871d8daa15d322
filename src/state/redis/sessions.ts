/** Sessions in Redis: one hash each, found only under its owner, so that any replica can go on with it. */
import type { SessionRule } from '../../core/session.ts'
import { MAX_WATCHED_BYTES, type FoundSession, type SessionRecord, type SessionStore, type Started } from '../sessions.ts'
import type { Client } from './client/connection.ts'
import type { Ask } from './client/guarded-client.ts'
import type { Names } from './names.ts'

export interface RedisSessionsOptions {
  client: Client
  names: Names
  ask: Ask
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
  readonly #ask: Ask
  readonly #now: () => number

  constructor ({ client, names, ask, now }: RedisSessionsOptions) {
    this.#client = client
    this.#names = names
    this.#ask = ask
    this.#now = now
  }

  async start (owner: string, id: string, record: SessionRecord, { idleMs, maxMs, maxOfOwner, maxTotal }: SessionRule): Promise<Started> {
    const [client, all, now] = [this.#client, this.#names.sessions, this.#now()]
    const [, inAll, first] = await this.#ask(() => Promise.all([client.zremrangebyscore(all, '-inf', now), client.zcard(all), client.zrange(all, '0', '0', 'WITHSCORES')]), all)
    if (inAll >= maxTotal) return { started: false, inAll: true, retryMs: Math.max(1, Number(first[1] ?? now) - now) }
    const [list, session] = [this.#names.ownedSessions(owner), this.#names.session(owner, id)]
    const retryMs = await this.#ask(() => client.startSession(list, session, id, JSON.stringify(record), idleMs, maxMs, maxOfOwner), list)
    if (retryMs > 0) return { started: false, inAll: false, retryMs }
    this.#count(owner, id, now + Math.min(idleMs, maxMs), idleMs)
    return { started: true }
  }

  async find (owner: string, id: string, { idleMs }: SessionRule): Promise<FoundSession | undefined> {
    const [list, session] = [this.#names.ownedSessions(owner), this.#names.session(owner, id)]
    const [text, level, moved] = await this.#ask(() => this.#client.findSession(list, session, id, idleMs), list)
    if (text === undefined) return undefined
    if (moved !== undefined && moved > 0) this.#count(owner, id, moved, idleMs)
    return { record: JSON.parse(text) as SessionRecord, level: level === '' ? undefined : level }
  }

  async end (owner: string, id: string): Promise<boolean> {
    const [list, session, all] = [this.#names.ownedSessions(owner), this.#names.session(owner, id), this.#names.sessions]
    const [ended] = await this.#ask(() => Promise.all([
      this.#client.del(session), this.#client.zrem(list, id), this.#client.zrem(all, `${owner}:${id}`)
    ]), list)
    return ended === 1
  }

  async setLevel (owner: string, id: string, level: string): Promise<boolean> {
    return await this.#note(owner, id, 'level', level, '')
  }

  async watch (owner: string, id: string, uri: string, most: number): Promise<boolean> {
    return await this.#note(owner, id, URI + uri, '1', most + OWN_FIELDS)
  }

  async unwatch (owner: string, id: string, uri: string): Promise<void> {
    const session = this.#names.session(owner, id)
    await this.#ask(() => this.#client.hdel(session, URI + uri), session)
  }

  async watched (owner: string, id: string): Promise<readonly string[] | undefined> {
    const session = this.#names.session(owner, id)
    const fields = await this.#ask(() => this.#client.hkeys(session), session)
    return fields.length === 0 ? undefined : fields.filter(field => field.startsWith(URI)).map(field => field.slice(URI.length))
  }

  async #note (owner: string, id: string, field: string, value: string, mostFields: number | ''): Promise<boolean> {
    const session = this.#names.session(owner, id)
    return await this.#ask(() => this.#client.noteSession(session, field, value, mostFields, MAX_WATCHED_BYTES + MAX_FIELDS_BYTES), session) === 1
  }

  /**
   * Of all owners, in a slot of its own, so not in one step with the owner's
   * own. Best effort: it guards against filling Redis, and is off by a few.
   */
  #count (owner: string, id: string, gone: number, idleMs: number): void {
    const all = this.#names.sessions
    this.#ask(() => Promise.all([this.#client.zadd(all, gone, `${owner}:${id}`), this.#client.pexpire(all, idleMs)]), all).catch(() => {})
  }
}
