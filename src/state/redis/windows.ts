/**
 * Windows counted in Redis, by its clock; in this process alone, to its share, while Redis is out of reach or
 * cannot write.
 */
import type { RateLimit, RateLimitResult } from '../../core/limit.ts'
import { MemoryWindows } from '../memory/windows.ts'
import type { Counting, Windows } from '../windows.ts'
import type { Client } from './client/connection.ts'
import type { Guard } from './client/guarded-client.ts'
import type { RateLimitTuple } from './client/scripts.ts'
import type { Names } from './names.ts'

export interface RedisWindowsOptions {
  client: Client
  names: Names
  ask: Guard
  /** State is known to be lost: nothing is then counted, and nobody served. */
  lost: () => boolean
  /** Replicas expected: the share of a limit that this one grants alone. */
  replicas: number
  /** Told of each count that this process made alone. */
  onDegraded: () => void
  /** Told whether Redis could write: undefined if so, else its word for why not. */
  onWritten: (whyNot: string | undefined) => void
  /** ms since the epoch, for tests; the clock of Redis if absent. */
  clock?: (() => number) | undefined
}

export class RedisWindows implements Windows {
  readonly #options: RedisWindowsOptions
  readonly #alone: MemoryWindows

  constructor (options: RedisWindowsOptions) {
    this.#options = options
    this.#alone = new MemoryWindows(options.clock ?? (() => performance.timeOrigin + performance.now()))
  }

  async hit (subject: string, rule: RateLimit, { cost = 1, tool }: Counting = {}): Promise<RateLimitResult> {
    const { client, names, ask, lost, clock } = this.#options
    const window = names.window(subject, tool)
    try {
      const counted = await ask(
        () => client.hitWindow(window, rule.limit, rule.windowMs, cost, clock?.() ?? ''),
        window
      )
      return this.resultOf(counted, window, rule, cost)
    } catch (error) {
      // Fails open, to this process's share of the limit: nobody is served without a limit, and nobody is locked out.
      if (lost()) throw error
      return this.countAlone(window, rule, cost)
    }
  }

  async giveBack (subject: string, slice: number, { cost = 1, tool }: Counting = {}): Promise<void> {
    const { client, names, ask } = this.#options
    const window = names.window(subject, tool)
    await ask(() => client.giveBackUnits(window, slice, cost), window).catch(() => {})
  }

  /** What a script counted; where Redis could not write what it would have counted, this process counts. */
  resultOf (counted: RateLimitTuple | [why: string], window: string, rule: RateLimit, cost: number): RateLimitResult {
    if (counted.length === 1) {
      this.#options.onWritten(counted[0])
      return this.countAlone(window, rule, cost)
    }
    const [allowed, limit, remaining, retryAfterMs, resetMs, slice] = counted
    if (allowed === 1) this.#options.onWritten(undefined)
    return { allowed: allowed === 1, limit, windowMs: rule.windowMs, remaining, retryAfterMs, resetMs, slice }
  }

  countAlone (window: string, rule: RateLimit, cost: number): RateLimitResult {
    this.#options.onDegraded()
    const share = { limit: Math.ceil(rule.limit / this.#options.replicas), windowMs: rule.windowMs }
    // The limit told is the whole one: what a caller may expect has not changed.
    return { ...this.#alone.count(window, share, cost), limit: rule.limit, degraded: true }
  }
}
