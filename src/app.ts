/** The public listener: the first user of src/plugin.ts. Listens on nothing. */
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { AuditLog } from './audit/audit-log.ts'
import { linesInto } from './audit/from-settings.ts'
import type { RefreshPolicies } from './auth/oauth2/from-settings.ts'
import { pathPrefix, routedTarget } from './core/request-target.ts'
import { compose } from './plugin.ts'
import { buildRuntime, type Runtime, type RuntimeOptions } from './runtime.ts'
import type { Config } from './settings/schema.ts'
import type { Store } from './state/store.ts'
import { LazyChildLogger } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import type { Source } from './tools/catalogue.ts'
import { requestIds } from '../plugins/request-context.ts'
import { SecureMcp } from '../plugins/service.ts'

export interface AppOptions {
  config: Config
  /** Opened by the caller; the app closes it. */
  store: Store
  logger: FastifyBaseLogger
  /** Shared with the management listener, where there is one. */
  metrics?: Metrics
  /** The same; closed with the app. */
  runtime?: Runtime
  /** Definitions beside the built-in ones and those of TOOLS_DIR. For tests. */
  sources?: readonly Source[]
  /** Load tools again when their files change. */
  reload?: boolean
  /** Keeps records; closed by the caller. Absent: the request line goes to the log alone. */
  audit?: AuditLog
  /** How often what stays open is judged again, ms. For tests. */
  judgeStreamsMs?: number
  /** Silence after which a client that takes streams is told something, ms. For tests. */
  quietMs?: number
  /** How often authorization servers are asked. For tests. */
  oauth2Policies?: RefreshPolicies
  /** False: the SDK answers everything. For measuring what the fast lane saves. */
  fastLane?: boolean
  /** Of the process, for the servers of MCP_SERVERS_FILE; absent: there are none. */
  env?: RuntimeOptions['env']
  /** MCP servers behind this one in place of those of MCP_SERVERS_FILE. For tests. */
  upstreams?: RuntimeOptions['upstreams']
}

export async function buildApp (options: AppOptions): Promise<FastifyInstance> {
  const { config, store, logger, metrics = createMetrics(), judgeStreamsMs, quietMs, fastLane } = options
  const runtime = options.runtime ?? await buildRuntime({ ...options, upstreamCounts: metrics.upstreams })
  const audit = options.audit ?? new AuditLog({ out: linesInto(logger) })
  const requestId = requestIds()
  const app = listener(config, logger, requestId)
  await compose(app, new SecureMcp(app.log), {
    config, store, runtime, metrics, audit, listener: { requestId }, judgeStreamsMs, quietMs, fastLane
  })
  return app
}

function listener (config: Config, logger: FastifyBaseLogger, requestId: () => string): FastifyInstance {
  const prefix = pathPrefix(config.PUBLIC_URL)
  const app = Fastify({
    loggerInstance: logger,
    childLoggerFactory: (log, bindings) => new LazyChildLogger(log, bindings),
    logController: new LogController({ disableRequestLogging: true }), // plugins/audit.ts writes the line
    rewriteUrl: ({ url }) => routedTarget(url ?? '/', prefix),
    bodyLimit: 65_536,
    requestTimeout: 10_000,
    keepAliveTimeout: config.KEEP_ALIVE_TIMEOUT_MS,
    maxRequestsPerSocket: 10_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what still arrives while draining is served, and its connection ended
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 500, maxHeaderSize: 32_768, requireHostHeader: false },
    genReqId: requestId,
    clientErrorHandler: (error, socket) => app.secureMcp.transport.unreadable(error, socket)
  }) as unknown as FastifyInstance
  // A DELETE names what it ends by its headers: some clients say a content type all the same.
  app.addHttpMethod('DELETE', { hasBody: false, overrideExisting: true })
  return app
}
