/**
 * Something that an authorization server publishes, held here: fetched in the
 * background before it is needed, by one fetch at a time, not too often, and
 * kept while the server is in trouble.
 */
import { Unreachable } from './unreachable.ts'
import { backoffMs } from './fetch-quota.ts'

export interface RefreshPolicy {
  /** Between fetches that go well, ms; up to an eighth more, so that replicas do not ask in step. */
  readonly everyMs: number
  /** After one that went wrong, ms; sooner while there is no value yet, see `pauseMs`. */
  readonly retryMs: number
  /** Between any two, however much they are wanted, ms. */
  readonly gapMs: number
  /** How long the last good value serves while every fetch goes wrong, ms. */
  readonly staleMs: number
  /** How long a caller waits for the first, ms; the fetch goes on without it. */
  readonly waitMs: number
}

export interface RefreshingCache<T> {
  /**
   * The value; waits only while there is none.
   *
   * @throws {Unreachable}
   */
  get (): Promise<T>
  /**
   * Fetch anew, unless that was done a moment ago.
   *
   * @returns whether what is held now is fresh: just fetched, or so recently that asking again would say the same
   */
  refresh (): Promise<boolean>
  /** Fetch now if there is no value: what it waited for is there. */
  refreshNow (): void
  close (): void
}

export interface RefreshingCacheOptions<T> {
  fetch: () => Promise<T>
  pace: RefreshPolicy
  /** Told of each change between well and in trouble. */
  onState?: (trouble: Error | undefined) => void
}

export function refreshingCache<T> ({ fetch, pace, onState = () => {} }: RefreshingCacheOptions<T>): RefreshingCache<T> {
  let value: { it: T, at: number } | undefined
  let lastStart = -Infinity
  let failures = 0
  let trouble: Error | undefined
  let underWay: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const schedule = (inMs: number) => {
    clearTimeout(timer)
    if (closed) return
    timer = setTimeout(() => { attempt().catch(() => {}) }, inMs)
    timer.unref()
  }

  const run = async () => {
    lastStart = performance.now()
    try {
      value = { it: await fetch(), at: performance.now() }
      if (trouble !== undefined) onState(undefined)
      trouble = undefined
      failures = 0
      schedule(pace.everyMs * (1 + Math.random() / 8))
    } catch (error) {
      if (trouble === undefined) onState(error as Error)
      trouble = error as Error
      failures++
      schedule(value === undefined ? gap() : Math.max(pace.retryMs, pace.gapMs))
    }
  }

  /** Between any two. */
  const gap = () => value === undefined && failures > 0 ? backoffMs(failures, pace.retryMs) : pace.gapMs

  /** Join the fetch that is under way, start one, or do nothing because the last was a moment ago. */
  const attempt = async (): Promise<void> => {
    if (closed) return
    if (underWay === undefined && performance.now() - lastStart >= gap()) {
      underWay = run().finally(() => { underWay = undefined })
    }
    await underWay
  }

  const usable = () => value !== undefined && performance.now() - value.at <= pace.staleMs ? value : undefined

  attempt().catch(() => {})
  return {
    async get () {
      const now = usable()
      if (now !== undefined) return now.it
      await patience(attempt(), pace.waitMs)
      const then = usable()
      if (then === undefined) throw new Unreachable(trouble?.message ?? 'no answer in time')
      return then.it
    },
    async refresh () {
      await patience(attempt(), pace.waitMs)
      return underWay === undefined && trouble === undefined && value !== undefined
    },
    refreshNow () {
      if (value !== undefined || underWay !== undefined) return
      lastStart = -Infinity
      attempt().catch(() => {})
    },
    close () {
      closed = true
      clearTimeout(timer)
    }
  }
}

/** Wait for the work, but not for long; it goes on. */
async function patience (work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise<void>(resolve => { timer = setTimeout(resolve, ms) })])
  clearTimeout(timer)
}
