/**
 * Lets the first few lines of a kind through and leaves out the rest for a
 * while: when Redis is gone, what each of thousands of requests was refused for
 * is said once, not thousands of times. The line of each request itself stays.
 */
export class Sampling {
  readonly #most: number
  readonly #everyMs: number
  readonly #kinds = new Map<string, { since: number, passed: number, omitted: number }>()

  /**
   * @param most lines of one kind in `everyMs`
   * @param everyMs ms
   */
  constructor (most: number, everyMs: number) {
    this.#most = most
    this.#everyMs = everyMs
  }

  /**
   * @param kind one of a few words, never a client's
   * @param now ms, of any clock that only goes forwards
   * @returns how many were left out since the last line of this kind, or undefined if this one is left out, too
   */
  pass (kind: string, now: number): number | undefined {
    const seen = this.#kinds.get(kind)
    if (seen === undefined || now - seen.since >= this.#everyMs) {
      this.#kinds.set(kind, { since: now, passed: 1, omitted: 0 })
      return seen?.omitted ?? 0
    }
    if (seen.passed < this.#most) {
      seen.passed++
      return 0
    }
    seen.omitted++
    return undefined
  }
}
