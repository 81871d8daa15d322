/** Counts of what each subject used in the last while. The arithmetic is that of core/sliding-window.ts. */
import type { RateLimit, RateLimitResult } from '../core/limit.ts'

export interface Counting {
  /** Units; default 1. 0 counts nothing and tells what is left. */
  readonly cost?: number
  /** A window of its own for this tool, beside the subject's. */
  readonly tool?: string
}

export interface Windows {
  /**
   * Count units of a subject, or none if they do not fit. Subjects:
   * `key:<hash>`, `sub:<principal id>`, `failures:<address group>`.
   */
  hit (subject: string, rule: RateLimit, how?: Counting): Promise<RateLimitResult>
  /** Give `cost` units back to the slice they were counted in. Best effort. */
  giveBack (subject: string, slice: number, how?: Counting): Promise<void>
}
