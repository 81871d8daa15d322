/** Limits as the rest of the code speaks of them. The arithmetic is in sliding-window.ts. */
import { AppError } from '../errors.ts'

/** At most `limit` units in any `windowMs`. */
export interface RateLimit {
  readonly limit: number
  readonly windowMs: number
}

/** What became of one attempt to count. */
export interface RateLimitResult {
  readonly allowed: boolean
  /** The limit it was held to. */
  readonly limit: number
  readonly windowMs: number
  /** Units left now. */
  readonly remaining: number
  /** 0 when allowed; else waiting exactly this long lets the same attempt through. */
  readonly retryAfterMs: number
  /** ms until the oldest counted unit leaves the window and `remaining` grows. */
  readonly resetMs: number
  /** Where the units were counted, so that they can be given back exactly there. */
  readonly slice: number
  /** Counted in this process because shared state is out of reach. */
  readonly degraded?: boolean
}

/** The refusal of a verdict: waiting `Retry-After` is enough. */
export function rateLimited ({ retryAfterMs }: RateLimitResult, code: 'RATE_LIMITED' | 'TOO_MANY_FAILURES' = 'RATE_LIMITED'): AppError {
  return new AppError(code, 'Rate limit exceeded', {
    data: { retryAfterMs }, headers: { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }
  })
}
