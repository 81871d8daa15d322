const MAX_PER_SECOND = 1000
/** Nothing but notifications, and more than those, for so long: nobody is served by this connection. */
const MAX_FLOOD_MS = 10_000

/**
 * How a notification begins, in the two orders in which members are written.
 * Another spelling is let through and judged when it is parsed.
 */
const NOTIFICATION = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"method"\s*:\s*"notifications\//

/** Drops notifications of an upstream that sends too many, before anybody parses them. */
export class NotificationGate {
  #secondStart = -Infinity
  #inSecond = 0
  #floodStart: number | undefined

  /**
   * @param now ms of a clock that only goes forward
   * @returns `end`: the connection should be
   */
  judge (text: string, now: number): 'pass' | 'drop' | 'end' {
    if (!NOTIFICATION.test(text)) {
      this.#floodStart = undefined
      return 'pass'
    }
    if (now - this.#secondStart >= 1000) {
      if (this.#inSecond <= MAX_PER_SECOND) this.#floodStart = undefined
      this.#secondStart = now
      this.#inSecond = 0
    }
    if (++this.#inSecond <= MAX_PER_SECOND) return 'pass'
    this.#floodStart ??= now
    return now - this.#floodStart >= MAX_FLOOD_MS ? 'end' : 'drop'
  }
}
