import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { retryAfterS, sample, mayTake } from '../src/core/load.ts'
import { AppError } from '../src/errors.ts'

export interface Traffic {
  /** Requests being answered now, open streams left out. */
  readonly inFlight: number
  /** Open event streams. */
  readonly streams: number
  readonly draining: boolean
  /** This request's answer waits for its client: it counts as a stream from now on. */
  becomesStream (request: FastifyRequest): void
  /** From now on not ready, and every connection ends with its next answer; requests are served all the same. */
  drain (): void
  /** Resolves when nothing is in flight, or after `ms`. */
  idle (ms: number): Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    traffic: Traffic
  }
  interface FastifyContextConfig {
    /** Answer even under load: for probes. */
    neverShed?: boolean
  }
}

export interface TrafficOptions {
  maxInFlight: number
}

const LOOK_MS = 100

/**
 * Counts what is in flight and refuses what would be too much, before anything
 * is spent on it. An open stream costs little while nothing happens on it: it
 * is counted apart, from its first byte.
 */
export default fp<TrafficOptions>(async function loadShedding (app, { maxInFlight }) {
  let inFlight = 0
  let streams = 0
  let draining = false
  let lateLooks = 0
  const waiting = new Set<() => void>()

  const leaveFlight = () => {
    inFlight--
    if (inFlight === 0) for (const resolve of waiting) resolve()
  }
  const becomeStream = ({ secureMcp }: FastifyRequest) => {
    if (secureMcp.countedAs !== 'flight') return
    secureMcp.countedAs = 'stream'
    streams++
    leaveFlight()
  }

  let due = performance.now() + LOOK_MS
  const timer = setInterval(() => {
    const now = performance.now()
    lateLooks = sample(lateLooks, now - due)
    due = now + LOOK_MS
  }, LOOK_MS)
  timer.unref()
  app.addHook('onClose', async () => clearInterval(timer))

  app.decorate('traffic', {
    get inFlight () { return inFlight },
    get streams () { return streams },
    get draining () { return draining },
    drain () { draining = true },
    becomesStream (request) { becomeStream(request) },
    async idle (ms) {
      if (inFlight === 0) return
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        waiting.add(resolve)
        timer = setTimeout(resolve, ms)
      })
      clearTimeout(timer)
      waiting.clear()
    }
  } satisfies Traffic)

  let turn = 0
  let turning = false
  const nextTurn = () => {
    turn++
    turning = false
  }

  const ended = ({ secureMcp }: FastifyRequest) => {
    if (secureMcp.countedAs === 'flight') leaveFlight()
    if (secureMcp.countedAs === 'stream') streams--
    secureMcp.countedAs = undefined
  }

  app.addHook('onRequest', function take (request, reply, done) {
    if (draining) reply.header('connection', 'close')
    if (request.routeOptions.config.neverShed === true) return done()
    if (!mayTake({ inFlight, lateLooks }, maxInFlight)) {
      return done(new AppError('OVERLOADED', 'Too much at once; try again', { headers: { 'retry-after': String(retryAfterS(Math.random())) } }))
    }
    inFlight++
    request.secureMcp.countedAs = 'flight'
    request.secureMcp.turn = turn
    if (!turning) {
      turning = true
      setImmediate(nextTurn)
    }
    // Also where the client goes away before the answer.
    reply.raw.once('close', () => ended(request))
    done()
  })

  app.addHook('onResponse', function leave (request, _reply, done) {
    ended(request)
    done()
  })

  app.addHook('onSend', function answer (request, reply, payload, done) {
    if (isLasting(request, reply)) becomeStream(request)
    else if (typeof payload === 'string') ended(request) // nothing is left to do but to write it
    // Text that came and is answered in one turn of the event loop is written at its end, together: docs/decisions/0043-answers-of-one-turn.md.
    if (typeof payload === 'string' && request.secureMcp.turn === turn) setImmediate(done, null, payload)
    else done(null, payload)
  })
}, { name: 'load-shedding', fastify: '5.x', dependencies: ['request-log'] })

/** Streams that stay open: a session's, and a subscription's. Other event streams end with their answer. */
function isLasting (request: FastifyRequest, reply: FastifyReply): boolean {
  return String(reply.getHeader('content-type')).startsWith('text/event-stream') &&
    (request.method === 'GET' || request.secureMcp.trace.method === 'subscriptions/listen')
}
