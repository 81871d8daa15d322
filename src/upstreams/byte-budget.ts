/** Answers of one upstream, a second: large ones of one must not become the slowest of all. */
export const BYTES_PER_SECOND = 4 * 1024 * 1024

/** How long to read nothing, after so many bytes were read. */
export class ByteBudget {
  readonly #perSecond: number
  #left: number
  #at = -Infinity

  constructor (perSecond = BYTES_PER_SECOND) {
    this.#perSecond = perSecond
    this.#left = perSecond
  }

  /**
   * @param now ms of a clock that only goes forward
   * @returns ms to wait before reading on, 0 mostly
   */
  take (bytes: number, now: number): number {
    if (now > this.#at) {
      this.#left = Math.min(this.#perSecond, this.#left + (now - this.#at) * this.#perSecond / 1000)
      this.#at = now
    }
    this.#left -= bytes
    return this.#left >= 0 ? 0 : Math.ceil(-this.#left * 1000 / this.#perSecond)
  }
}
