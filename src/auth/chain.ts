import { addressGroup } from '../core/address.ts'
import { NO_CREDENTIAL, type Credential } from '../core/credential.ts'
import { rateLimited, type RateLimit, type RateLimitResult } from '../core/limit.ts'
import { holderOf, type AuthType, type Principal } from '../core/principal.ts'
import { revokedBy } from '../core/revocation.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import { AddressLimit } from './address-limit.ts'
import type { Authentication, Authenticator, RequestFacts } from './authenticator.ts'
import { countIn, type Counters } from './counters.ts'
import { EndedCredential } from './refusals.ts'

/** A caller that may go on: who it is, where it is counted, and the count of this request. */
export interface Caller extends Counters {
  readonly principal: Principal
  readonly rateLimit: RateLimitResult
  /**
   * Judge its credential again, as far as that can be done without a new
   * request; nothing is counted.
   *
   * @returns the principal as it is now, or undefined where it no longer counts
   * @throws {AppError} STATE_UNAVAILABLE where that cannot be known
   */
  recheck (): Promise<Principal | undefined>
}

export interface ChainOptions {
  /** In the order in which they are asked. */
  authenticators: readonly Authenticator[]
  store: Store
  /** False serves everyone as `none`. */
  required: boolean
  rules: Readonly<Record<AuthType, RateLimit>>
}

/**
 * Wrong credentials an address may present; then it may use those alone that succeeded before or that nobody
 * can guess.
 */
export const FAILURES: RateLimit = { limit: 20, windowMs: 60_000 }

/** Beginning of the names of their counters; the address group follows. */
export const FAILURES_OF = 'failures:'

/** How long a copy of the revocations is believed while state is out of reach, ms. */
const REVOCATIONS_MAX_AGE_MS = 30_000

/** So many times the limit of one client may a subject use, however many clients it has. */
const CLIENTS_OF_SUBJECT = 3

/**
 * Turn a credential into a caller, or refuse.
 *
 * @throws {AppError} AUTHENTICATION_REQUIRED, INVALID_CREDENTIAL,
 *   INSUFFICIENT_SCOPE, TOO_MANY_FAILURES, STATE_UNAVAILABLE; nothing else, and
 *   never an empty identity
 */
export type Identify = (credential: Credential, presented: RequestFacts) => Promise<Caller>

export function authenticationChain (options: ChainOptions): Identify {
  const failures = new AddressLimit(options.store, FAILURES_OF, FAILURES)
  return async function identify (credential, presented) {
    if (!options.required) return await anonymous(options, presented)
    if (credential.type === 'none') {
      throw new AppError('AUTHENTICATION_REQUIRED', 'Authentication required')
    }
    const { address } = presented
    // Before anything is looked up, for the limit is there to prevent that.
    const over = failures.refusal(address)
    try {
      return await ask(
        options,
        credential,
        over !== undefined || failures.hasCounted(address)
          ? { ...presented, standing: over === undefined ? 'failed' : 'over' }
          : presented
      )
    } catch (error) {
      const refusal = asRefusal(error)
      if (refusal.code === 'INVALID_CREDENTIAL' && !(refusal instanceof EndedCredential)) {
        refuseOver(over ?? (await failures.count(address)), address)
      }
      throw refusal
    }
  }
}

/**
 * Turn what somebody else found out about a request into a caller, or refuse.
 * No credential was shown here, so nobody failed to show a good one.
 *
 * @throws {AppError} AUTHENTICATION_REQUIRED, INVALID_CREDENTIAL where it was revoked, STATE_UNAVAILABLE
 */
export async function identifyGiven (
  options: ChainOptions, authenticator: Authenticator, presented: RequestFacts
): Promise<Caller> {
  const { store } = options
  try {
    const found = await authenticator.authenticate(NO_CREDENTIAL, presented)
    if (found === undefined) throw new AppError('AUTHENTICATION_REQUIRED', 'Authentication required')
    const { principal } = found
    refuseEnded(store, principal)
    return await counted(options, found, { store, authenticator, credential: NO_CREDENTIAL, presented, principal })
  } catch (error) {
    const { statusCode } = error as { statusCode?: unknown }
    if (error instanceof AppError || (statusCode !== 401 && statusCode !== 403)) throw asRefusal(error)
    throw statusCode === 401
      ? new AppError('AUTHENTICATION_REQUIRED', 'Authentication required', { cause: error })
      : new AppError('FORBIDDEN', 'Forbidden', { cause: error })
  }
}

/** Counted apart from everything else: other callers behind the same address are not touched. */
function refuseOver (counted: RateLimitResult, address: string): void {
  if (!counted.allowed) {
    throw rateLimited(counted, { reason: 'TOO_MANY_FAILURES', rule: `failures of ${addressGroup(address)}` })
  }
}

/** Whatever is not a refusal is a fault on the way to one. */
function asRefusal (error: unknown): AppError {
  if (error instanceof AppError) return error
  return new AppError('STATE_UNAVAILABLE', 'Authentication is out of reach; try again', {
    cause: error, headers: { 'retry-after': '2' }
  })
}

async function ask (options: ChainOptions, credential: Credential, presented: RequestFacts): Promise<Caller> {
  for (const authenticator of options.authenticators) {
    const found = await authenticator.authenticate(credential, presented)
    if (found === undefined) continue
    refuseEnded(options.store, found.principal)
    return await counted(options, found, {
      store: options.store, authenticator, credential, presented, principal: found.principal
    })
  }
  const why = options.authenticators.map(authenticator => authenticator.explain?.(credential)).find(Boolean)
  throw new AppError('INVALID_CREDENTIAL', 'Authentication required', { cause: why ?? 'no authenticator knows it' })
}

async function counted (
  { store, rules }: ChainOptions,
  found: Authentication,
  presentation: Presentation
): Promise<Caller> {
  const counters = countersOf(found, rules)
  const rateLimit = found.rateLimit ?? (await countIn(store, counters, 1))
  return { principal: found.principal, ...counters, rateLimit, recheck: () => recheck(presentation) }
}

/** Where a principal is counted. */
export function countersOf (found: Authentication, rules: ChainOptions['rules']): Counters {
  const { principal } = found
  const subject = found.subject ?? `sub:${principal.id}`
  const rule = found.rule ?? rules[principal.authType]
  const holder = holderOf(principal)
  const shared =
    holder === principal.id
      ? undefined
      : { subject: `sub:${holder}`, rule: { limit: rule.limit * CLIENTS_OF_SUBJECT, windowMs: rule.windowMs } }
  return { subject, rule, shared }
}

/** A credential that was good, and by whom it was judged. */
interface Presentation {
  readonly store: Store
  readonly authenticator: Authenticator
  readonly credential: Credential
  readonly presented: RequestFacts
  readonly principal: Principal
}

async function recheck ({
  store, authenticator, credential, presented, principal
}: Presentation): Promise<Principal | undefined> {
  try {
    const now = await authenticator.recheck(credential, presented, principal)
    // Somebody else now: whatever was opened is not theirs.
    if (now?.id !== principal.id) return undefined
    refuseEnded(store, now)
    return now
  } catch (error) {
    const refusal = asRefusal(error)
    if (refusal.code === 'INVALID_CREDENTIAL' || refusal.code === 'INSUFFICIENT_SCOPE') return undefined
    throw refusal
  }
}

/** A key's revocation is seen at its look-up; everyone else's in a copy, which must not be old. */
function refuseEnded ({ revocations }: Store, principal: Principal): void {
  const { authType, authenticatedAt, expiresAt } = principal
  const revocation = revokedBy(principal, revocations.entries())
  if (revocation !== undefined) {
    throw new EndedCredential('revoked', { rule: `revoked ${revocation.id}`, principal: principal.id })
  }
  if (expiresAt !== undefined && expiresAt <= authenticatedAt) {
    throw new EndedCredential('expired', { rule: 'expired', principal: principal.id })
  }
  if (authType !== 'api_key' && revocations.ageMs() > REVOCATIONS_MAX_AGE_MS) {
    throw new AppError('STATE_UNAVAILABLE', 'State is out of reach; try again', {
      cause: 'the copy of the revocations is old', headers: { 'retry-after': '2' }
    })
  }
}

async function anonymous ({ store, rules }: ChainOptions, { address }: RequestFacts): Promise<Caller> {
  const id = `none:${addressGroup(address)}`
  const principal: Principal = {
    id,
    name: 'anonymous',
    authType: 'none',
    role: 'caller',
    permissions: ['*'],
    authenticatedAt: Date.now(),
    revocableAs: []
  }
  const subject = `sub:${id}`
  return {
    principal,
    subject,
    rule: rules.none,
    shared: undefined,
    rateLimit: await store.hit(subject, rules.none),
    recheck: async () => principal
  }
}
