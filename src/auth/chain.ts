import { addressGroup } from '../core/address.ts'
import type { Credential } from '../core/credential.ts'
import { rateLimited, type RateLimit, type RateLimitResult } from '../core/limit.ts'
import type { AuthType, Principal } from '../core/principal.ts'
import { isRevoked } from '../core/revocation.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import type { Authenticator, RequestFacts } from './authenticator.ts'
import { EndedCredential } from './refusals.ts'

/** A caller that may go on: who it is, where it is counted, and the count of this request. */
export interface Caller {
  readonly principal: Principal
  readonly subject: string
  readonly rule: RateLimit
  readonly rateLimit: RateLimitResult
}

export interface ChainOptions {
  /** In the order in which they are asked. */
  authenticators: readonly Authenticator[]
  store: Store
  /** False serves everyone as `none`. */
  required: boolean
  rules: Readonly<Record<AuthType, RateLimit>>
}

/** Wrong credentials an address may present before its failing requests are refused with 429. */
export const FAILURES: RateLimit = { limit: 20, windowMs: 60_000 }

/** How long a copy of the revocations is believed while state is out of reach, ms. */
const REVOCATIONS_MAX_AGE_MS = 30_000

/**
 * Turn a credential into a caller, or refuse.
 *
 * @throws {AppError} AUTHENTICATION_REQUIRED, INVALID_CREDENTIAL,
 *   INSUFFICIENT_SCOPE, TOO_MANY_FAILURES, STATE_UNAVAILABLE; nothing else, and
 *   never an empty identity
 */
export type Identify = (credential: Credential, presented: RequestFacts) => Promise<Caller>

export function authenticationChain ({ authenticators, store, required, rules }: ChainOptions): Identify {
  return async function identify (credential, presented) {
    if (!required) return await anonymous(presented)
    if (credential.type === 'none') {
      throw new AppError('AUTHENTICATION_REQUIRED', 'Authentication required')
    }
    try {
      return await ask(credential, presented)
    } catch (error) {
      if (!(error instanceof AppError)) {
        throw new AppError('STATE_UNAVAILABLE', 'Authentication is out of reach; try again', {
          cause: error, headers: { 'retry-after': '2' }
        })
      }
      if (error.code === 'INVALID_CREDENTIAL' && !(error instanceof EndedCredential)) await countFailure(presented.address)
      throw error
    }
  }

  async function ask (credential: Credential, presented: RequestFacts): Promise<Caller> {
    for (const authenticator of authenticators) {
      const found = await authenticator.authenticate(credential, presented)
      if (found === undefined) continue
      const { principal } = found
      refuseRevoked(principal)
      refuseUnlessCurrent(principal)
      const subject = found.subject ?? `sub:${principal.id}`
      const rule = found.rule ?? rules[principal.authType]
      return { principal, subject, rule, rateLimit: found.rateLimit ?? await store.hit(subject, rule) }
    }
    const why = authenticators.map(authenticator => authenticator.explain?.(credential)).find(Boolean)
    throw new AppError('INVALID_CREDENTIAL', 'Authentication required', { cause: why ?? 'no authenticator knows it' })
  }

  function refuseRevoked (principal: Principal): void {
    const { authenticatedAt, expiresAt } = principal
    if (isRevoked(principal, store.revocations.entries())) {
      throw new EndedCredential('revoked')
    }
    if (expiresAt !== undefined && expiresAt <= authenticatedAt) {
      throw new EndedCredential('expired')
    }
  }

  /** A key's revocation is seen at its look-up; everyone else's in a copy, which must not be old. */
  function refuseUnlessCurrent ({ authType }: Principal): void {
    if (authType !== 'api_key' && store.revocations.ageMs() > REVOCATIONS_MAX_AGE_MS) {
      throw new AppError('STATE_UNAVAILABLE', 'State is out of reach; try again', {
        cause: 'the copy of the revocations is old', headers: { 'retry-after': '2' }
      })
    }
  }

  async function anonymous ({ address }: RequestFacts): Promise<Caller> {
    const id = `none:${addressGroup(address)}`
    const principal: Principal = {
      id, name: 'anonymous', authType: 'none', role: 'caller', permissions: ['*'], authenticatedAt: Date.now(), revocableAs: []
    }
    const subject = `sub:${id}`
    return { principal, subject, rule: rules.none, rateLimit: await store.hit(subject, rules.none) }
  }

  /** Counts apart from everything else: other callers behind the same address are not touched. */
  async function countFailure (address: string): Promise<void> {
    const verdict = await store.hit(`failures:${addressGroup(address)}`, FAILURES)
    if (!verdict.allowed) throw rateLimited(verdict, { reason: 'TOO_MANY_FAILURES', rule: `failures of ${addressGroup(address)}` })
  }
}
