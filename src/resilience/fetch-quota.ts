/** How often one authorization server is asked for what it publishes, whatever happens here or there. */
export interface FetchQuota {
  /**
   * Whether one more request may be made now; if so it is counted.
   *
   * @param now ms of a clock that only goes forward
   * @param left how many of the window must be left for others
   */
  take (now: number, left?: number): boolean
}

/** Metadata in up to three places, its keys, and a few more tries. */
export const MOST_FETCHES = 6
export const WINDOW_MS = 60_000

/** At most `most` in any window: the times of the last ones are kept, so there is no edge at which they double. */
export function fetchQuota (most = MOST_FETCHES, windowMs = WINDOW_MS): FetchQuota {
  let taken: number[] = []
  return {
    take (now, left = 0) {
      taken = taken.filter(at => now - at < windowMs)
      if (taken.length >= most - left) return false
      taken.push(now)
      return true
    }
  }
}

const FIRST_PAUSE_MS = 2000

/**
 * How long to wait after fetches that went wrong, while nothing was ever
 * fetched: an authorization server that starts a moment later than this
 * service is found in seconds, one that is not there is left in peace.
 *
 * @param failures in a row, at least 1
 * @param mostMs where the doubling ends
 */
export function backoffMs (failures: number, mostMs: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), mostMs)
}
