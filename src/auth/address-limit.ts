import { addressGroup } from '../core/address.ts'
import type { RateLimit, RateLimitResult } from '../core/limit.ts'
import type { Store } from '../state/store.ts'

/** Addresses that are known to be over a limit at once; the one that was noted first is forgotten first. */
const MAX_REMEMBERED = 10_000

/**
 * A limit on what comes from one address without a principal. The count is
 * shared state's. That an address is over is remembered here until it is not:
 * what is refused then costs no look-up, so that a flood never reaches Redis.
 */
export class AddressLimit {
  readonly #store: Pick<Store, 'hit'>
  readonly #prefix: string
  readonly #rule: RateLimit
  /** Address group → when it may come again, ms of `performance.now()`. */
  readonly #overUntil = new Map<string, number>()
  /** Address group → until when something of it is in the window, ms of `performance.now()`. */
  readonly #countedUntil = new Map<string, number>()

  /** @param prefix of the counter's name in shared state; the address group comes behind it */
  constructor (store: Pick<Store, 'hit'>, prefix: string, rule: RateLimit) {
    this.#store = store
    this.#prefix = prefix
    this.#rule = rule
  }

  /**
   * Whether this process knows the address to be over, without asking anyone.
   *
   * @param address in normal form
   * @returns the refusal, else undefined
   */
  refusal (address: string): RateLimitResult | undefined {
    if (this.#overUntil.size === 0) return undefined // as nearly always
    const group = addressGroup(address)
    const until = this.#overUntil.get(group)
    if (until === undefined) return undefined
    const waitMs = Math.ceil(until - performance.now())
    if (waitMs > 0) {
      return { allowed: false, ...this.#rule, remaining: 0, retryAfterMs: waitMs, resetMs: waitMs, slice: 0 }
    }
    this.#overUntil.delete(group)
    return undefined
  }

  /** Whether this process counted something of the address within the window. */
  hasCounted (address: string): boolean {
    if (this.#countedUntil.size === 0) return false
    return (this.#countedUntil.get(addressGroup(address)) ?? 0) > performance.now()
  }

  /**
   * Count one, if the address is not over.
   *
   * @param address in normal form
   * @throws {AppError} STATE_UNAVAILABLE where state was lost
   */
  async count (address: string): Promise<RateLimitResult> {
    const known = this.refusal(address)
    if (known !== undefined) return known
    const group = addressGroup(address)
    const result = await this.#store.hit(this.#prefix + group, this.#rule)
    // The last one that fits makes it over: the next needs no count to be refused.
    if (result.remaining === 0) {
      remember(this.#overUntil, group, performance.now() + (result.allowed ? result.resetMs : result.retryAfterMs))
    }
    remember(this.#countedUntil, group, performance.now() + this.#rule.windowMs)
    return result
  }
}

function remember (map: Map<string, number>, group: string, until: number): void {
  map.delete(group)
  if (map.size >= MAX_REMEMBERED) map.delete(map.keys().next().value!)
  map.set(group, until)
}
