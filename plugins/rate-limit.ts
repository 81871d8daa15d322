import rateLimit from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { limitOf } from '../src/auth/counters.ts'
import { rateLimited, type RateLimit, type RateLimitResult } from '../src/core/limit.ts'

export interface RateLimitOptions {
  /** For routes that ask no credential: counted by address. */
  rule: RateLimit
}

/**
 * Refuses what is over its limit, after authentication, which names the
 * caller, and before the body costs anything. The counting is our sliding
 * window in shared state: a caller's request was counted in the same step that
 * looked its credential up, so this plugin's store only hands that count on.
 */
export default fp<RateLimitOptions>(async function limits (app, { rule }) {
  await app.register(rateLimit, {
    hook: 'onRequest', // after those of all plugins, so the caller is known
    global: true,
    // The store is asked with the request itself, since the count stands there.
    keyGenerator: request => request as unknown as string,
    max: (_request, key) => (key as unknown as FastifyRequest).secureMcp.rateLimit?.limit ?? rule.limit,
    timeWindow: rule.windowMs,
    store: resultStore(request => app.secureMcp.countStranger(request)) as never,
    addHeaders: NO_HEADERS,
    addHeadersOnExceeding: NO_HEADERS,
    errorResponseBuilder: ({ secureMcp: { rateLimit, caller } }) =>
      rateLimited(rateLimit!, { rule: caller === undefined ? 'limit of the address' : limitOf(caller, rateLimit!) })
  })

  // The remaining count is on every answer that got this far, refusals included.
  app.addHook('onSend', function writeLimit (request, reply, payload, done) {
    const { rateLimit } = request.secureMcp
    if (rateLimit !== undefined) writeHeaders(reply, rateLimit)
    done(null, payload)
  })
}, { name: 'secure-mcp/rate-limit', fastify: '5.x', dependencies: ['secure-mcp/auth'] })

/** draft-ietf-httpapi-ratelimit-headers, and the older trio that many clients still read. */
function writeHeaders (reply: FastifyReply, { limit, windowMs, remaining, resetMs }: RateLimitResult): void {
  const reset = Math.ceil(Math.min(resetMs, windowMs) / 1000)
  reply.header('ratelimit-policy', `"default";q=${limit};w=${Math.ceil(windowMs / 1000)}`)
  reply.header('ratelimit', `"default";r=${remaining};t=${reset}`)
  reply.header('x-ratelimit-limit', limit)
  reply.header('x-ratelimit-remaining', remaining)
  reply.header('x-ratelimit-reset', reset)
}

const NO_HEADERS = {
  'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false, 'retry-after': false
}

type Counted = (error: Error | null, result?: { current: number, ttl: number }) => void

/** What @fastify/rate-limit asks of a store, as far as it uses it: over the limit means `current > max`. */
function resultStore (countStranger: (request: FastifyRequest) => Promise<void>) {
  return class {
    incr (key: unknown, callback: Counted): void {
      const request = key as FastifyRequest
      if (request.secureMcp.rateLimit !== undefined) return answer(request.secureMcp.rateLimit, callback)
      countStranger(request).then(() => answer(request.secureMcp.rateLimit!, callback), callback)
    }

    child () {
      return this
    }
  }
}

function answer ({ allowed, limit, remaining, retryAfterMs, resetMs }: RateLimitResult, callback: Counted): void {
  callback(null, allowed ? { current: limit - remaining, ttl: resetMs } : { current: limit + 1, ttl: retryAfterMs })
}
