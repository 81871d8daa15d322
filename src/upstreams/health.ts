/**
 * When an upstream is asked again after it failed: one judge for calls and for starts, so that the two never
 * disagree.
 */

export interface HealthOptions {
  /** Failures in a row until nothing is asked for a while. A start that fails is enough by itself. */
  readonly maxFailures?: number
  /** The first pause, ms; it doubles. */
  readonly firstMs?: number
  readonly maxMs?: number
  readonly now?: () => number
  /** From 0 to 1. */
  readonly random?: () => number
}

const DEFAULTS = {
  maxFailures: 5, firstMs: 1000, maxMs: 60_000, now: () => performance.now(), random: Math.random
} as const
/** A pause is longer or shorter by so much, so that replicas do not come back together. */
const SPREAD = 0.2

export class UpstreamHealth {
  readonly #options: Required<HealthOptions>
  #failures = 0
  /** Pauses so far; the next one is twice the last. */
  #pauses = 0
  #until = -Infinity
  #trouble: string | undefined

  constructor (options: HealthOptions = {}) {
    this.#options = { ...DEFAULTS, ...options }
  }

  /** Why calls fail at once, in words that go on from "Upstream x"; undefined while all is well. */
  get trouble (): string | undefined { return this.#trouble }

  /** How long until the next attempt, ms. When it is 0 one attempt is let through, and decides. */
  get waitMs (): number {
    return Math.max(0, this.#until - this.#options.now())
  }

  /** It runs, or answered. */
  answered (): void {
    this.#failures = 0
    this.#trouble = undefined
    this.#until = -Infinity
  }

  /** It has been well for a while: the next pause is a short one again. */
  steady (): void {
    this.#pauses = 0
  }

  /** A call found no way to it. @returns whether that was one too many */
  failed (why: string): boolean {
    if (++this.#failures < this.#options.maxFailures) return false
    this.notStarted(why)
    return true
  }

  /** It could not be started, or ended soon after. */
  notStarted (why: string): void {
    const { firstMs, maxMs, now, random } = this.#options
    const pauseMs = Math.min(firstMs * 2 ** this.#pauses, maxMs)
    this.#pauses++
    this.#failures = 0
    this.#until = now() + pauseMs * (1 + SPREAD * (2 * random() - 1))
    this.#trouble = why
  }
}
