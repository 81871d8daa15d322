/** Metadata in up to three places, its keys, and a few more tries. */
export const MAX_FETCHES = 6
export const WINDOW_MS = 60_000

/**
 * How often something is fetched, whatever happens here or there. The times of
 * the last fetches are kept, so there is no edge at which they double.
 */
export class FetchQuota {
  readonly #max: number
  readonly #windowMs: number
  #taken: number[] = []

  /** @param max in any window */
  constructor (max = MAX_FETCHES, windowMs = WINDOW_MS) {
    this.#max = max
    this.#windowMs = windowMs
  }

  /**
   * Whether one more fetch may be made now; if so it is counted.
   *
   * @param now ms of a clock that only goes forward
   * @param reserved how many of the window are kept for others
   */
  take (now: number, reserved = 0): boolean {
    this.#taken = this.#taken.filter(at => now - at < this.#windowMs)
    if (this.#taken.length >= this.#max - reserved) return false
    this.#taken.push(now)
    return true
  }
}
