import fp from 'fastify-plugin'
import { mcpService, type McpOptions, type McpService } from '../src/mcp/dispatch.ts'

declare module 'fastify' {
  interface FastifyInstance {
    mcp: McpService
  }
}

/** The protocol, for the route that speaks it. Open streams end when the server stops listening. */
export default fp<Omit<McpOptions, 'store' | 'log' | 'onFinding'>>(async function mcp (app, options) {
  const service = mcpService({
    ...options,
    store: app.store,
    log: app.log,
    onFinding: ({ tool, pattern, path, principal, blocked }) =>
      app.log.warn({ tool, pattern, path, principal: principal.id, blocked }, 'suspicious argument')
  })
  app.decorate('mcp', service)
  app.addHook('preClose', () => service.close())
}, { name: 'mcp', fastify: '5.x', dependencies: ['rate-limit'] })
