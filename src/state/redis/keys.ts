/** API keys in Redis: a record under its hash, an index from id to hash, and beside them the keys that stand outside. */
import { ApiKeyRecord, byName, countsAtOnce, ruleOf, type EnvironmentKey } from '../../core/api-key.ts'
import type { RateLimit } from '../../core/limit.ts'
import { faultsIn } from '../../core/plain-schema.ts'
import { UsageError } from '../../errors.ts'
import type { Client } from './client/connection.ts'
import { unavailable, type Ask } from './client/guarded-client.ts'
import { rateLimitOf, type SharedWindows } from './windows.ts'
import type { Admission, Store } from '../store.ts'

export interface SharedKeysOptions {
  client: Client
  /** A key's full name. */
  name: (key: string) => string
  /** Asks Redis for a decision; a change is asked in other words, since its failure leaves the outcome open. */
  ask: Ask
  change: Ask
  assertWhole: () => Promise<void>
  windows: SharedWindows
  /** Keys of the key file, asked at each look-up. */
  fixedKey: (hash: string) => ApiKeyRecord | undefined
  fixedKeys: () => readonly ApiKeyRecord[]
  /** Used only while neither Redis nor the key file knows it. */
  environmentKey: EnvironmentKey | undefined
}

export interface SharedKeys extends Pick<Store, 'admit' | 'saveKey' | 'changeKey' | 'findKey' | 'listKeys' | 'touchKey'> {
  /** Write the last notes of use, and take no more. */
  close (): Promise<void>
}

/** How often notes of use are written, ms. */
const NOTE_MS = 5000
/** How long it is believed that Redis does not know the key of the environment, ms. */
const ENVIRONMENT_MS = 500
/** Notes of use that wait to be written; more in one go are left for the next minute's. */
const MAX_TOUCHED = 10_000

export function sharedKeys ({ client, name, ask, change, assertWhole, windows, fixedKey, fixedKeys, environmentKey }: SharedKeysOptions): SharedKeys {
  const records = recordCache()
  const recordKey = (hash: string) => name(`{key:${hash}}:record`)
  const index = name('index:keys')
  const used = name('index:used')

  const touched = new Map<string, number>()
  /** Keys seen in this minute: each is written once in it. */
  const noted = { minute: 0, ids: new Set<string>() }
  const noteUse = async () => {
    const notes = [...touched].flat()
    touched.clear()
    if (notes.length > 0) await ask(() => client.hset(used, ...notes)).catch(() => {})
  }
  const noting = setInterval(noteUse, NOTE_MS).unref()

  /** Of `performance.now`, and what was seen then. What was seen holds while Redis is out of reach. */
  let environmentSeen: { at: number, known: boolean } | undefined

  /** The key of the environment, unless a store knows it by its hash or by the id it was made with: its record is what it may do. */
  async function ofEnvironment (): Promise<ApiKeyRecord | undefined> {
    if (environmentKey === undefined) return undefined
    const { record, madeAs } = environmentKey
    if (fixedKey(record.hash) !== undefined || fixedKeys().some(({ id }) => id === madeAs)) return undefined
    if (environmentSeen === undefined || performance.now() - environmentSeen.at > ENVIRONMENT_MS) {
      try {
        const [fields, byId] = await ask(() => Promise.all([client.hgetall(recordKey(record.hash)), madeAs === undefined ? null : client.hget(index, madeAs)]))
        const known = Object.keys(fields).length > 0 || byId != null
        if (!known) await assertWhole()
        environmentSeen = { at: performance.now(), known }
      } catch (error) {
        if (environmentSeen === undefined) throw error
      }
    }
    return environmentSeen!.known ? undefined : record
  }

  /** @param follow a key that was rotated leads to its successor, once */
  async function admit (hash: string, rule: RateLimit, now: number | undefined, follow: boolean): Promise<Admission> {
    const known = fixedKey(hash) ?? (hash === environmentKey?.record.hash ? await ofEnvironment() : undefined)
    if (known !== undefined) {
      if (!countsAtOnce(known, hash, now ?? Date.now())) return { record: known, rateLimit: undefined }
      return { record: known, rateLimit: await windows.hit(`key:${known.hash}`, ruleOf(known, rule), now === undefined ? {} : { now }) }
    }
    const window = windows.key(`key:${hash}`)
    const [json, moved, ...counted] = await ask(() => client.admitKey(recordKey(hash), window, rule.limit, rule.windowMs, now ?? ''))
    if (json === undefined) {
      // No such key is a fact only where the state is known to be whole.
      await assertWhole()
      return NOBODY
    }
    if (moved !== undefined && moved !== '' && moved !== 'full') return follow ? await admit(moved, rule, now, false) : NOBODY
    const record = records(json)
    if (counted.length !== 0) return { record, rateLimit: rateLimitOf(counted, rule.windowMs) }
    return { record, rateLimit: moved === 'full' ? windows.alone(window, ruleOf(record, rule), 1) : undefined }
  }

  return {
    admit: (hash, rule, now) => admit(hash, rule, now, true),

    async saveKey (record) {
      if (fixedKeys().some(({ id }) => id === record.id)) throw new UsageError(`Key "${record.name}" is in the key file, which is not changed from here: change it there`)
      const before = await ask(() => client.hget(index, record.id))
      const { hash, previous } = record
      const moved = previous !== undefined && previous.hash !== hash ? previous : undefined
      // In one go and in this order: a crash between leaves no key that its id does not lead to.
      await change(() => Promise.all([
        client.saveRecord(recordKey(hash), '', ...fieldsOf(record)),
        client.hset(index, record.id, hash),
        ...(moved === undefined ? [] : [client.saveRecord(recordKey(moved.hash), moved.until, 'moved', hash, 'until', String(moved.until))]),
        ...(before == null || before === hash || before === moved?.hash ? [] : [client.del(recordKey(before))])
      ]))
    },

    async changeKey (id, edit) {
      const before = await this.findKey(id)
      if (before === undefined) return undefined
      const after = edit(before)
      await this.saveKey(after)
      return after
    },

    async findKey (id) {
      const fixed = fixedKeys().find(record => record.id === id)
      if (fixed !== undefined) return fixed
      const hash = await ask(() => client.hget(index, id))
      const json = hash == null ? null : await ask(() => client.hget(recordKey(hash), 'json'))
      if (json != null) return JSON.parse(json) as ApiKeyRecord
      return id === environmentKey?.record.id ? await ofEnvironment() : undefined
    },

    async listKeys () {
      const [all, uses] = await Promise.all([ask(() => client.hgetall(index)), ask(() => client.hgetall(used))])
      const found: ApiKeyRecord[] = []
      const hashes = Object.values(all)
      for (let i = 0; i < hashes.length; i += 500) {
        const texts = await ask(() => Promise.all(hashes.slice(i, i + 500).map(hash => client.hget(recordKey(hash), 'json'))))
        for (const text of texts) if (text != null) found.push(JSON.parse(text) as ApiKeyRecord)
      }
      return [...fixedKeys(), await ofEnvironment() ?? [], ...found.map(record => uses[record.id] === undefined ? record : { ...record, lastUsed: Number(uses[record.id]) })].flat().sort(byName)
    },

    touchKey ({ id }, now) {
      const minute = now - now % 60_000
      if (noted.minute !== minute) {
        noted.minute = minute
        noted.ids.clear()
      }
      if (noted.ids.has(id) || touched.size >= MAX_TOUCHED) return
      noted.ids.add(id)
      touched.set(id, minute)
    },

    async close () {
      clearInterval(noting)
      await noteUse()
    }
  }
}

const NOBODY: Admission = { record: undefined, rateLimit: undefined }

/** The record as JSON, and beside it what lua/admit.lua decides by. */
function fieldsOf (record: ApiKeyRecord): string[] {
  return [
    'json', JSON.stringify(record),
    ...(record.limit === undefined ? [] : ['limit', String(record.limit)]),
    ...(record.expires === undefined ? [] : ['expires', String(record.expires)]),
    ...(record.revoked === undefined ? [] : ['revoked', '1']),
    ...(record.cidrs === undefined ? [] : ['guarded', '1'])
  ]
}

/** Open: what a newer release adds must not lock its keys out here. */
const OpenRecord = { ...ApiKeyRecord, additionalProperties: true }

/** Records by their text: a key in use is parsed and checked once, not at each request. */
function recordCache (most = 10_000): (json: string) => ApiKeyRecord {
  const seen = new Map<string, ApiKeyRecord>()
  return json => {
    const known = seen.get(json)
    if (known !== undefined) return known
    const record = JSON.parse(json) as ApiKeyRecord
    const faults = faultsIn(OpenRecord, record)
    if (faults.length > 0) throw unavailable(`a key record is malformed: ${faults.join('; ')}`)
    if (seen.size >= most) seen.delete(seen.keys().next().value!)
    seen.set(json, record)
    return record
  }
}
