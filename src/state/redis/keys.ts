/**
 * API keys in Redis: a record under its hash, an index from id to hash, and beside them the keys that stand
 * outside.
 */
import { ApiKeyRecord, byName, countsAtOnce, judgeKey, ruleOf, type EnvironmentKey } from '../../core/api-key.ts'
import type { RateLimit } from '../../core/limit.ts'
import { faultsIn } from '../../core/plain-schema.ts'
import { AppError, UsageError } from '../../errors.ts'
import type { Admission, Keys } from '../keys.ts'
import type { Client } from './client/connection.ts'
import { unavailable, type Guard } from './client/guarded-client.ts'
import type { Names } from './names.ts'
import type { RedisWindows } from './windows.ts'

export interface RedisKeysOptions {
  client: Client
  names: Names
  /** Asks Redis for a decision; a change is asked in other words, since its failure leaves the outcome open. */
  ask: Guard
  change: Guard
  /** Asks even where state is known to be lost: for who wants to see what is left. */
  look: Guard
  /** Throws unless "nothing there" is a fact, in the slot of this key. */
  assertWhole: (key: string) => Promise<void>
  /** Notes that a change was acknowledged. */
  mark: () => Promise<void>
  windows: RedisWindows
  /** Keys of the key file, asked at each look-up. */
  fixedKey: (hash: string) => ApiKeyRecord | undefined
  fixedKeys: () => readonly ApiKeyRecord[]
  /** Used only while neither Redis nor the key file knows it. */
  environmentKey: EnvironmentKey | undefined
  /** ms since the epoch, by Redis. */
  now: () => number
  /** The same for tests, where set; else scripts ask Redis. */
  clock?: (() => number) | undefined
}

/** How often notes of use are written, ms. */
const NOTE_MS = 5000
/** How long it is believed that Redis does not know the key of the environment, ms. */
const ENVIRONMENT_MS = 500
/** Notes of use that wait to be written; more in one go are left for the next minute's. */
const MAX_TOUCHED = 10_000
/** Records read at once. */
const CHUNK = 500
/** Changes that others make meanwhile, before a change gives up. */
const MAX_TRIES = 10
/** What put-record.lua takes for "whatever is there". */
const WHATEVER = '*'

/** Where a key's record is, and what it says there. */
interface Located { hash: string, json: string }

export class RedisKeys implements Keys {
  readonly #options: RedisKeysOptions
  readonly #records = new RecordCache()
  readonly #touched = new Map<string, number>()
  /** Keys seen in this minute: each is written once in it. */
  readonly #noted = { minute: 0, ids: new Set<string>() }
  readonly #noting: NodeJS.Timeout
  /**
   * Of `performance.now`, and what was seen then of the key of the environment. What was seen holds while
   * Redis is out of reach.
   */
  #environmentSeen: { at: number, known: boolean } | undefined

  constructor (options: RedisKeysOptions) {
    this.#options = options
    this.#noting = setInterval(() => { this.#noteUses() }, NOTE_MS).unref()
  }

  async admit (hash: string, rule: RateLimit): Promise<Admission> {
    const { fixedKey, environmentKey } = this.#options
    const known = fixedKey(hash) ?? (hash === environmentKey?.record.hash ? await this.#ofEnvironment() : undefined)
    return await (known === undefined ? this.#admitStored(hash, rule, true) : this.#admitFixed(known, hash, rule))
  }

  async saveKey (record: ApiKeyRecord): Promise<void> {
    this.#assertOurs(record)
    const before = await this.#options.ask(
      () => this.#options.client.hget(this.#options.names.keyIndex, record.id),
      this.#options.names.keyIndex
    )
    await this.#put(record, before == null ? undefined : { hash: before, json: WHATEVER })
  }

  async changeKey (id: string, edit: (record: ApiKeyRecord) => ApiKeyRecord): Promise<ApiKeyRecord | undefined> {
    const fixed = this.#options.fixedKeys().find(record => record.id === id)
    if (fixed !== undefined) this.#assertOurs(fixed)
    for (let i = 0; i < MAX_TRIES; i++) {
      const before = await this.#locate(id)
      const record = before === undefined ? await this.#withId(id) : this.#records.read(before.json)
      if (record === undefined) return undefined
      const after = edit(record)
      if (await this.#put(after, before)) return after
    }
    throw unavailable(`others changed key ${id} ${MAX_TRIES} times meanwhile`)
  }

  async findKey (id: string): Promise<ApiKeyRecord | undefined> {
    const fixed = this.#options.fixedKeys().find(record => record.id === id)
    if (fixed !== undefined) return fixed
    const found = await this.#locate(id)
    return found === undefined ? await this.#withId(id) : JSON.parse(found.json) as ApiKeyRecord
  }

  async listKeys (): Promise<ApiKeyRecord[]> {
    const { client, names, look, fixedKeys } = this.#options
    const [texts, uses] = await Promise.all([this.#texts(), look(() => client.hgetall(names.keyUses), names.keyUses)])
    const found = [...texts.values()].filter(text => text !== null).map(text => JSON.parse(text) as ApiKeyRecord)
    const stored = found.map(record =>
      uses[record.id] === undefined ? record : { ...record, lastUsed: Number(uses[record.id]) }
    )
    return [fixedKeys(), await this.#ofEnvironment().catch(() => undefined) ?? [], stored].flat().sort(byName)
  }

  async missingKeys (): Promise<string[]> {
    return [...await this.#texts()].filter(([, text]) => text === null).map(([id]) => id)
  }

  /** Let go of the ids whose records are gone: an operator goes on without them. */
  async forgetMissing (): Promise<void> {
    const { client, names, look } = this.#options
    const missing = await this.missingKeys()
    if (missing.length > 0) await look(() => client.hdel(names.keyIndex, ...missing), names.keyIndex)
  }

  touchKey ({ id }: ApiKeyRecord, now: number): void {
    const minute = now - now % 60_000
    if (this.#noted.minute !== minute) {
      this.#noted.minute = minute
      this.#noted.ids.clear()
    }
    if (this.#noted.ids.has(id) || this.#touched.size >= MAX_TOUCHED) return
    this.#noted.ids.add(id)
    this.#touched.set(id, minute)
  }

  /** Look for the key of the environment while Redis answers: what is seen holds while it does not. */
  async lookForEnvironment (): Promise<void> {
    await this.#ofEnvironment()
  }

  /** Write the last notes of use, and take no more. */
  async close (): Promise<void> {
    clearInterval(this.#noting)
    await this.#noteUses()
  }

  async #withId (id: string): Promise<ApiKeyRecord | undefined> {
    return id === this.#options.environmentKey?.record.id ? await this.#ofEnvironment() : undefined
  }

  /**
   * The key of the environment, unless a store knows it by its hash or by the id it was made with: its record
   * is what it may do.
   */
  async #ofEnvironment (): Promise<ApiKeyRecord | undefined> {
    const { client, names, ask, assertWhole, environmentKey, fixedKey, fixedKeys } = this.#options
    if (environmentKey === undefined) return undefined
    const { record, madeAs } = environmentKey
    if (fixedKey(record.hash) !== undefined || fixedKeys().some(({ id }) => id === madeAs)) return undefined
    if (this.#environmentSeen === undefined || performance.now() - this.#environmentSeen.at > ENVIRONMENT_MS) {
      try {
        const key = names.record(record.hash)
        const [found, byId] = await Promise.all([
          ask(() => client.exists(key), key),
          madeAs === undefined ? null : ask(() => client.hget(names.keyIndex, madeAs), names.keyIndex)
        ])
        const known = found === 1 || byId != null
        if (!known) await assertWhole(key)
        this.#environmentSeen = { at: performance.now(), known }
      } catch (error) {
        if (this.#environmentSeen === undefined) throw error
      }
    }
    return this.#environmentSeen!.known ? undefined : record
  }

  async #admitFixed (record: ApiKeyRecord, hash: string, rule: RateLimit): Promise<Admission> {
    if (!countsAtOnce(record, hash, this.#options.now())) return { record, rateLimit: undefined }
    return { record, rateLimit: await this.#options.windows.hit(`key:${record.hash}`, ruleOf(record, rule)) }
  }

  /** @param follow a key that was rotated leads to its successor, once */
  async #admitStored (hash: string, rule: RateLimit, follow: boolean): Promise<Admission> {
    const { client, names, ask, assertWhole, windows, clock } = this.#options
    const [key, window] = [names.record(hash), names.window(`key:${hash}`)]
    let answer: Awaited<ReturnType<Client['admitKey']>>
    try {
      answer = await ask(() => client.admitKey(key, window, rule.limit, rule.windowMs, clock?.() ?? ''), key)
    } catch (error) {
      if (!halfMoved(error)) throw error
      return await this.#admitApart(hash, rule, follow)
    }
    const [json, moved, ...counted] = answer
    if (json === undefined) {
      // No such key is a fact only where the state is known to be whole.
      await assertWhole(key)
      return NOBODY
    }
    if (moved !== undefined && moved !== '') return follow ? await this.#admitStored(moved, rule, false) : NOBODY
    const record = this.#records.read(json)
    return {
      record, rateLimit: counted.length === 0 ? undefined : windows.resultOf(counted, window, ruleOf(record, rule), 1)
    }
  }

  /**
   * While a slot moves from node to node, a script over two of its keys may find them at neither: one after
   * the other, then.
   */
  async #admitApart (hash: string, rule: RateLimit, follow: boolean): Promise<Admission> {
    const { client, names, ask, assertWhole, windows, now } = this.#options
    const key = names.record(hash)
    const [json, moved, until] = await ask(() => client.hmget(key, 'json', 'moved', 'until'), key)
    if (moved != null) return follow && Number(until) > now() ? await this.#admitStored(moved, rule, false) : NOBODY
    if (json == null) {
      await assertWhole(key)
      return NOBODY
    }
    const record = this.#records.read(json)
    const counts = record.cidrs === undefined && judgeKey(record, record.hash, '', now()) === 'valid'
    return { record, rateLimit: counts ? await windows.hit(`key:${hash}`, ruleOf(record, rule)) : undefined }
  }

  /**
   * Put a record in the place of another. A rotation changes the place, too:
   * the new record comes first, since nobody knows its key yet; then the old
   * one, if nobody changed it meanwhile, leads there; then the index does.
   *
   * @returns false if another changed it meanwhile: nothing was done
   */
  async #put (record: ApiKeyRecord, before: Located | undefined): Promise<boolean> {
    const { client, names, change, mark } = this.#options
    const { hash, previous } = record
    const put = (at: string, known: string, expireAt: number | '', fields: string[]) =>
      change(() => client.putRecord(names.record(at), known, expireAt, ...fields), names.record(at))
    const stays = before?.hash === hash
    if (await put(hash, stays ? before.json : WHATEVER, '', fieldsOf(record)) === 0) return false
    const leads = stays || previous === undefined || previous.hash === hash
      ? undefined
      : { at: previous.hash, until: previous.until, fields: ['moved', hash, 'until', String(previous.until)] }
    if (before !== undefined && !stays) {
      const left = leads?.at === before.hash ? leads : undefined
      if (await put(before.hash, before.json, left?.until ?? '', left?.fields ?? []) === 0) {
        await put(hash, WHATEVER, '', [])
        return false
      }
    }
    if (leads !== undefined && leads.at !== before?.hash) await put(leads.at, WHATEVER, leads.until, leads.fields)
    if (!stays) await change(() => client.hset(names.keyIndex, record.id, hash), names.keyIndex)
    await mark()
    return true
  }

  /** By its id; along the way that a rotation left which is not in the index yet. */
  async #locate (id: string): Promise<Located | undefined> {
    const { client, names, ask, assertWhole } = this.#options
    let hash = await ask(() => client.hget(names.keyIndex, id), names.keyIndex)
    for (let i = 0; i < MAX_TRIES && hash != null; i++) {
      const key = names.record(hash)
      const [json, moved]: (string | null)[] = await ask(() => client.hmget(key, 'json', 'moved'), key)
      if (json != null) return { hash, json }
      if (moved == null) await assertWhole(key)
      hash = moved ?? null
    }
    return undefined
  }

  /** The text of every record, or null where the index names one that is not there, by id. */
  async #texts (): Promise<Map<string, string | null>> {
    const { client, names, look } = this.#options
    const index = Object.entries(await look(() => client.hgetall(names.keyIndex), names.keyIndex))
    const texts = new Map<string, string | null>()
    for (let i = 0; i < index.length; i += CHUNK) {
      await Promise.all(index.slice(i, i + CHUNK).map(async ([id, hash]) => {
        const key = names.record(hash)
        const text = await look(() => client.hget(key, 'json'), key)
        texts.set(id, text ?? await this.#successor(key))
      }))
    }
    return texts
  }

  /** The text of the record that this one leads to, where a rotation was not written down in the index yet. */
  async #successor (key: string): Promise<string | null> {
    const { client, names, look } = this.#options
    const moved = await look(() => client.hget(key, 'moved'), key)
    return moved == null ? null : await look(() => client.hget(names.record(moved), 'json'), names.record(moved))
  }

  #assertOurs (record: ApiKeyRecord): void {
    if (this.#options.fixedKeys().some(({ id }) => id === record.id)) {
      throw new UsageError(`Key "${record.name}" is in the key file, which is not changed from here: change it there`)
    }
  }

  async #noteUses (): Promise<void> {
    const { client, names, ask } = this.#options
    const notes = [...this.#touched].flat()
    this.#touched.clear()
    if (notes.length > 0) await ask(() => client.hset(names.keyUses, ...notes), names.keyUses).catch(() => {})
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

/** Sent from node to node and back, because neither has both keys of the script. */
function halfMoved (error: unknown): boolean {
  return (
    error instanceof AppError &&
    error.cause instanceof Error &&
    /TRYAGAIN|Too many Cluster redirections/.test(error.cause.message)
  )
}

/** Open: what a newer release adds must not lock its keys out here. */
const OpenRecord = { ...ApiKeyRecord, additionalProperties: true }

/** Records by their text: a key in use is parsed and checked once, not at each request. */
class RecordCache {
  readonly #most = 10_000
  readonly #seen = new Map<string, ApiKeyRecord>()

  /** @throws {AppError} STATE_UNAVAILABLE for what is no record */
  read (json: string): ApiKeyRecord {
    const known = this.#seen.get(json)
    if (known !== undefined) return known
    const record = JSON.parse(json) as ApiKeyRecord
    const faults = faultsIn(OpenRecord, record)
    if (faults.length > 0) throw unavailable(`a key record is malformed: ${faults.join('; ')}`)
    if (this.#seen.size >= this.#most) this.#seen.delete(this.#seen.keys().next().value!)
    this.#seen.set(json, record)
    return record
  }
}
