import type { FastifyPluginAsync } from 'fastify'
import type { Metrics } from '../src/telemetry/metrics.ts'

export interface MetricsRouteOptions {
  metrics: Metrics
}

/** For Prometheus, which shows no credential: it holds numbers and fixed words only. */
const metricsRoute: FastifyPluginAsync<MetricsRouteOptions> = async (app, { metrics }) => {
  app.get(
    '/metrics',
    { config: { secureMcp: { public: true, unlogged: true }, rateLimit: false } },
    async (_request, reply) => {
      reply.type(metrics.contentType)
      return await metrics.text()
    }
  )
}

export default metricsRoute
