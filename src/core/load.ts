/** Whether one more request may be taken in. Pure: what was measured comes in. */
export interface Load {
  /** Requests being answered now, open streams left out. */
  readonly inFlight: number
  /** Looks in a row, up to the last one, that found the event loop late. */
  readonly lateLooks: number
}

/** A look that comes so much after its time found the event loop late, ms. */
export const LATE_MS = 500

/**
 * So many late looks in a row are a state, not a stumble: a collection of garbage, a neighbour's burst, one
 * slow tool.
 */
export const LATE_LOOKS = 3

/** The count of late looks after one more, which came `lateMs` after its time. */
export function sample (lateLooks: number, lateMs: number): number {
  return lateMs < LATE_MS ? 0 : lateLooks + 1
}

/**
 * When to come back, s: not all at once.
 *
 * @param random from 0 up to 1
 */
export function retryAfterS (random: number): number {
  return 1 + Math.floor(random * 3)
}
