/** State in Redis, shared by every replica. */
import { randomUUID } from 'node:crypto'
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import { ApiKeyRecord } from '../core/api-key.ts'
import type { Rule, Verdict } from '../core/limit.ts'
import { compileSchema } from '../core/schema.ts'
import { AppError, UsageError } from '../errors.ts'
import type { Log } from '../tools/tool.ts'
import { breaker } from './breaker.ts'
import { deadlines } from './deadline.ts'
import { ledgerCopy, live, type LedgerCopy } from './ledger.ts'
import { byName } from './memory.ts'
import { SCRIPTS, type VerdictTuple } from './scripts.ts'
import type { Admission, Ledger, LedgerEntry, LedgerName, Store } from './store.ts'
import { localWindows } from './windows.ts'

export interface RedisStoreOptions {
  /** One of the three ways to name a Redis. */
  url?: string | undefined
  sentinels?: { hosts: readonly string[], masterName: string } | undefined
  clusterNodes?: readonly string[] | undefined
  prefix: string
  /** How long one decision waits, ms. */
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

type Client = Redis | Cluster

const LEDGERS: readonly LedgerName[] = ['blocklist', 'revocations', 'approvals']
/** How often the shared lists and the epoch are looked at, ms. */
const POLL_MS = 1000
/** How long a start waits for Redis before it goes on without, ms. */
const START_MS = 1500
/** Whole lists are read again this often, for changes made by hand, in polls. */
const REFRESH_EVERY = 30

/**
 * Connect, or go on connecting: with Redis absent this resolves all the same,
 * unavailable, and serves as soon as Redis answers.
 *
 * @throws {UsageError} for an address or password that Redis refuses
 */
export async function redisStore (options: RedisStoreOptions): Promise<Store> {
  const { prefix, commandTimeoutMs, replicas, log, fixedKey = () => undefined, fixedKeys = () => [], onDegraded = () => {} } = options
  const name = (key: string) => prefix + key
  const channel = name('bus:ledger')

  const client = connect(options, { enableAutoPipelining: true })
  const listener = connect(options, {})
  for (const [script, definition] of Object.entries(SCRIPTS)) client.defineCommand(script, definition)
  const complain = complainer(log)
  client.on('error', complain)
  listener.on('error', complain)

  const limits = deadlines(commandTimeoutMs)
  const circuit = breaker({ most: 5, pauseMs: 500, probe: () => limits.within(client.ping()) })
  const local = localWindows()
  let epoch: string | undefined
  let wiped = false

  /** Ask Redis: within the deadline, through the breaker, every failure the same. */
  async function ask<T> (command: () => Promise<T>): Promise<T> {
    if (wiped) throw unavailable('state was wiped')
    if (circuit.open) throw unavailable('redis does not answer')
    try {
      const answer = await limits.within(command())
      circuit.answered()
      return answer
    } catch (error) {
      if ((error as Error).message.startsWith('no answer')) circuit.missed()
      throw unavailable(error)
    }
  }

  const ledgers = Object.fromEntries(LEDGERS.map(ledger => [ledger, ledgerCopy()])) as Record<LedgerName, LedgerCopy>
  const versions: Partial<Record<LedgerName, string>> = {}
  let polled = 0
  let polls = 0

  async function refresh (ledger: LedgerName): Promise<void> {
    const { '#': version, ...entries } = await ask(() => client.hgetall(name(ledger)))
    versions[ledger] = version ?? '0'
    ledgers[ledger].replace(live(new Map(Object.entries(entries).map(([id, text]) => [id, JSON.parse(text) as LedgerEntry])), Date.now()))
  }

  /** Look at the epoch and at what changed. A different epoch means that what Redis held is gone. */
  async function poll (): Promise<void> {
    const [seen, ...numbers] = await ask(() => Promise.all([client.get(name('epoch')), ...LEDGERS.map(ledger => client.hget(name(ledger), '#'))]))
    if (epoch === undefined) await begin(seen)
    else if (seen !== epoch) {
      wiped = true
      log.error({ key: name('epoch') }, 'redis lost its data: keys and revocations may be gone, so everything is refused; restore it, then restart the replicas')
      return
    }
    const all = polls++ % REFRESH_EVERY === 0
    for (const [i, ledger] of LEDGERS.entries()) {
      if (all || (numbers[i] ?? '0') !== versions[ledger]) await refresh(ledger)
      ledgers[ledger].prune(Date.now())
    }
    polled = Date.now()
  }

  async function begin (seen: string | null | undefined): Promise<void> {
    if (seen == null) await ask(() => client.set(name('epoch'), randomUUID(), 'NX'))
    epoch = seen ?? await ask(() => client.get(name('epoch'))) ?? undefined
    const policy = /maxmemory_policy:(\S+)/.exec(await ask(() => client.info('memory')).catch(() => ''))?.[1] ?? ''
    if (policy.startsWith('allkeys')) log.error({ policy }, 'redis may evict keys and revocations; set maxmemory-policy to noeviction or volatile-ttl')
  }

  const timer = setInterval(() => { poll().catch(() => {}) }, POLL_MS)
  timer.unref()
  listener.on('ready', () => { listener.subscribe(channel).catch(complain) })
  listener.on('message', (_channel: string, ledger: string) => {
    if ((LEDGERS as readonly string[]).includes(ledger)) refresh(ledger as LedgerName).catch(() => {})
  })

  await started(client, poll, () => epoch !== undefined)

  const shared = (ledger: LedgerName): Ledger => ({
    entries: ledgers[ledger].entries,
    onChange: ledgers[ledger].onChange,
    ageMs: () => Date.now() - polled,
    async set (id, entry) {
      await ask(() => client.changeLedger(name(ledger), id, JSON.stringify(entry), channel, ledger))
      await refresh(ledger)
    },
    async delete (id) {
      const changed = await ask(() => client.changeLedger(name(ledger), id, '', channel, ledger))
      await refresh(ledger)
      return changed === 1
    }
  })

  const degraded = (subject: string, rule: Rule, cost: number, now: number): Verdict => {
    onDegraded()
    const share = { limit: Math.ceil(rule.limit / replicas), windowMs: rule.windowMs }
    return { ...local.hit(subject, share, cost, now), degraded: true }
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
      if (wiped) throw error
      return degraded(key, rule, cost, Date.now())
    }
  }

  /** @param follow a key that was rotated leads to its successor, once */
  async function admit (hash: string, rule: Rule, now: number | undefined, follow: boolean): Promise<Admission> {
    const known = fixedKey(hash)
    if (known !== undefined) {
      if (known.revoked !== undefined || known.cidrs !== undefined) return { record: known, verdict: undefined }
      const own = known.limit === undefined ? rule : { limit: known.limit, windowMs: rule.windowMs }
      return { record: known, verdict: await hit(`key:${known.hash}`, own, now === undefined ? {} : { now }) }
    }
    const answer = await ask(() => client.admitKey(recordKey(hash), windowKey(`key:${hash}`), rule.limit, rule.windowMs, now ?? ''))
    if (answer.length === 0) {
      // No such key is a fact only where the state is known to be whole.
      if (epoch === undefined || await ask(() => client.get(name('epoch'))) !== epoch) throw unavailable('the epoch is not the one that was seen')
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

  const touched = new Map<string, number>()
  const flush = setInterval(() => {
    for (const [id, at] of touched) {
      touched.delete(id)
      ask(() => client.hset(name('index:used'), id, at)).catch(() => {})
    }
  }, 5000)
  flush.unref()

  return {
    kind: 'redis',
    available: () => epoch !== undefined && !wiped && !circuit.open && client.status === 'ready',
    admit: (hash, rule, now) => admit(hash, rule, now, true),
    hit,
    async giveBack (subject, slice, { cost = 1, tool } = {}) {
      await ask(() => client.giveBackUnits(windowKey(subject, tool), slice, cost)).catch(() => {})
    },

    async saveKey (record) {
      if (fixedKeys().some(({ id }) => id === record.id)) throw new UsageError(`Key "${record.name}" stands in the key file or the environment: change it there`)
      const before = await ask(() => client.hget(name('index:keys'), record.id))
      // The record first, then what leads to it: a crash between leaves no half of a key.
      await ask(() => client.saveRecord(recordKey(record.hash), '', ...fieldsOf(record)))
      await ask(() => client.hset(name('index:keys'), record.id, record.hash))
      if (record.previous !== undefined && record.previous.hash !== record.hash) {
        const { hash, until } = record.previous
        await ask(() => client.saveRecord(recordKey(hash), until, 'moved', record.hash, 'until', String(until)))
      }
      if (before != null && before !== record.hash && before !== record.previous?.hash) await ask(() => client.del(recordKey(before)))
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
      if (touched.size < 10_000) touched.set(id, now - now % 60_000)
    },

    blocklist: shared('blocklist'),
    revocations: shared('revocations'),
    approvals: shared('approvals'),

    cacheGet: async key => await ask(() => client.get(name(key))) ?? undefined,
    cacheSet: async (key, value, ttlMs) => { await ask(() => client.set(name(key), value, 'PX', Math.max(1, Math.floor(ttlMs)))) },
    claim: async (key, ttlMs) => await ask(() => client.set(name(key), '1', 'PX', Math.max(1, Math.floor(ttlMs)), 'NX')) === 'OK',

    async close () {
      clearInterval(timer)
      clearInterval(flush)
      circuit.close()
      limits.close()
      client.disconnect()
      listener.disconnect()
    }
  }
}

/** Bounded in every direction: no queue, no resend, no wait without end (measured in docs/decisions). */
function connect ({ url, sentinels, clusterNodes, commandTimeoutMs }: RedisStoreOptions, more: Partial<RedisOptions>): Client {
  const options: RedisOptions = {
    connectTimeout: 500,
    commandTimeout: commandTimeoutMs * 2,
    socketTimeout: 1000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    keepAlive: 10_000,
    noDelay: true,
    retryStrategy: times => Math.min(50 * 2 ** Math.min(times, 4), 500) + Math.random() * 100,
    // A master that was demoted: connect anew, but send nothing twice.
    reconnectOnError: error => error.message.startsWith('READONLY') ? 1 : false,
    connectionName: 'secure-mcp',
    ...more
  }
  if (clusterNodes !== undefined) {
    const { enableOfflineQueue: _own, retryStrategy: _too, ...nodes } = options
    const cluster: ClusterOptions = {
      redisOptions: nodes,
      enableOfflineQueue: false,
      enableAutoPipelining: more.enableAutoPipelining ?? false,
      clusterRetryStrategy: times => Math.min(50 * 2 ** Math.min(times, 4), 500)
    }
    return new Cluster(clusterNodes.map(addressOf), cluster)
  }
  if (sentinels !== undefined) {
    return new Redis({ ...options, sentinels: sentinels.hosts.map(addressOf), name: sentinels.masterName, sentinelCommandTimeout: 300, failoverDetector: true })
  }
  return new Redis(url!, options)
}

function addressOf (text: string): { host: string, port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text.trim())
  if (match === null) throw new UsageError('REDIS_SENTINELS and REDIS_CLUSTER_NODES are comma lists of host:port')
  return { host: match[1] ?? match[2]!, port: Number(match[3]) }
}

/** Wait for the first look at the state, but not for long; a refused password never heals by itself. */
async function started (client: Client, poll: () => Promise<void>, begun: () => boolean): Promise<void> {
  const refusals: Error[] = []
  const note = (error: unknown) => {
    if (error instanceof Error && /WRONGPASS|NOAUTH|invalid password|NOPERM/.test(error.message)) refusals.push(error)
  }
  client.on('error', note)
  const until = Date.now() + START_MS
  while (!begun() && Date.now() < until && refusals.length === 0) {
    await poll().catch((error: AppError) => note(error.cause))
    if (!begun()) await new Promise(resolve => setTimeout(resolve, 50))
  }
  client.off('error', note)
  if (refusals.length > 0) {
    client.disconnect()
    throw new UsageError('REDIS_URL: Redis refuses the user or password; mend it and start again')
  }
}

/** One line for a run of errors, not one for each attempt. */
function complainer (log: Log): (error: Error) => void {
  let last = 0
  return error => {
    const now = Date.now()
    if (now - last < 5000) return
    last = now
    log.warn({ err: error }, 'redis connection error')
  }
}

function unavailable (cause: unknown): AppError {
  return new AppError('STATE_UNAVAILABLE', 'State is out of reach; try again', { cause, headers: { 'retry-after': '2' } })
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
