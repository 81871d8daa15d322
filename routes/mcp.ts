import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { AppError } from '../src/errors.ts'
import type { Message } from '../src/mcp/admit.ts'
import { targetOf } from '../src/mcp/target.ts'

export interface McpRouteOptions {
  maxRequestBytes: number
}

/**
 * The MCP endpoint: Streamable HTTP, every revision at one URL. Each request
 * is complete in itself, so any replica can answer it.
 */
const mcpRoute: FastifyPluginAsync<McpRouteOptions> = async (app, { maxRequestBytes }) => {
  app.post('/mcp', { config: { jsonRpc: true }, bodyLimit: maxRequestBytes }, async (request, reply) => {
    const message = (request.body ?? {}) as Message
    const { method, params } = message
    const caller = request.caller!
    if (typeof method === 'string') request.rpc = { method: method.slice(0, 64), target: targetOf(method, params)?.name.slice(0, 128) }

    request.verdict = await app.mcp.admit(message, caller)
    const gone = new AbortController()
    reply.raw.on('close', () => gone.abort())
    reply.header('cache-control', 'no-store')
    // Fastify sends a web Response like any payload, so hooks and headers still apply.
    return app.mcp.serve(message, toWebRequest(request, gone.signal), caller, request.log)
  })

  // Exactly 405: some clients take anything else for a reason to try again at once.
  app.route({
    method: ['GET', 'DELETE'],
    url: '/mcp',
    config: { jsonRpc: true },
    handler: () => { throw new AppError('METHOD_NOT_ALLOWED', 'Only POST is served here', { headers: { allow: 'POST' } }) }
  })
}

export default mcpRoute

/** The head of a request as the SDK reads it; the parsed body goes beside it. The URL is not read. */
function toWebRequest ({ method, headers }: FastifyRequest, signal: AbortSignal): Request {
  const { authorization, 'x-api-key': apiKey, cookie, ...safe } = headers
  return new Request('http://mcp.invalid/mcp', { method, headers: safe as Record<string, string>, signal })
}
