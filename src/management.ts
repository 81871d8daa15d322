/** The management listener's app. Listens on nothing. */
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Identify } from './auth/chain.ts'
import { normalAddress } from './core/address.ts'
import { NO_CREDENTIAL, readCredential } from './core/credential.ts'
import { rateLimited } from './core/limit.ts'
import { AppError } from './errors.ts'
import type { Metrics } from './telemetry/metrics.ts'
import requestContext from '../plugins/request-context.ts'
import errors from '../plugins/errors.ts'
import metricsRoute from '../routes/metrics.ts'

export interface ManagementOptions {
  identify: Identify
  metrics: Metrics
  logger: FastifyBaseLogger
}

/** Everything here but `/metrics` needs an operator's credential, and is found out to be absent only with one. */
export async function buildManagement ({ identify, metrics, logger }: ManagementOptions): Promise<FastifyInstance> {
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 65_536,
    requestTimeout: 10_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 500, maxHeaderSize: 16_384 }
  }) as unknown as FastifyInstance
  app.server.maxConnections = 100

  await app.register(requestContext)
  await app.register(errors)
  app.addHook('onRequest', async function authorize (request) {
    if (request.routeOptions.config.public === true) return
    const { authorization, 'x-api-key': apiKey } = request.headers
    const credential = authorization === undefined && apiKey === undefined ? NO_CREDENTIAL : readCredential(authorization, apiKey, undefined)
    const address = normalAddress(request.socket.remoteAddress ?? '') ?? '0.0.0.0'
    const { principal, rateLimit: verdict } = await identify(credential, { address, method: request.method, url: request.url.split('?', 1)[0]! })
    if (!verdict.allowed) throw rateLimited(verdict)
    if (principal.role !== 'operator') throw new AppError('FORBIDDEN', 'This needs an operator key')
  })
  await app.register(metricsRoute, { metrics })
  return app
}
