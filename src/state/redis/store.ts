/**
 * State in Redis, shared by every replica: the connections, whether what they
 * lead to is whole, and what is kept there.
 */
import { Cluster } from 'ioredis'
import type { ApiKeyRecord, EnvironmentKey } from '../../core/api-key.ts'
import type { Health } from '../../core/health.ts'
import type { RateLimit } from '../../core/limit.ts'
import { AppError, UsageError } from '../../errors.ts'
import type { Log } from '../../telemetry/log.ts'
import { KEYS_TOPIC } from '../keys.ts'
import type { Ledger } from '../ledgers.ts'
import type { Store } from '../store.ts'
import type { Counting } from '../windows.ts'
import { RedisBus } from './bus.ts'
import { RedisClock } from './client/clock.ts'
import { connect, describe, keepConnected, mastersOf, type Client, type RedisAddress } from './client/connection.ts'
import { Epoch } from './client/epoch.ts'
import { GuardedClient, unavailable, type Guard } from './client/guarded-client.ts'
import { replayFault, type ReplayFault } from './client/replay.ts'
import { SCRIPTS } from './client/scripts.ts'
import { slotOf } from './client/slots.ts'
import { Subscriber } from './client/subscriber.ts'
import { Troubles } from './client/troubles.ts'
import { diagnoseRedis } from './diagnose.ts'
import { RedisKeys } from './keys.ts'
import { RedisLedgers } from './ledgers.ts'
import { Names } from './names.ts'
import { RedisSessions } from './sessions.ts'
import { RedisCatalogues } from './catalogues.ts'
import { RedisRecords } from './records.ts'
import { RedisValues } from './values.ts'
import { RedisWindows } from './windows.ts'

export interface RedisStoreOptions extends RedisAddress {
  prefix: string
  /** How long one answer may wait for Redis, ms; a decision gives up at four fifths of it. */
  commandTimeoutMs: number
  /** Replicas expected: the share of a limit that this one grants while Redis is out of reach. */
  replicas: number
  log: Log
  /** How long a start waits for Redis, and each connection for an answer, ms: commands wait longer than a server. */
  patienceMs?: number | undefined
  /** Keys of the key file, asked at each look-up. */
  fixedKey?: (hash: string) => ApiKeyRecord | undefined
  fixedKeys?: () => readonly ApiKeyRecord[]
  /** Used only while neither Redis nor the key file knows it. */
  environmentKey?: EnvironmentKey | undefined
  /** Told of each count that this process made alone. */
  onDegraded?: () => void
  /** Called when the store is closed. */
  onClose?: () => void
  /** ms since the epoch, for tests; the clock of Redis if absent. */
  clock?: () => number
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
/** How long a change waits for a replica to have it, too, ms. */
const REPLICA_MS = 100

/**
 * Connect, or go on connecting: with Redis absent this resolves all the same,
 * unavailable, and serves as soon as Redis answers.
 *
 * @throws {UsageError} for settings, of this server or of Redis, that cannot be right
 */
export async function redisStore (options: RedisStoreOptions): Promise<Store> {
  const store = new RedisStore(options)
  try {
    await store.start()
  } catch (error) {
    await store.close()
    throw error
  }
  return store
}

class RedisStore implements Store {
  readonly kind = 'redis'
  readonly now: () => number
  readonly sessions: RedisSessions
  readonly bus: RedisBus
  readonly #options: RedisStoreOptions
  readonly #names: Names
  readonly #client: Client
  readonly #subscriber: Subscriber
  readonly #guarded: GuardedClient
  readonly #troubles: Troubles
  readonly #clock = new RedisClock()
  readonly #epoch: Epoch
  readonly #ledgers: RedisLedgers
  readonly #windows: RedisWindows
  readonly #keys: RedisKeys
  readonly #values: RedisValues
  readonly catalogues: RedisCatalogues
  readonly records: RedisRecords
  readonly #letGo: () => void
  /** Of `performance.now`: when state was last known to be whole, and since when looking at it fails. */
  #lookedAt = -Infinity
  #failingSince: number | undefined
  #polls = 0
  #polling = false
  #closed = false
  #timer: NodeJS.Timeout | undefined
  /** What is wrong with the settings of Redis itself, once it was asked. */
  #policy: string | undefined
  #replay: ReplayFault | undefined

  constructor (options: RedisStoreOptions) {
    const { prefix, commandTimeoutMs, patienceMs, replicas, log, environmentKey, clock } = options
    const { fixedKey = () => undefined, fixedKeys = () => [], onDegraded = () => {} } = options
    this.#options = options
    this.now = clock ?? this.#clock.now
    const names = this.#names = new Names(prefix)
    const client = this.#client = connect(options, commandTimeoutMs * 2, { batched: true, patienceMs })
    for (const [script, definition] of Object.entries(SCRIPTS)) client.defineCommand(script, definition)
    this.#troubles = new Troubles(options, log)
    this.#troubles.watch(client)
    this.#letGo = keepConnected(client, log)
    this.#subscriber = new Subscriber(options, client, error => this.#troubles.note(error))
    this.#guarded = new GuardedClient(client, Math.ceil(commandTimeoutMs * 0.8), error => this.#troubles.refused(error))
    const { ask } = this.#guarded
    const { now } = this
    const epoch = this.#epoch = new Epoch({ client, names, ask, log })
    const ofEach = { client, names, now, change: this.#change }
    this.#ledgers = new RedisLedgers({
      ...ofEach,
      ask,
      log,
      assertWhole: () => epoch.assertWhole(),
      mark: (ledger, number) => epoch.mark(ledger, number),
      ageMs: () => performance.now() - this.#lookedAt
    })
    this.#windows = new RedisWindows({
      client,
      names,
      ask: this.#ask,
      replicas,
      onDegraded,
      clock,
      lost: () => epoch.lost,
      onWritten: whyNot => this.#troubles.wrote(whyNot)
    })
    this.#keys = new RedisKeys({
      ...ofEach,
      fixedKey,
      fixedKeys,
      environmentKey,
      clock,
      look: ask,
      ask: this.#ask,
      windows: this.#windows,
      assertWhole: key => epoch.assertWhole(key),
      mark: () => epoch.mark()
    })
    this.#values = new RedisValues({ client, names, ask: this.#ask })
    this.catalogues = new RedisCatalogues(this.#values)
    this.records = new RedisRecords({ client, names, ask })
    this.sessions = new RedisSessions({ client, names, now, ask: this.#ask })
    this.bus = new RedisBus({
      client,
      names,
      subscriber: this.#subscriber,
      ask: this.#ask,
      onLedger: text => { if (epoch.begun && !epoch.lost) this.#ledgers.hear(text) }
    })
  }

  /** Wait for the first look at the state, but not for long, and not for what never heals by itself. */
  async start (): Promise<void> {
    const { patienceMs = START_MS, log } = this.#options
    const address = describe(this.#options)
    const until = performance.now() + patienceMs
    while (!this.#epoch.begun && performance.now() < until && this.#troubles.lasting === undefined) {
      await this.#poll().catch((error: AppError) => this.#troubles.remember(error.cause))
      if (!this.#epoch.begun) await new Promise(resolve => setTimeout(resolve, 50))
    }
    const { lasting, last } = this.#troubles
    if (lasting !== undefined) throw new UsageError(`${lasting} (${address}); mend the settings of Redis and start again`)
    if (this.#policy !== undefined) throw new UsageError(`${EVICTS} (${address}, ${this.#policy})`)
    if (this.#replay?.certain === true) throw new UsageError(`${this.#replay.text} (${address})`)
    if (this.#replay !== undefined) log.error({ address }, this.#replay.text)
    if (!this.#epoch.begun) log.warn({ address, why: last ?? 'no answer' }, 'redis does not answer: starting without it, not ready until it does')
    this.#troubles.begin(this.health())
    this.#client.on('ready', () => { this.#watch() })
    this.#watch()
  }

  health (): Health {
    if (this.#epoch.lost) return 'lost'
    return !this.#epoch.begun || this.#failingSince !== undefined || this.#guarded.open ? 'unreachable' : 'ok'
  }

  available (): boolean {
    const isFailing = this.#failingSince !== undefined && performance.now() - this.#failingSince >= UNREADY_MS
    return this.#epoch.begun && !this.#epoch.lost && !isFailing
  }

  async acceptLoss (): Promise<boolean> {
    if (!this.#epoch.lost) return false
    await this.#epoch.accept()
    await this.#keys.forgetMissing()
    await this.#poll()
    return true
  }

  admit (hash: string, rule: RateLimit) { return this.#keys.admit(hash, rule) }
  async saveKey (record: ApiKeyRecord): Promise<void> {
    await this.#keys.saveKey(record)
    await this.#tellOfKey(record.id)
  }

  async changeKey (id: string, edit: (record: ApiKeyRecord) => ApiKeyRecord): Promise<ApiKeyRecord | undefined> {
    const record = await this.#keys.changeKey(id, edit)
    if (record !== undefined) await this.#tellOfKey(id)
    return record
  }

  findKey (id: string) { return this.#keys.findKey(id) }
  listKeys () { return this.#keys.listKeys() }
  missingKeys () { return this.#keys.missingKeys() }
  touchKey (record: ApiKeyRecord, now: number) { this.#keys.touchKey(record, now) }

  hit (subject: string, rule: RateLimit, how?: Counting) { return this.#windows.hit(subject, rule, how) }
  giveBack (subject: string, slice: number, how?: Counting) { return this.#windows.giveBack(subject, slice, how) }

  get blocklist (): Ledger { return this.#ledgers.blocklist }
  get revocations (): Ledger { return this.#ledgers.revocations }
  get approvals (): Ledger { return this.#ledgers.approvals }

  cacheGet (key: string) { return this.#values.cacheGet(key) }
  cacheSet (key: string, value: string, ttlMs: number) { return this.#values.cacheSet(key, value, ttlMs) }
  claim (key: string, ttlMs: number) { return this.#values.claim(key, ttlMs) }

  async takenUp () { return undefined }

  diagnose () { return diagnoseRedis(mastersOf(this.#client), this.#options.prefix) }

  /** Best effort: whoever misses it looks again within a minute. */
  async #tellOfKey (id: string): Promise<void> {
    await this.bus.publish(KEYS_TOPIC, id).catch(() => {})
  }

  async close (): Promise<void> {
    this.#closed = true
    this.#letGo()
    clearTimeout(this.#timer)
    await this.#keys.close()
    this.#subscriber.close()
    await this.#guarded.quit([this.#client])
    this.#guarded.close()
    this.#client.disconnect()
    this.#options.onClose?.()
  }

  /** Ask for a decision: only where state is not known to be lost. */
  #ask: Guard = async (command, key) => {
    if (this.#epoch.lost) throw unavailable('state was lost')
    return await this.#guarded.ask(command, key)
  }

  /** Ask for a change. It may have been made even if this rejects. */
  #change: Guard = async (command, key) => {
    try {
      const done = await this.#ask(command, key)
      await this.#confirmed(key)
      return done
    } catch (error) {
      throw unavailable(error instanceof AppError ? error.cause : error, 'State did not confirm the change, which may have been made; look before trying again')
    }
  }

  /** A master may die: where it has replicas, a change counts once one of them has it, too. */
  async #confirmed (key?: string): Promise<void> {
    const master = this.#replicated(key)
    if (master === undefined) return
    const confirmed = await this.#guarded.ask(() => master.wait(1, REPLICA_MS), key).catch(() => 0)
    if (confirmed === 0) this.#options.log.warn({}, 'no replica of redis confirmed a change')
  }

  /** The connection that a change of this key went over, if there are replicas behind it. */
  #replicated (key: string | undefined) {
    const client = this.#client
    if (!(client instanceof Cluster)) return this.#options.sentinels === undefined ? undefined : client
    const [master, ...replicas] = key === undefined ? [] : client.slots[slotOf(key)] ?? []
    return replicas.length === 0 ? undefined : client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === master)
  }

  /** Look at the epoch and at what changed. */
  async #poll (): Promise<void> {
    const asked = performance.now()
    const seen = await this.#epoch.look()
    const stepped = this.#clock.follow(seen.time, asked)
    if (stepped) this.#options.log.warn({}, 'the clock of redis was set')
    if (!this.#epoch.begun) await this.#inspect()
    if (!await this.#epoch.judge(seen)) return
    // What had run out by a wrong clock may not have.
    await this.#ledgers.follow(stepped || this.#polls++ % REFRESH_EVERY === 0)
    if (!await this.#epoch.examine(seen, this.#ledgers.numbers)) return
    this.#lookedAt = performance.now()
    await this.#keys.lookForEnvironment()
  }

  /** How Redis itself is set: what it may do without being told. */
  async #inspect (): Promise<void> {
    const { log } = this.#options
    const late = this.#timer !== undefined
    const masters = mastersOf(this.#client)
    this.#policy = (await Promise.all(masters.map(redis => redis.info('memory').then(evicting, () => undefined)))).find(policy => policy !== undefined)
    const faults = masters.map(redis => replayFault(redis, this.#names.epoch).catch(() => undefined))
    this.#replay = (await Promise.all(faults)).find(fault => fault !== undefined)
    if (late && this.#policy !== undefined) log.error({ policy: this.#policy }, EVICTS)
    if (late && this.#replay !== undefined) log.error({}, this.#replay.text)
  }

  /** Look, and look again in a while: sooner while Redis is out of reach. */
  async #watch (): Promise<void> {
    if (this.#polling || this.#closed) return
    this.#polling = true
    clearTimeout(this.#timer)
    try {
      await this.#poll()
      this.#failingSince = undefined
    } catch (error) {
      this.#failingSince ??= performance.now()
      this.#troubles.remember((error as AppError).cause)
      // A node that is gone stays in the map of slots until somebody is sent elsewhere.
      if (this.#client instanceof Cluster) this.#client.refreshSlotsCache()
    }
    this.#polling = false
    this.#troubles.became(this.health())
    const ms = this.#failingSince === undefined ? POLL_MS : POLL_FAILING_MS
    if (!this.#closed) this.#timer = setTimeout(() => { this.#watch() }, ms).unref()
  }
}

const EVICTS = 'Redis may evict keys and revocations: set its maxmemory-policy to noeviction or volatile-ttl'

/** The policy of a Redis that throws away what has no expiry, from INFO; undefined if it never would. */
function evicting (info: string): string | undefined {
  const policy = /maxmemory_policy:(allkeys\S*)/.exec(info)?.[1]
  return /maxmemory:0\b/.test(info) ? undefined : policy
}
