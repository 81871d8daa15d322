/** The settings: one property each. The descriptions become docs/configuration.md. */
import Type, { type Static } from 'typebox'
import type { ScopeMap } from '../core/oauth-scopes.ts'

/** Keywords beside those of JSON schema, for messages: `wanted` says in words what a setting must be, `unit` what its number counts. */
const Name = Type.String({ minLength: 1, maxLength: 4096 })
const Url = Type.String({ url: true, pattern: '^https?://[^\\s/?#@]+(/[^\\s?#]*)?$', maxLength: 2048, wanted: 'a URL such as https://mcp.example.com, without user, query or fragment' })
const Port = (value: number, description: string) => Type.Integer({ default: value, minimum: 0, maximum: 65535, description })
const Limit = (value: number, description: string) => Type.Integer({ default: value, minimum: 1, maximum: 1_000_000_000, description })

export const Settings = Type.Object({
  HOST: Type.String({
    default: '127.0.0.1',
    minLength: 1,
    description: 'Address of the public listener: `/mcp`, discovery, login, probes.'
  }),
  PORT: Port(3000, 'Port of the public listener; 0 picks a free one.'),
  MANAGEMENT_HOST: Type.String({
    default: '127.0.0.1',
    minLength: 1,
    description: 'Address of the management listener: metrics.'
  }),
  MANAGEMENT_PORT: Port(9090, 'Port of the management listener; 0 picks a free one.'),
  PUBLIC_URL: Type.Optional(Type.String({
    ...Url,
    description: 'URL at which clients reach the server, without `/mcp`. Every URL in an answer begins with it. Default: ' +
      'from HOST and PORT.'
  })),
  TRUST_PROXY: Type.String({
    default: 'false',
    description: 'Proxies whose X-Forwarded-For is believed: `false`, a hop count from 1 to 9, or a comma list of CIDRs ' +
      'no wider than a private range.'
  }),
  ALLOWED_HOSTS: Type.Optional(Type.String({
    ...Name,
    description: 'Comma list of Host values (`name` or `name:port`) that are served. Default: from PUBLIC_URL.'
  })),
  ALLOWED_ORIGINS: Type.Optional(Type.String({
    ...Name,
    description: 'Comma list of browser origins (`https://app.example.com`) that are served. Default: from PUBLIC_URL.'
  })),
  REDIS_URL: Type.Optional(Type.String({
    ...Name,
    description: 'Redis that holds the state of all replicas: `redis://host:6379`, or `rediss://` with TLS. Without Redis ' +
      'the state is in this process and its files, for one replica.'
  })),
  REDIS_SENTINELS: Type.Optional(Type.String({
    ...Name,
    description: 'Comma list of `host:port` of Sentinels, instead of REDIS_URL. Needs REDIS_MASTER_NAME.'
  })),
  REDIS_MASTER_NAME: Type.Optional(Type.String({
    ...Name,
    description: 'Name of the master that the Sentinels watch.'
  })),
  REDIS_CLUSTER_NODES: Type.Optional(Type.String({
    ...Name,
    description: 'Comma list of `host:port` of Cluster nodes, instead of REDIS_URL.'
  })),
  REDIS_USERNAME: Type.Optional(Type.String({
    ...Name,
    description: 'User of Redis. Not together with a user in REDIS_URL.'
  })),
  REDIS_PASSWORD: Type.Optional(Type.String({
    ...Name,
    description: 'Password of Redis, as it is: no percent-encoding. Not together with a password in REDIS_URL.'
  })),
  REDIS_SENTINEL_USERNAME: Type.Optional(Type.String({
    ...Name,
    description: 'User of the Sentinels, if they require one.'
  })),
  REDIS_SENTINEL_PASSWORD: Type.Optional(Type.String({
    ...Name,
    description: 'Password of REDIS_SENTINEL_USERNAME, or of the Sentinels\' default user.'
  })),
  REDIS_TLS: Type.Boolean({
    default: false,
    description: 'Use TLS with Sentinels and the Redis that they name, or with every Cluster node. With REDIS_URL write ' +
      '`rediss://`.'
  }),
  REDIS_CA: Type.Optional(Type.String({
    wanted: 'a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----',
    pattern: '^\\s*-----BEGIN CERTIFICATE-----',
    maxLength: 65_536,
    description: 'Certificate authority of the Redis certificate, PEM. Default: the authorities that Node trusts.'
  })),
  REDIS_KEY_PREFIX: Type.String({
    wanted: 'at most 64 letters, digits and the characters : _ -',
    default: 'mcp:',
    pattern: '^[A-Za-z0-9:_-]{0,64}$',
    description: 'Prefix of every key in Redis.'
  }),
  REDIS_COMMAND_TIMEOUT_MS: Type.Integer({
    unit: 'ms',
    default: 250,
    minimum: 10,
    maximum: 10_000,
    description: 'Longest time that an answer waits for Redis. A decision gives up at four fifths of it.'
  }),
  REPLICAS: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 1000,
    description: 'Number of replicas. While Redis is unreachable, each allows limit ÷ REPLICAS. Above 1 needs Redis.'
  }),
  STATE_SECRET: Type.Optional(Type.String({
    ...Name,
    description: 'Secret that signs request state, session ids and cookies; at least 32 random characters. A comma list ' +
      'rotates it: the first signs, all are accepted. Required with Redis.'
  })),
  MCP_AUTH_ENABLED: Type.Boolean({
    default: true,
    description: '`false` serves everyone without a credential; refused unless HOST is a loopback address.'
  }),
  MCP_API_KEY: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 4096,
    description: 'API key named `default` with permission `*`. A key that a store knows keeps its own record instead. ' +
      'Over stdio also the credential of the client.'
  })),
  ALLOW_SHORT_KEYS: Type.Boolean({
    default: false,
    description: 'Accept plain API keys under 20 characters, with a warning. They can be found by trying.'
  }),
  API_KEYS_FILE: Type.String({
    default: 'config/api_keys.json',
    description: 'File of API keys. Files of blocked addresses and revocations are kept beside it.'
  }),
  MCP_DEBUG: Type.Boolean({
    default: false,
    description: 'Debug log level, and more in the answer of `debug_info`. Secrets are never logged.'
  }),
  OAUTH2_AUTH_SERVER: Type.Optional(Type.String({
    ...Name,
    description: 'Issuer URL of the authorization server; turns OAuth2 on. A comma list names several.'
  })),
  OAUTH2_METADATA_URL: Type.Optional(Type.String({
    ...Name,
    description: 'URL of the metadata of the issuer, if it is at none of the well-known places. With several issuers a ' +
      'comma list of `issuer=URL`, here and in the two settings below.'
  })),
  OAUTH2_JWKS_URL: Type.Optional(Type.String({
    ...Name,
    description: 'URL of the key set of the issuer; wins over `jwks_uri` of the metadata.'
  })),
  OAUTH2_INTROSPECTION_URL: Type.Optional(Type.String({
    ...Name,
    description: 'URL where the issuer answers questions about tokens; wins over `introspection_endpoint` of the metadata.'
  })),
  OAUTH2_CLIENT_ID: Type.Optional(Type.String({
    ...Name,
    description: 'Client id for browser login and introspection.'
  })),
  OAUTH2_CLIENT_SECRET: Type.Optional(Type.String({
    ...Name,
    description: 'Client secret for browser login and introspection.'
  })),
  OAUTH2_AUDIENCE: Type.Optional(Type.String({
    ...Name,
    description: 'Comma list of accepted `aud` values. Default: PUBLIC_URL + `/mcp`.'
  })),
  OAUTH2_VALIDATION: Type.Union([Type.Literal('auto'), Type.Literal('jwt'), Type.Literal('introspection'), Type.Literal('tokeninfo')], {
    default: 'auto',
    description: 'How access tokens are validated: `auto`, `jwt`, `introspection` or `tokeninfo`.'
  }),
  OAUTH2_INTROSPECTION_WITHOUT_AUD: Type.Union([Type.Literal('refuse'), Type.Literal('accept')], {
    default: 'refuse',
    description: 'What an introspection answer without `aud` means: `refuse`, or `accept` where the authorization server ' +
      'answers this client only about tokens that are meant for it. Else every token of that server opens this ' +
      'one: see docs/oauth.md.'
  }),
  OAUTH2_TOKENINFO_URL: Type.Optional(Type.String({
    ...Url,
    description: 'URL that `tokeninfo` asks. Default: the issuer + `/tokeninfo`.'
  })),
  OAUTH2_TOKEN_TYP: Type.Union([Type.Literal('at+jwt'), Type.Literal('jwt')], {
    default: 'at+jwt',
    description: 'Required `typ` header of JWTs: `at+jwt` (RFC 9068), or `jwt` for servers that do not mark access tokens ' +
      '(Keycloak, Entra ID, Okta).'
  }),
  OAUTH2_ALGORITHMS: Type.String({
    ...Name,
    default: 'RS256,PS256,ES256,EdDSA',
    description: 'Comma list of signature algorithms accepted with public keys. `EdDSA` accepts the name `Ed25519` (RFC ' +
      '9864) as well.'
  }),
  OAUTH2_JWT_SECRET: Type.Optional(Type.String({
    ...Name,
    description: 'Shared secret that verifies HS256, HS384 and HS512 tokens, at least 32 characters. Public keys are not ' +
      'accepted then. With one issuer only.'
  })),
  OAUTH2_SCOPE_CLAIMS: Type.String({
    ...Name,
    default: 'scope,scp',
    description: 'Comma list of claims that hold scopes or roles, such as `permissions`, `roles`, `realm_access.roles`.'
  }),
  OAUTH2_SCOPE_MAP: Type.Optional(Type.String({
    ...Name,
    description: 'Maps values of those claims to scopes of this server: `tools-user=mcp:server:access ' +
      'mcp:tool:get_*,admin=…`.'
  })),
  OAUTH2_LOGIN_SCOPES: Type.String({
    ...Name,
    default: 'mcp:server:access mcp:tool:*',
    description: 'Scopes that clients and the browser login ask for first: `scope` of challenges, `scopes_supported` of ' +
      'the resource metadata. Name enough that the list of tools is not empty. `?scope=` of the browser login ' +
      'may ask for part of them. Separated by spaces. Where roles of the account decide and not scopes: ' +
      '`openid`.'
  }),
  OAUTH2_LEGACY_DISCOVERY: Type.Boolean({
    default: false,
    description: 'Send clients of MCP revision 2025-03-26, which look for the authorization server at the origin of the ' +
      'endpoint, to the metadata of the first issuer.'
  }),
  OAUTH2_CLOCK_SKEW_MS: Type.Integer({
    unit: 'ms',
    default: 5000,
    minimum: 0,
    maximum: 60_000,
    description: 'How far the clock of an authorization server may be ahead.'
  }),
  OAUTH2_MAX_TOKEN_AGE_MS: Type.Integer({
    unit: 'ms',
    default: 86_400_000,
    minimum: 60_000,
    maximum: 31_536_000_000,
    description: 'Longest lifetime of a JWT, from `iat` to `exp`. Revocations of a subject are kept as long.'
  }),
  OAUTH2_STALE_KEYS_MS: Type.Integer({
    unit: 'ms',
    default: 86_400_000,
    minimum: 0,
    maximum: 604_800_000,
    description: 'How long cached signing keys are used while their authorization server is unreachable.'
  }),
  AUTHENTICATOR: Type.Optional(Type.String({
    ...Name,
    description: 'Module whose default export is a custom authenticator.'
  })),
  RATE_LIMIT_DEFAULT: Limit(100, 'Requests per window of an anonymous address.'),
  RATE_LIMIT_API_KEY: Limit(1000, 'Requests per window of an API key or custom principal.'),
  RATE_LIMIT_OAUTH2: Limit(500, 'Requests per window of an OAuth2 subject.'),
  RATE_LIMIT_WINDOW_MS: Type.Integer({
    unit: 'ms',
    default: 60_000,
    minimum: 1000,
    maximum: 86_400_000,
    description: 'Length of the window.'
  }),
  MAX_REQUEST_BYTES: Type.Integer({
    unit: 'bytes',
    default: 1_048_576,
    minimum: 1024,
    maximum: 67_108_864,
    description: 'Largest request body.'
  }),
  INSPECTION: Type.Union([Type.Literal('block'), Type.Literal('observe'), Type.Literal('off')], {
    default: 'block',
    description: 'What happens to suspicious arguments: `block`, `observe` (count and log only) or `off`.'
  }),
  TOOLS_DIR: Type.String({
    default: 'tools',
    description: 'Folder of tool modules, loaded beside the built-in tools if it exists.'
  }),
  SECURE_CONFIG_FILE: Type.String({
    default: 'config/secure_config.json',
    description: 'File of settings, some encrypted as `encrypted_<name>` (`config set`).'
  }),
  CONFIG_ENCRYPTION_KEY: Type.Optional(Type.String({
    ...Name,
    description: 'Key that decrypts that file. A comma list rotates it: the first encrypts, all decrypt.'
  })),
  CONFIG_ENCRYPTION_KEY_FILE: Type.String({
    default: 'config/encryption.key',
    description: 'File of that key, made on first use with mode 0600.'
  }),
  LEGACY_SESSIONS: Type.Boolean({
    default: true,
    description: 'Sessions for clients of MCP revisions before 2026-07-28. Without sessions these clients get no ' +
      'elicitation, sampling or notifications.'
  }),
  SESSION_IDLE_MS: Type.Integer({
    unit: 'ms',
    default: 1_800_000,
    minimum: 1000,
    maximum: 86_400_000,
    description: 'How long an unused session is kept.'
  }),
  SESSION_MAX_MS: Type.Integer({
    unit: 'ms',
    default: 86_400_000,
    minimum: 1000,
    maximum: 2_592_000_000,
    description: 'Longest lifetime of a session.'
  }),
  MAX_SESSIONS_PER_PRINCIPAL: Limit(500, 'Open sessions per principal; more are refused with 429.'),
  MAX_SESSIONS: Limit(100_000, 'Open sessions of all principals.'),
  MAX_STREAMS_PER_PRINCIPAL: Limit(50, 'Open streams per principal and replica, waiting server requests included; more are refused with 429.'),
  MAX_IN_FLIGHT: Type.Integer({
    default: 256,
    minimum: 1,
    maximum: 100_000,
    description: 'Requests answered at once, open streams not counted; more are refused with 503.'
  }),
  MAX_CONNECTIONS: Type.Integer({
    default: 2000,
    minimum: 1,
    maximum: 100_000,
    description: 'Connections of the public listener at once; more are closed.'
  }),
  KEEP_ALIVE_TIMEOUT_MS: Type.Integer({
    unit: 'ms',
    default: 72_000,
    minimum: 1000,
    maximum: 3_600_000,
    description: 'How long an idle connection stays open. Longer than the load balancer keeps its own, or it uses one ' +
      'that is being closed.'
  }),
  DRAIN_MS: Type.Integer({
    unit: 'ms',
    default: 5000,
    minimum: 0,
    maximum: 300_000,
    description: 'After SIGTERM: how long the server goes on serving while it reports not ready, so that load balancers ' +
      'notice.'
  }),
  SHUTDOWN_GRACE_MS: Type.Integer({
    unit: 'ms',
    default: 10_000,
    minimum: 0,
    maximum: 300_000,
    description: 'After DRAIN_MS: how long requests in flight may take to finish.'
  })
}, { additionalProperties: false })

export type Raw = Static<typeof Settings>
export type SettingName = keyof Raw

/** What the rest of the code reads: the settings, with lists split and defaults worked out. */
export type Config = Readonly<Omit<Raw, 'PUBLIC_URL' | 'TRUST_PROXY' | 'ALLOWED_HOSTS' | 'ALLOWED_ORIGINS' | 'REDIS_SENTINELS' | 'REDIS_CLUSTER_NODES' |
  'STATE_SECRET' | 'OAUTH2_AUTH_SERVER' | 'OAUTH2_METADATA_URL' | 'OAUTH2_JWKS_URL' | 'OAUTH2_INTROSPECTION_URL' | 'OAUTH2_AUDIENCE' | 'OAUTH2_ALGORITHMS' | 'OAUTH2_SCOPE_CLAIMS' | 'OAUTH2_SCOPE_MAP' | 'OAUTH2_LOGIN_SCOPES'> & {
  /** Settings that were given a value, wherever it came from. */
    chosen: ReadonlySet<SettingName>
    /** No trailing slash. */
    PUBLIC_URL: string
    TRUST_PROXY: false | number | readonly string[]
    ALLOWED_HOSTS: readonly string[]
    ALLOWED_ORIGINS: readonly string[]
    REDIS_SENTINELS: readonly string[] | undefined
    REDIS_CLUSTER_NODES: readonly string[] | undefined
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
