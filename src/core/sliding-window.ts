/**
 * The sliding window that every limit is held by: packed slices.
 *
 * The window is cut into SLICES parts of equal length; one counter is kept for
 * each. A count is refused when all slices that overlap the last `windowMs`
 * hold the limit, so no window of that length, wherever it begins, ever holds
 * more (the simpler two-bucket and leaky-bucket forms let an attacker through
 * twice). The price is strictness: room returns up to one slice late.
 *
 * A refusal counts nothing. src/state/redis/lua/window.lua repeats this arithmetic
 * inside Redis; test/state/contract/windows.ts holds the two to the same answers.
 */
import type { RateLimit, RateLimitResult } from './limit.ts'

/** Parts of a window: 60 cost 1/60 of the window in strictness. */
export const SLICES = 60

/**
 * The counters of one subject: `at[i]` is the number of the slice (since the
 * epoch) that `count[i]` belongs to. Oldest first, empty slices left out.
 */
export interface Window {
  at: number[]
  count: number[]
  /** How far into the newest slice the last count was made, ms. */
  lastMs: number
}

export function emptyWindow (): Window {
  return { at: [], count: [], lastMs: 0 }
}

/** Redis keeps that in so many steps of a slice, rounded up; exact for windows of a minute and less. */
const STEPS = 1000

function lastMsOf (now: number, length: number): number {
  const step = Math.ceil(length / STEPS)
  return Math.min(length - 1, Math.ceil(now % length / step) * step)
}

/** Length of a slice, ms. One more slice than SLICES is kept: the oldest is only partly in view. */
export function sliceMs (windowMs: number): number {
  return Math.ceil(windowMs / SLICES)
}

/**
 * Count `cost` units, or none if they do not fit. Changes the window in place.
 *
 * A slice ahead of the clock was counted before the clock was set back: it
 * counts as now, else its units would stay for as long as the clock was wrong.
 *
 * @param now ms since the epoch
 */
export function slide (window: Window, { limit, windowMs }: RateLimit, cost: number, now: number): RateLimitResult {
  const length = sliceMs(windowMs)
  const { at, count } = window
  const slice = Math.floor(now / length)

  let gone = 0
  while (gone < at.length && leaves(window, gone, windowMs) <= now) gone++
  if (gone > 0) {
    at.splice(0, gone)
    count.splice(0, gone)
  }
  let ahead = 0
  for (; at.length > 0 && at[at.length - 1]! > slice; at.pop()) ahead += count.pop()!
  if (ahead > 0) {
    add(window, slice, ahead)
    window.lastMs = lastMsOf(now, length)
  }
  let used = 0
  for (let i = 0; i < count.length; i++) used += count[i]!

  const allowed = used + cost <= limit
  if (allowed && cost > 0) {
    add(window, slice, cost)
    window.lastMs = lastMsOf(now, length)
    used += cost
  }
  return {
    allowed,
    limit,
    windowMs,
    remaining: Math.max(0, limit - used),
    retryAfterMs: allowed ? 0 : cost > limit ? windowMs : wait(window, windowMs, used + cost - limit, now),
    resetMs: at.length > 0 ? untilLeft(leaves(window, 0, windowMs), windowMs, now) : 0,
    slice
  }
}

/** Count in the newest slice, which is this one or one before it. */
function add ({ at, count }: Window, slice: number, units: number): void {
  if (at[at.length - 1] === slice) count[count.length - 1]! += units
  else {
    at.push(slice)
    count.push(units)
  }
}

/** Give units back to the slice they were counted in; what is no longer there is not owed. */
export function giveBack (window: Window, slice: number, cost: number): void {
  const i = window.at.indexOf(slice)
  if (i >= 0) window.count[i] = Math.max(0, window.count[i]! - cost)
}

/**
 * When a slice leaves the window, ms since the epoch: with its last ms, but the
 * newest with its last count. So nobody is told to wait longer than the window,
 * and to wait as long as one was told is enough.
 */
function leaves ({ at, lastMs }: Window, i: number, windowMs: number): number {
  const length = sliceMs(windowMs)
  return at[i]! * length + (i === at.length - 1 ? lastMs : length - 1) + windowMs
}

function untilLeft (leavesAt: number, windowMs: number, now: number): number {
  return Math.min(windowMs, Math.max(0, leavesAt - now))
}

/** How long until slices have left that hold `over` units, ms: what does not fit now fits then. */
function wait (window: Window, windowMs: number, over: number, now: number): number {
  const { count } = window
  let left = over
  for (let i = 0; i < count.length; i++) {
    left -= count[i]!
    if (left <= 0) return Math.max(1, untilLeft(leaves(window, i, windowMs), windowMs, now))
  }
  return windowMs
}
