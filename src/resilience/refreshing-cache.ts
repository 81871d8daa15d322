import { backoffMs } from './backoff.ts'
import { Unreachable } from './unreachable.ts'

export interface RefreshPolicy {
  /** Between fetches that go well, ms; up to an eighth more, so that replicas do not ask in step. */
  readonly everyMs: number
  /** After one that went wrong, ms; sooner while there is no value yet, see `backoffMs`. */
  readonly retryMs: number
  /** Between any two, however much they are wanted, ms. */
  readonly gapMs: number
  /** How long the last good value serves while every fetch goes wrong, ms. */
  readonly staleMs: number
  /** How long a caller waits for the first, ms; the fetch goes on without it. */
  readonly waitMs: number
}

export interface RefreshingCacheOptions<T> {
  fetch: () => Promise<T>
  policy: RefreshPolicy
  /** Told of each change between well and in trouble. */
  onState?: (trouble: Error | undefined) => void
}

/**
 * A value that another server publishes: fetched in the background before it is
 * needed, by one fetch at a time, not too often, and kept while that server is
 * in trouble.
 */
export class RefreshingCache<T> {
  readonly #fetch: () => Promise<T>
  readonly #policy: RefreshPolicy
  readonly #onState: (trouble: Error | undefined) => void
  #value: { readonly it: T, readonly at: number } | undefined
  #lastStart = -Infinity
  #failures = 0
  #trouble: Error | undefined
  #underWay: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** Fetches at once: everything that `fetch` needs must be there. */
  constructor ({ fetch, policy, onState = () => {} }: RefreshingCacheOptions<T>) {
    this.#fetch = fetch
    this.#policy = policy
    this.#onState = onState
    this.#attempt().catch(() => {})
  }

  /**
   * The value; waits only while there is none.
   *
   * @throws {Unreachable}
   */
  async get (): Promise<T> {
    const now = this.#usable()
    if (now !== undefined) return now.it
    await patience(this.#attempt(), this.#policy.waitMs)
    const then = this.#usable()
    if (then === undefined) throw new Unreachable(this.#trouble?.message ?? 'no answer in time')
    return then.it
  }

  /**
   * Fetch anew, unless that was done a moment ago.
   *
   * @returns whether the value is fresh: just fetched, or so recently that asking again would say the same
   */
  async refresh (): Promise<boolean> {
    await patience(this.#attempt(), this.#policy.waitMs)
    return this.#underWay === undefined && this.#trouble === undefined && this.#value !== undefined
  }

  /** Fetch now if there is no value: what it waited for is there. */
  refreshNow (): void {
    if (this.#value !== undefined || this.#underWay !== undefined) return
    this.#lastStart = -Infinity
    this.#attempt().catch(() => {})
  }

  /** How old the value is, ms; undefined where there is none. */
  get ageMs (): number | undefined {
    return this.#value === undefined ? undefined : performance.now() - this.#value.at
  }

  /** Whether the last fetch failed. */
  get inTrouble (): boolean {
    return this.#trouble !== undefined
  }

  close (): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #usable (): { readonly it: T } | undefined {
    const value = this.#value
    return value !== undefined && performance.now() - value.at <= this.#policy.staleMs ? value : undefined
  }

  /** Join the fetch that is under way, start one, or do nothing because the last was a moment ago. */
  async #attempt (): Promise<void> {
    if (this.#closed) return
    if (this.#underWay === undefined && performance.now() - this.#lastStart >= this.#gapMs()) {
      this.#underWay = this.#run().finally(() => { this.#underWay = undefined })
    }
    await this.#underWay
  }

  async #run (): Promise<void> {
    const { everyMs, retryMs, gapMs } = this.#policy
    this.#lastStart = performance.now()
    try {
      this.#value = { it: await this.#fetch(), at: performance.now() }
      if (this.#trouble !== undefined) this.#onState(undefined)
      this.#trouble = undefined
      this.#failures = 0
      this.#schedule(everyMs * (1 + Math.random() / 8))
    } catch (error) {
      if (this.#trouble === undefined) this.#onState(error as Error)
      this.#trouble = error as Error
      this.#failures++
      this.#schedule(this.#value === undefined ? this.#gapMs() : Math.max(retryMs, gapMs))
    }
  }

  /** Between any two fetches. */
  #gapMs (): number {
    const { retryMs, gapMs } = this.#policy
    return this.#value === undefined && this.#failures > 0 ? backoffMs(this.#failures, retryMs) : gapMs
  }

  #schedule (inMs: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => this.#due(), inMs)
    this.#timer.unref()
  }

  /**
   * A timer may fire up to a millisecond before its time by the clock: nothing would be fetched then, nor
   * ever again.
   */
  #due (): void {
    const earlyMs = this.#lastStart + this.#gapMs() - performance.now()
    if (this.#underWay === undefined && earlyMs > 0) this.#schedule(earlyMs)
    else this.#attempt().catch(() => {})
  }
}

/** Wait for the work, but not for long; it goes on. */
async function patience (work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise<void>(resolve => { timer = setTimeout(resolve, ms) })])
  clearTimeout(timer)
}
