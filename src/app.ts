/** Composition: the ordered list of plugins and routes. Listens on nothing. */
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { randomBytes } from 'node:crypto'
import type { RefreshPolicies } from './auth/oauth2/from-settings.ts'
import { proxies } from './core/address.ts'
import { loginScopes } from './core/oauth-scopes.ts'
import type { SessionRule } from './core/session.ts'
import { buildRuntime } from './runtime.ts'
import type { Config } from './settings/schema.ts'
import type { Store } from './state/store.ts'
import { LazyChildLogger } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import type { Source } from './tools/catalogue.ts'
import address from '../plugins/address.ts'
import auth from '../plugins/auth.ts'
import browserLogin from '../plugins/browser-login.ts'
import errors from '../plugins/errors.ts'
import jsonBody from '../plugins/json-body.ts'
import loadShedding from '../plugins/load-shedding.ts'
import mcp from '../plugins/mcp.ts'
import metricsPlugin from '../plugins/metrics.ts'
import origin from '../plugins/origin.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestContext from '../plugins/request-context.ts'
import requestLog from '../plugins/request-log.ts'
import state from '../plugins/state.ts'
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
  /** How often what stays open is judged again, ms. For tests. */
  judgeStreamsMs?: number
  /** How often authorization servers are asked. For tests. */
  oauth2Paces?: RefreshPolicies
  /** False: the SDK answers everything. For measuring what the fast lane saves. */
  fastLane?: boolean
}

/** The public listener's app: every concern in the order in which a request meets it. */
export async function buildApp (options: AppOptions): Promise<FastifyInstance> {
  const { config, store, logger, metrics = createMetrics() } = options
  const runtime = await buildRuntime(options)

  const app = Fastify({
    loggerInstance: logger,
    childLoggerFactory: (log, bindings) => new LazyChildLogger(log, bindings),
    logController: new LogController({ disableRequestLogging: true }), // plugins/request-log.ts writes the line
    bodyLimit: 65_536,
    requestTimeout: 10_000,
    keepAliveTimeout: config.KEEP_ALIVE_TIMEOUT_MS,
    maxRequestsPerSocket: 10_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what still arrives while draining is served, and its connection ended
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 500, maxHeaderSize: 32_768 },
    genReqId: requestIds()
  }) as unknown as FastifyInstance

  app.server.maxConnections = config.MAX_CONNECTIONS

  await app.register(requestContext)
  await app.register(errors, { issuers: config.OAUTH2_AUTH_SERVER })
  await app.register(requestLog)
  await app.register(loadShedding, { maxInFlight: config.MAX_IN_FLIGHT })
  await app.register(state, { store })
  await app.register(metricsPlugin, { metrics })
  await app.register(origin, { allowedHosts: config.ALLOWED_HOSTS, allowedOrigins: config.ALLOWED_ORIGINS })
  await app.register(address, { isProxy: proxies(config.TRUST_PROXY) })
  await app.register(auth, {
    identify: runtime.identify,
    publicUrl: config.PUBLIC_URL,
    ...(runtime.oauth2 === undefined ? {} : { oauth2: { metadataUrl: resourceMetadataUrl(config.PUBLIC_URL), grantable: runtime.oauth2.grantable } })
  })
  app.addHook('onClose', () => runtime.close())
  const loginOffered = runtime.oauth2 !== undefined && config.OAUTH2_CLIENT_ID !== undefined
  if (loginOffered) {
    await app.register(browserLogin, {
      issuers: runtime.oauth2!.issuers,
      publicUrl: config.PUBLIC_URL,
      clientId: config.OAUTH2_CLIENT_ID!,
      clientSecret: config.OAUTH2_CLIENT_SECRET,
      // An audience of its own kind, such as api://…, is not for this parameter.
      resource: config.OAUTH2_AUDIENCE.find(audience => audience === `${config.PUBLIC_URL}/mcp`),
      secrets: config.STATE_SECRET
    })
  }
  await app.register(rateLimit, { rule: runtime.rules.none })
  await app.register(jsonBody)
  await app.register(mcp, {
    offer: runtime.offer,
    inspection: config.INSPECTION,
    sealer: runtime.sealer,
    authentication: runtime.authentication,
    sessions: config.LEGACY_SESSIONS ? { ids: runtime.sessionIds, rule: sessionRule(config) } : undefined,
    maxStreamsOfPrincipal: config.MAX_STREAMS_PER_PRINCIPAL,
    maxStreamMs: config.STREAM_MAX_MS,
    judgeStreamsMs: options.judgeStreamsMs,
    fastLane: options.fastLane
  })

  await app.register(probes, { waiting: () => app.traffic.draining ? ['draining'] : store.available() ? [] : ['redis'] })
  if (runtime.oauth2 !== undefined) {
    const { grantable, issuers } = runtime.oauth2
    await app.register(wellKnown, {
      publicUrl: config.PUBLIC_URL,
      issuers: config.OAUTH2_AUTH_SERVER,
      scopes: () => loginScopes(grantable()),
      legacyDiscovery: config.OAUTH2_LEGACY_DISCOVERY ? () => issuers[0]!.metadataUrl : undefined
    })
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
  return { idleMs: config.SESSION_IDLE_MS, maxMs: config.SESSION_MAX_MS, maxOfOwner: config.MAX_SESSIONS_PER_PRINCIPAL, maxTotal: config.MAX_SESSIONS }
}
