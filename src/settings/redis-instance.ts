/**
 * Reading a Redis client of another app (ioredis, any version) for its address.
 * The client is never used: connections here have bounds of their own.
 */
import { UsageError } from '../errors.ts'
import type { SettingOptions } from './options.ts'

/** What is read of a client: of one server, of Sentinels, or of a Cluster. */
export interface RedisInstance {
  readonly options: object
}

interface Endpoint { readonly host?: string, readonly port?: number | string }

interface ClientOptions extends Endpoint {
  readonly path?: string | null
  readonly username?: string | null
  readonly password?: string | null
  readonly db?: number
  readonly tls?: object | boolean | null
  readonly sentinels?: readonly Endpoint[] | null
  readonly name?: string | null
  readonly sentinelUsername?: string | null
  readonly sentinelPassword?: string | null
  readonly redisOptions?: ClientOptions
}

type RedisOptions = Pick<SettingOptions, 'redisUrl' | 'redisSentinels' | 'redisMasterName' | 'redisClusterNodes' |
  'redisUsername' | 'redisPassword' | 'redisSentinelUsername' | 'redisSentinelPassword' | 'redisTls' | 'redisCa'>

/** Members of `tls` that the settings have a word for, or that say nothing. */
const TLS_MEMBERS: ReadonlySet<string> = new Set(['ca', 'rejectUnauthorized'])

/** @throws {UsageError} for a connection that the settings cannot name */
export function redisOptions (client: RedisInstance): RedisOptions {
  const { startupNodes } = client as { startupNodes?: ReadonlyArray<Endpoint | string | number> }
  const options = client.options as ClientOptions | undefined
  if (typeof options !== 'object' || options === null) {
    throw new UsageError('redis must be an ioredis instance, such as app.redis')
  }
  if (Array.isArray(startupNodes)) {
    const { redisOptions: each = {} } = options
    return { redisClusterNodes: startupNodes.map(nodeOf).join(','), ...withCredentials(each), ...tlsOf(each) }
  }
  if (Array.isArray(options.sentinels)) {
    return {
      redisSentinels: options.sentinels.map(nodeOf).join(','),
      ...given('redisMasterName', options.name),
      ...given('redisSentinelUsername', options.sentinelUsername),
      ...given('redisSentinelPassword', options.sentinelPassword),
      ...withCredentials(options),
      ...tlsOf(options)
    }
  }
  if (typeof options.path === 'string') {
    throw new UsageError('redis is connected by a socket file; set redisUrl to an address instead of redis')
  }
  const { redisTls = false, ...ca } = tlsOf(options)
  const database = options.db === undefined || options.db === 0 ? '' : `/${options.db}`
  return {
    redisUrl: `${redisTls ? 'rediss' : 'redis'}://${nodeOf(options)}${database}`,
    ...ca,
    ...withCredentials(options)
  }
}

function withCredentials ({ username, password }: ClientOptions): RedisOptions {
  return { ...given('redisUsername', username), ...given('redisPassword', password) }
}

function tlsOf ({ tls }: ClientOptions): RedisOptions {
  if (tls === undefined || tls === null || tls === false) return {}
  if (tls === true) return { redisTls: true }
  const { ca, rejectUnauthorized } = tls as { ca?: unknown, rejectUnauthorized?: unknown }
  const unknown = Object.keys(tls).filter(name => !TLS_MEMBERS.has(name))
  if (unknown.length > 0) {
    throw new UsageError(
      `redis uses TLS with ${unknown.join(', ')}, for which there is no option: set redisUrl and redisCa instead of redis`
    )
  }
  if (rejectUnauthorized === false) {
    throw new UsageError(
      'redis accepts any certificate (rejectUnauthorized: false): set redisUrl and redisCa instead of redis'
    )
  }
  const authorities = Array.isArray(ca) ? ca.join('\n') : ca
  return { redisTls: true, ...given('redisCa', authorities === undefined ? undefined : String(authorities)) }
}

function given<N extends keyof RedisOptions> (name: N, value: string | null | undefined): RedisOptions {
  return value === undefined || value === null || value === '' ? {} : { [name]: value }
}

function nodeOf (node: Endpoint | string | number): string {
  if (typeof node === 'string') return node
  if (typeof node === 'number') return `127.0.0.1:${node}`
  const { host = '127.0.0.1', port = 6379 } = node
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
