import fp from 'fastify-plugin'
import { McpService, type McpOptions } from '../src/mcp/dispatch.ts'

/** The protocol, for the route that speaks it. Open streams end when the server stops listening. */
export default fp<Omit<McpOptions, 'store' | 'log'>>(async function mcp (app, options) {
  const service = new McpService({ ...options, store: app.secureMcp.store, log: app.secureMcp.log })
  app.secureMcp.mcp = service
  app.addHook('preClose', () => service.close())
}, { name: 'secure-mcp/mcp', fastify: '5.x', dependencies: ['secure-mcp/rate-limit'] })
