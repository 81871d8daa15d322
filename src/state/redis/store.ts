/** State in Redis, shared by every replica: the connections, whether what they lead to is whole, and what is kept there. */
import type { ApiKeyRecord, EnvironmentKey } from '../../core/api-key.ts'
import { AppError, UsageError } from '../../errors.ts'
import type { Log } from '../../telemetry/log.ts'
import { throttledErrorLog, connect, describe, keepConnected, refusalOf, type Client, type RedisAddress } from './client/connection.ts'
import { epochOf } from './client/epoch.ts'
import { guardedClient, unavailable, type Ask } from './client/guarded-client.ts'
import { SCRIPTS } from './client/scripts.ts'
import { sharedBus } from './bus.ts'
import { sharedKeys } from './keys.ts'
import { sharedLists } from './ledgers.ts'
import { sharedSessions } from './sessions.ts'
import { sharedWindows } from './windows.ts'
import type { Store } from '../store.ts'
import type { Health } from '../../core/health.ts'

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

/**
 * Connect, or go on connecting: with Redis absent this resolves all the same,
 * unavailable, and serves as soon as Redis answers.
 *
 * @throws {UsageError} for an address, password or eviction policy that cannot be right
 */
export async function redisStore (options: RedisStoreOptions): Promise<Store> {
  const { prefix, commandTimeoutMs, patienceMs, replicas, log, environmentKey, fixedKey = () => undefined, fixedKeys = () => [], onDegraded = () => {} } = options
  const name = (key: string) => prefix + key
  const channel = name('bus:ledger')

  const client = connect(options, commandTimeoutMs * 2, { batched: true, patienceMs })
  const listener = connect(options, commandTimeoutMs * 2, { patienceMs })
  for (const [script, definition] of Object.entries(SCRIPTS)) client.defineCommand(script, definition)
  const complain = throttledErrorLog(log)
  const connections = [client, listener]
  for (const connection of connections) connection.on('error', complain)
  const letGo = connections.map(connection => keepConnected(connection, log))

  const reach = guardedClient(client, Math.ceil(commandTimeoutMs * 0.8))
  const epoch = epochOf({ client, name, ask: reach.ask, log })

  /** Ask for a decision: only where state is not known to be lost. */
  const ask: Ask = async command => {
    if (epoch.lost) throw unavailable('state was lost')
    return await reach.ask(command)
  }

  /** Ask for a change. It may have been made even if this rejects. */
  const change: Ask = async command => {
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
    const replicas = await reach.ask(() => client.wait(1, 100)).catch(() => 0)
    if (replicas === 0) log.warn({}, 'no replica of redis confirmed a change')
  }

  /** Of `performance.now`: when state was last known to be whole, and since when looking at it fails. */
  let lookedAt = -Infinity
  let failingSince: number | undefined
  let closed = false
  let polls = 0
  let policy: string | undefined
  let running = false

  const lists = sharedLists({ client, name, channel, ask: reach.ask, change, assertWhole: epoch.assertWhole, ageMs: () => performance.now() - lookedAt, log })

  /** Look at the epoch and at what changed. */
  async function poll (): Promise<void> {
    const [seen, numbers] = await Promise.all([epoch.read(), reach.ask(lists.numbers)])
    if (!epoch.begun) {
      policy = await reach.ask(() => client.info('memory')).then(evicting, () => undefined)
      if (running && policy !== undefined) log.error({ policy }, EVICTS)
    }
    if (!await epoch.judge(seen)) return
    await lists.follow(numbers, polls++ % REFRESH_EVERY === 0)
    lookedAt = performance.now()
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
    besides: { channel, hear (message) { if (!epoch.lost && epoch.begun) lists.hear(message) } },
    ask,
    complain
  })
  const windows = sharedWindows({ client, name, ask, lost: () => epoch.lost, replicas, onDegraded })
  const keys = sharedKeys({ client, name, ask, change, assertWhole: epoch.assertWhole, windows, fixedKey, fixedKeys, environmentKey })

  try {
    const address = describe(options)
    await started({ client, poll, begun: () => epoch.begun, address, log, withinMs: patienceMs ?? START_MS })
    if (policy !== undefined) throw new UsageError(`${EVICTS} (${address}, ${policy as string})`)
    running = true
  } catch (error) {
    await end()
    throw error
  }
  client.on('ready', () => { watch() })
  watch()

  async function end (): Promise<void> {
    closed = true
    for (const stop of letGo) stop()
    clearTimeout(timer)
    await keys.close()
    await reach.quit(connections)
    reach.close()
    for (const connection of connections) connection.disconnect()
  }

  return {
    kind: 'redis',
    health: (): Health => epoch.lost ? 'lost' : !epoch.begun || failingSince !== undefined || reach.open ? 'unreachable' : 'ok',
    available: () => epoch.begun && !epoch.lost && (failingSince === undefined || performance.now() - failingSince < UNREADY_MS),

    async acceptLoss () {
      if (!epoch.lost) return false
      await epoch.accept()
      await poll()
      return true
    },

    admit: keys.admit,
    hit: windows.hit,
    giveBack: windows.giveBack,
    saveKey: keys.saveKey,
    changeKey: (id, edit) => keys.changeKey(id, edit),
    findKey: keys.findKey,
    listKeys: keys.listKeys,
    touchKey: keys.touchKey,

    ...lists.ledgers,
    sessions: sharedSessions({ client, name, ask }),
    bus,

    cacheGet: async key => await ask(() => client.get(name(key))) ?? undefined,
    cacheSet: async (key, value, ttlMs) => { await ask(() => client.set(name(key), value, 'PX', Math.max(1, Math.floor(ttlMs)))) },
    claim: async (key, ttlMs) => await ask(() => client.set(name(key), '1', 'PX', Math.max(1, Math.floor(ttlMs)), 'NX')) === 'OK',

    takenUp: async () => undefined,
    close: end
  }
}

interface StartOptions {
  client: Client
  poll: () => Promise<void>
  begun: () => boolean
  /** Where Redis should be; no password. */
  address: string
  log: Log
  withinMs: number
}

/** Wait for the first look at the state, but not for long, and not for what never heals by itself. */
async function started ({ client, poll, begun, address, log, withinMs }: StartOptions): Promise<void> {
  const seen: { refusal?: string | undefined, last?: unknown } = {}
  const note = (error: unknown) => {
    seen.last = error
    seen.refusal ??= refusalOf(error)
  }
  client.on('error', note)
  const until = performance.now() + withinMs
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

/** The policy of a Redis that throws away what has no expiry, from INFO; undefined if it never would. */
function evicting (info: string): string | undefined {
  const policy = /maxmemory_policy:(allkeys\S*)/.exec(info)?.[1]
  return /maxmemory:0\b/.test(info) ? undefined : policy
}
