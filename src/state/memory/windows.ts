/** Windows of this process: all there is without Redis, and what limits fall back to while Redis is out of reach. */
import type { RateLimit, RateLimitResult } from '../../core/limit.ts'
import { emptyWindow, giveBack, slide, type Window } from '../../core/sliding-window.ts'
import type { Counting, Windows } from '../windows.ts'

interface CountedWindow { window: Window, seen: number, windowMs: number }

/** Bounded: the subject that was idle longest goes first. */
export class MemoryWindows implements Windows {
  readonly #now: () => number
  readonly #maxSubjects: number
  readonly #subjects = new Map<string, CountedWindow>()

  /** @param now ms since the epoch */
  constructor (now: () => number, maxSubjects = 100_000) {
    this.#now = now
    this.#maxSubjects = maxSubjects
  }

  get size (): number {
    return this.#subjects.size
  }

  async hit (subject: string, rule: RateLimit, { cost = 1, tool }: Counting = {}): Promise<RateLimitResult> {
    return this.count(nameOf(subject, tool), rule, cost)
  }

  async giveBack (subject: string, slice: number, { cost = 1, tool }: Counting = {}): Promise<void> {
    const found = this.#subjects.get(nameOf(subject, tool))
    if (found !== undefined) giveBack(found.window, slice, cost)
  }

  /** `hit` for who cannot wait. */
  count (name: string, rule: RateLimit, cost: number): RateLimitResult {
    const now = this.#now()
    return slide(this.#find(name, rule, now), rule, cost, now)
  }

  #find (name: string, { windowMs }: RateLimit, now: number): Window {
    const found = this.#subjects.get(name)
    if (found === undefined) {
      if (this.#subjects.size >= this.#maxSubjects) this.#makeRoom(now)
      const window = emptyWindow()
      this.#subjects.set(name, { window, seen: now, windowMs })
      return window
    }
    // To the end of the line: the map's order is that of use.
    this.#subjects.delete(name)
    this.#subjects.set(name, found)
    found.seen = now
    return found.window
  }

  /** Drop the one idle longest, and a few more if their windows are over. */
  #makeRoom (now: number): void {
    let looked = 0
    for (const [name, { seen, windowMs }] of this.#subjects) {
      if (looked > 0 && (looked >= 16 || seen + windowMs * 2 > now)) return
      this.#subjects.delete(name)
      looked++
    }
  }
}

function nameOf (subject: string, tool: string | undefined): string {
  return tool === undefined ? subject : `${subject}\n${tool}`
}
