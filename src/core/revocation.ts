/** What a revocation reaches. */
import type { Principal } from './principal.ts'

/**
 * Clocks of authorization servers may be ahead: a token dated this much after a revocation still counts as
 * older, ms.
 */
const SKEW_MS = 5000

/** The entry that revoked somebody. */
export interface Revocation {
  /** As `revocableAs` names it: `key:<id>`, `jti:<id>`, `sub:<subject>`, `client:<id>`. */
  readonly id: string
  /** ms since the epoch. */
  readonly since: number
  readonly note?: string | undefined
}

type Revocations = ReadonlyMap<string, Omit<Revocation, 'id'>>
type Revocable = Pick<Principal, 'revocableAs' | 'issuedAt'>

/**
 * The entry of the list of revocations that is meant for this principal.
 * One that names a key or a single token holds for good. One that names a
 * subject or a client ends what was issued until then: whoever logs in again
 * afterwards gets a token that is younger than the entry.
 */
export function revokedBy ({ revocableAs, issuedAt }: Revocable, revoked: Revocations): Revocation | undefined {
  if (revoked.size === 0) return undefined
  for (const id of revocableAs) {
    const entry = revoked.get(id)
    if (entry === undefined) continue
    const dated = id.startsWith('sub:') || id.startsWith('client:')
    if (!dated || issuedAt === undefined || issuedAt <= entry.since + SKEW_MS) {
      return { id, since: entry.since, note: entry.note }
    }
  }
  return undefined
}

export function isRevoked (principal: Revocable, revoked: Revocations): boolean {
  return revokedBy(principal, revoked) !== undefined
}
