import fp from 'fastify-plugin'
import type { Logger } from 'pino'
import { routeOf } from './request-context.ts'

/** One line a request: who, what, what was decided, how long it took. Probes are left out. */
export default fp(async function requestLog (app) {
  // No field is called a credential. What looks like one is taken out where lines are written.
  const lines = (app.secureMcp.log as Partial<Logger>).child?.({}, { redact: [] }) ?? app.secureMcp.log

  app.addHook('onResponse', function writeLine (request, reply, done) {
    if (routeOf(request).unlogged !== true) {
      const { trace, rateLimit, address } = request.secureMcp
      lines.info({
        reqId: trace.requestId,
        principal: trace.principal,
        auth: trace.auth,
        http: `${request.method} ${request.routeOptions.url ?? '(no route)'}`,
        method: trace.method,
        target: trace.target,
        status: reply.statusCode,
        degraded: rateLimit?.degraded,
        decision: trace.decision,
        rule: trace.rule,
        ms: Math.round(reply.elapsedTime * 100) / 100,
        address
      }, 'request')
    }
    done()
  })
}, { name: 'secure-mcp/request-log', fastify: '5.x', dependencies: ['secure-mcp/request-context'] })
