/** What holds between settings, and what a setting must not be although its form is right. */
import { normalRange } from '../core/address.ts'
import { MIN_PLAIN_KEY_LENGTH, SAFE_PLAIN_KEY_LENGTH } from '../core/api-key.ts'
import { endpointUrl } from '../core/endpoint.ts'
import { isLoopback } from '../core/origin.ts'
import { readHostPort, readRedisUrl } from '../core/redis-url.ts'
import { hasHiddenCharacters } from '../core/visible-text.ts'
import type { Config, SettingName } from './schema.ts'

/** Values that stand in tutorials; whoever deploys with one has no secret. */
const KNOWN_SECRETS = /^(change[-_ ]?me|secret|password|default|example|test|insecure|my[-_]?secret.*|(.)\2*)$/i

/** Asymmetric ones only. */
const ALGORITHMS: ReadonlySet<string> = new Set([
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'
])

const MAKE_SECRET = 'Make one with: openssl rand -base64 32'

/** Whether state is shared, by any of the three ways to name a Redis. */
export function usesRedis (config: Pick<Config, 'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_CLUSTER_NODES'>): boolean {
  return (
    config.REDIS_URL !== undefined || config.REDIS_SENTINELS !== undefined || config.REDIS_CLUSTER_NODES !== undefined
  )
}

/** One sentence for each contradiction; a start is refused for any. */
export function problemsBetween (config: Config): string[] {
  return [
    listenerProblems, redisProblems, secretProblems, oauthProblems, sessionProblems, identityProblems, headerProblems
  ].flatMap(problemsIn => problemsIn(config))
}

/** One sentence for each setting that has no effect, or that should be changed. */
export function warningsAbout (config: Config): string[] {
  const warnings: string[] = []
  const key = config.MCP_API_KEY
  if (key !== undefined && key.length < SAFE_PLAIN_KEY_LENGTH) {
    warnings.push('MCP_API_KEY is short enough to be guessed; make a new one: npx secure-mcp-server keys create')
  }
  if (config.OAUTH2_AUTH_SERVER.length === 0) {
    const idle = [...config.chosen].filter(
      name => name.startsWith('OAUTH2_') && !['OAUTH2_MAX_TOKEN_AGE_MS', 'OAUTH2_CLOCK_SKEW_MS'].includes(name)
    )
    if (idle.length > 0) {
      warnings.push(`${idle.join(', ')} has no effect without OAUTH2_AUTH_SERVER, which turns OAuth2 on`)
    }
  }
  return warnings
}

function listenerProblems (config: Config): string[] {
  const problems: string[] = []
  if (!config.MCP_AUTH_ENABLED && !isLoopback(config.HOST)) {
    problems.push('MCP_AUTH_ENABLED=false serves everyone: HOST must then be a loopback address')
  }
  if (
    config.PORT !== 0 &&
    config.PORT === config.MANAGEMENT_PORT &&
    (config.HOST === config.MANAGEMENT_HOST || [config.HOST, config.MANAGEMENT_HOST].some(isEveryAddress))
  ) {
    problems.push('PORT and MANAGEMENT_PORT must differ: each listener needs its own')
  }
  for (const host of config.chosen.has('ALLOWED_HOSTS') ? config.ALLOWED_HOSTS : []) {
    if (!/^([^\s/*@,[\]:]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/.test(host)) {
      problems.push(
        'ALLOWED_HOSTS must be a comma list of what clients send as Host, such as mcp.example.com or localhost:3000: no *, scheme or path'
      )
    }
  }
  for (const origin of config.chosen.has('ALLOWED_ORIGINS') ? config.ALLOWED_ORIGINS : []) {
    if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/*@,]+$/.test(origin)) {
      problems.push(
        'ALLOWED_ORIGINS must be a comma list of browser origins, such as https://app.example.com or http://localhost:6274: no * and no path'
      )
    }
  }
  return problems
}

function isEveryAddress (host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

function redisProblems (config: Config): string[] {
  const problems: string[] = []
  const ways = (['REDIS_URL', 'REDIS_SENTINELS', 'REDIS_CLUSTER_NODES'] as const).filter(
    name => config[name] !== undefined
  )
  if (ways.length > 1) problems.push(`${ways.join(' and ')} name different Redis servers: keep one`)
  if (ways.length === 0) {
    if (config.REPLICAS > 1) {
      problems.push(
        'REPLICAS above 1 needs Redis, or each replica has keys, limits and sessions of its own: set REDIS_URL'
      )
    }
    const idle = (['REDIS_MASTER_NAME', 'REDIS_USERNAME', 'REDIS_PASSWORD', 'REDIS_TLS', 'REDIS_CA'] as const).filter(
      name => config[name] !== undefined && config[name] !== false
    )
    if (idle.length > 0) {
      problems.push(`${idle.join(', ')} is set, but no Redis is: set REDIS_URL, REDIS_SENTINELS or REDIS_CLUSTER_NODES`)
    }
    return problems
  }
  problems.push(...addressProblems(config))
  if ((config.REDIS_SENTINELS === undefined) !== (config.REDIS_MASTER_NAME === undefined)) {
    problems.push('REDIS_SENTINELS and REDIS_MASTER_NAME need each other')
  }
  if (
    config.REDIS_SENTINELS === undefined &&
    (config.REDIS_SENTINEL_USERNAME !== undefined || config.REDIS_SENTINEL_PASSWORD !== undefined)
  ) {
    problems.push('REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD go with REDIS_SENTINELS')
  }
  if (config.REDIS_CA !== undefined && !config.REDIS_TLS && config.REDIS_URL?.startsWith('rediss:') !== true) {
    problems.push(
      'REDIS_CA is used with TLS only: write rediss:// in REDIS_URL, or set REDIS_TLS=true for Sentinels and a Cluster'
    )
  }
  if (config.STATE_SECRET.length === 0) {
    problems.push(`STATE_SECRET is required with Redis: replicas must share it. ${MAKE_SECRET}`)
  }
  return problems
}

function addressProblems (config: Config): string[] {
  const problems: string[] = []
  for (const name of ['REDIS_SENTINELS', 'REDIS_CLUSTER_NODES'] as const) {
    const hosts = config[name]
    if (hosts !== undefined && (hosts.length === 0 || hosts.some(host => readHostPort(host) === undefined))) {
      problems.push(`${name} must be a comma list of host:port, such as redis-0:26379,redis-1:26379`)
    }
  }
  if (config.REDIS_URL === undefined) return problems
  const url = readRedisUrl(config.REDIS_URL)
  if ('problem' in url) return [...problems, `REDIS_URL ${url.problem}`]
  if (url.username !== undefined && config.REDIS_USERNAME !== undefined) {
    problems.push('REDIS_URL and REDIS_USERNAME both name a user: keep one')
  }
  if (url.password !== undefined && config.REDIS_PASSWORD !== undefined) {
    problems.push('REDIS_URL and REDIS_PASSWORD both hold a password: keep one')
  }
  if (config.REDIS_TLS && !url.tls) {
    problems.push('REDIS_TLS=true with REDIS_URL redis://: write rediss://, which speaks TLS')
  }
  return problems
}

function secretProblems (config: Config): string[] {
  const problems: string[] = []
  if (
    config.chosen.has('AUDIT_KEY') &&
    (config.AUDIT_KEY.length === 0 || config.AUDIT_KEY.some(secret => secret.length < 32 || KNOWN_SECRETS.test(secret)))
  ) {
    problems.push(`AUDIT_KEY must be random and have 32 characters or more. ${MAKE_SECRET}`)
  }
  if (config.AUDIT_KEY.some(secret => config.STATE_SECRET.includes(secret))) {
    problems.push('AUDIT_KEY and STATE_SECRET must differ')
  }
  const { STATE_SECRET: secrets, MCP_API_KEY: key } = config
  if (
    config.chosen.has('STATE_SECRET') &&
    (secrets.length === 0 || secrets.some(secret => secret.length < 32 || KNOWN_SECRETS.test(secret)))
  ) {
    problems.push(`STATE_SECRET must be random and have 32 characters or more. ${MAKE_SECRET}`)
  }
  if (key === undefined) return problems
  if (secrets.includes(key)) problems.push('STATE_SECRET and MCP_API_KEY must differ')
  if (KNOWN_SECRETS.test(key)) {
    problems.push('MCP_API_KEY is a well-known value; make one with: npx secure-mcp-server keys create')
  } else if (key.length < MIN_PLAIN_KEY_LENGTH && !config.ALLOW_SHORT_KEYS) {
    problems.push(
      `MCP_API_KEY must have ${MIN_PLAIN_KEY_LENGTH} characters or more, or it is found by trying: make one with npx secure-mcp-server keys create, or accept the risk with ALLOW_SHORT_KEYS=true`
    )
  }
  return problems
}

function oauthProblems (config: Config): string[] {
  const problems: string[] = []
  for (const issuer of config.OAUTH2_AUTH_SERVER) {
    if (endpointUrl(issuer, issuer) === undefined || issuer.includes('?')) {
      problems.push(
        'OAUTH2_AUTH_SERVER must hold https URLs (http only on loopback), without credentials, query or fragment'
      )
    }
  }
  if (config.OAUTH2_ALGORITHMS.length === 0 || config.OAUTH2_ALGORITHMS.some(name => !ALGORITHMS.has(name))) {
    problems.push(
      `OAUTH2_ALGORITHMS may name ${[...ALGORITHMS].join(', ')}; a symmetric one comes with OAUTH2_JWT_SECRET`
    )
  }
  const secret = config.OAUTH2_JWT_SECRET
  if (
    secret !== undefined &&
    (secret.length < 32 || KNOWN_SECRETS.test(secret) || config.STATE_SECRET.includes(secret))
  ) {
    problems.push('OAUTH2_JWT_SECRET must be random, have 32 characters or more, and differ from the other secrets')
  }
  if (secret !== undefined && config.OAUTH2_AUTH_SERVER.length !== 1) {
    problems.push('OAUTH2_JWT_SECRET needs exactly one OAUTH2_AUTH_SERVER: whoever knows it can make tokens')
  }
  if (
    config.OAUTH2_VALIDATION === 'introspection' &&
    config.OAUTH2_AUTH_SERVER.length > 0 &&
    config.OAUTH2_CLIENT_ID === undefined
  ) {
    problems.push(
      'OAUTH2_VALIDATION=introspection needs OAUTH2_CLIENT_ID (and its secret): not everyone may ask about tokens'
    )
  }
  const tokenInfo = config.OAUTH2_TOKENINFO_URL
  if (tokenInfo !== undefined && endpointUrl(tokenInfo, tokenInfo) === undefined) {
    problems.push('OAUTH2_TOKENINFO_URL must be https (http only on loopback), without credentials or fragment')
  }
  return problems
}

function sessionProblems (config: Config): string[] {
  const chosen = (...names: SettingName[]) => names.some(name => config.chosen.has(name))
  return config.SESSION_IDLE_MS > config.SESSION_MAX_MS && chosen('SESSION_IDLE_MS', 'SESSION_MAX_MS')
    ? ['SESSION_IDLE_MS must not be longer than SESSION_MAX_MS']
    : []
}

/** Whoever has one of these can act as somebody: no tool may read them. */
const CREDENTIAL_HEADERS =
  /(^|-)(authorization|cookie|dpop|session-id|token|secret|password|credential|api-?key|auth)s?($|-)/

function headerProblems ({ TOOL_HEADERS: names }: Config): string[] {
  return names.flatMap(name => {
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name)) {
      return ['TOOL_HEADERS must be a comma list of header names, such as accept-language,x-tenant']
    }
    return CREDENTIAL_HEADERS.test(name)
      ? [`TOOL_HEADERS may not name ${name}: it can hold a credential, which no tool ever sees`]
      : []
  })
}

/** Models read these: what stands in them must be what a reviewer sees. */
function identityProblems (config: Config): string[] {
  const problems = (['SERVER_NAME', 'SERVER_TITLE', 'SERVER_DESCRIPTION', 'SERVER_INSTRUCTIONS'] as const)
    .filter(name => hasHiddenCharacters(config[name] ?? ''))
    .map(name => `${name} has invisible characters: remove them`)
  if (Buffer.byteLength(config.SERVER_INSTRUCTIONS ?? '') > 2048) {
    problems.push('SERVER_INSTRUCTIONS must have 2048 bytes or fewer')
  }
  return problems
}

/** @param problems gets one more for what cannot be read */
export function readTrustProxy (text: string, problems: string[]): Config['TRUST_PROXY'] {
  if (/^(false|0|no|off)$/i.test(text)) return false
  if (/^[1-9]$/.test(text)) return Number(text)
  const ranges = text.split(',').map(part => normalRange(part))
  if (ranges.some(range => range === undefined || isTooWide(range))) {
    problems.push(
      'TRUST_PROXY must be false, a hop count from 1 to 9, or a comma list of CIDRs no wider than a private range (10.0.0.0/8, fc00::/7)'
    )
    return false
  }
  return ranges as string[]
}

/** `issuer=URL` for each, or one URL alone where there is one issuer. */
export function readUrlsByIssuer (
  name: string,
  entries: readonly string[],
  issuers: readonly string[],
  problems: string[]
): Map<string, string> {
  const urls = new Map<string, string>()
  for (const entry of entries) {
    const issuer = issuers.filter(issuer => entry.startsWith(`${issuer}=`)).sort((a, b) => b.length - a.length)[0]
    const url = endpointUrl(issuer === undefined ? entry : entry.slice(issuer.length + 1), 'http://localhost')
    const whose = issuer ?? (issuers.length === 1 && entries.length === 1 ? issuers[0] : undefined)
    if (url === undefined || whose === undefined) {
      problems.push(
        `${name} must be an https URL (http only on loopback); with several issuers a comma list of issuer=URL, where each issuer is one of OAUTH2_AUTH_SERVER`
      )
    } else urls.set(whose, url)
  }
  return urls
}

/** Wider than a private range; nor may an IPv6 range hold those that stand for IPv4 (::ffff:0:0/96). */
function isTooWide (range: string): boolean {
  const bits = Number(range.split('/')[1])
  return range.includes(':') ? bits < 7 || (range.startsWith('0:0:0:0:0:') && bits < 96) : bits < 8
}
