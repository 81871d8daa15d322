/** Limits as the rest of the code speaks of them. The arithmetic is in sliding-window.ts. */
import { AppError } from '../errors.ts'

/** At most `limit` units in any `windowMs`. */
export interface RateLimit {
  readonly limit: number
  readonly windowMs: number
  /** Whose it is, for the log; absent: of the class of the caller. */
  readonly of?: 'key' | undefined
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
  /** The same in the counter that a principal shares with others of its subject. */
  readonly sharedSlice?: number
  /** Counted in this process because shared state is out of reach. */
  readonly degraded?: boolean
}

export interface Limited {
  /** Default RATE_LIMITED. */
  readonly reason?: 'RATE_LIMITED' | 'TOO_MANY_FAILURES'
  /** Whose limit, for the log: `limit of the key`. */
  readonly rule?: string | undefined
}

/**
 * What a caller is told to wait, ms: never more than the window. Room may
 * return up to one slice later (sliding-window.ts); whoever comes back before
 * that is told the rest.
 */
export function waitOf ({ retryAfterMs, windowMs }: Pick<RateLimitResult, 'retryAfterMs' | 'windowMs'>): number {
  return Math.min(retryAfterMs, windowMs)
}

/** The refusal of a count. */
export function rateLimited (
  result: Pick<RateLimitResult, 'retryAfterMs' | 'windowMs'>,
  { reason = 'RATE_LIMITED', rule }: Limited = {}
): AppError {
  const retryAfterMs = waitOf(result)
  return new AppError(reason, 'Rate limit exceeded', {
    data: { retryAfterMs }, headers: { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }, rule
  })
}
