import { randomBytes } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Caller } from '../src/auth/chain.ts'
import type { RateLimitResult } from '../src/core/limit.ts'
import { Trace } from '../src/decision/trace.ts'

/**
 * Everything of this service on a request, in one object. All fields from the start, so that all requests
 * have one shape.
 */
export class SecureMcpRequest {
  /** What was decided, for the log line, the metrics and the audit. */
  readonly trace: Trace
  /** Who is calling. Undefined only on open routes. */
  caller: Caller | undefined = undefined
  /** What this request takes up: an answer in the making, an open stream, or nothing. */
  countedAs: 'flight' | 'stream' | 'upstream' | undefined = undefined
  /** Whose share of the places it takes. */
  placeOf: string = ''
  /** The turn of the event loop in which it came. */
  turn: number = -1

  constructor (requestId: string) {
    this.trace = new Trace(requestId)
  }

  /** Where the request came from, in normal form; never the text of a header. */
  get address (): string { return this.trace.address }
  set address (address: string) { this.trace.address = address }

  /** The count of this request, made with its authentication or by the limiter. */
  get rateLimit (): RateLimitResult | undefined { return this.trace.limit }
  set rateLimit (counted: RateLimitResult | undefined) { this.trace.limit = counted }
}

declare module 'fastify' {
  interface FastifyRequest {
    readonly secureMcp: SecureMcpRequest
  }
  interface FastifyContextConfig {
    /** What routes of secure-mcp-server say of themselves. */
    secureMcp?: SecureMcpRoute
  }
}

/** What a route says of itself. Nothing: it is closed, logged, and held to every bound. */
export interface SecureMcpRoute {
  /** Answer without asking who is calling. */
  readonly public?: boolean
  /** Answer failures as JSON-RPC. */
  readonly jsonRpc?: boolean
  /** Answer under any Host: for probes, which come by address. */
  readonly anyHost?: boolean
  /** Answer blocked addresses too: for probes, so that a blocked range with the prober in it restarts nothing. */
  readonly anyAddress?: boolean
  /** Answer pages of any origin: for what says the same to everyone. */
  readonly anyOrigin?: boolean
  /** Answer even under load: for probes. */
  readonly neverShed?: boolean
  /** Write no line for it, and count it nowhere. */
  readonly unlogged?: boolean
}

const KEPT = Symbol('secure-mcp request')

interface Holder extends FastifyRequest {
  [KEPT]: SecureMcpRequest | null
}

/** What a route says of itself. */
export function routeOf ({ routeOptions: { config } }: FastifyRequest): SecureMcpRoute {
  return config.secureMcp ?? UNMARKED
}

const UNMARKED: SecureMcpRoute = Object.freeze({})

/**
 * Gives every request its object, and its answer the request's id, before
 * anything else of ours looks at it. The object is made on first use: hooks of
 * an app around us may end a request before its first hook here.
 */
export default fp(async function requestContext (app) {
  app.decorateRequest(KEPT, null)
  app.decorateRequest('secureMcp', {
    getter () {
      const holder = this as Holder
      holder[KEPT] ??= new SecureMcpRequest(this.id)
      return holder[KEPT]
    }
  })
  app.addHook('onRequest', function nameRequest (request, reply, done) {
    request.secureMcp.trace.http = `${request.method} ${request.routeOptions.url ?? '(no route)'}`
    reply.header('x-request-id', request.id)
    done()
  })
}, { name: 'secure-mcp/request-context', fastify: '5.x' })

/**
 * Unique among processes by a random beginning, within one by a count: random bytes for each would cost as
 * much as its authentication.
 */
export function requestIds (): () => string {
  const prefix = randomBytes(8).toString('hex')
  let count = 0
  return () => `${prefix}-${(++count).toString(36)}`
}
