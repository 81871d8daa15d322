const FIRST_MS = 2000

/**
 * How long to wait after attempts that failed: what starts a moment later than
 * this service is found in seconds, what is not there is left in peace.
 *
 * @param failures in a row, at least 1
 * @param maxMs where the doubling ends
 * @returns ms
 */
export function backoffMs (failures: number, maxMs: number): number {
  return Math.min(FIRST_MS * 2 ** (failures - 1), maxMs)
}
