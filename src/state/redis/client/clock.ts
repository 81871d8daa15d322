/**
 * The clock of Redis, as this process follows it between two looks by time
 * that nobody sets. Replicas whose own clocks are wrong, or are set, judge
 * every end alike.
 */
export class RedisClock {
  /** What Redis' clock showed when `performance.now` was 0, ms since the epoch. */
  #base = Date.now() - performance.now()
  #seen = false

  /** ms since the epoch. This machine's clock until Redis was asked. */
  now = (): number => Math.round(this.#base + performance.now())

  /**
   * @param time as TIME answers: seconds and microseconds
   * @param asked of `performance.now`, when it was asked
   * @returns whether the clock was set since: by more than a second beyond what the answer's own way explains
   */
  follow ([seconds, micros]: readonly (string | number)[], asked: number): boolean {
    const arrived = performance.now()
    const base = Number(seconds) * 1000 + Number(micros) / 1000 - (asked + arrived) / 2
    const stepped = this.#seen && Math.abs(base - this.#base) > STEP_MS + (arrived - asked)
    this.#base = base
    this.#seen = true
    return stepped
  }
}

const STEP_MS = 1000
