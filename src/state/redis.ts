/** State in Redis, shared by every replica. */
import { randomUUID } from 'node:crypto'
import { ApiKeyRecord } from '../core/api-key.ts'
import type { Rule, Verdict } from '../core/limit.ts'
import { compileSchema } from '../core/schema.ts'
import { AppError, UsageError } from '../errors.ts'
import type { Log } from '../log.ts'
import { breaker } from './breaker.ts'
import { complainer, connect, describe, refusalOf, type Client, type RedisAddress } from './connection.ts'
import { deadlines, TooLate } from './deadline.ts'
import { byName } from './memory.ts'
import { SCRIPTS, type VerdictTuple } from './scripts.ts'
import { sharedBus } from './shared-bus.ts'
import { sharedLists } from './shared-lists.ts'
import { sharedSessions } from './shared-sessions.ts'
import type { Admission, Health, Store } from './store.ts'
import { localWindows } from './windows.ts'

export interface RedisStoreOptions extends RedisAddress {
  prefix: string
  /** How long one answer may wait for Redis, ms; a decision gives up at four fifths of it. */
  commandTimeoutMs: number
  /** Replicas expected: the share of a limit that this one grants while Redis is out of reach. */
  replicas: number
  log: Log
  /** Keys that stand outside Redis, asked at each look-up: those of the environment and of the key file. */
  fixedKey?: (hash: string) => ApiKeyRecord | undefined
  fixedKeys?: () => readonly ApiKeyRecord[]
  /** Told of each count that this process made alone. */
  onDegraded?: () => void
}

/** How often the shared lists and the epoch are looked at, ms; oftener while Redis is out of reach. */
const POLL_MS = 1000
const POLL_FAILING_MS = 250
/** How long Redis must have been out of reach before this process stops taking traffic, ms. */
const UNREADY_MS = 5000
/** How long a start waits for Redis before it goes on without, ms. */
const START_MS = 800
/** Whole lists are read again this often, for changes made by hand, in polls. */
const REFRESH_EVERY = 30
/** Notes of use that wait to be written; more in five seconds are left for the next minute's. */
const MAX_TOUCHED = 10_000
/** The epoch that replaces one that is gone, so that replicas which start later see it, too. */
const LOST = 'lost:'
/** At the end of an epoch that an operator set to go on after a loss. */
const ACCEPTED = ':accepted'

/**
 * Connect, or go on connecting: with Redis absent this resolves all the same,
 * unavailable, and serves as soon as Redis answers.
 *
 * @throws {UsageError} for an address, password or eviction policy that cannot be right
 */
export async function redisStore (options: RedisStoreOptions): Promise<Store> {
  const { prefix, commandTimeoutMs, replicas, log, fixedKey = () => undefined, fixedKeys = () => [], onDegraded = () => {} } = options
  const name = (key: string) => prefix + key
  const channel = name('bus:ledger')

  const client = connect(options, commandTimeoutMs * 2, { batched: true })
  const listener = connect(options, commandTimeoutMs * 2)
  for (const [script, definition] of Object.entries(SCRIPTS)) client.defineCommand(script, definition)
  const complain = complainer(log)
  client.on('error', complain)
  listener.on('error', complain)

  const limits = deadlines(Math.ceil(commandTimeoutMs * 0.8))
  const circuit = breaker({ most: 5, pauseMs: 250, probe: () => limits.within(client.ping()) })
  const local = localWindows()
  /** What Redis called its state when this process first saw it whole. */
  let epoch: string | undefined
  let lost = false
  /** Of `performance.now`: when state was last known to be whole, and since when looking at it fails. */
  let lookedAt = -Infinity
  let failingSince: number | undefined
  let closed = false

  /** Ask Redis: within the deadline, through the breaker, every failure the same. Never asked twice. */
  async function reach<T> (command: () => Promise<T>): Promise<T> {
    if (circuit.open) throw unavailable('redis does not answer')
    const since = performance.now()
    try {
      const asked = command()
      asked.then(circuit.answered, () => {}) // late answers, too, show that it lives
      return await limits.within(asked)
    } catch (error) {
      if (error instanceof TooLate || (error as Error).message === 'Command timed out') circuit.missed(since)
      throw unavailable(error)
    }
  }

  /** Ask for a decision: only where state is not known to be lost. */
  async function ask<T> (command: () => Promise<T>): Promise<T> {
    if (lost) throw unavailable('state was lost')
    return await reach(command)
  }

  /** Ask for a change. It may have been made even if this rejects. */
  async function change<T> (command: () => Promise<T>): Promise<T> {
    try {
      const done = await ask(command)
      await confirmed()
      return done
    } catch (error) {
      throw unavailable(error instanceof AppError ? error.cause : error, 'State did not confirm the change, which may have been made; look before trying again')
    }
  }

  /** With Sentinel a master may die: a change counts once a replica has it, too, if there is one. */
  async function confirmed (): Promise<void> {
    if (options.sentinels === undefined || !('wait' in client)) return
    const replicas = await reach(() => client.wait(1, 100)).catch(() => 0)
    if (replicas === 0) log.warn({}, 'no replica of redis confirmed a change')
  }

  async function assertWhole (): Promise<void> {
    const seen = await reach(() => client.get(name('epoch')))
    if (epoch === undefined || seen !== epoch) throw unavailable('the epoch is not the one that was seen')
  }

  const lists = sharedLists({ client, name, channel, ask: reach, change, assertWhole, ageMs: () => performance.now() - lookedAt, log })
  let polls = 0
  let policy: string | undefined
  let running = false

  /** Look at the epoch and at what changed. */
  async function poll (): Promise<void> {
    const [seen, numbers] = await reach(() => Promise.all([client.get(name('epoch')), lists.numbers()]))
    if (epoch === undefined) await begin(seen)
    else if (seen !== epoch && !await follow(seen)) return
    if (epoch === undefined || (lost && seen !== epoch)) return
    if (lost) {
      lost = false
      log.warn({}, 'what redis had lost is there again')
    }
    await lists.follow(numbers, polls++ % REFRESH_EVERY === 0)
    lookedAt = performance.now()
  }

  /** The first look. Where nothing ever was, an epoch begins. */
  async function begin (seen: string | null): Promise<void> {
    policy = await reach(() => client.info('memory')).then(evicting, () => undefined)
    if (running && policy !== undefined) log.error({ policy }, EVICTS)
    if (seen === null) {
      await reach(() => client.set(name('epoch'), randomUUID(), 'NX'))
      seen = await reach(() => client.get(name('epoch')))
    }
    if (seen?.startsWith(LOST)) {
      lost = true
      log.error({ key: name('epoch') }, GONE)
    }
    epoch = seen?.startsWith(LOST) ? seen.slice(LOST.length) : seen ?? undefined
  }

  /**
   * Another epoch than the one known: what Redis held is gone, unless an
   * operator said to go on. A replica that starts now could not tell, so the
   * loss is written down, but never over state that others may use.
   *
   * @returns whether to go on
   */
  async function follow (seen: string | null): Promise<boolean> {
    if (seen?.endsWith(ACCEPTED) && !seen.startsWith(LOST)) {
      epoch = seen
      lost = false
      log.warn({}, 'going on after a loss of state, as an operator said')
      return true
    }
    if (!lost) log.error({ key: name('epoch') }, GONE)
    lost = true
    if (seen === null) await reach(() => client.set(name('epoch'), LOST + epoch, 'NX')).catch(() => {})
    else if (!seen.startsWith(LOST) && await reach(() => client.exists(name('index:keys'))) === 0) await reach(() => client.set(name('epoch'), LOST + epoch)).catch(() => {})
    return false
  }

  let timer: NodeJS.Timeout | undefined
  let looking = false
  /** Look, and look again in a while: sooner while Redis is out of reach. */
  async function watch (): Promise<void> {
    if (looking || closed) return
    looking = true
    clearTimeout(timer)
    try {
      await poll()
      failingSince = undefined
    } catch {
      failingSince ??= performance.now()
    }
    looking = false
    if (!closed) timer = setTimeout(watch, failingSince === undefined ? POLL_MS : POLL_FAILING_MS).unref()
  }

  const bus = sharedBus({
    client,
    listener,
    name: topic => name(`bus:${topic}`),
    besides: { channel, hear (message) { if (!lost && epoch !== undefined) lists.hear(message) } },
    ask,
    complain
  })

  const touched = new Map<string, number>()
  /** Keys seen in this minute: each is written once in it. */
  const noted = { minute: 0, ids: new Set<string>() }
  const noteUse = async () => {
    const notes = [...touched].flat()
    touched.clear()
    if (notes.length > 0) await ask(() => client.hset(name('index:used'), ...notes)).catch(() => {})
  }
  const flush = setInterval(noteUse, 5000)
  flush.unref()

  try {
    const address = describe(options)
    await started({ client, poll, begun: () => epoch !== undefined, address, log })
    if (policy !== undefined) throw new UsageError(`${EVICTS} (${address}, ${policy as string})`)
    running = true
  } catch (error) {
    end()
    throw error
  }
  client.on('ready', () => { watch() })
  watch()

  function end (): void {
    closed = true
    clearTimeout(timer)
    clearInterval(flush)
    circuit.close()
    limits.close()
    client.disconnect()
    listener.disconnect()
  }

  const health = (): Health => lost ? 'lost' : epoch === undefined || failingSince !== undefined || circuit.open ? 'unreachable' : 'ok'

  const degraded = (subject: string, rule: Rule, cost: number, now: number): Verdict => {
    onDegraded()
    const share = { limit: Math.ceil(rule.limit / replicas), windowMs: rule.windowMs }
    // The limit told is the whole one: what a caller may expect has not changed.
    return { ...local.hit(subject, share, cost, now), limit: rule.limit, degraded: true }
  }

  const records = recordCache()
  const recordKey = (hash: string) => name(`{key:${hash}}:record`)
  const windowKey = (subject: string, tool?: string) => name(tool === undefined ? `{${subject}}:window` : `{${subject}}:window:${tool}`)

  async function hit (subject: string, rule: Rule, { cost = 1, tool, now }: { cost?: number, tool?: string, now?: number } = {}): Promise<Verdict> {
    const key = windowKey(subject, tool)
    try {
      const counted = await ask(() => client.hitWindow(key, rule.limit, rule.windowMs, cost, now ?? ''))
      // Empty: Redis is full. It still answers who a key is, but counts nothing.
      return counted.length === 0 ? degraded(key, rule, cost, Date.now()) : verdictOf(counted, 0, rule.windowMs)
    } catch (error) {
      // Fails open, to this process's share of the limit: nobody is served without a limit, and nobody is locked out.
      if (lost) throw error
      return degraded(key, rule, cost, Date.now())
    }
  }

  /** @param follow a key that was rotated leads to its successor, once */
  async function admit (hash: string, rule: Rule, now: number | undefined, follow: boolean): Promise<Admission> {
    const known = fixedKey(hash)
    if (known !== undefined) {
      const over = known.expires !== undefined && known.expires <= (now ?? Date.now())
      if (known.revoked !== undefined || known.cidrs !== undefined || over) return { record: known, verdict: undefined }
      const own = known.limit === undefined ? rule : { limit: known.limit, windowMs: rule.windowMs }
      return { record: known, verdict: await hit(`key:${known.hash}`, own, now === undefined ? {} : { now }) }
    }
    const answer = await ask(() => client.admitKey(recordKey(hash), windowKey(`key:${hash}`), rule.limit, rule.windowMs, now ?? ''))
    if (answer.length === 0) {
      // No such key is a fact only where the state is known to be whole.
      await assertWhole()
      return { record: undefined, verdict: undefined }
    }
    const [json, moved] = answer
    if (moved !== undefined && moved !== '' && moved !== 'full') return follow ? await admit(moved, rule, now, false) : { record: undefined, verdict: undefined }
    const record = records(json)
    if (answer.length > 2) return { record, verdict: verdictOf(answer as unknown as VerdictTuple, 2, rule.windowMs) }
    if (moved !== 'full') return { record, verdict: undefined }
    const own = { limit: record.limit ?? rule.limit, windowMs: rule.windowMs }
    return { record, verdict: degraded(windowKey(`key:${hash}`), own, 1, Date.now()) }
  }

  async function findKey (id: string): Promise<ApiKeyRecord | undefined> {
    const fixed = fixedKeys().find(record => record.id === id)
    if (fixed !== undefined) return fixed
    const hash = await ask(() => client.hget(name('index:keys'), id))
    const json = hash == null ? null : await ask(() => client.hget(recordKey(hash), 'json'))
    return json == null ? undefined : JSON.parse(json) as ApiKeyRecord
  }

  return {
    kind: 'redis',
    health,
    available: () => epoch !== undefined && !lost && (failingSince === undefined || performance.now() - failingSince < UNREADY_MS),

    async acceptLoss () {
      if (!lost) return false
      await reach(() => client.set(name('epoch'), randomUUID() + ACCEPTED))
      await poll()
      return true
    },

    admit: (hash, rule, now) => admit(hash, rule, now, true),
    hit,
    async giveBack (subject, slice, { cost = 1, tool } = {}) {
      await ask(() => client.giveBackUnits(windowKey(subject, tool), slice, cost)).catch(() => {})
    },

    async saveKey (record) {
      if (fixedKeys().some(({ id }) => id === record.id)) throw new UsageError(`Key "${record.name}" stands in the key file or the environment: change it there`)
      const before = await ask(() => client.hget(name('index:keys'), record.id))
      const { hash, previous } = record
      const moved = previous !== undefined && previous.hash !== hash ? previous : undefined
      // In one go and in this order: a crash between leaves no key that its id does not lead to.
      await change(() => Promise.all([
        client.saveRecord(recordKey(hash), '', ...fieldsOf(record)),
        client.hset(name('index:keys'), record.id, hash),
        ...(moved === undefined ? [] : [client.saveRecord(recordKey(moved.hash), moved.until, 'moved', hash, 'until', String(moved.until))]),
        ...(before == null || before === hash || before === moved?.hash ? [] : [client.del(recordKey(before))])
      ]))
    },

    findKey,

    async listKeys () {
      const [index, used] = await Promise.all([ask(() => client.hgetall(name('index:keys'))), ask(() => client.hgetall(name('index:used')))])
      const found: ApiKeyRecord[] = []
      const hashes = Object.values(index)
      for (let i = 0; i < hashes.length; i += 500) {
        const texts = await ask(() => Promise.all(hashes.slice(i, i + 500).map(hash => client.hget(recordKey(hash), 'json'))))
        for (const text of texts) if (text != null) found.push(JSON.parse(text) as ApiKeyRecord)
      }
      return [...fixedKeys(), ...found.map(record => used[record.id] === undefined ? record : { ...record, lastUsed: Number(used[record.id]) })].sort(byName)
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

    ...lists.ledgers,
    sessions: sharedSessions({ client, name, ask }),
    bus,

    cacheGet: async key => await ask(() => client.get(name(key))) ?? undefined,
    cacheSet: async (key, value, ttlMs) => { await ask(() => client.set(name(key), value, 'PX', Math.max(1, Math.floor(ttlMs)))) },
    claim: async (key, ttlMs) => await ask(() => client.set(name(key), '1', 'PX', Math.max(1, Math.floor(ttlMs)), 'NX')) === 'OK',

    async close () {
      await noteUse()
      // Politely while it answers: what was asked is done before the connection ends.
      if (!circuit.open) await Promise.all([client, listener].map(connection => limits.within(connection.quit()).catch(() => {})))
      end()
    }
  }
}

interface StartOptions {
  client: Client
  poll: () => Promise<void>
  begun: () => boolean
  /** Where Redis should be; no password. */
  address: string
  log: Log
}

/** Wait for the first look at the state, but not for long, and not for what never heals by itself. */
async function started ({ client, poll, begun, address, log }: StartOptions): Promise<void> {
  const seen: { refusal?: string | undefined, last?: unknown } = {}
  const note = (error: unknown) => {
    seen.last = error
    seen.refusal ??= refusalOf(error)
  }
  client.on('error', note)
  const until = performance.now() + START_MS
  while (!begun() && performance.now() < until && seen.refusal === undefined) {
    await poll().catch((error: AppError) => note(error.cause))
    if (!begun()) await new Promise(resolve => setTimeout(resolve, 50))
  }
  client.off('error', note)
  if (seen.refusal !== undefined) throw new UsageError(`${seen.refusal} (${address}); mend the settings of Redis and start again`)
  if (!begun()) {
    log.warn({ address, why: (seen.last as { message?: string } | undefined)?.message ?? 'no answer' }, 'redis does not answer: starting without it, not ready until it does')
  }
}

const EVICTS = 'Redis may evict keys and revocations: set its maxmemory-policy to noeviction or volatile-ttl'
const GONE = 'redis lost its data: keys and revocations may be gone, so everything is refused; restore it, or go on without: secure-mcp state accept-loss'

/** The policy of a Redis that throws away what has no expiry, from INFO; undefined if it never would. */
function evicting (info: string): string | undefined {
  const policy = /maxmemory_policy:(allkeys\S*)/.exec(info)?.[1]
  return /maxmemory:0\b/.test(info) ? undefined : policy
}

function unavailable (cause: unknown, message = 'State is out of reach; try again'): AppError {
  return new AppError('STATE_UNAVAILABLE', message, { cause, headers: { 'retry-after': '2' } })
}

function verdictOf (tuple: readonly (string | number)[], from: number, windowMs: number): Verdict {
  const [allowed, limit, remaining, retryAfterMs, resetMs, slice] = tuple.slice(from) as number[]
  return { allowed: allowed === 1, limit: limit!, windowMs, remaining: remaining!, retryAfterMs: retryAfterMs!, resetMs: resetMs!, slice: slice! }
}

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

const shape = compileSchema(ApiKeyRecord)

/** Records by their text: a key in use is parsed and checked once, not at each request. */
function recordCache (most = 10_000): (json: string) => ApiKeyRecord {
  const seen = new Map<string, ApiKeyRecord>()
  return json => {
    const known = seen.get(json)
    if (known !== undefined) return known
    const record = JSON.parse(json) as ApiKeyRecord
    if (!shape.fits(record)) throw unavailable(`a key record is malformed: ${shape.problems(record).join('; ')}`)
    if (seen.size >= most) seen.delete(seen.keys().next().value!)
    seen.set(json, record)
    return record
  }
}
