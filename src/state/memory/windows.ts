import { emptyWindow, giveBack, slide, type Window } from '../../core/sliding-window.ts'
import type { RateLimit, RateLimitResult } from '../../core/limit.ts'

/** Windows of this process, bounded: the subject that was idle longest goes first. */
export interface Windows {
  hit (subject: string, rule: RateLimit, cost: number, now: number): RateLimitResult
  giveBack (subject: string, slice: number, cost: number): void
  readonly size: number
}

interface Counted { window: Window, seen: number, windowMs: number }

export function localWindows (maxSubjects = 100_000): Windows {
  const subjects = new Map<string, Counted>()

  const find = (subject: string, { windowMs }: RateLimit, now: number): Window => {
    let found = subjects.get(subject)
    if (found === undefined) {
      if (subjects.size >= maxSubjects) makeRoom(subjects, now)
      found = { window: emptyWindow(), seen: now, windowMs }
      subjects.set(subject, found)
    } else {
      // To the end of the line: the map's order is that of use.
      subjects.delete(subject)
      subjects.set(subject, found)
      found.seen = now
    }
    return found.window
  }
  return {
    hit: (subject, rule, cost, now) => slide(find(subject, rule, now), rule, cost, now),
    giveBack (subject, slice, cost) {
      const found = subjects.get(subject)
      if (found !== undefined) giveBack(found.window, slice, cost)
    },
    get size () { return subjects.size }
  }
}

/** Drop the one idle longest, and a few more if their windows are over. */
function makeRoom (subjects: Map<string, Counted>, now: number): void {
  let looked = 0
  for (const [subject, { seen, windowMs }] of subjects) {
    if (looked > 0 && (looked >= 16 || seen + windowMs * 2 > now)) return
    subjects.delete(subject)
    looked++
  }
}
