import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import type { Caller } from '../src/auth/chain.ts'
import type { RateLimitResult } from '../src/core/limit.ts'
import { Trace } from '../src/decision/trace.ts'

/** Everything of this service on a request, in one object. All fields from the start, so that all requests have one shape. */
export class SecureMcpRequest {
  /** What was decided, for the log line, the metrics and the audit. */
  readonly trace: Trace
  /** Where the request came from, in normal form; never the text of a header. */
  address: string = ''
  /** Who is calling. Undefined only on open routes. */
  caller: Caller | undefined = undefined
  /** The count of this request, made with its authentication or by the limiter. */
  rateLimit: RateLimitResult | undefined = undefined
  /** What this request takes up: an answer in the making, an open stream, or nothing. */
  countedAs: 'flight' | 'stream' | undefined = undefined
  /** Whose share of the places it takes. */
  placeOf: string = ''
  /** The turn of the event loop in which it came. */
  turn: number = -1

  constructor (requestId: string) {
    this.trace = new Trace(requestId)
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    secureMcp: SecureMcpRequest
  }
}

/** Gives every request its object, and its answer the request's id, before anything else looks at it. */
export default fp(async function requestContext (app) {
  app.decorateRequest('secureMcp', null!)
  app.addHook('onRequest', function begin (request, reply, done) {
    request.secureMcp = new SecureMcpRequest(request.id)
    reply.header('x-request-id', request.id)
    done()
  })
}, { name: 'request-context', fastify: '5.x' })

/** Unique among processes by a random beginning, within one by a count: random bytes for each would cost as much as its authentication. */
export function requestIds (): () => string {
  const prefix = randomBytes(8).toString('hex')
  let count = 0
  return () => `${prefix}-${(++count).toString(36)}`
}
