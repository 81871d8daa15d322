import fp from 'fastify-plugin'
import { McpService, type McpOptions } from '../src/mcp/dispatch.ts'

declare module 'fastify' {
  interface FastifyInstance {
    mcp: McpService
  }
}

/** The protocol, for the route that speaks it. Open streams end when the server stops listening. */
export default fp<Omit<McpOptions, 'store' | 'log'>>(async function mcp (app, options) {
  const service = new McpService({ ...options, store: app.store, log: app.log })
  app.decorate('mcp', service)
  app.addHook('preClose', () => service.close())
}, { name: 'mcp', fastify: '5.x', dependencies: ['rate-limit'] })
