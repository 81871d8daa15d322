/** The settings: one property each. The descriptions become docs/configuration.md. */
import type { Icon } from '../core/identity.ts'
import type { ScopeMap } from '../core/oauth-scopes.ts'
import type { PlainSchema } from '../core/plain-schema.ts'

/** JSON Schema, and three keywords more. */
export interface SettingSchema extends PlainSchema {
  readonly description: string
  /** Absent: the setting may be absent. */
  readonly default?: string | number | boolean
  /** What the setting must be, in words, where its form does not say it. */
  readonly wanted?: string
  /** What its number counts. */
  readonly unit?: string
  /** It must be a URL. */
  readonly url?: boolean
  /** It is or may hold a secret, which goes to nobody else. */
  readonly secret?: boolean
}

const text = <const T extends object>(more: T): T & { readonly type: 'string' } => ({
  minLength: 1, maxLength: 4096, ...more, type: 'string'
})
const integer = <const T extends object>(more: T) => ({ type: 'integer', ...more } as const)
const flag = <const T extends object>(more: T) => ({ type: 'boolean', ...more } as const)
const choice = <const V extends readonly string[], const T extends object>(values: V, more: T) =>
  ({ enum: values, ...more }) as const
const Port = (value: number, description: string) =>
  integer({ default: value, minimum: 0, maximum: 65535, description })
const Limit = (value: number, description: string) =>
  integer({ default: value, minimum: 1, maximum: 1_000_000_000, description })
const URL_FORM = {
  url: true,
  pattern: '^https?://[^\\s/?#@]+(/[^\\s?#]*)?$',
  maxLength: 2048,
  wanted: 'a URL such as https://mcp.example.com, without user, query or fragment'
} as const

const properties = {
  HOST: text({
    default: '127.0.0.1',
    description: 'Address of the public listener: `/mcp`, discovery, login, probes.'
  }),
  PORT: Port(3000, 'Port of the public listener; 0 picks a free one.'),
  MANAGEMENT_HOST: text({
    default: '127.0.0.1',
    description: 'Address of the management listener: metrics, management API.'
  }),
  MANAGEMENT_PORT: Port(9090, 'Port of the management listener; 0 picks a free one.'),
  MANAGEMENT_URL: text({
    ...URL_FORM,
    description:
      'URL of the management listener: for the commands that ask the running server, and allowed as its Host. ' +
      'Default: from MANAGEMENT_HOST and MANAGEMENT_PORT.'
  }),
  MCP_OPERATOR_KEY: text({
    description: 'Operator key that those commands present.'
  }),
  PUBLIC_URL: text({
    ...URL_FORM,
    description:
      'URL at which clients reach the server, without `/mcp`. Every URL in an answer begins with it. Default: ' +
      'from HOST and PORT.'
  }),
  TRUST_PROXY: text({
    default: 'false',
    description:
      'Proxies whose X-Forwarded-For is believed: `false`, a hop count from 1 to 9, or a comma list of CIDRs ' +
      'no wider than a private range. Ports and brackets around an address are understood; a request whose ' +
      'deciding entry is no address is refused.'
  }),
  ALLOWED_HOSTS: text({
    description: 'Comma list of Host values (`name` or `name:port`) that are served. Default: from PUBLIC_URL.'
  }),
  ALLOWED_ORIGINS: text({
    description: 'Comma list of browser origins (`https://app.example.com`) that are served. Default: from PUBLIC_URL.'
  }),
  REDIS_URL: text({
    secret: true,
    description:
      'Redis that holds the state of all replicas: `redis://host:6379`, or `rediss://` with TLS. Without Redis ' +
      'the state is in this process and its files, for one replica.'
  }),
  REDIS_SENTINELS: text({
    description: 'Comma list of `host:port` of Sentinels, instead of REDIS_URL. Needs REDIS_MASTER_NAME.'
  }),
  REDIS_MASTER_NAME: text({
    description: 'Name of the master that the Sentinels watch.'
  }),
  REDIS_CLUSTER_NODES: text({
    description: 'Comma list of `host:port` of Cluster nodes, instead of REDIS_URL.'
  }),
  REDIS_USERNAME: text({
    description: 'User of Redis. Not together with a user in REDIS_URL.'
  }),
  REDIS_PASSWORD: text({
    secret: true,
    description: 'Password of Redis, as it is: no percent-encoding. Not together with a password in REDIS_URL.'
  }),
  REDIS_SENTINEL_USERNAME: text({
    description: 'User of the Sentinels, if they require one.'
  }),
  REDIS_SENTINEL_PASSWORD: text({
    secret: true, description: "Password of REDIS_SENTINEL_USERNAME, or of the Sentinels' default user."
  }),
  REDIS_TLS: flag({
    default: false,
    description:
      'Use TLS with Sentinels and the Redis that they name, or with every Cluster node. With REDIS_URL write ' +
      '`rediss://`.'
  }),
  REDIS_CA: text({
    wanted: 'a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----',
    pattern: '^\\s*-----BEGIN CERTIFICATE-----',
    maxLength: 65_536,
    description: 'Certificate authority of the Redis certificate, PEM. Default: the authorities that Node trusts.'
  }),
  REDIS_KEY_PREFIX: text({
    wanted: 'at most 64 letters, digits and the characters : _ -',
    default: 'mcp:',
    pattern: '^[A-Za-z0-9:_-]{0,64}$',
    description: 'Prefix of every key in Redis.'
  }),
  REDIS_COMMAND_TIMEOUT_MS: integer({
    unit: 'ms',
    default: 250,
    minimum: 10,
    maximum: 10_000,
    description: 'Longest time that an answer waits for Redis. A decision gives up at four fifths of it.'
  }),
  REPLICAS: integer({
    default: 1,
    minimum: 1,
    maximum: 1000,
    description: 'Number of replicas. While Redis is unreachable, each allows limit ÷ REPLICAS. Above 1 needs Redis.'
  }),
  STATE_SECRET: text({
    secret: true,
    description:
      'Secret that signs request state, session ids and cookies; at least 32 random characters. A comma list ' +
      'rotates it: the first signs, all are accepted. Required with Redis.'
  }),
  MCP_AUTH_ENABLED: flag({
    default: true,
    description: '`false` serves everyone without a credential; refused unless HOST is a loopback address.'
  }),
  MCP_API_KEY: text({
    secret: true,
    maxLength: 4096,
    description:
      'API key named `default` with permission `*`. A key that a store knows keeps its own record instead. ' +
      'Over stdio also the credential of the client.'
  }),
  ALLOW_SHORT_KEYS: flag({
    default: false,
    description: 'Accept plain API keys under 20 characters, with a warning. They can be found by trying.'
  }),
  API_KEYS_FILE: text({
    default: 'config/api_keys.json',
    description: 'File of API keys. Files of blocked addresses and revocations are kept beside it.'
  }),
  MCP_DEBUG: flag({
    default: false,
    description: 'Debug log level, and more in the answer of `debug_info`. Secrets are never logged.'
  }),
  OAUTH2_AUTH_SERVER: text({
    description: 'Issuer URL of the authorization server; turns OAuth2 on. A comma list names several.'
  }),
  OAUTH2_METADATA_URL: text({
    description:
      'URL of the metadata of the issuer, if it is at none of the well-known places. With several issuers a ' +
      'comma list of `issuer=URL`, here and in the two settings below.'
  }),
  OAUTH2_JWKS_URL: text({
    description: 'URL of the key set of the issuer; wins over `jwks_uri` of the metadata.'
  }),
  OAUTH2_INTROSPECTION_URL: text({
    description:
      'URL where the issuer answers questions about tokens; wins over `introspection_endpoint` of the metadata.'
  }),
  OAUTH2_CLIENT_ID: text({
    description: 'Client id for browser login and introspection.'
  }),
  OAUTH2_CLIENT_SECRET: text({
    secret: true,
    description: 'Client secret for browser login and introspection.'
  }),
  OAUTH2_AUDIENCE: text({
    description: 'Comma list of accepted `aud` values. Default: PUBLIC_URL + `/mcp`.'
  }),
  OAUTH2_VALIDATION: choice(['auto', 'jwt', 'introspection', 'tokeninfo'], {
    default: 'auto',
    description: 'How access tokens are validated: `auto`, `jwt`, `introspection` or `tokeninfo`.'
  }),
  OAUTH2_INTROSPECTION_WITHOUT_AUD: choice(['refuse', 'accept'], {
    default: 'refuse',
    description:
      'What an introspection answer without `aud` means: `refuse`, or `accept` where the authorization server ' +
      'answers this client only about tokens that are meant for it. Else every token of that server opens this ' +
      'one: see docs/oauth.md.'
  }),
  OAUTH2_TOKENINFO_URL: text({
    ...URL_FORM,
    description: 'URL that `tokeninfo` asks. Default: the issuer + `/tokeninfo`.'
  }),
  OAUTH2_TOKEN_TYP: choice(['at+jwt', 'jwt'], {
    default: 'at+jwt',
    description:
      'Required `typ` header of JWTs: `at+jwt` (RFC 9068), or `jwt` for servers that do not mark access tokens ' +
      '(Keycloak, Entra ID, Okta).'
  }),
  OAUTH2_ALGORITHMS: text({
    default: 'RS256,PS256,ES256,EdDSA',
    description:
      'Comma list of signature algorithms accepted with public keys. `EdDSA` accepts the name `Ed25519` (RFC ' +
      '9864) as well.'
  }),
  OAUTH2_JWT_SECRET: text({
    secret: true,
    description:
      'Shared secret that verifies HS256, HS384 and HS512 tokens, at least 32 characters. Public keys are not ' +
      'accepted then. With one issuer only.'
  }),
  OAUTH2_SCOPE_CLAIMS: text({
    default: 'scope,scp',
    description: 'Comma list of claims that hold scopes or roles, such as `permissions`, `roles`, `realm_access.roles`.'
  }),
  OAUTH2_SCOPE_MAP: text({
    description:
      'Maps values of those claims to scopes of this server: `tools-user=mcp:server:access ' +
      'mcp:tool:get_*,admin=…`.'
  }),
  OAUTH2_CLAIMS: text({
    description:
      'Comma list of claims of the access token that tools may read as `caller.claims`, such as `email,org.id`. ' +
      'Together at most 8,192 characters, and kept with the validated token.'
  }),
  OAUTH2_LOGIN_SCOPES: text({
    default: 'mcp:server:access mcp:tool:*',
    description:
      'Scopes that clients and the browser login ask for first: `scope` of challenges, `scopes_supported` of ' +
      'the resource metadata. Name enough that the list of tools is not empty. `?scope=` of the browser login ' +
      'may ask for part of them. Separated by spaces. Where roles of the account decide and not scopes: ' +
      '`openid`.'
  }),
  OAUTH2_LEGACY_DISCOVERY: flag({
    default: false,
    description:
      'Send clients of MCP revision 2025-03-26, which look for the authorization server at the origin of the ' +
      'endpoint, to the metadata of the first issuer.'
  }),
  OAUTH2_CLOCK_SKEW_MS: integer({
    unit: 'ms',
    default: 5000,
    minimum: 0,
    maximum: 60_000,
    description: 'How far the clock of an authorization server may be ahead.'
  }),
  OAUTH2_MAX_TOKEN_AGE_MS: integer({
    unit: 'ms',
    default: 86_400_000,
    minimum: 60_000,
    maximum: 31_536_000_000,
    description: 'Longest lifetime of a JWT, from `iat` to `exp`. Revocations of a subject are kept as long.'
  }),
  OAUTH2_STALE_KEYS_MS: integer({
    unit: 'ms',
    default: 86_400_000,
    minimum: 0,
    maximum: 604_800_000,
    description: 'How long cached signing keys are used while their authorization server is unreachable.'
  }),
  AUTHENTICATOR: text({
    description: 'Module whose default export is a custom authenticator.'
  }),
  RATE_LIMIT_DEFAULT: Limit(100, 'Requests per window of an anonymous address.'),
  RATE_LIMIT_API_KEY: Limit(1000, 'Requests per window of an API key or custom principal.'),
  RATE_LIMIT_OAUTH2: Limit(500, 'Requests per window of an OAuth2 subject.'),
  RATE_LIMIT_WINDOW_MS: integer({
    unit: 'ms',
    default: 60_000,
    minimum: 1000,
    maximum: 86_400_000,
    description: 'Length of the window.'
  }),
  MAX_REQUEST_BYTES: integer({
    unit: 'bytes',
    default: 1_048_576,
    minimum: 1024,
    maximum: 67_108_864,
    description: 'Largest request body.'
  }),
  INSPECTION: choice(['block', 'observe', 'off'], {
    default: 'block',
    description: 'What happens to suspicious arguments: `block`, `observe` (count and log only) or `off`.'
  }),
  INSPECTION_LEVEL: choice(['default', 'strict'], {
    default: 'default',
    description:
      'What is suspicious: `default`, or `strict`, which adds `../`, `<script`, `union.*select` and `eval(` ' +
      'wherever they stand, so that much ordinary text is refused.'
  }),
  INSPECTION_PATTERNS_FILE: text({
    description:
      'File of more patterns, in RE2 syntax: ' +
      '`[{"name": "iban", "description": "An account number.", "pattern": "\\bDE\\d{20}\\b"}]`.'
  }),
  TOOLS_DIR: text({
    default: 'tools',
    description: 'Folder of tool modules, loaded beside the built-in tools if it exists.'
  }),
  TOOL_HEADERS: text({
    description:
      'Comma list of request headers that tools may read as `headers`, such as `accept-language`. Headers that carry ' +
      'credentials, cookies or a session are refused.'
  }),
  TOOL_HOOK: text({
    description: 'Module whose default export `(call, next) => next()` runs around every permitted tool call.'
  }),
  MCP_SERVERS_FILE: text({
    default: 'config/mcp_servers.json',
    description:
      'File of MCP servers behind this one, in the `mcpServers` shape of clients (docs/upstreams.md). It is ' +
      'followed while the server runs; a wrong one leaves the last good one in force.'
  }),
  STDIO_UPSTREAMS: flag({
    description:
      'Whether entries of MCP_SERVERS_FILE may start programs. Each replica starts its own. Default: `true` ' +
      'without Redis, `false` with it.'
  }),
  BUILT_IN_TOOLS: flag({
    default: true,
    description: '`false` leaves out `hello_world`, `echo`, `get_time` and `debug_info`.'
  }),
  SERVER_NAME: text({
    default: 'secure-mcp-server',
    wanted: '1 to 128 printable ASCII characters, such as com.example/orders',
    pattern: '^[\\x20-\\x7e]+$',
    maxLength: 128,
    description:
      'Name of the server in `serverInfo`, for programs. In the form `com.example/orders` the server publishes a server card.'
  }),
  SERVER_TITLE: text({
    maxLength: 128,
    description: 'Name of the server for people: clients and the login show it. Default: SERVER_NAME.'
  }),
  SERVER_VERSION: text({
    wanted: '1 to 64 printable ASCII characters without blanks, such as 1.4.0',
    pattern: '^[\\x21-\\x7e]+$',
    maxLength: 64,
    description:
      'Version of what is served. Default: the version of this product, which `--version` and metrics tell in any case.'
  }),
  SERVER_DESCRIPTION: text({
    maxLength: 100,
    description: 'What the server is for, in one sentence; clients and registries show it.'
  }),
  SERVER_INSTRUCTIONS: text({
    maxLength: 2048,
    description:
      'How models should use the server as a whole, at most 2048 bytes. Say here what belongs to no single tool.'
  }),
  SERVER_ICONS: text({
    description:
      'Icons of the server, separated by blanks: https URLs, or `data:image/…;base64,…`. They are part of every answer of ' +
      'revision 2026-07-28, so prefer URLs.'
  }),
  SECURE_CONFIG_FILE: text({
    default: 'config/secure_config.json',
    description: 'File of settings, some encrypted as `encrypted_<name>` (`config set`).'
  }),
  CONFIG_ENCRYPTION_KEY: text({
    secret: true,
    description: 'Key that decrypts that file. A comma list rotates it: the first encrypts, all decrypt.'
  }),
  CONFIG_ENCRYPTION_KEY_FILE: text({
    default: 'config/encryption.key',
    description: 'File of that key, made on first use with mode 0600.'
  }),
  LEGACY_SESSIONS: flag({
    default: true,
    description:
      'Sessions for clients of MCP revisions before 2026-07-28. Without sessions these clients get no ' +
      'elicitation, sampling or notifications.'
  }),
  SESSION_IDLE_MS: integer({
    unit: 'ms',
    default: 1_800_000,
    minimum: 1000,
    maximum: 86_400_000,
    description: 'How long an unused session is kept.'
  }),
  SESSION_MAX_MS: integer({
    unit: 'ms',
    default: 86_400_000,
    minimum: 1000,
    maximum: 2_592_000_000,
    description: 'Longest lifetime of a session.'
  }),
  MAX_SESSIONS_PER_PRINCIPAL: Limit(500, 'Open sessions per principal; more are refused with 429.'),
  MAX_SESSIONS: Limit(
    5000,
    'Open sessions of all principals. Each takes at most 20 kB of Redis, and 3 kB where it watches nothing: 5,000 fit into the 128 MB of k8s/components/redis.'
  ),
  STREAM_MAX_MS: integer({
    unit: 'ms',
    default: 3_600_000,
    minimum: 1000,
    maximum: 86_400_000,
    description:
      'Longest lifetime of a stream; the client opens it anew. While it is open its credential is judged again each minute.'
  }),
  MAX_STREAMS_PER_PRINCIPAL: Limit(
    50,
    'Open streams per principal and replica, waiting server requests included; more are refused with 429.'
  ),
  MAX_IN_FLIGHT: integer({
    default: 256,
    minimum: 1,
    maximum: 100_000,
    description: 'Requests answered at once, open streams not counted; more are refused with 503.'
  }),
  MAX_CONNECTIONS: integer({
    default: 2000,
    minimum: 1,
    maximum: 100_000,
    description:
      'Connections of the public listener at once. For more, idle ones are closed, first those on which no ' +
      'credential was accepted. Probes are answered whatever their number.'
  }),
  MAX_CONNECTIONS_PER_ADDRESS: integer({
    minimum: 1,
    maximum: 100_000,
    description:
      'Connections of one address (IPv6: one /64) on which no credential was accepted; for more, its oldest idle ' +
      'one is closed. Proxies of TRUST_PROXY are not counted. Default: a quarter of MAX_CONNECTIONS.'
  }),
  KEEP_ALIVE_TIMEOUT_MS: integer({
    unit: 'ms',
    default: 72_000,
    minimum: 1000,
    maximum: 3_600_000,
    description:
      'How long an idle connection stays open. Longer than the load balancer keeps its own, or it uses one ' +
      'that is being closed. Before a credential is accepted on it, a connection stays 5 s, except of a proxy of ' +
      'TRUST_PROXY.'
  }),
  AUDIT: flag({
    default: true,
    description:
      'Keep a record of every decision in AUDIT_DIR, chained and sealed, before its answer leaves. `false` writes the request line to the log alone.'
  }),
  AUDIT_DIR: text({
    default: 'audit',
    description: 'Folder of the records. Without a folder that may be written, AUDIT_WHEN_FULL decides.'
  }),
  AUDIT_MAX_BYTES: integer({
    unit: 'bytes',
    default: 1_073_741_824,
    minimum: 65_536,
    maximum: 1_099_511_627_776,
    description: 'Most that AUDIT_DIR may hold; a record takes some 450 bytes. At it AUDIT_WHEN_FULL decides.'
  }),
  AUDIT_WHEN_FULL: choice(['open', 'closed'], {
    default: 'open',
    description:
      'What happens while records cannot be written: `open` serves, keeps the last 10,000 in memory and counts what is lost; `closed` answers 503 and is not ready.'
  }),
  AUDIT_KEY: text({
    description:
      'Secret that seals the records, at least 32 random characters. A comma list rotates it: the first seals, all verify. Default: derived from STATE_SECRET, else from the key of CONFIG_ENCRYPTION_KEY_FILE.'
  }),
  AUDIT_PRIVACY: choice(['plain', 'keyed'], {
    default: 'plain',
    description:
      'How records name OAuth2 subjects and addresses: `plain`, or `keyed` as digests that only AUDIT_KEY can make again.'
  }),
  AUDIT_RETENTION_DAYS: integer({
    unit: 'days',
    default: 30,
    minimum: 1,
    maximum: 3650,
    description: 'How long records are kept in AUDIT_DIR.'
  }),
  DRAIN_MS: integer({
    unit: 'ms',
    default: 5000,
    minimum: 0,
    maximum: 300_000,
    description:
      'After SIGTERM: how long the server goes on serving while it reports not ready, so that load balancers ' +
      'notice.'
  }),
  SHUTDOWN_GRACE_MS: integer({
    unit: 'ms',
    default: 10_000,
    minimum: 0,
    maximum: 300_000,
    description: 'After DRAIN_MS: how long requests in flight may take to finish.'
  })
} as const satisfies Record<string, SettingSchema>

export const Settings = { type: 'object', properties, additionalProperties: false } as const

type Properties = typeof properties
export type SettingName = keyof Properties

/** Settings that are or may hold a secret. */
export const SECRET_SETTINGS: ReadonlySet<string> =
  new Set(Object.entries<SettingSchema>(properties).filter(([, { secret }]) => secret === true).map(([name]) => name))

type Value<S> = S extends { type: 'integer' }
  ? number
  : S extends { type: 'boolean' }
    ? boolean
    : S extends { enum: ReadonlyArray<infer V> }
      ? V
      : string
type WithDefault = { [N in SettingName]: Properties[N] extends { default: unknown } ? N : never }[SettingName]

/** The settings of their types, before lists are split and defaults worked out. */
export type Raw = { [N in WithDefault]: Value<Properties[N]> } & {
  [N in Exclude<SettingName, WithDefault>]?: Value<Properties[N]>
}

/** What the rest of the code reads: the settings, with lists split and defaults worked out. */
export type Config = Readonly<
  Omit<
    Raw,
    | 'PUBLIC_URL'
    | 'MANAGEMENT_URL'
    | 'TRUST_PROXY'
    | 'ALLOWED_HOSTS'
    | 'ALLOWED_ORIGINS'
    | 'REDIS_SENTINELS'
    | 'REDIS_CLUSTER_NODES'
    | 'STATE_SECRET'
    | 'AUDIT_KEY'
    | 'SERVER_ICONS'
    | 'TOOL_HEADERS'
    | 'OAUTH2_CLAIMS'
    | 'OAUTH2_AUTH_SERVER'
    | 'OAUTH2_METADATA_URL'
    | 'OAUTH2_JWKS_URL'
    | 'OAUTH2_INTROSPECTION_URL'
    | 'OAUTH2_AUDIENCE'
    | 'OAUTH2_ALGORITHMS'
    | 'OAUTH2_SCOPE_CLAIMS'
    | 'OAUTH2_SCOPE_MAP'
    | 'OAUTH2_LOGIN_SCOPES'
  > & {
    /** Settings that were given a value, wherever it came from. */
    chosen: ReadonlySet<SettingName>
    /** Path of the MCP endpoint below PUBLIC_URL. */
    path: string
    /** No trailing slash. */
    PUBLIC_URL: string
    /** No trailing slash. */
    MANAGEMENT_URL: string
    TRUST_PROXY: false | number | readonly string[]
    ALLOWED_HOSTS: readonly string[]
    ALLOWED_ORIGINS: readonly string[]
    REDIS_SENTINELS: readonly string[] | undefined
    REDIS_CLUSTER_NODES: readonly string[] | undefined
    STATE_SECRET: readonly string[]
    AUDIT_KEY: readonly string[]
    SERVER_ICONS: readonly Icon[]
    /** In lower case. */
    TOOL_HEADERS: readonly string[]
    OAUTH2_CLAIMS: readonly string[]
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
  }
>
