import fp from 'fastify-plugin'
import type { Metrics } from '../src/telemetry/metrics.ts'

export interface MetricsPluginOptions {
  metrics: Metrics
}

/** Counts and times what was answered. Probes are left out, as in the log. */
export default fp<MetricsPluginOptions>(async function metrics (app, { metrics }) {
  metrics.watch({
    health: () => app.store.health(),
    inFlight: () => app.traffic.inFlight,
    streams: () => app.traffic.streams
  })

  app.addHook('onResponse', function count (request, reply, done) {
    if (request.routeOptions.config.unlogged !== true) {
      const { method, auth, decision } = request.secureMcp.trace
      metrics.answered({ method, auth, decision, seconds: reply.elapsedTime / 1000 })
    }
    done()
  })
}, { name: 'metrics', fastify: '5.x', dependencies: ['load-shedding', 'state'] })
