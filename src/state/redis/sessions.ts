/** Sessions in Redis: one hash each, found only under its owner, so that any replica can go on with it. */
import type { Client } from './client/connection.ts'
import type { SessionRecord, SessionStore } from '../sessions.ts'

export interface SharedSessionsOptions {
  client: Client
  /** A key's full name. */
  name: (key: string) => string
  /** Asks Redis for a decision. */
  ask: <T>(command: () => Promise<T>) => Promise<T>
}

/** record, last, level: what a session's hash holds beside the watched resources. */
const OWN_FIELDS = 3
const URI = 'uri:'

export function sharedSessions ({ client, name, ask }: SharedSessionsOptions): SessionStore {
  const list = (owner: string) => name(`session:{${owner}}`)
  const key = (owner: string, id: string) => name(`session:{${owner}}:${id}`)
  /** All sessions by the moment when each is gone. In a slot of its own: counted beside the owner's, not in one step with them. */
  const all = name('sessions')

  /** Best effort: the count of all is a guard against filling Redis, and off by a few. */
  const count = (owner: string, id: string, gone: number, idleMs: number) => {
    ask(() => Promise.all([client.zadd(all, gone, `${owner}:${id}`), client.pexpire(all, idleMs)])).catch(() => {})
  }

  return {
    async start (owner, id, record, { idleMs, maxMs, maxOfOwner, maxTotal }) {
      const now = Date.now()
      const [, inAll, first] = await ask(() => Promise.all([client.zremrangebyscore(all, '-inf', now), client.zcard(all), client.zrange(all, '0', '0', 'WITHSCORES')]))
      if (inAll >= maxTotal) return { started: false, inAll: true, retryMs: Math.max(1, Number(first[1] ?? now) - now) }
      const retryMs = await ask(() => client.startSession(list(owner), key(owner, id), id, JSON.stringify(record), idleMs, maxMs, maxOfOwner))
      if (retryMs > 0) return { started: false, inAll: false, retryMs }
      count(owner, id, now + Math.min(idleMs, maxMs), idleMs)
      return { started: true }
    },

    async find (owner, id, { idleMs }) {
      const [text, level, moved] = await ask(() => client.findSession(list(owner), key(owner, id), id, idleMs))
      if (text === undefined) return undefined
      if (moved !== undefined && moved > 0) count(owner, id, moved, idleMs)
      return { record: JSON.parse(text) as SessionRecord, level: level === '' ? undefined : level }
    },

    async end (owner, id) {
      const [ended] = await ask(() => Promise.all([client.del(key(owner, id)), client.zrem(list(owner), id), client.zrem(all, `${owner}:${id}`)]))
      return ended === 1
    },

    setLevel: async (owner, id, level) => await ask(() => client.noteSession(key(owner, id), 'level', level, '')) === 1,
    watch: async (owner, id, uri, most) => await ask(() => client.noteSession(key(owner, id), URI + uri, '1', most + OWN_FIELDS)) === 1,
    unwatch: async (owner, id, uri) => { await ask(() => client.hdel(key(owner, id), URI + uri)) },

    async watched (owner, id) {
      const fields = await ask(() => client.hkeys(key(owner, id)))
      return fields.length === 0 ? undefined : fields.filter(field => field.startsWith(URI)).map(field => field.slice(URI.length))
    }
  }
}
