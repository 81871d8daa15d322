/** Connections to Redis: bounded in every direction, whichever of the three ways names it. */
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import { readHostPort, readRedisUrl } from '../../../core/redis-url.ts'
import { UsageError } from '../../../errors.ts'
import type { Log } from '../../../telemetry/log.ts'

export type Client = Redis | Cluster

export interface RedisAddress {
  /** One of the three. */
  url?: string | undefined
  sentinels?:
    | { hosts: readonly string[]; masterName: string; username?: string | undefined; password?: string | undefined }
    | undefined
  clusterNodes?: readonly string[] | undefined
  /** Of Redis itself; with a URL only what the URL does not hold. */
  username?: string | undefined
  password?: string | undefined
  tls?: boolean | undefined
  /** PEM. */
  ca?: string | undefined
}

/**
 * Commands of one turn of the loop leave in one write. The client's own
 * auto-pipelining does that too, but holds each batch back until the one before
 * is answered, so that whoever waits for a slow Redis waits up to twice as long;
 * and in a Cluster it hands a redirection of one command to its whole batch.
 */
function batchWrites (redis: Redis): void {
  const send = redis.sendCommand.bind(redis)
  let corked: NodeJS.WritableStream | undefined
  redis.sendCommand = (...args) => {
    const { stream } = redis
    if (redis.status === 'ready' && stream !== corked) {
      corked = stream
      stream.cork()
      setImmediate(() => {
        corked = undefined
        stream.uncork()
      })
    }
    return send(...args)
  }
}

export const backoff = (times: number) => Math.min(50 * 2 ** Math.min(times, 3), 300) + Math.random() * 100

/**
 * What every connection is held to: no queue while offline, nothing sent twice,
 * no wait without end. What the client's own defaults do to a request while
 * Redis hangs stands in docs/decisions/0004-redis-in-trouble.md.
 *
 * @param commandTimeoutMs the client's own bound; decisions have a shorter one
 * @param patienceMs for a connection that may be slow to come; a server has none
 * @throws {UsageError} for an address that cannot be one
 */
export function nodeOptions (
  { url, username, password, tls = false, ca }: RedisAddress,
  commandTimeoutMs: number,
  patienceMs = 0
): RedisOptions {
  const { tls: tlsOfUrl = false, ...ofUrl } = url === undefined ? {} : partsOf(url)
  return {
    ...ofUrl,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls || tlsOfUrl ? { tls: secure(ca) } : {}),
    connectTimeout: Math.max(500, patienceMs / 2),
    commandTimeout: commandTimeoutMs,
    // A socket outlives a slow command: it is dropped only after several of them had no answer.
    socketTimeout: Math.max(4 * commandTimeoutMs, 1000, patienceMs),
    // A master that froze does not say goodbye either.
    disconnectTimeout: 100,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    keepAlive: 10_000,
    noDelay: true,
    retryStrategy: backoff,
    // A master that was demoted: connect anew, but send nothing twice.
    reconnectOnError: error => (error.message.startsWith('READONLY') ? 1 : false),
    connectionName: 'secure-mcp'
  }
}

/**
 * @param batched many commands at once are expected
 * @throws {UsageError} for an address that cannot be one
 */
export function connect (
  address: RedisAddress,
  commandTimeoutMs: number,
  { batched = false, patienceMs }: { batched?: boolean; patienceMs?: number | undefined } = {}
): Client {
  const options = nodeOptions(address, commandTimeoutMs, patienceMs)
  const client =
    address.clusterNodes !== undefined
      ? new Cluster(address.clusterNodes.map(addressOf), clusterOptions(options, address.tls === true))
      : address.sentinels !== undefined
        ? new Redis({ ...options, ...sentinelOptions(address) })
        : new Redis(options)
  if (batched && client instanceof Redis) batchWrites(client)
  if (batched && client instanceof Cluster) client.on('+node', batchWrites)
  if (client instanceof Cluster) client.on('refresh', () => unshareSlots(client))
  return client
}

/**
 * The client gives all slots of a range one list of nodes, and writes into it
 * where one slot has moved: that sends every command for the others astray, and
 * back, until redirections run out. So each slot gets a list of its own.
 */
function unshareSlots ({ slots }: Cluster): void {
  for (const [slot, nodes] of slots.entries()) if (nodes !== undefined) slots[slot] = [...nodes]
}

function clusterOptions (
  { enableOfflineQueue: _own, retryStrategy: _too, ...nodes }: RedisOptions,
  tls: boolean
): ClusterOptions {
  return {
    redisOptions: nodes,
    enableOfflineQueue: false,
    clusterRetryStrategy: backoff,
    // A command whose connection broke may have been done: it is not sent again. MOVED and ASK are followed,
    // for those were not.
    retryDelayOnFailover: 0,
    // What a node cannot answer now is an answer: whoever asked decides what to do without.
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 5,
    maxRedirections: 6,
    // A name is kept as it is, for a certificate holds names.
    ...(tls ? { dnsLookup: (host: string, found: (error: null, address: string) => void) => found(null, host) } : {})
  }
}

function sentinelOptions ({ sentinels, tls = false, ca }: RedisAddress): RedisOptions {
  const { hosts, masterName, username, password } = sentinels!
  return {
    sentinels: hosts.map(addressOf),
    name: masterName,
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: secure(ca) } : {}),
    sentinelRetryStrategy: backoff,
    sentinelCommandTimeout: 300,
    failoverDetector: true
  }
}

const secure = (ca: string | undefined) => ({ rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) })

/** The masters of a Cluster, or the one Redis there is. */
export function mastersOf (client: Client): Redis[] {
  return client instanceof Cluster ? client.nodes('master') : [client]
}

/**
 * Have a connection begin again whenever the client gives it up for good, as
 * it does where a failover is told while it asks the Sentinels for the master.
 *
 * @returns the way to let it go
 */
export function keepConnected (connection: Client, log: Log): () => void {
  let timer: NodeJS.Timeout | undefined
  const beginAgain = () => {
    log.warn({}, 'the redis client gave up, it begins again')
    timer = setTimeout(() => { connection.connect().catch(() => {}) }, backoff(1))
  }
  connection.on('end', beginAgain)
  return () => {
    connection.off('end', beginAgain)
    clearTimeout(timer)
  }
}

/** host:port, for messages: a URL holds a password. */
export function describe ({ url, sentinels, clusterNodes }: RedisAddress): string {
  if (url !== undefined) return URL.canParse(url) ? new URL(url).host : 'the address of REDIS_URL'
  return (sentinels?.hosts ?? clusterNodes ?? []).join(', ')
}

function addressOf (text: string): { host: string, port: number } {
  const address = readHostPort(text)
  if (address === undefined) {
    throw new UsageError('REDIS_SENTINELS and REDIS_CLUSTER_NODES are comma lists of host:port')
  }
  return address
}

function partsOf (url: string) {
  const parts = readRedisUrl(url)
  if ('problem' in parts) throw new UsageError(`REDIS_URL ${parts.problem}`)
  const { username, password, ...rest } = parts
  return { ...rest, ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}
