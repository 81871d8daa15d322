import type { Credential } from '../core/credential.ts'
import type { RateLimit, RateLimitResult } from '../core/limit.ts'
import type { AuthType, Principal } from '../core/principal.ts'

/** What an authenticator may know of a request besides its credential. */
export interface RequestFacts {
  /** Normal form, see core/address.ts. */
  readonly address: string
  readonly method: string
  /** Built from PUBLIC_URL, never from a request header. */
  readonly url: string
  /**
   * Absent: nothing is known against the address. `failed`: wrong credentials
   * came from it lately. `over`: so many that nothing more is looked up or
   * asked for it, except for credentials that nobody can guess (keys that this
   * service made, signed tokens) and those that succeeded before.
   */
  readonly standing?: 'failed' | 'over'
}

/** A principal, and where its requests are counted. */
export interface Authentication {
  readonly principal: Principal
  /** The counter in shared state; absent: `sub:<principal id>`. */
  readonly subject?: string
  /** Absent: the rule of its class. */
  readonly rule?: RateLimit
  /** The count, where looking the credential up already made it. */
  readonly rateLimit?: RateLimitResult
}

/**
 * One link of the chain. `undefined` means "not mine, ask the next". A
 * credential that is this link's and is bad throws INVALID_CREDENTIAL; whatever
 * else is thrown is answered 503, never with an empty identity.
 */
export interface Authenticator {
  readonly type: AuthType
  authenticate (credential: Credential, presented: RequestFacts): Promise<Authentication | undefined>
  /**
   * Judge a credential again that opened something which is still open. What
   * only a request can show (a proof, a count) is not asked again.
   *
   * @param before what it stood for then
   * @returns the principal as it is now, or undefined where the credential no longer counts
   */
  recheck (credential: Credential, presented: RequestFacts, before: Principal): Promise<Principal | undefined>
  /** Why a credential that no authenticator knew was not this one's, for the log. */
  explain? (credential: Credential): string | undefined
  close? (): Promise<void>
}
