/** Composition: the ordered list of plugins and routes. Listens on nothing. */
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { randomBytes } from 'node:crypto'
import { apiKeyAuthenticator } from './auth/api-keys.ts'
import type { Authenticator } from './auth/authenticator.ts'
import { authenticationChain } from './auth/chain.ts'
import { loadCustomAuthenticator } from './auth/custom.ts'
import { assembleOAuth2, type OAuth2, type Paces } from './auth/oauth2/assemble.ts'
import type { Config } from './config.ts'
import { proxies } from './core/address.ts'
import { PATTERNS } from './core/inspection.ts'
import type { Rule } from './core/limit.ts'
import { loginScopes } from './core/oauth-scopes.ts'
import type { AuthType } from './core/principal.ts'
import { sealer } from './core/seal.ts'
import { sessionIds, type SessionIds, type SessionRule } from './core/session.ts'
import { LateLog } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import type { Store } from './state/store.ts'
import { buildCatalogue, type Catalogue, type Source } from './tools/catalogue.ts'
import { tellMore } from './tools/builtin/debug-info.ts'
import { loadTools } from './tools/load.ts'
import address from '../plugins/address.ts'
import auth from '../plugins/auth.ts'
import errors from '../plugins/errors.ts'
import inspection from '../plugins/inspection.ts'
import { jwtVerifiers } from '../plugins/jwt.ts'
import mcp from '../plugins/mcp.ts'
import metricsPlugin from '../plugins/metrics.ts'
import oauth2 from '../plugins/oauth2.ts'
import origin from '../plugins/origin.ts'
import requestContext from '../plugins/request-context.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestLog from '../plugins/request-log.ts'
import state from '../plugins/state.ts'
import traffic from '../plugins/traffic.ts'
import mcpRoute from '../routes/mcp.ts'
import oauthRoutes from '../routes/oauth.ts'
import probes from '../routes/probes.ts'
import wellKnown, { resourceMetadataUrl } from '../routes/well-known.ts'

export interface AppOptions {
  config: Config
  /** Opened by the caller; the app closes it. */
  store: Store
  logger: FastifyBaseLogger
  /** Shared with the management listener, where there is one. */
  metrics?: Metrics
  /** Definitions beside the built-in ones and those of TOOLS_DIR. For tests. */
  sources?: readonly Source[]
  /** How often authorization servers are asked. For tests. */
  oauth2Paces?: Paces
  /** False: the SDK answers everything. For measuring what the fast lane saves. */
  fastLane?: boolean
}

/** What every way of serving needs: the catalogue, the chain, the seal. HTTP and stdio share it. */
export interface Core {
  catalogue: Catalogue
  links: readonly Authenticator[]
  rules: Readonly<Record<AuthType, Rule>>
  identify: ReturnType<typeof authenticationChain>
  sealer: ReturnType<typeof sealer>
  sessionIds: SessionIds
  authentication: { required: boolean, types: readonly string[] }
  /** Absent where it is off. */
  oauth2: OAuth2 | undefined
  close (): Promise<void>
}

/** @throws {UsageError} for a tool or authenticator module that is wrong */
export async function buildCore ({ config, store, logger, sources = [], oauth2Paces }: AppOptions): Promise<Core> {
  tellMore(config.MCP_DEBUG)
  const windowMs = config.RATE_LIMIT_WINDOW_MS
  const rules = {
    none: { limit: config.RATE_LIMIT_DEFAULT, windowMs },
    api_key: { limit: config.RATE_LIMIT_API_KEY, windowMs },
    oauth2: { limit: config.RATE_LIMIT_OAUTH2, windowMs },
    custom: { limit: config.RATE_LIMIT_API_KEY, windowMs }
  }
  const links: Authenticator[] = [apiKeyAuthenticator({ store, rule: rules.api_key })]
  const oauth2 = config.OAUTH2_AUTH_SERVER.length === 0
    ? undefined
    : await assembleOAuth2({ config, store, log: logger, makeVerifiers: jwtVerifiers, paces: oauth2Paces })
  if (oauth2 !== undefined) links.push(oauth2.authenticator)
  if (config.AUTHENTICATOR !== undefined) links.push(await loadCustomAuthenticator(config.AUTHENTICATOR))

  const secrets = config.STATE_SECRET.length > 0 ? config.STATE_SECRET : [randomBytes(32).toString('base64url')]
  const patterns = new Set(PATTERNS.map(({ name }) => name))
  return {
    catalogue: buildCatalogue([...await loadTools(config.TOOLS_DIR), ...sources], patterns),
    links,
    rules,
    identify: authenticationChain({ links, store, required: config.MCP_AUTH_ENABLED, rules }),
    sealer: sealer(secrets, 'request state'),
    sessionIds: sessionIds(secrets),
    authentication: { required: config.MCP_AUTH_ENABLED, types: links.map(({ type }) => type) },
    oauth2,
    async close () { await Promise.all(links.map(link => link.close?.())) }
  }
}

/** The public listener's app: every concern in the order in which a request meets it. */
export async function buildApp (options: AppOptions): Promise<FastifyInstance> {
  const { config, store, logger, metrics = createMetrics() } = options
  const core = await buildCore(options)

  const app = Fastify({
    loggerInstance: logger,
    childLoggerFactory: (log, bindings) => new LateLog(log, bindings),
    logController: new LogController({ disableRequestLogging: true }), // plugins/request-log.ts writes the line
    bodyLimit: 65_536,
    requestTimeout: 10_000,
    keepAliveTimeout: config.KEEP_ALIVE_TIMEOUT_MS,
    maxRequestsPerSocket: 10_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what still arrives while draining is served, and its connection ended
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 500, maxHeaderSize: 16_384 },
    genReqId: requestIds()
  }) as unknown as FastifyInstance

  app.server.maxConnections = config.MAX_CONNECTIONS

  await app.register(requestContext)
  await app.register(errors)
  await app.register(requestLog)
  await app.register(traffic, { maxInFlight: config.MAX_IN_FLIGHT })
  await app.register(state, { store })
  await app.register(metricsPlugin, { metrics })
  await app.register(origin, { allowedHosts: config.ALLOWED_HOSTS, allowedOrigins: config.ALLOWED_ORIGINS })
  await app.register(address, { isProxy: proxies(config.TRUST_PROXY) })
  await app.register(auth, {
    identify: core.identify,
    publicUrl: config.PUBLIC_URL,
    ...(core.oauth2 === undefined ? {} : { oauth2: { metadataUrl: resourceMetadataUrl(config.PUBLIC_URL), grantable: core.oauth2.grantable } })
  })
  app.addHook('onClose', () => core.close())
  const loginOffered = core.oauth2 !== undefined && config.OAUTH2_CLIENT_ID !== undefined
  if (loginOffered) {
    await app.register(oauth2, {
      issuers: core.oauth2!.issuers,
      publicUrl: config.PUBLIC_URL,
      clientId: config.OAUTH2_CLIENT_ID!,
      clientSecret: config.OAUTH2_CLIENT_SECRET,
      // An audience of its own kind, such as api://…, is not for this parameter.
      resource: config.OAUTH2_AUDIENCE.find(audience => audience === `${config.PUBLIC_URL}/mcp`),
      secrets: config.STATE_SECRET
    })
  }
  await app.register(rateLimit, { rule: core.rules.none })
  await app.register(inspection)
  await app.register(mcp, {
    catalogue: core.catalogue,
    inspection: config.INSPECTION,
    sealer: core.sealer,
    authentication: core.authentication,
    sessions: config.LEGACY_SESSIONS ? { ids: core.sessionIds, rule: sessionRule(config) } : undefined,
    maxStreamsOfPrincipal: config.MAX_STREAMS_PER_PRINCIPAL,
    fastLane: options.fastLane
  })

  await app.register(probes, { waiting: () => app.traffic.draining ? ['draining'] : store.available() ? [] : ['redis'] })
  if (core.oauth2 !== undefined) {
    const { grantable } = core.oauth2
    await app.register(wellKnown, { publicUrl: config.PUBLIC_URL, issuers: config.OAUTH2_AUTH_SERVER, scopes: () => loginScopes(grantable()) })
  }
  if (loginOffered) {
    await app.register(oauthRoutes, { publicUrl: config.PUBLIC_URL, loginScopes: config.OAUTH2_LOGIN_SCOPES, scopeMap: config.OAUTH2_SCOPE_MAP })
  }
  await app.register(mcpRoute, { maxRequestBytes: config.MAX_REQUEST_BYTES })
  return app
}

/** Unique among processes by a random beginning, within one by a count: random bytes for each would cost as much as its authentication. */
function requestIds (): () => string {
  const prefix = randomBytes(8).toString('hex')
  let count = 0
  return () => `${prefix}-${(++count).toString(36)}`
}

function sessionRule (config: Config): SessionRule {
  return { idleMs: config.SESSION_IDLE_MS, maxMs: config.SESSION_MAX_MS, mostOfOwner: config.MAX_SESSIONS_PER_PRINCIPAL, mostInAll: config.MAX_SESSIONS }
}
