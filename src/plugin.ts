/**
 * The ordered list of plugins and routes, in the order in which a request meets them; and that list as a
 * plugin for apps of others.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AuditLog } from './audit/audit-log.ts'
import { linesInto } from './audit/from-settings.ts'
import { identifyGiven, type Caller } from './auth/chain.ts'
import type { RequestFacts } from './auth/authenticator.ts'
import { givenIdentity, type CustomIdentity } from './auth/custom.ts'
import { proxies } from './core/address.ts'
import { isReverseDnsName } from './core/identity.ts'
import { loginScopes } from './core/oauth-scopes.ts'
import { hostCheck, originCheck } from './core/origin.ts'
import { pathPrefix } from './core/request-target.ts'
import type { SessionRule } from './core/session.ts'
import { UsageError } from './errors.ts'
import { createKey, listKeys, revokeKeys, rotateKey, viewOf } from './operate/keys.ts'
import { buildRuntime, type Runtime } from './runtime.ts'
import { loadOptions, type SettingOptions } from './settings/options.ts'
import { redisOptions, type RedisInstance } from './settings/redis-instance.ts'
import type { Config } from './settings/schema.ts'
import { openStore } from './state/open.ts'
import type { Store } from './state/store.ts'
import { childLogOptions, type Log } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import type { Source } from './tools/catalogue.ts'
import { loadTools } from './tools/load.ts'
import type { ToolHook } from './tools/tool.ts'
import address from '../plugins/address.ts'
import { auditRecords, auditTurns, refusedOutside } from '../plugins/audit.ts'
import auth from '../plugins/auth.ts'
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
import { SecureMcp, type AppKeys, type Tools } from '../plugins/service.ts'
import state from '../plugins/state.ts'
import strangers from '../plugins/strangers.ts'
import transport from '../plugins/transport.ts'
import upstreams from '../plugins/upstreams.ts'
import mcpRoute from '../routes/mcp.ts'
import oauthRoutes from '../routes/oauth.ts'
import { collectPreflights } from '../routes/preflights.ts'
import probes from '../routes/probes.ts'
import serverCard from '../routes/server-card.ts'
import wellKnown, { resourceMetadataUrl } from '../routes/well-known.ts'

/** @internal What is composed, and for what kind of app. */
export interface Composition {
  readonly config: Config
  /** Opened by the caller; closed with the app. */
  readonly store: Store
  readonly runtime: Runtime
  readonly metrics: Metrics
  /**
   * Where the listener is ours: its connections, what Node would settle by itself, unknown paths. Absent
   * inside another app.
   */
  readonly listener?: {
    /** Names what is refused before there is a request. */
    readonly requestId: () => string
  } | undefined
  /** Path of the endpoint below the prefix of the app that it is composed in. Absent: as in the settings. */
  readonly path?: string | undefined
  /** Keeps the record of each request, and writes its line. */
  readonly audit: AuditLog
  /** Who asks, where another app knows. */
  readonly given?: ((request: FastifyRequest, facts: RequestFacts) => Promise<Caller>) | undefined
  /** How often what stays open is judged again, ms. For tests. */
  readonly judgeStreamsMs?: number | undefined
  /** Silence after which a client that takes streams is told something, ms. For tests. */
  readonly quietMs?: number | undefined
  /** False: the SDK answers everything. For measuring what the fast lane saves. */
  readonly fastLane?: boolean | undefined
}

/** Connections beside MAX_CONNECTIONS, on which probes alone are answered. */
const SPARE_CONNECTIONS = 256

/** @internal Every concern in the order in which a request meets it. */
export async function compose (app: FastifyInstance, service: SecureMcp, composition: Composition): Promise<void> {
  app.decorate('secureMcp', service)
  app.addHook('onClose', () => composition.runtime.close())
  await registerTransport(app, composition)
  await registerIdentity(app, composition)
  await registerProtocol(app, composition)
  await registerRoutes(app, composition)
}

/** What is settled before anybody is identified. */
async function registerTransport (app: FastifyInstance, composition: Composition): Promise<void> {
  const { config, store, runtime, metrics, listener, audit } = composition
  const isProxy = proxies(config.TRUST_PROXY)
  const allowed = {
    isHost: hostCheck(config.ALLOWED_HOSTS, new URL(config.PUBLIC_URL).protocol),
    isOrigin: originCheck(config.ALLOWED_ORIGINS)
  }
  await app.register(requestContext)
  await app.register(errors)
  if (listener !== undefined) {
    await app.register(connections, {
      max: config.MAX_CONNECTIONS,
      maxStrangersOfGroup: config.MAX_CONNECTIONS_PER_ADDRESS ?? Math.max(1, Math.ceil(config.MAX_CONNECTIONS / 4)),
      spare: SPARE_CONNECTIONS,
      isProxy,
      onClosed: metrics.connectionClosed
    })
  }
  await app.register(loadShedding, { maxInFlight: config.MAX_IN_FLIGHT })
  await app.register(auditTurns, { audit })
  await app.register(state, { store })
  await app.register(metricsPlugin, { metrics, audit, issuers: runtime.oauth2?.issuers ?? [] })
  await app.register(origin, allowed)
  await app.register(address, { isProxy: listener && isProxy })
  if (listener !== undefined) {
    const { requestId } = listener
    await app.register(transport, { allowed, requestId, onRefused: trace => refusedOutside(trace, metrics, audit) })
  }
  await app.register(strangers, { rule: runtime.rules.none })
  if (listener !== undefined) {
    const endpoint = pathPrefix(config.PUBLIC_URL) + config.path
    await app.register(knownRoutes, { issuers: config.OAUTH2_AUTH_SERVER, endpoint })
  }
}

/** Who is asking, and whether there is room for one more request of theirs. */
async function registerIdentity (app: FastifyInstance, { config, given, runtime }: Composition): Promise<void> {
  const { identify, oauth2, rules } = runtime
  const { PUBLIC_URL: publicUrl, path } = config
  await app.register(auth, {
    identify,
    given,
    publicUrl,
    ...(oauth2 === undefined
      ? {}
      : { oauth2: { metadataUrl: resourceMetadataUrl(publicUrl, path), grantable: oauth2.grantable } })
  })
  if (oauth2 !== undefined && config.OAUTH2_CLIENT_ID !== undefined) {
    await app.register(browserLogin, {
      issuers: oauth2.issuers,
      publicUrl,
      clientId: config.OAUTH2_CLIENT_ID,
      clientSecret: config.OAUTH2_CLIENT_SECRET,
      // An audience of its own kind, such as api://…, is not for this parameter.
      resource: config.OAUTH2_AUDIENCE.find(audience => audience === publicUrl + path),
      secrets: config.STATE_SECRET
    })
  }
  await app.register(rateLimit, { rule: rules.none })
}

async function registerProtocol (
  app: FastifyInstance,
  { config, runtime, audit, judgeStreamsMs, quietMs, fastLane }: Composition
): Promise<void> {
  await app.register(auditRecords, { audit })
  await app.register(jsonBody)
  await app.register(mcp, {
    identity: runtime.identity,
    offer: runtime.offer,
    inspection: runtime.inspection,
    toolHook: runtime.toolHook,
    sealer: runtime.sealer,
    authentication: runtime.authentication,
    onBegin: trace => audit.addNow(trace, 'begun'),
    sessions: config.LEGACY_SESSIONS ? sessionsOf(config, runtime) : undefined,
    maxStreamsOfPrincipal: config.MAX_STREAMS_PER_PRINCIPAL,
    maxStreamMs: config.STREAM_MAX_MS,
    judgeStreamsMs,
    quietMs,
    fastLane
  })
  if (runtime.upstreams !== undefined) await app.register(upstreams, { set: runtime.upstreams })
}

async function registerRoutes (app: FastifyInstance, composition: Composition): Promise<void> {
  const { config, store, listener, audit, runtime } = composition
  const { oauth2 } = runtime
  const { PUBLIC_URL: publicUrl } = config
  const path = composition.path ?? config.path
  const preflights = listener === undefined ? collectPreflights(app) : undefined
  if (listener !== undefined) {
    await app.register(probes, {
      waiting: () =>
        app.secureMcp.traffic.draining
          ? ['draining']
          : [...(store.available() ? [] : (['redis'] as const)), ...(audit.available ? [] : (['audit'] as const))]
    })
  }
  if (oauth2 !== undefined) {
    const { grantable, issuers } = oauth2
    await app.register(wellKnown, {
      publicUrl,
      path,
      name: config.SERVER_TITLE ?? config.SERVER_NAME,
      issuers: config.OAUTH2_AUTH_SERVER,
      scopes: () => loginScopes(grantable()),
      legacyDiscovery: config.OAUTH2_LEGACY_DISCOVERY ? () => issuers[0]!.metadataUrl : undefined
    })
    if (config.OAUTH2_CLIENT_ID !== undefined) {
      await app.register(oauthRoutes, {
        publicUrl, path, loginScopes: config.OAUTH2_LOGIN_SCOPES, scopeMap: config.OAUTH2_SCOPE_MAP
      })
    }
  }
  if (isReverseDnsName(config.SERVER_NAME)) {
    const needsKey = runtime.authentication.required && oauth2 === undefined && composition.given === undefined
    await app.register(serverCard, { path, identity: runtime.identity, url: publicUrl + config.path, needsKey })
  }
  const { MAX_REQUEST_BYTES: maxRequestBytes, TOOL_HEADERS: toolHeaders } = config
  await app.register(mcpRoute, { path, maxRequestBytes, toolHeaders, gateway: runtime.gateway })
  if (preflights !== undefined) await app.register(preflights)
}

function sessionsOf (config: Config, { sessionIds: ids }: Runtime) {
  return { path: config.path, ids, rule: sessionRule(config) }
}

function sessionRule (config: Config): SessionRule {
  return {
    idleMs: config.SESSION_IDLE_MS,
    maxMs: config.SESSION_MAX_MS,
    maxOfOwner: config.MAX_SESSIONS_PER_PRINCIPAL,
    maxTotal: config.MAX_SESSIONS
  }
}

/** What an app says of a caller. */
export type { CustomIdentity as Principal } from './auth/custom.ts'
export type { AppKey, AppKeys, SecureMcp } from '../plugins/service.ts'
export type { SettingOptions } from './settings/options.ts'

/** Options of the plugin: its own, and every setting by its option's name. */
export interface SecureMcpOptions extends Omit<SettingOptions, 'toolHook'> {
  /** URL at which clients reach the app, such as https://shop.example.com: every URL in an answer begins with it. */
  publicUrl: string
  /** Path of the endpoint. Default: /mcp */
  path?: string | undefined
  /** What is offered: definitions, a folder of them, or a function of the app, whose decorators are there. */
  tools?: Tools | ((app: FastifyInstance) => Tools | Promise<Tools>) | undefined
  /**
   * Who is calling, where the app knows: no credential is read then, and keys and OAuth2 are off. Nobody in particular
   * is undefined, null or false, and answered 401. It is asked again each minute while a stream is open.
   */
  principal?: ((request: FastifyRequest) => Given | Promise<Given>) | undefined
  /** An ioredis instance of the app, read for its address alone: connections here have bounds of their own. */
  redis?: RedisInstance | undefined
  /** Runs around every permitted call of a tool: a function, or a module of one. */
  toolHook?: ToolHook | string | undefined
  /** For `mcpServersFile`: what its `${…}` name, and PATH and the like of its programs. Usually those of the process. */
  env?: Readonly<Record<string, string | undefined>> | undefined
  /** False writes no line for a request. */
  requestLog?: boolean | undefined
}

/** Fastify hands a prefix on, whoever registers. */
type Registered = SecureMcpOptions & { prefix?: string }

type Given = CustomIdentity | undefined | null | false | ''

/**
 * Everything of this product inside another app, whose other routes stay as they are: a context of its own, one
 * decorator (`app.secureMcp`) outside it. Register it at the root, and first, if its hooks should not run here.
 *
 * @throws {UsageError} for options or tools that are wrong
 */
const secureMcp: FastifyPluginAsync<SecureMcpOptions> = async function secureMcp (app, options) {
  const { path = '/mcp', tools = [], principal, redis, requestLog, ...others } = options as Registered
  const { toolHook, env = {}, prefix = '', ...rest } = others
  const hook = typeof toolHook === 'function' ? toolHook : undefined
  const settings = typeof toolHook === 'string' ? { ...rest, toolHook } : rest
  const fullPath = pathIn(app.prefix + prefix, path, settings)
  const other =
    principal &&
    (['oauth2AuthServer', 'authenticator', 'mcpApiKey'] as const).find(name => settings[name] !== undefined)
  if (other !== undefined) throw new UsageError(`principal and ${other} both say who is calling: keep one`)
  const { config, warnings } = loadOptions(
    { ...settings, ...(redis === undefined ? {} : redisOptions(redis)) },
    fullPath
  )
  const log = app.log.child({}, childLogOptions)
  for (const warning of warnings) log.warn({}, warning)
  const metrics = createMetrics()
  const store = await openStore(config, log, { onDegraded: metrics.degraded, serving: true })
  try {
    const loadSources = async () => await sourcesOf(typeof tools === 'function' ? await tools(app) : tools, config, log)
    const runtime = await buildRuntime({
      config,
      store,
      logger: log,
      loadSources,
      given: principal !== undefined,
      toolHook: hook,
      // A file that happens to be in the folder of the app is not meant for this.
      env: config.chosen.has('MCP_SERVERS_FILE') ? env : undefined,
      upstreamCounts: metrics.upstreams
    })
    const given = principal && ((request: FastifyRequest, facts: RequestFacts) =>
      identifyGiven(runtime.chain, givenIdentity(async () => await principal(request) || undefined), facts))
    const service = new SecureMcp(log)
    const audit = new AuditLog({ out: requestLog === false ? () => {} : linesInto(log) })
    service.keys = keysIn(store)
    service.metrics = metrics.text
    service.reload = async tools => runtime.offerInstead(await sourcesOf(tools, config, log))
    // Two endpoints in one app: the first has the name, the second where it is registered inside a plugin.
    if (!Object.hasOwn(app, 'secureMcp')) app.decorate('secureMcp', service)
    await app.register(async inner => {
      inner.setChildLoggerFactory((_log, bindings, more) => log.child(bindings, more))
      await compose(inner, service, { config, store, runtime, metrics, path, audit, given })
    }, { prefix })
  } catch (error) {
    await store.close()
    throw error
  }
}

export default fp(secureMcp, { name: 'secure-mcp', fastify: '5.x' })

/** @throws {UsageError} for a path that is none, or that discovery cannot stand beside */
function pathIn (
  prefix: string, path: string, { oauth2AuthServer, publicUrl }: { oauth2AuthServer?: unknown, publicUrl?: unknown }
): string {
  if (publicUrl === undefined) {
    throw new UsageError(
      'publicUrl is missing: the URL at which clients reach the app, such as https://shop.example.com'
    )
  }
  if (!/^(\/[A-Za-z0-9._~-]+)+$/.test(path)) {
    throw new UsageError('path must look like /mcp: segments of letters, digits and . _ ~ -, no slash at its end')
  }
  if (prefix !== '' && oauth2AuthServer !== undefined) {
    throw new UsageError(
      `OAuth2 needs /.well-known/… at the root of the origin (RFC 9728), and the prefix ${prefix} would move it: ` +
        `register the plugin at the root and write path: '${prefix}${path}'`
    )
  }
  return prefix + path
}

/** A day, ms: as `keys rotate` has it. */
const OVERLAP_MS = 86_400_000

function keysIn (store: Store): AppKeys {
  return {
    async create (wanted) {
      const { key, record } = await createKey(store, { ...wanted, role: 'caller' })
      return { key, record: viewOf(record) }
    },
    list: async () => await listKeys(store),
    async rotate (which, overlapMs = OVERLAP_MS) {
      const { key, record } = await rotateKey(store, which, { overlapMs, endPrevious: false })
      return { key, record: viewOf(record) }
    },
    async revoke (which) { await revokeKeys(store, [which]) }
  }
}

async function sourcesOf (tools: Tools, config: Config, log: Log): Promise<readonly Source[]> {
  const { MCP_DEBUG: debug, BUILT_IN_TOOLS: builtInTools } = config
  if (typeof tools === 'string') {
    return await loadTools(tools, { warn: message => log.warn({}, message), debug, builtInTools })
  }
  const builtIn = await loadTools(undefined, { debug, builtInTools })
  return [...builtIn, ...tools.map(definition => ({ from: 'tools', definition }))]
}
