/** Composition of the management listener, like src/app.ts. Listens on nothing. */
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Identify } from './auth/chain.ts'
import { addressedHostCheck } from './core/origin.ts'
import { routedTarget } from './core/request-target.ts'
import { AppError } from './errors.ts'
import type { Config } from './settings/schema.ts'
import type { Store } from './state/store.ts'
import type { Metrics } from './telemetry/metrics.ts'
import address from '../plugins/address.ts'
import auth from '../plugins/auth.ts'
import errors from '../plugins/errors.ts'
import origin from '../plugins/origin.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestContext, { requestIds } from '../plugins/request-context.ts'
import requestLog from '../plugins/request-log.ts'
import { SecureMcp } from '../plugins/service.ts'
import state from '../plugins/state.ts'
import strangers from '../plugins/strangers.ts'
import transport from '../plugins/transport.ts'
import metricsRoute from '../routes/metrics.ts'

export interface ManagementOptions {
  config: Config
  /** Opened by the caller, who closes it. */
  store: Store
  identify: Identify
  metrics: Metrics
  logger: FastifyBaseLogger
}

/** Everything here but `/metrics` needs an operator's credential, and is found out to be absent only with one. */
export async function buildManagement ({ config, store, identify, metrics, logger }: ManagementOptions): Promise<FastifyInstance> {
  const requestId = requestIds()
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    rewriteUrl: ({ url }) => routedTarget(url ?? '/', ''),
    bodyLimit: 65_536,
    requestTimeout: 10_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 500, maxHeaderSize: 32_768, requireHostHeader: false },
    genReqId: requestId,
    clientErrorHandler: (error, socket) => app.secureMcp.transport.unreadable(error, socket)
  }) as unknown as FastifyInstance
  app.server.maxConnections = 100
  // Nothing of another origin has business here.
  const allowed = { isHost: addressedHostCheck(config.MANAGEMENT_HOST), isOrigin: (origin: string | undefined) => origin === undefined }
  const rule = { limit: config.RATE_LIMIT_DEFAULT, windowMs: config.RATE_LIMIT_WINDOW_MS }

  app.decorate('secureMcp', new SecureMcp(app.log))
  await app.register(requestContext)
  await app.register(errors)
  await app.register(requestLog)
  await app.register(state, { store, borrowed: true })
  await app.register(origin, allowed)
  await app.register(address, { isProxy: () => false })
  await app.register(transport, { allowed, requestId, onRefused: trace => metrics.refused(trace.decision) })
  await app.register(strangers, { rule })
  await app.register(auth, { identify, publicUrl: '', role: 'operator' })
  await app.register(rateLimit, { rule })
  app.setNotFoundHandler(() => { throw new AppError('NOT_FOUND', 'There is nothing here') })

  await app.register(metricsRoute, { metrics })
  return app
}
