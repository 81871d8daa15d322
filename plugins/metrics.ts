import fp from 'fastify-plugin'
import type { AuditLog } from '../src/audit/audit-log.ts'
import type { Issuer } from '../src/auth/oauth2/issuer.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { routeOf } from './request-context.ts'

export interface MetricsPluginOptions {
  metrics: Metrics
  /** Keeps the records. */
  audit: AuditLog
  /** Authorization servers that are trusted. */
  issuers: readonly Issuer[]
}

/** Counts and times what was answered. Probes are left out, as in the log. */
export default fp<MetricsPluginOptions>(async function metrics (app, { metrics, audit, issuers }) {
  metrics.watch({
    health: () => app.secureMcp.store.health(),
    inFlight: () => app.secureMcp.traffic.inFlight,
    streams: () => app.secureMcp.traffic.streams,
    revocationsAgeMs: () => app.secureMcp.store.revocations.ageMs(),
    audit: () => audit.chain === undefined ? undefined : audit.figures(),
    issuers: () => issuers.map(({ name, up, keys }) => ({ issuer: name, up, keysAgeMs: keys?.ageMs }))
  })

  app.addHook('onResponse', function count (request, reply, done) {
    if (routeOf(request).unlogged !== true) {
      const { method, auth, target, decision } = request.secureMcp.trace
      metrics.answered({ method, auth, target, decision, seconds: reply.elapsedTime / 1000 })
    }
    done()
  })
}, { name: 'secure-mcp/metrics', fastify: '5.x', dependencies: ['secure-mcp/load-shedding', 'secure-mcp/state'] })
