/** Whether one more request may be taken in. Pure: what was measured comes in. */
export interface Load {
  /** Requests being answered now, open streams left out. */
  readonly inFlight: number
  /** By how much the event loop was late when last looked at, ms. */
  readonly lagMs: number
}

/** Beyond this lag the event loop suffers whatever the number of requests, ms. */
export const MAX_LAG_MS = 500

/** More in flight make every answer late without making more of them: refusing a few early keeps the rest fast. */
export function mayTake ({ inFlight, lagMs }: Load, maxInFlight: number): boolean {
  return inFlight < maxInFlight && lagMs < MAX_LAG_MS
}

/**
 * When to come back, s: not all at once.
 *
 * @param random from 0 up to 1
 */
export function comeBackIn (random: number): number {
  return 1 + Math.floor(random * 3)
}
