import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { AppError } from '../src/errors.ts'
import { redact } from '../src/telemetry/redact.ts'
import type { Message } from '../src/mcp/admit.ts'
import { knownMethod } from '../src/mcp/methods.ts'
import type { HttpResponse } from '../src/mcp/http-response.ts'
import { requireServed } from '../src/mcp/sessions/sessions.ts'
import { targetOf, type Target } from '../src/mcp/target.ts'

export interface McpRouteOptions {
  maxRequestBytes: number
}

/**
 * The MCP endpoint: Streamable HTTP, every revision at one URL. Each request
 * is complete in itself or names a session that every replica can look up, so
 * any of them can answer it.
 */
const mcpRoute: FastifyPluginAsync<McpRouteOptions> = async (app, { maxRequestBytes }) => {
  app.post('/mcp', { config: { jsonRpc: true }, bodyLimit: maxRequestBytes }, async (request, reply) => {
    const message = (request.body ?? {}) as Message
    const { method, params } = message
    const { secureMcp } = request
    const caller = secureMcp.caller!
    if (typeof method === 'string') {
      secureMcp.trace.method = knownMethod(method)
      secureMcp.trace.target = shown(targetOf(method, params))
    }

    secureMcp.rateLimit = await app.mcp.admit(message, caller, request.headers)
    reply.header('cache-control', 'no-store')
    return send(reply, await app.mcp.serve(message, request.headers, {
      caller, log: request.log, becomesStream: () => app.traffic.becomesStream(request), abortSignal: () => gone(reply)
    }))
  })

  app.route({
    method: ['GET', 'DELETE'],
    url: '/mcp',
    config: { jsonRpc: true },
    handler: async (request, reply) => {
      const { sessions } = app.mcp
      const { headers, method } = request
      const id = headers['mcp-session-id']
      // Exactly 405: some clients take anything else for a reason to try again at once.
      if (sessions === undefined || typeof id !== 'string') {
        throw new AppError('METHOD_NOT_ALLOWED', 'Only POST is served here', { headers: { allow: 'POST' } })
      }
      requireServed(headers['mcp-protocol-version'])
      if (method === 'DELETE') {
        await sessions.end(id, request.secureMcp.caller!.principal)
        return reply.send()
      }
      if (!/\btext\/event-stream\b|\*\/\*/.test(headers.accept ?? '*/*')) throw new AppError('INVALID_REQUEST', 'This is an event stream: accept text/event-stream')
      return send(reply, await sessions.stream(id, request.secureMcp.caller!, request.log))
    }
  })
}

export default mcpRoute

/** What was named, as permissions spell it: the caller's own words, without what looks like a credential. */
function shown (target: Target | undefined): string | undefined {
  if (target === undefined) return undefined
  const { kind, name } = target
  const spelled = kind === 'tool' ? name : `${kind}:${name}`
  return spelled.length < 16 ? spelled : redact(spelled, 128)
}

/** Fires when the client closes the connection before it has its answer. */
function gone (reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  if (reply.raw.closed) controller.abort()
  else reply.raw.once('close', () => controller.abort())
  return controller.signal
}

/** Fastify sends a web Response and a stream like any payload, so hooks and headers still apply. */
function send (reply: FastifyReply, answer: Response | HttpResponse): FastifyReply {
  if (answer instanceof Response) {
    answer.headers.delete('connection') // whether it ends is not the SDK's to say
    return reply.send(answer)
  }
  return reply.code(answer.status).headers(answer.headers).send(answer.body)
}
