/** Composition: the ordered list of plugins and routes, in the order in which a request meets them. */
import type { FastifyInstance } from 'fastify'
import { proxies } from './core/address.ts'
import { loginScopes } from './core/oauth-scopes.ts'
import { hostCheck, originCheck } from './core/origin.ts'
import { pathPrefix } from './core/request-target.ts'
import type { SessionRule } from './core/session.ts'
import type { Runtime } from './runtime.ts'
import type { Config } from './settings/schema.ts'
import type { Store } from './state/store.ts'
import type { Metrics } from './telemetry/metrics.ts'
import address from '../plugins/address.ts'
import auth from '../plugins/auth.ts'
import batchAnswers from '../plugins/batch-answers.ts'
import browserLogin from '../plugins/browser-login.ts'
import connections from '../plugins/connections.ts'
import errors from '../plugins/errors.ts'
import jsonBody from '../plugins/json-body.ts'
import knownRoutes from '../plugins/known-routes.ts'
import loadShedding from '../plugins/load-shedding.ts'
import mcp from '../plugins/mcp.ts'
import metricsPlugin from '../plugins/metrics.ts'
import origin from '../plugins/origin.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestContext from '../plugins/request-context.ts'
import requestLog from '../plugins/request-log.ts'
import { SecureMcp } from '../plugins/service.ts'
import state from '../plugins/state.ts'
import strangers from '../plugins/strangers.ts'
import transport from '../plugins/transport.ts'
import mcpRoute from '../routes/mcp.ts'
import oauthRoutes from '../routes/oauth.ts'
import probes from '../routes/probes.ts'
import wellKnown, { resourceMetadataUrl } from '../routes/well-known.ts'

/** What is composed, and for what kind of app. */
export interface Composition {
  readonly config: Config
  /** Opened by the caller; closed with the app. */
  readonly store: Store
  readonly runtime: Runtime
  readonly metrics: Metrics
  /** Names what is refused before there is a request. */
  readonly requestId: () => string
  /** How often what stays open is judged again, ms. For tests. */
  readonly judgeStreamsMs?: number | undefined
  /** Silence after which a client that takes streams is told something, ms. For tests. */
  readonly quietMs?: number | undefined
  /** False: the SDK answers everything. For measuring what the fast lane saves. */
  readonly fastLane?: boolean | undefined
}

/** Connections beside MAX_CONNECTIONS, on which probes alone are answered. */
const SPARE_CONNECTIONS = 256

/** Every concern in the order in which a request meets it. */
export async function compose (app: FastifyInstance, composition: Composition): Promise<void> {
  app.decorate('secureMcp', new SecureMcp())
  app.addHook('onClose', () => composition.runtime.close())
  await registerTransport(app, composition)
  await registerIdentity(app, composition)
  await registerProtocol(app, composition)
  await registerRoutes(app, composition)
}

/** What is settled before anybody is identified. */
async function registerTransport (app: FastifyInstance, { config, store, runtime, metrics, requestId }: Composition): Promise<void> {
  const isProxy = proxies(config.TRUST_PROXY)
  const allowed = {
    isHost: hostCheck(config.ALLOWED_HOSTS, new URL(config.PUBLIC_URL).protocol),
    isOrigin: originCheck(config.ALLOWED_ORIGINS)
  }
  await app.register(requestContext)
  await app.register(errors)
  await app.register(requestLog)
  await app.register(connections, {
    max: config.MAX_CONNECTIONS,
    maxStrangersOfGroup: config.MAX_CONNECTIONS_PER_ADDRESS ?? Math.max(1, Math.ceil(config.MAX_CONNECTIONS / 4)),
    spare: SPARE_CONNECTIONS,
    isProxy,
    onClosed: metrics.connectionClosed
  })
  await app.register(loadShedding, { maxInFlight: config.MAX_IN_FLIGHT })
  await app.register(batchAnswers)
  await app.register(state, { store })
  await app.register(metricsPlugin, { metrics })
  await app.register(origin, allowed)
  await app.register(address, { isProxy })
  await app.register(transport, { allowed, requestId, onRefused: trace => metrics.refused(trace.decision) })
  await app.register(strangers, { rule: runtime.rules.none })
  const endpoint = `${pathPrefix(config.PUBLIC_URL)}/mcp`
  await app.register(knownRoutes, { issuers: config.OAUTH2_AUTH_SERVER, endpoint })
}

/** Who is asking, and whether there is room for one more request of theirs. */
async function registerIdentity (app: FastifyInstance, { config, runtime: { identify, oauth2, rules } }: Composition): Promise<void> {
  await app.register(auth, {
    identify,
    publicUrl: config.PUBLIC_URL,
    ...(oauth2 === undefined
      ? {}
      : { oauth2: { metadataUrl: resourceMetadataUrl(config.PUBLIC_URL), grantable: oauth2.grantable } })
  })
  if (oauth2 !== undefined && config.OAUTH2_CLIENT_ID !== undefined) {
    await app.register(browserLogin, {
      issuers: oauth2.issuers,
      publicUrl: config.PUBLIC_URL,
      clientId: config.OAUTH2_CLIENT_ID,
      clientSecret: config.OAUTH2_CLIENT_SECRET,
      // An audience of its own kind, such as api://…, is not for this parameter.
      resource: config.OAUTH2_AUDIENCE.find(audience => audience === `${config.PUBLIC_URL}/mcp`),
      secrets: config.STATE_SECRET
    })
  }
  await app.register(rateLimit, { rule: rules.none })
}

async function registerProtocol (app: FastifyInstance, { config, runtime, judgeStreamsMs, quietMs, fastLane }: Composition): Promise<void> {
  await app.register(jsonBody)
  await app.register(mcp, {
    identity: runtime.identity,
    offer: runtime.offer,
    inspection: runtime.inspection,
    sealer: runtime.sealer,
    authentication: runtime.authentication,
    sessions: config.LEGACY_SESSIONS ? { ids: runtime.sessionIds, rule: sessionRule(config) } : undefined,
    maxStreamsOfPrincipal: config.MAX_STREAMS_PER_PRINCIPAL,
    maxStreamMs: config.STREAM_MAX_MS,
    judgeStreamsMs,
    quietMs,
    fastLane
  })
}

async function registerRoutes (app: FastifyInstance, { config, store, runtime: { oauth2 } }: Composition): Promise<void> {
  await app.register(probes, {
    waiting: () => app.secureMcp.traffic.draining ? ['draining'] : store.available() ? [] : ['redis']
  })
  if (oauth2 !== undefined) {
    const { grantable, issuers } = oauth2
    await app.register(wellKnown, {
      publicUrl: config.PUBLIC_URL,
      name: config.SERVER_TITLE ?? config.SERVER_NAME,
      issuers: config.OAUTH2_AUTH_SERVER,
      scopes: () => loginScopes(grantable()),
      legacyDiscovery: config.OAUTH2_LEGACY_DISCOVERY ? () => issuers[0]!.metadataUrl : undefined
    })
    if (config.OAUTH2_CLIENT_ID !== undefined) {
      await app.register(oauthRoutes, {
        publicUrl: config.PUBLIC_URL, loginScopes: config.OAUTH2_LOGIN_SCOPES, scopeMap: config.OAUTH2_SCOPE_MAP
      })
    }
  }
  await app.register(mcpRoute, { maxRequestBytes: config.MAX_REQUEST_BYTES })
}

function sessionRule (config: Config): SessionRule {
  return { idleMs: config.SESSION_IDLE_MS, maxMs: config.SESSION_MAX_MS, maxOfOwner: config.MAX_SESSIONS_PER_PRINCIPAL, maxTotal: config.MAX_SESSIONS }
}
