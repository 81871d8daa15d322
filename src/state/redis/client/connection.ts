/** Connections to Redis: bounded in every direction, whichever of the three ways names it. */
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import { readHostPort, readRedisUrl } from '../../../core/redis-url.ts'
import { UsageError } from '../../../errors.ts'
import type { Log } from '../../../telemetry/log.ts'

export type Client = Redis | Cluster

export interface RedisAddress {
  /** One of the three. */
  url?: string | undefined
  sentinels?: { hosts: readonly string[], masterName: string, username?: string | undefined, password?: string | undefined } | undefined
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
 * is answered, so that whoever waits for a slow Redis waits up to twice as long.
 */
class BatchingRedis extends Redis {
  #corked: NodeJS.WritableStream | undefined

  override sendCommand (...args: Parameters<Redis['sendCommand']>): unknown {
    const { stream } = this
    if (this.status === 'ready' && stream !== this.#corked) {
      this.#corked = stream
      stream.cork()
      setImmediate(() => {
        this.#corked = undefined
        stream.uncork()
      })
    }
    return super.sendCommand(...args)
  }
}

const backoff = (times: number) => Math.min(50 * 2 ** Math.min(times, 3), 300) + Math.random() * 100

/**
 * No queue while offline, nothing sent twice, no wait without end. What the
 * client's own defaults do to a request while Redis hangs stands in
 * docs/decisions/0020-redis-in-trouble.md.
 *
 * @param commandTimeoutMs the client's own bound; decisions have a shorter one
 * @param batched many commands at once are expected
 * @param patienceMs for a connection that may be slow to come; a server has none
 * @throws {UsageError} for an address that cannot be one
 */
export function connect ({ url, sentinels, clusterNodes, username, password, tls = false, ca }: RedisAddress, commandTimeoutMs: number, { batched = false, patienceMs = 0 }: { batched?: boolean, patienceMs?: number | undefined } = {}): Client {
  const One = batched ? BatchingRedis : Redis
  const secure = { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
  const { tls: tlsOfUrl = false, ...ofUrl } = url === undefined ? {} : partsOf(url)
  const access: RedisOptions = {
    ...ofUrl,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls || tlsOfUrl ? { tls: secure } : {})
  }
  const options: RedisOptions = {
    ...access,
    connectTimeout: Math.max(500, patienceMs / 2),
    commandTimeout: commandTimeoutMs,
    socketTimeout: Math.max(1000, patienceMs),
    // A master that froze does not say goodbye either.
    disconnectTimeout: 100,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    keepAlive: 10_000,
    noDelay: true,
    retryStrategy: backoff,
    // A master that was demoted: connect anew, but send nothing twice.
    reconnectOnError: error => error.message.startsWith('READONLY') ? 1 : false,
    connectionName: 'secure-mcp'
  }
  if (clusterNodes !== undefined) {
    const { enableOfflineQueue: _own, retryStrategy: _too, ...nodes } = options
    const cluster: ClusterOptions = {
      redisOptions: nodes,
      enableOfflineQueue: false,
      enableAutoPipelining: batched,
      clusterRetryStrategy: backoff,
      // A command whose connection broke may have been done: it is not sent again. MOVED and ASK are followed, for those were not.
      retryDelayOnFailover: 0,
      // A name is kept as it is, for a certificate holds names.
      ...(tls ? { dnsLookup: (host: string, found: (error: null, address: string) => void) => found(null, host) } : {})
    }
    return new Cluster(clusterNodes.map(addressOf), cluster)
  }
  if (sentinels !== undefined) {
    return new One({
      ...options,
      sentinels: sentinels.hosts.map(addressOf),
      name: sentinels.masterName,
      ...(sentinels.username === undefined ? {} : { sentinelUsername: sentinels.username }),
      ...(sentinels.password === undefined ? {} : { sentinelPassword: sentinels.password }),
      ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: secure } : {}),
      sentinelRetryStrategy: backoff,
      sentinelCommandTimeout: 300,
      failoverDetector: true
    })
  }
  return new One(options)
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

const REFUSALS: ReadonlyArray<[RegExp, string]> = [
  [/WRONGPASS|NOAUTH|invalid password|NOPERM/, 'Redis refuses the user or password'],
  [/DB index is out of range/, 'Redis has no database of that number'],
  [/Protocol error|parserError|unknown command/i, 'what answers there is not a Redis'],
  [/wrong version number|packet length too long|EPROTO/i, 'TLS does not fit: rediss:// and REDIS_TLS speak TLS, redis:// does not'],
  [/self.signed certificate|unable to (get|verify)|certificate has expired|ERR_TLS_CERT|altnames/i, 'the certificate of Redis is not trusted: see REDIS_CA']
]

/** What never heals by itself, in words for the operator; undefined for what may. */
export function refusalOf (error: unknown): string | undefined {
  const text = error instanceof Error ? `${error.name} ${error.message} ${(error as { code?: string }).code ?? ''}` : ''
  return REFUSALS.find(([form]) => form.test(text))?.[1]
}

/** One line for a run of errors, not one for each attempt. */
export function throttledErrorLog (log: Log, everyMs = 5000): (error: Error) => void {
  let last = -Infinity
  return error => {
    const now = performance.now()
    if (now - last < everyMs) return
    last = now
    log.warn({ err: error }, refusalOf(error) ?? 'redis connection error')
  }
}

function addressOf (text: string): { host: string, port: number } {
  const address = readHostPort(text)
  if (address === undefined) throw new UsageError('REDIS_SENTINELS and REDIS_CLUSTER_NODES are comma lists of host:port')
  return address
}

function partsOf (url: string) {
  const parts = readRedisUrl(url)
  if ('problem' in parts) throw new UsageError(`REDIS_URL ${parts.problem}`)
  const { username, password, ...rest } = parts
  return { ...rest, ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}
