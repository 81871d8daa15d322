/** Where a caller is counted. */
import type { RateLimit, RateLimitResult } from '../core/limit.ts'
import type { Principal } from '../core/principal.ts'
import type { Store } from '../state/store.ts'

export interface Counter {
  /** The counter in shared state. */
  readonly subject: string
  readonly rule: RateLimit
}

export interface Counters extends Counter {
  /**
   * OAuth2: the counter of the subject alone, beside that of subject and
   * client: who makes clients at will gets no more of them.
   */
  readonly shared: Counter | undefined
}

/**
 * Count units everywhere, or nowhere if they do not fit. Both counters are
 * asked at once.
 *
 * @returns the count that refused, or the caller's own with the smaller rest
 * @throws {AppError} STATE_UNAVAILABLE
 */
export async function countIn (
  store: Store,
  { subject, rule, shared }: Counters,
  cost: number
): Promise<RateLimitResult> {
  if (shared === undefined) return await store.hit(subject, rule, { cost })
  const [own, all] = await Promise.all([
    store.hit(subject, rule, { cost }), store.hit(shared.subject, shared.rule, { cost })
  ])
  if (own.allowed && all.allowed) {
    return { ...own, remaining: Math.min(own.remaining, all.remaining), sharedSlice: all.slice }
  }
  if (own.allowed) await store.giveBack(subject, own.slice, { cost })
  if (all.allowed) await store.giveBack(shared.subject, all.slice, { cost })
  return own.allowed ? all : own
}

/**
 * What counting `cost` units would say now. Nothing is counted.
 *
 * @throws {AppError} STATE_UNAVAILABLE
 */
export async function foreseeIn (store: Store, counters: Counters, cost: number): Promise<RateLimitResult> {
  const { subject, rule, shared } = counters
  if (shared === undefined) return await foresee(store, { subject, rule }, cost)
  const [own, all] = await Promise.all([foresee(store, { subject, rule }, cost), foresee(store, shared, cost)])
  if (own.allowed && all.allowed) return { ...own, remaining: Math.min(own.remaining, all.remaining) }
  return own.allowed ? all : own
}

/** @param tool the window of this tool, beside the subject's */
export async function foresee (
  store: Store, { subject, rule }: Counter, cost: number, tool?: string
): Promise<RateLimitResult> {
  const left = await store.hit(subject, rule, { cost: 0, ...(tool === undefined ? {} : { tool }) })
  const allowed = left.remaining >= cost
  const retryAfterMs = allowed ? 0 : cost > left.limit ? left.windowMs : Math.max(left.retryAfterMs, left.resetMs)
  return { ...left, allowed, retryAfterMs, remaining: Math.max(0, left.remaining - cost) }
}

/** Give units back that were counted with `result`. Best effort. */
export async function giveBackIn (
  store: Store,
  { subject, shared }: Counters,
  { slice, sharedSlice }: RateLimitResult,
  cost: number
): Promise<void> {
  await store.giveBack(subject, slice, { cost })
  if (shared !== undefined && sharedSlice !== undefined) await store.giveBack(shared.subject, sharedSlice, { cost })
}

/** Which limit a count was held to, for the log. */
export function limitOf (
  { principal, rule }: Counter & { readonly principal: Principal },
  { limit }: RateLimitResult
): string {
  if (limit !== rule.limit) return 'limit of the subject'
  return rule.of === 'key' ? 'limit of the key' : `limit of ${principal.authType}`
}
