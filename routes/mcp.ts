import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../src/auth/chain.ts'
import { NOTHING_NAMED, type Decision } from '../src/decision/decide.ts'
import type { Trace } from '../src/decision/trace.ts'
import { AppError } from '../src/errors.ts'
import { accepted } from '../src/core/accept.ts'
import { Departure } from '../src/core/departure.ts'
import { passedBy } from '../src/core/via.ts'
import type { HttpResponse } from '../src/mcp/http-response.ts'
import { requireServed } from '../src/mcp/message.ts'
import type { RequestContext } from '../src/mcp/serving.ts'
import type { Log } from '../src/telemetry/log.ts'
import type { Onward } from '../src/tools/context.ts'
import { HIDDEN } from './hidden.ts'

export interface McpRouteOptions {
  /** Below the prefix of the app that it is registered in. */
  path: string
  maxRequestBytes: number
  /** Headers that handlers may read, in lower case. */
  toolHeaders: readonly string[]
  /** The name of this gateway, as messages that passed it bear it. */
  gateway: string
}

/**
 * The MCP endpoint: Streamable HTTP, every revision at one URL. Each request
 * is complete in itself or names a session that every replica can look up, so
 * any of them can answer it.
 */
const mcpRoute: FastifyPluginAsync<McpRouteOptions> = async (app, { path, maxRequestBytes, toolHeaders, gateway }) => {
  const marked = { schema: HIDDEN, config: { secureMcp: { jsonRpc: true } } }
  app.post(path, { ...marked, bodyLimit: maxRequestBytes }, async (request, reply) => {
    reply.header('cache-control', 'no-store')
    if (passedBy(request.headers.via).includes(gateway)) throw cameBack()
    const context = new HttpContext(request, reply, toolHeaders)
    return send(reply, await app.secureMcp.mcp.serve(request.body, request.headers, context))
  })

  app.route({
    method: ['GET', 'DELETE'],
    url: path,
    ...marked,
    exposeHeadRoute: false, // a HEAD would end the stream of the session that it names
    handler: async (request, reply) => {
      const { sessions } = app.secureMcp.mcp
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
      if (!accepted(headers.accept).stream) {
        throw new AppError('NOT_ACCEPTABLE', 'This is an event stream: accept text/event-stream')
      }
      return send(reply, await sessions.stream(id, request.secureMcp.caller!, request.log))
    }
  })
}

export default mcpRoute

/** One message over HTTP, as the protocol sees who sends it. */
class HttpContext implements RequestContext {
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly caller: Caller
  readonly trace: Trace
  readonly headers: Readonly<Record<string, string>>
  decision: Decision = NOTHING_NAMED
  #departure: Departure | undefined

  constructor (request: FastifyRequest, reply: FastifyReply, toolHeaders: readonly string[]) {
    this.#request = request
    this.#reply = reply
    this.caller = request.secureMcp.caller!
    this.trace = request.secureMcp.trace
    this.headers = toolHeaders.length === 0 ? NO_HEADERS : chosen(request.headers, toolHeaders)
  }

  get log (): Log { return this.#request.log }

  // Functions of their own, because they travel without their object.
  readonly becomesStream = (): void => { this.#request.server.secureMcp.traffic.becomesStream(this.#request) }
  readonly asksUpstream = (): void => { this.#request.server.secureMcp.traffic.asksUpstream(this.#request) }

  /** What may go on to an upstream where its entry says so. */
  readonly onward = (): Onward => {
    const { headers } = this.#request
    const { authType } = this.caller.principal
    return {
      header (name) {
        const value = headers[name]
        return typeof value === 'string' ? value : undefined
      },
      subjectToken: () =>
        authType === 'oauth2' ? /^(?:Bearer|DPoP) +(\S+)$/i.exec(headers.authorization ?? '')?.[1] : undefined
    }
  }

  /** The client closes the connection before it has its answer. */
  readonly departure = (): Departure => {
    if (this.#departure !== undefined) return this.#departure
    const departure = new Departure()
    this.#departure = departure
    const { raw } = this.#reply
    if (raw.closed) departure.leave()
    // An answer that went out closes, too.
    else raw.once('close', () => { if (!raw.writableFinished) departure.leave() })
    return departure
  }
}

function cameBack (): AppError {
  return new AppError('LOOP_DETECTED', 'This message passed this server before: it is behind itself')
}

const NO_HEADERS = Object.freeze({})

function chosen (headers: FastifyRequest['headers'], names: readonly string[]): Readonly<Record<string, string>> {
  const given: Record<string, string> = {}
  for (const name of names) {
    const value = headers[name]
    if (value !== undefined) given[name] = String(value)
  }
  return given
}

/** Fastify sends a stream like any payload, so hooks and headers still apply. */
function send (reply: FastifyReply, answer: HttpResponse): FastifyReply {
  return reply.code(answer.status).headers(answer.headers).send(answer.body)
}
