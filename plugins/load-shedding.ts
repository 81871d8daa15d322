import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { addressGroup } from '../src/core/address.ts'
import { holderOf } from '../src/core/principal.ts'
import { retryAfterS, sample } from '../src/core/load.ts'
import { Places } from '../src/core/places.ts'
import { judgeLoad, judgePlaces, type Refusal } from '../src/decision/layers.ts'
import { AppError } from '../src/errors.ts'
import { refused } from './refused.ts'
import { routeOf, type SecureMcpRequest } from './request-context.ts'

export interface LoadSheddingOptions {
  maxInFlight: number
}

const SAMPLE_MS = 100

/** What is being answered, and the way to the end of it. */
export class Traffic {
  readonly #places = new Places()
  readonly #waiting = new Set<() => void>()
  readonly #maxInFlight: number
  /** Open event streams. */
  streams = 0
  /** Calls that an upstream is to answer: it bounds them itself (upstreams/turns.ts), so they hold no place here. */
  atUpstreams = 0
  draining = false

  constructor (maxInFlight: number) {
    this.#maxInFlight = maxInFlight
  }

  /** Requests being answered now, open streams left out. */
  get inFlight (): number {
    return this.#places.taken
  }

  /** From now on not ready, and every connection ends with its next answer; requests are served all the same. */
  drain (): void {
    this.draining = true
  }

  /** Resolves when nothing is in flight, or after `ms`. */
  async idle (ms: number): Promise<void> {
    if (this.#isIdle) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      this.#waiting.add(resolve)
      timer = setTimeout(resolve, ms)
    })
    clearTimeout(timer)
    this.#waiting.clear()
  }

  /** Take a place for a request, or say why there is none. */
  take (secureMcp: SecureMcpRequest): Refusal | undefined {
    const { caller, address } = secureMcp
    const holder = caller === undefined ? `address:${addressGroup(address)}` : holderOf(caller.principal)
    const refusal = judgePlaces({
      inFlight: this.inFlight, ofPrincipal: this.#places.of(holder), maxInFlight: this.#maxInFlight
    })
    if (refusal !== undefined) return refusal
    this.#places.take(holder)
    secureMcp.countedAs = 'flight'
    secureMcp.placeOf = holder
    return undefined
  }

  /** This request's answer waits for its client: it counts as a stream from now on. */
  becomesStream ({ secureMcp }: FastifyRequest): void {
    this.#countAs('stream', secureMcp)
  }

  /** From now on an upstream is asked: who waits for one that hangs must not take the places of everybody else. */
  asksUpstream ({ secureMcp }: FastifyRequest): void {
    if (secureMcp.countedAs === 'flight') this.#countAs('upstream', secureMcp)
  }

  /** The request is over. Twice is once. */
  ended (secureMcp: SecureMcpRequest): void {
    this.#countAs(undefined, secureMcp)
  }

  #countAs (to: SecureMcpRequest['countedAs'], secureMcp: SecureMcpRequest): void {
    const from = secureMcp.countedAs
    if (from === undefined || from === to) return
    secureMcp.countedAs = to
    if (to === 'stream') this.streams++
    if (to === 'upstream') this.atUpstreams++
    if (from === 'flight') this.#places.leave(secureMcp.placeOf)
    if (from === 'stream') this.streams--
    if (from === 'upstream') this.atUpstreams--
    if (this.#isIdle) for (const resolve of this.#waiting) resolve()
  }

  get #isIdle (): boolean {
    return this.inFlight === 0 && this.atUpstreams === 0
  }
}

/**
 * Refuses what would be too much: before anything is spent on it where the
 * event loop is late for long, and after authentication where no place is left
 * for it. A place is held from there to the answer, so nobody without a
 * credential holds one while a body comes, and no principal more than its
 * share. An open stream costs little while nothing happens on it: it is
 * counted apart, from its first byte.
 */
export default fp<LoadSheddingOptions>(async function loadShedding (app, { maxInFlight }) {
  const traffic = new Traffic(maxInFlight)
  const lateness = watchEventLoop()
  app.secureMcp.traffic = traffic
  app.addHook('onClose', async () => lateness.stop())

  app.addHook('onRequest', function shed (request, reply, done) {
    if (traffic.draining) reply.header('connection', 'close')
    const refusal =
      routeOf(request).neverShed === true
        ? undefined
        : judgeLoad({ inFlight: traffic.inFlight, lateLooks: lateness.samples }, maxInFlight)
    if (refusal === undefined) return done()
    done(noRoom(refusal))
  })

  app.addHook('preParsing', function takePlace (request, reply, payload, done) {
    if (routeOf(request).neverShed === true) return done(null, payload)
    // Gone while it was identified: its end has been told, and a place taken now would never be left.
    if (reply.raw.closed) {
      return done(
        new AppError('TRANSPORT', 'The client closed the connection before it had its answer', {
          rule: 'client closed'
        })
      )
    }
    const refusal = traffic.take(request.secureMcp)
    if (refusal !== undefined) return done(noRoom(refusal))
    // Also where the client goes away before the answer.
    reply.raw.once('close', () => traffic.ended(request.secureMcp))
    done(null, payload)
  })

  app.addHook('onSend', function leavePlace (request, reply, payload, done) {
    if (isLasting(request, reply)) traffic.becomesStream(request)
    else if (typeof payload === 'string') traffic.ended(request.secureMcp) // nothing is left to do but to write it
    done(null, payload)
  })

  app.addHook('onResponse', function leave (request, _reply, done) {
    traffic.ended(request.secureMcp)
    done()
  })
}, { name: 'secure-mcp/load-shedding', fastify: '5.x', dependencies: ['secure-mcp/errors'] })

/** Counts how often in a row the event loop was late. */
function watchEventLoop (): { readonly samples: number, stop (): void } {
  let samples = 0
  let due = performance.now() + SAMPLE_MS
  const timer = setInterval(() => {
    const now = performance.now()
    samples = sample(samples, now - due)
    due = now + SAMPLE_MS
  }, SAMPLE_MS).unref()
  return {
    get samples () { return samples },
    stop () { clearInterval(timer) }
  }
}

function noRoom (refusal: Refusal) {
  const { retryAfterMs } = refusal.data ?? {}
  const seconds = typeof retryAfterMs === 'number' ? Math.ceil(retryAfterMs / 1000) : retryAfterS(Math.random())
  const message =
    refusal.reason === 'RATE_LIMITED'
      ? 'Too many calls at once; wait for answers'
      : 'Server overloaded; retry after Retry-After seconds'
  return refused(refusal, message, { 'retry-after': String(seconds) })
}

/** Streams that stay open: a session's, and a subscription's. Other event streams end with their answer. */
function isLasting (request: FastifyRequest, reply: FastifyReply): boolean {
  return String(reply.getHeader('content-type')).startsWith('text/event-stream') &&
    (request.method === 'GET' || request.secureMcp.trace.method === 'subscriptions/listen')
}
