/** Whether one more request may be taken in. Pure: what was measured comes in. */
export interface Load {
  /** Requests being answered now, open streams left out. */
  readonly inFlight: number
  /** Looks in a row, up to the last one, that found the event loop late. */
  readonly lateLooks: number
}

/** A look that comes so much after its time found the event loop late, ms. */
export const LATE_MS = 500

/** So many late looks in a row are a state, not a stumble: a collection of garbage, a neighbour's burst, one slow tool. */
export const LATE_LOOKS = 3

/**
 * Requests in flight say what this process was asked to do, so they decide:
 * beyond the bound every answer would be late without more of them being made,
 * and refusing a few early keeps the rest fast. A late event loop alone says
 * nothing of that, for a neighbour on the machine makes it late, too, and to
 * refuse would help nobody. It counts only where it lasts and half the bound
 * is in flight: requests so heavy that the bound itself is too wide for them.
 */
export function mayTake ({ inFlight, lateLooks }: Load, maxInFlight: number): boolean {
  if (inFlight >= maxInFlight) return false
  return lateLooks < LATE_LOOKS || inFlight < maxInFlight / 2
}

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
