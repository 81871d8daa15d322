/**
 * What is known of tokens, by their SHA-256: facts that were established for
 * the good ones, refusals that cannot change for the bad ones. Never the token,
 * and never past its end. Revocation is not looked at here: whoever uses a
 * cached token looks at it each time.
 */
import type { TokenFacts } from '../../core/access-token.ts'

export interface TokenCache<T> {
  get (hash: string, now: number): T | undefined
  set (hash: string, value: T, until: number): void
}

/** A bounded map with an end for each entry; the one used longest ago goes first. */
export function tokenCache<T> (most: number): TokenCache<T> {
  const entries = new Map<string, { value: T, until: number }>()
  return {
    get (hash, now) {
      const found = entries.get(hash)
      if (found === undefined) return undefined
      entries.delete(hash)
      if (found.until <= now) return undefined
      entries.set(hash, found)
      return found.value
    },
    set (hash, value, until) {
      entries.delete(hash)
      if (entries.size >= most) entries.delete(entries.keys().next().value!)
      entries.set(hash, { value, until })
    }
  }
}

/** How long a good answer serves: never past the token's end. */
export function cacheUntil ({ expiresAt = Infinity }: TokenFacts, now: number, mostMs: number): number {
  return Math.min(expiresAt, now + mostMs)
}
