/** The settings: their schema, how they are read, and what is refused. */
import Type, { type Static, type TSchema } from 'typebox'
import { normalRange } from '../core/address.ts'
import { endpointUrl } from '../core/endpoint.ts'
import { readScopeMap, type ScopeMap } from '../core/oauth-scopes.ts'
import { defaultHosts, isLoopback } from '../core/origin.ts'
import { compileSchema } from '../core/schema.ts'
import { UsageError } from '../errors.ts'

const Name = Type.String({ minLength: 1, maxLength: 4096 })
const Url = Type.String({ pattern: '^https?://[^\\s?#]+$', maxLength: 2048 })
const Port = (value: number, description: string) => Type.Integer({ default: value, minimum: 0, maximum: 65535, description })
const Limit = (value: number, description: string) => Type.Integer({ default: value, minimum: 1, maximum: 1_000_000_000, description })

/** One property a setting. The descriptions become docs/configuration.md. */
export const Settings = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', minLength: 1, description: 'Address of the public listener: `/mcp`, discovery, login, probes.' }),
  PORT: Port(3000, 'Port of the public listener; 0 picks a free one.'),
  MANAGEMENT_HOST: Type.String({ default: '127.0.0.1', minLength: 1, description: 'Address of the management listener: metrics.' }),
  MANAGEMENT_PORT: Port(9090, 'Port of the management listener; 0 picks a free one.'),
  PUBLIC_URL: Type.Optional(Type.String({ ...Url, description: 'Origin that clients use. Every URL in an answer comes from it. Default: from HOST and PORT.' })),
  TRUST_PROXY: Type.String({ default: 'false', description: 'Whose X-Forwarded-For counts: a hop count or a comma list of CIDRs. Wider than a private range is refused.' }),
  ALLOWED_HOSTS: Type.Optional(Type.String({ ...Name, description: 'Comma list of Host values (`name:port`). Default: from PUBLIC_URL.' })),
  ALLOWED_ORIGINS: Type.Optional(Type.String({ ...Name, description: 'Comma list of browser origins. Default: from PUBLIC_URL.' })),
  REDIS_URL: Type.Optional(Type.String({ pattern: '^rediss?://', description: 'Shared state. Unset keeps state in this process (one replica).' })),
  REDIS_SENTINELS: Type.Optional(Type.String({ ...Name, description: 'Comma list of `host:port` of Sentinels; needs REDIS_MASTER_NAME.' })),
  REDIS_MASTER_NAME: Type.Optional(Type.String({ ...Name, description: 'Name of the master that the Sentinels watch.' })),
  REDIS_CLUSTER_NODES: Type.Optional(Type.String({ ...Name, description: 'Comma list of `host:port` of Cluster nodes.' })),
  REDIS_USERNAME: Type.Optional(Type.String({ ...Name, description: 'User of Redis found through Sentinels or as a Cluster; REDIS_URL holds its own.' })),
  REDIS_PASSWORD: Type.Optional(Type.String({ ...Name, description: 'Its password; REDIS_URL holds its own.' })),
  REDIS_SENTINEL_USERNAME: Type.Optional(Type.String({ ...Name, description: 'User of the Sentinels themselves, where they ask for one.' })),
  REDIS_SENTINEL_PASSWORD: Type.Optional(Type.String({ ...Name, description: 'Its password.' })),
  REDIS_TLS: Type.Boolean({ default: false, description: 'Speak TLS with Sentinels and the Redis they name, or with every node of a Cluster; with REDIS_URL `rediss://` says so.' }),
  REDIS_CA: Type.Optional(Type.String({ pattern: '^\\s*-----BEGIN CERTIFICATE-----', maxLength: 65_536, description: 'Authority that the certificate of Redis must come from, PEM. Default: those that Node knows.' })),
  REDIS_KEY_PREFIX: Type.String({ default: 'mcp:', pattern: '^[A-Za-z0-9:_-]{0,64}$', description: 'Before every key in Redis.' }),
  REDIS_COMMAND_TIMEOUT_MS: Type.Integer({ default: 250, minimum: 10, maximum: 10_000, description: 'How long one answer may wait for Redis, ms; a decision gives up at four fifths of it.' }),
  REPLICAS: Type.Integer({ default: 1, minimum: 1, maximum: 1000, description: 'Expected replicas: while Redis is out of reach each holds callers to limit / REPLICAS.' }),
  STATE_SECRET: Type.Optional(Type.String({ ...Name, description: 'Signs request state, session ids and cookies; 32 characters or more. A comma list rotates: the first signs. Required with Redis.' })),
  MCP_AUTH_ENABLED: Type.Boolean({ default: true, description: '`false` serves everyone as `none`; refused unless HOST is a loopback address.' }),
  MCP_API_KEY: Type.Optional(Type.String({ minLength: 1, maxLength: 4096, description: 'A caller key named `default` that may use everything; over stdio also the credential presented.' })),
  API_KEYS_FILE: Type.String({ default: 'config/api_keys.json', description: 'API keys.' }),
  MCP_DEBUG: Type.Boolean({ default: false, description: 'Debug log level; `debug_info` tells more. Never a secret.' }),
  OAUTH2_AUTH_SERVER: Type.Optional(Type.String({ ...Name, description: 'Issuer; turns OAuth2 on. A comma list for several.' })),
  OAUTH2_METADATA_URL: Type.Optional(Type.String({ ...Name, description: 'URL of the metadata of the issuer, if it is at none of the well-known places. With several issuers a comma list of `issuer=URL`, here and in the two settings below.' })),
  OAUTH2_JWKS_URL: Type.Optional(Type.String({ ...Name, description: 'URL of the key set of the issuer; wins over `jwks_uri` of the metadata.' })),
  OAUTH2_INTROSPECTION_URL: Type.Optional(Type.String({ ...Name, description: 'URL where the issuer answers questions about tokens; wins over `introspection_endpoint` of the metadata.' })),
  OAUTH2_CLIENT_ID: Type.Optional(Type.String({ ...Name, description: 'For browser login and introspection.' })),
  OAUTH2_CLIENT_SECRET: Type.Optional(Type.String({ ...Name, description: 'For browser login and introspection.' })),
  OAUTH2_AUDIENCE: Type.Optional(Type.String({ ...Name, description: 'Comma list of accepted `aud` values. Default: PUBLIC_URL + `/mcp`.' })),
  OAUTH2_VALIDATION: Type.Union([Type.Literal('auto'), Type.Literal('jwt'), Type.Literal('introspection'), Type.Literal('tokeninfo')], { default: 'auto', description: 'How access tokens are checked: `auto`, `jwt`, `introspection`, `tokeninfo`.' }),
  OAUTH2_INTROSPECTION_WITHOUT_AUD: Type.Union([Type.Literal('refuse'), Type.Literal('accept')], { default: 'refuse', description: 'What an introspection answer without `aud` means: `refuse`, or `accept` where the authorization server answers this client only about tokens that are meant for it. Else every token of that server opens this one: see docs/oauth.md.' }),
  OAUTH2_TOKENINFO_URL: Type.Optional(Type.String({ ...Url, description: 'Where `tokeninfo` asks. Default: the issuer + `/tokeninfo`.' })),
  OAUTH2_TOKEN_TYP: Type.Union([Type.Literal('at+jwt'), Type.Literal('jwt')], { default: 'at+jwt', description: '`typ` that JWTs must bear: `at+jwt` (RFC 9068), or `jwt` for servers that do not mark access tokens (Keycloak, Entra ID, Okta).' }),
  OAUTH2_ALGORITHMS: Type.String({ ...Name, default: 'RS256,PS256,ES256,EdDSA', description: 'Comma list of signature algorithms accepted with public keys. `EdDSA` accepts the name `Ed25519` (RFC 9864) as well.' }),
  OAUTH2_JWT_SECRET: Type.Optional(Type.String({ ...Name, description: 'Verifies HS256, HS384 and HS512 tokens, 32 characters or more; public keys are then not accepted. With one issuer only.' })),
  OAUTH2_SCOPE_CLAIMS: Type.String({ ...Name, default: 'scope,scp', description: 'Comma list of claims that hold scopes or roles, such as `permissions`, `roles`, `realm_access.roles`.' }),
  OAUTH2_SCOPE_MAP: Type.Optional(Type.String({ ...Name, description: 'What their values stand for here: `tools-user=mcp:server:access mcp:tool:get_*,admin=…`.' })),
  OAUTH2_LOGIN_SCOPES: Type.String({ ...Name, default: 'mcp:server:access mcp:tool:*', description: 'Scopes that clients and the browser login ask for first: `scope` of challenges, `scopes_supported` of the resource metadata. Name enough that the list of tools is not empty. `?scope=` of the browser login may ask for part of them. Separated by spaces. Where roles of the account decide and not scopes: `openid`.' }),
  OAUTH2_CLOCK_SKEW_MS: Type.Integer({ default: 5000, minimum: 0, maximum: 60_000, description: 'How far the clock of an authorization server may be ahead, ms.' }),
  OAUTH2_MAX_TOKEN_AGE_MS: Type.Integer({ default: 86_400_000, minimum: 60_000, maximum: 31_536_000_000, description: 'Longest life of a JWT, from `iat` to `exp`, ms. Revocations of a subject are kept as long.' }),
  OAUTH2_STALE_KEYS_MS: Type.Integer({ default: 86_400_000, minimum: 0, maximum: 604_800_000, description: 'How long keys serve while their authorization server cannot be asked, ms.' }),
  AUTHENTICATOR: Type.Optional(Type.String({ ...Name, description: 'Module whose default export is a custom authenticator.' })),
  RATE_LIMIT_DEFAULT: Limit(100, 'Requests per window of an anonymous address.'),
  RATE_LIMIT_API_KEY: Limit(1000, 'Requests per window of an API key or custom principal.'),
  RATE_LIMIT_OAUTH2: Limit(500, 'Requests per window of an OAuth2 subject.'),
  RATE_LIMIT_WINDOW_MS: Type.Integer({ default: 60_000, minimum: 1000, maximum: 86_400_000, description: 'Length of the window, ms.' }),
  MAX_REQUEST_BYTES: Type.Integer({ default: 1_048_576, minimum: 1024, maximum: 67_108_864, description: 'Largest body, bytes.' }),
  INSPECTION: Type.Union([Type.Literal('block'), Type.Literal('observe'), Type.Literal('off')], { default: 'block', description: '`block`, `observe` (count and log only) or `off`.' }),
  TOOLS_DIR: Type.String({ default: 'tools', description: 'Folder of tool modules, loaded beside the built-in ones if it exists.' }),
  SECURE_CONFIG_FILE: Type.String({ default: 'config/secure_config.json', description: 'Encrypted values, under `encrypted_<name>`.' }),
  CONFIG_ENCRYPTION_KEY: Type.Optional(Type.String({ ...Name, description: 'Decrypts them. A comma list rotates: the first encrypts.' })),
  CONFIG_ENCRYPTION_KEY_FILE: Type.String({ default: 'config/encryption.key', description: 'The same in a file, made on first use with mode 0600.' }),
  LEGACY_SESSIONS: Type.Boolean({ default: true, description: 'Sessions for clients of the revisions before 2026-07-28: without them they get no questions and no notifications.' }),
  SESSION_IDLE_MS: Type.Integer({ default: 1_800_000, minimum: 1000, maximum: 86_400_000, description: 'How long an unused session is kept, ms.' }),
  SESSION_MAX_MS: Type.Integer({ default: 86_400_000, minimum: 1000, maximum: 2_592_000_000, description: 'How long a session is kept however much it is used, ms.' }),
  MAX_SESSIONS_PER_PRINCIPAL: Limit(500, 'Sessions of one principal at once; more are refused with 429.'),
  MAX_SESSIONS: Limit(100_000, 'Sessions of all principals at once.'),
  MAX_STREAMS_PER_PRINCIPAL: Limit(50, 'Streams that one principal may hold open at each replica, questions that wait for an answer included; more are refused with 429.'),
  MAX_IN_FLIGHT: Type.Integer({ default: 256, minimum: 1, maximum: 100_000, description: 'Requests answered at once, open streams apart; more are refused with 503 before the event loop suffers.' }),
  MAX_CONNECTIONS: Type.Integer({ default: 2000, minimum: 1, maximum: 100_000, description: 'Connections of the public listener at once; more are closed.' }),
  KEEP_ALIVE_TIMEOUT_MS: Type.Integer({ default: 72_000, minimum: 1000, maximum: 3_600_000, description: 'How long an idle connection stays open, ms: longer than the load balancer keeps one, or it will use one that is being closed.' }),
  DRAIN_MS: Type.Integer({ default: 5000, minimum: 0, maximum: 300_000, description: 'After SIGTERM: how long to go on serving while not ready, ms, so that load balancers notice.' }),
  SHUTDOWN_GRACE_MS: Type.Integer({ default: 10_000, minimum: 0, maximum: 300_000, description: 'After that: how long requests in flight may take to finish, ms.' })
}, { additionalProperties: false })

type Raw = Static<typeof Settings>

/** What the rest of the code reads: the settings, with lists split and defaults worked out. */
export type Config = Readonly<Omit<Raw, 'PUBLIC_URL' | 'TRUST_PROXY' | 'ALLOWED_HOSTS' | 'ALLOWED_ORIGINS' | 'STATE_SECRET' | 'OAUTH2_AUTH_SERVER' | 'OAUTH2_METADATA_URL' | 'OAUTH2_JWKS_URL' | 'OAUTH2_INTROSPECTION_URL' | 'OAUTH2_AUDIENCE' | 'OAUTH2_ALGORITHMS' | 'OAUTH2_SCOPE_CLAIMS' | 'OAUTH2_SCOPE_MAP' | 'OAUTH2_LOGIN_SCOPES'> & {
  /** No trailing slash. */
  PUBLIC_URL: string
  TRUST_PROXY: false | number | readonly string[]
  ALLOWED_HOSTS: readonly string[]
  ALLOWED_ORIGINS: readonly string[]
  STATE_SECRET: readonly string[]
  OAUTH2_AUTH_SERVER: readonly string[]
  /** By issuer, as the two below. */
  OAUTH2_METADATA_URL: ReadonlyMap<string, string>
  OAUTH2_JWKS_URL: ReadonlyMap<string, string>
  OAUTH2_INTROSPECTION_URL: ReadonlyMap<string, string>
  OAUTH2_AUDIENCE: readonly string[]
  OAUTH2_ALGORITHMS: readonly string[]
  OAUTH2_SCOPE_CLAIMS: readonly string[]
  OAUTH2_SCOPE_MAP: ScopeMap
  OAUTH2_LOGIN_SCOPES: readonly string[]
}>

type Environment = Readonly<Record<string, string | undefined>>

const properties = Settings.properties as Record<string, TSchema & { type?: string, default?: unknown }>
const shape = compileSchema(Settings)

/** Values that stand in tutorials; whoever deploys with one has no secret. */
const KNOWN_SECRETS = /^(change[-_ ]?me|secret|password|default|example|test|insecure|my[-_]?secret.*|(.)\2*)$/i

/**
 * Read the settings, or fail naming every one that is wrong.
 * Values are left out of the message: some of them are secrets.
 *
 * @param env the environment; it wins over `file`
 * @param file settings from the encrypted file, by name
 * @throws {UsageError} one problem a line
 */
export function loadConfig (env: Environment, file: Environment = {}): Config {
  const raw: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(properties)) {
    const text = nonEmpty(env[name]) ?? nonEmpty(file[name])
    const value = text === undefined ? schema.default : fromText(text, schema.type)
    if (value !== undefined) raw[name] = value
  }

  const problems = shape.problems(raw, 50)
    .filter(problem => !problem.includes('must be equal to constant'))
    .map(problem => problem.replace('must match a schema in anyOf', 'has a value that is not offered; see docs/configuration.md'))
  // With defaults in their place the rest can be judged, so that one start tells everything.
  for (const problem of problems) {
    const name = problem.split(' ', 1)[0]!
    raw[name] = properties[name]?.default
  }

  const settings = raw as Raw
  const list = (text: string | undefined) => text === undefined ? [] : text.split(',').map(part => part.trim()).filter(part => part !== '')
  const publicUrl = (settings.PUBLIC_URL ?? originOf(settings.HOST, settings.PORT)).replace(/(?<!\/)\/+$/, '')
  const issuers = list(settings.OAUTH2_AUTH_SERVER)
  const config: Config = {
    ...settings,
    PUBLIC_URL: publicUrl,
    TRUST_PROXY: trustProxy(settings.TRUST_PROXY, problems),
    ALLOWED_HOSTS: settings.ALLOWED_HOSTS === undefined ? defaultHosts(publicUrl) : list(settings.ALLOWED_HOSTS.toLowerCase()),
    ALLOWED_ORIGINS: settings.ALLOWED_ORIGINS === undefined
      ? defaultHosts(publicUrl).map(host => `${new URL(publicUrl).protocol}//${host}`)
      : list(settings.ALLOWED_ORIGINS.toLowerCase()),
    STATE_SECRET: list(settings.STATE_SECRET),
    OAUTH2_AUTH_SERVER: issuers,
    OAUTH2_METADATA_URL: urlsByIssuer('OAUTH2_METADATA_URL', list(settings.OAUTH2_METADATA_URL), issuers, problems),
    OAUTH2_JWKS_URL: urlsByIssuer('OAUTH2_JWKS_URL', list(settings.OAUTH2_JWKS_URL), issuers, problems),
    OAUTH2_INTROSPECTION_URL: urlsByIssuer('OAUTH2_INTROSPECTION_URL', list(settings.OAUTH2_INTROSPECTION_URL), issuers, problems),
    OAUTH2_AUDIENCE: settings.OAUTH2_AUDIENCE === undefined ? [`${publicUrl}/mcp`] : list(settings.OAUTH2_AUDIENCE),
    OAUTH2_ALGORITHMS: list(settings.OAUTH2_ALGORITHMS),
    OAUTH2_SCOPE_CLAIMS: list(settings.OAUTH2_SCOPE_CLAIMS),
    OAUTH2_SCOPE_MAP: scopeMap(settings.OAUTH2_SCOPE_MAP, problems),
    OAUTH2_LOGIN_SCOPES: settings.OAUTH2_LOGIN_SCOPES.split(/\s+/)
  }
  problems.push(...crossProblems(config))
  if (problems.length > 0) throw wrong(problems)
  return config
}

/** Whether state is shared, by any of the three ways to name a Redis. */
export function usesRedis (config: Pick<Config, 'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_CLUSTER_NODES'>): boolean {
  return config.REDIS_URL !== undefined || config.REDIS_SENTINELS !== undefined || config.REDIS_CLUSTER_NODES !== undefined
}

/** What holds only between settings. */
function crossProblems (config: Config): string[] {
  const problems: string[] = []
  if (!config.MCP_AUTH_ENABLED && !isLoopback(config.HOST)) {
    problems.push('MCP_AUTH_ENABLED=false serves everyone: HOST must then be a loopback address')
  }
  if (config.REDIS_SENTINELS !== undefined && config.REDIS_MASTER_NAME === undefined) {
    problems.push('REDIS_SENTINELS needs REDIS_MASTER_NAME')
  }
  if (config.REDIS_SENTINELS === undefined && config.REDIS_CLUSTER_NODES === undefined) {
    for (const name of ['REDIS_USERNAME', 'REDIS_PASSWORD', 'REDIS_TLS'] as const) {
      if (config[name] !== undefined && config[name] !== false) problems.push(`${name} goes with REDIS_SENTINELS or REDIS_CLUSTER_NODES; in REDIS_URL it is part of the address: rediss://user:password@host`)
    }
  }
  if (config.REDIS_SENTINELS === undefined && (config.REDIS_SENTINEL_USERNAME !== undefined || config.REDIS_SENTINEL_PASSWORD !== undefined)) {
    problems.push('REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD go with REDIS_SENTINELS')
  }
  if (usesRedis(config) && config.STATE_SECRET.length === 0) {
    problems.push('STATE_SECRET is required with Redis: replicas must share it. Make one with: openssl rand -base64 32')
  }
  if (config.STATE_SECRET.some(secret => secret.length < 32 || KNOWN_SECRETS.test(secret))) {
    problems.push('STATE_SECRET must be random and have 32 characters or more. Make one with: openssl rand -base64 32')
  }
  if (config.MCP_API_KEY !== undefined && config.STATE_SECRET.includes(config.MCP_API_KEY)) {
    problems.push('STATE_SECRET and MCP_API_KEY must differ')
  }
  if (config.MCP_API_KEY !== undefined && KNOWN_SECRETS.test(config.MCP_API_KEY)) {
    problems.push('MCP_API_KEY is a well-known value; make one with: secure-mcp keys create')
  }
  for (const issuer of config.OAUTH2_AUTH_SERVER) {
    if (endpointUrl(issuer, issuer) === undefined || issuer.includes('?')) {
      problems.push('OAUTH2_AUTH_SERVER must hold https URLs (http only on loopback), without credentials, query or fragment')
    }
  }
  if (config.OAUTH2_ALGORITHMS.some(name => !ALGORITHMS.has(name))) {
    problems.push(`OAUTH2_ALGORITHMS may name ${[...ALGORITHMS].join(', ')}; a symmetric one comes with OAUTH2_JWT_SECRET`)
  }
  const secret = config.OAUTH2_JWT_SECRET
  if (secret !== undefined && (secret.length < 32 || KNOWN_SECRETS.test(secret) || config.STATE_SECRET.includes(secret))) {
    problems.push('OAUTH2_JWT_SECRET must be random, have 32 characters or more, and differ from the other secrets')
  }
  if (secret !== undefined && config.OAUTH2_AUTH_SERVER.length !== 1) {
    problems.push('OAUTH2_JWT_SECRET needs exactly one OAUTH2_AUTH_SERVER: whoever knows it can make tokens')
  }
  if (config.OAUTH2_VALIDATION === 'introspection' && config.OAUTH2_AUTH_SERVER.length > 0 && config.OAUTH2_CLIENT_ID === undefined) {
    problems.push('OAUTH2_VALIDATION=introspection needs OAUTH2_CLIENT_ID (and its secret): not everyone may ask about tokens')
  }
  const tokenInfo = config.OAUTH2_TOKENINFO_URL
  if (tokenInfo !== undefined && endpointUrl(tokenInfo, tokenInfo) === undefined) {
    problems.push('OAUTH2_TOKENINFO_URL must be https (http only on loopback), without credentials or fragment')
  }
  return problems
}

/** Asymmetric ones only. */
const ALGORITHMS: ReadonlySet<string> = new Set(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'])

function scopeMap (text: string | undefined, problems: string[]): ScopeMap {
  const map = readScopeMap(text ?? '')
  if (map === undefined) problems.push('OAUTH2_SCOPE_MAP must look like "role=mcp:server:access mcp:tool:get_*,other=…"')
  return map ?? new Map()
}

/** `issuer=URL` for each, or one URL alone where there is one issuer. */
function urlsByIssuer (name: string, entries: readonly string[], issuers: readonly string[], problems: string[]): Map<string, string> {
  const urls = new Map<string, string>()
  for (const entry of entries) {
    const issuer = issuers.filter(issuer => entry.startsWith(`${issuer}=`)).sort((a, b) => b.length - a.length)[0]
    const url = endpointUrl(issuer === undefined ? entry : entry.slice(issuer.length + 1), 'http://localhost')
    const whose = issuer ?? (issuers.length === 1 && entries.length === 1 ? issuers[0] : undefined)
    if (url === undefined || whose === undefined) {
      problems.push(`${name} must be an https URL (http only on loopback); with several issuers a comma list of issuer=URL, where each issuer is one of OAUTH2_AUTH_SERVER`)
    } else urls.set(whose, url)
  }
  return urls
}

function trustProxy (text: string, problems: string[]): Config['TRUST_PROXY'] {
  if (text === 'false' || text === '0') return false
  if (/^[1-9]$/.test(text)) return Number(text)
  const ranges = text.split(',').map(part => normalRange(part))
  if (ranges.some(range => range === undefined || isTooWide(range))) {
    problems.push('TRUST_PROXY must be false, a hop count from 1 to 9, or a comma list of CIDRs no wider than a private range (10.0.0.0/8, fc00::/7)')
    return false
  }
  return ranges as string[]
}

/** Wider than a private range; nor may an IPv6 range hold those that stand for IPv4 (::ffff:0:0/96). */
function isTooWide (range: string): boolean {
  const bits = Number(range.split('/')[1])
  return range.includes(':') ? bits < 7 || (range.startsWith('0:0:0:0:0:') && bits < 96) : bits < 8
}

function originOf (host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}

function fromText (text: string, type: string | undefined): unknown {
  if (type === 'integer') return /^-?\d{1,15}$/.test(text) ? Number(text) : text
  if (type === 'boolean') return { true: true, 1: true, yes: true, false: false, 0: false, no: false }[text.toLowerCase()] ?? text
  return text
}

function nonEmpty (text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text.trim()
}

function wrong (problems: readonly string[]): UsageError {
  return new UsageError(['Invalid configuration:', ...new Set(problems)].join('\n  '))
}
