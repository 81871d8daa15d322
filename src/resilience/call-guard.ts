import { Unreachable } from './unreachable.ts'

export interface CallGuardOptions {
  /** Whom the calls reach, for the log. */
  what: string
  /** Calls under way at once; more are refused rather than queued. */
  maxUnderWay: number
  /** Failures in a row until nothing is asked for a while. */
  maxFailures: number
  pauseMs: number
}

/** Bounds what a server in trouble may cost: few calls at once, and none for a while after several failures. */
export class CallGuard {
  readonly #options: CallGuardOptions
  #underWay = 0
  #failures = 0
  /** ms of `performance.now()`. */
  #closedUntil = -Infinity

  constructor (options: CallGuardOptions) {
    this.#options = options
  }

  /**
   * @param work fails by throwing
   * @throws {Unreachable} at once, if too much is under way or too much failed; else what `work` throws
   */
  async run<T> (work: () => Promise<T>): Promise<T> {
    const { what, maxUnderWay, maxFailures, pauseMs } = this.#options
    if (this.#underWay >= maxUnderWay) throw new Unreachable(`${maxUnderWay} calls to ${what} are under way already`)
    if (performance.now() < this.#closedUntil) throw new Unreachable(`${what} failed several times just now`)
    this.#underWay++
    try {
      const result = await work()
      this.#failures = 0
      return result
    } catch (error) {
      if (++this.#failures >= maxFailures) this.#closedUntil = performance.now() + pauseMs
      throw error
    } finally {
      this.#underWay--
    }
  }
}
