import fp from 'fastify-plugin'
import type { Logger } from 'pino'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the message asked for, for the log line. */
    rpc: { method?: string, target?: string } | undefined
  }
}

/** One line a request: who, what, what was decided, how long it took. Probes are left out. */
export default fp(async function requestLog (app) {
  app.decorateRequest('rpc', undefined)
  // Nothing to redact: these fields hold no credential, and looking for one costs more than the line.
  const lines = (app.log as Partial<Logger>).child?.({}, { redact: [] }) ?? app.log

  app.addHook('onResponse', function writeLine (request, reply, done) {
    if (request.routeOptions.config.quiet !== true) {
      const { caller, rpc } = request
      lines.info({
        reqId: request.id,
        principal: caller?.principal.id,
        auth: caller?.principal.authType,
        http: `${request.method} ${request.routeOptions.url ?? '(no route)'}`,
        method: rpc?.method,
        tool: rpc?.target,
        status: reply.statusCode,
        degraded: request.verdict?.degraded,
        decision: request.refusal ?? 'served',
        ms: Math.round(reply.elapsedTime * 100) / 100,
        address: request.address
      }, 'request')
    }
    done()
  })
}, { name: 'request-log', fastify: '5.x', dependencies: ['errors'] })

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Write no line for it. */
    quiet?: boolean
  }
}
