/** What a revocation reaches. */
import type { Principal } from './principal.ts'

/** Clocks of authorization servers may be ahead: a token dated this much after a revocation still counts as older, ms. */
const SKEW_MS = 5000

/**
 * Whether an entry of the list of revocations is meant for this principal.
 * One that names a key or a single token holds for good. One that names a
 * subject or a client ends what was issued until then: whoever logs in again
 * afterwards gets a token that is younger than the entry.
 */
export function isRevoked ({ revocableAs, issuedAt }: Pick<Principal, 'revocableAs' | 'issuedAt'>, revoked: ReadonlyMap<string, { readonly since: number }>): boolean {
  if (revoked.size === 0) return false
  return revocableAs.some(id => {
    const entry = revoked.get(id)
    if (entry === undefined) return false
    const dated = id.startsWith('sub:') || id.startsWith('client:')
    return !dated || issuedAt === undefined || issuedAt <= entry.since + SKEW_MS
  })
}
