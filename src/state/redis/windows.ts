/** Windows counted in Redis, by its clock; in this process alone, to its share, while Redis is out of reach. */
import type { RateLimit, RateLimitResult } from '../../core/limit.ts'
import type { Client } from './client/connection.ts'
import type { Ask } from './client/guarded-client.ts'
import type { RateLimitTuple } from './client/scripts.ts'
import type { Counting, Store } from '../store.ts'
import { localWindows } from '../memory/windows.ts'

export interface SharedWindowsOptions {
  client: Client
  /** A key's full name. */
  name: (key: string) => string
  /** Asks Redis for a decision. */
  ask: Ask
  /** State is known to be lost: nothing is then counted, and nobody served. */
  lost: () => boolean
  /** Replicas expected: the share of a limit that this one grants alone. */
  replicas: number
  /** Told of each count that this process made alone. */
  onDegraded: () => void
}

export interface SharedWindows extends Pick<Store, 'hit' | 'giveBack'> {
  /** The key of a subject's window, in the subject's slot. */
  key (subject: string, tool?: string): string
  /** Count in this process alone. */
  alone (key: string, rule: RateLimit, cost: number): RateLimitResult
}

export function sharedWindows ({ client, name, ask, lost, replicas, onDegraded }: SharedWindowsOptions): SharedWindows {
  const local = localWindows()
  const key = (subject: string, tool?: string) => name(tool === undefined ? `{${subject}}:window` : `{${subject}}:window:${tool}`)

  function alone (key: string, rule: RateLimit, cost: number): RateLimitResult {
    onDegraded()
    const share = { limit: Math.ceil(rule.limit / replicas), windowMs: rule.windowMs }
    // The limit told is the whole one: what a caller may expect has not changed.
    return { ...local.hit(key, share, cost, Date.now()), limit: rule.limit, degraded: true }
  }

  return {
    key,
    alone,

    async hit (subject, rule, { cost = 1, tool, now }: Counting = {}) {
      const window = key(subject, tool)
      try {
        const counted = await ask(() => client.hitWindow(window, rule.limit, rule.windowMs, cost, now ?? ''))
        // Empty: Redis is full. It still answers who a key is, but counts nothing.
        return counted.length === 0 ? alone(window, rule, cost) : rateLimitOf(counted, rule.windowMs)
      } catch (error) {
        // Fails open, to this process's share of the limit: nobody is served without a limit, and nobody is locked out.
        if (lost()) throw error
        return alone(window, rule, cost)
      }
    },

    async giveBack (subject, slice, { cost = 1, tool }: Counting = {}) {
      await ask(() => client.giveBackUnits(key(subject, tool), slice, cost)).catch(() => {})
    }
  }
}

export function rateLimitOf ([allowed, limit, remaining, retryAfterMs, resetMs, slice]: RateLimitTuple, windowMs: number): RateLimitResult {
  return { allowed: allowed === 1, limit, windowMs, remaining, retryAfterMs, resetMs, slice }
}
