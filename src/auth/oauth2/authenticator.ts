/**
 * OAuth2 access tokens. What is known of them is kept by their SHA-256: facts
 * of the good ones, refusals that cannot change of the bad ones; never the
 * token, and never past its end.
 */
import { createHash } from 'node:crypto'
import Type from 'typebox'
import { shown, type TokenRefusal, type TokenFacts, type TokenRules } from '../../core/access-token.ts'
import type { Credential } from '../../core/credential.ts'
import { looksLikeJwt, readJwtForm } from '../../core/jwt-form.ts'
import { ACCESS_SCOPE, permissionsOf } from '../../core/oauth-scopes.ts'
import type { Principal } from '../../core/principal.ts'
import { RecentSet } from '../../core/recent-set.ts'
import { compileSchema } from '../../core/schema.ts'
import { AppError } from '../../errors.ts'
import { BoundedMap } from '../../resilience/bounded-map.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import type { Store } from '../../state/store.ts'
import type { Authentication, Authenticator, RequestFacts } from '../authenticator.ts'
import { EndedCredential } from '../refusals.ts'
import { InsufficientScope } from '../scopes.ts'
import { checkProof, PROOF_WINDOW_MS } from './dpop.ts'
import type { Asker, Introspection } from './introspection.ts'
import type { Issuer } from './issuer.ts'
import { checkJwt, type TokenVerifier } from './jwt.ts'

export interface OAuth2Options {
  store: Store
  rules: TokenRules
  issuers: readonly Issuer[]
  /** By issuer; empty where JWTs are not verified here. */
  verifiers: ReadonlyMap<string, TokenVerifier>
  /** Whom to ask about tokens that cannot be verified here, in order. */
  introspections: readonly Introspection[]
}

/** Good tokens known at once in this process. */
const MAX_GOOD = 10_000
/** Bad ones: few, since anyone can make them. */
const MAX_REJECTED = 500
const JWT_MS = 60_000
const INTROSPECTED_MS = 30_000
const REJECTED_MS = 10_000

/** A good token, and what its principal is made of. */
interface Known {
  readonly facts: TokenFacts
  readonly principal: Omit<Principal, 'authenticatedAt'>
  /** Of its issuer's keys, when it was verified: after a change it is verified again. */
  readonly generation: number
}

export class OAuth2Authenticator implements Authenticator {
  readonly type = 'oauth2'
  readonly #options: OAuth2Options
  readonly #issuers: ReadonlyMap<string, Issuer>
  readonly #good = new BoundedMap<Known>(MAX_GOOD)
  readonly #rejected = new BoundedMap<TokenRefusal>(MAX_REJECTED)
  readonly #underWay = new Map<string, Promise<Known | undefined>>()
  /** Hashes of tokens that an authorization server called good: they are asked about again whoever presents them. */
  readonly #accepted = new RecentSet(MAX_GOOD)

  constructor (options: OAuth2Options) {
    this.#options = options
    this.#issuers = new Map(options.issuers.map(issuer => [issuer.name, issuer]))
  }

  async authenticate (credential: Credential, presented: RequestFacts): Promise<Authentication | undefined> {
    if (credential.type !== 'bearer' && credential.type !== 'dpop') return undefined
    const hash = createHash('sha256').update(credential.value).digest('base64url')
    const now = Date.now()
    const known = this.#recall(hash, now) ?? (await this.#established(credential.value, hash, presented))
    if (known === undefined) return undefined

    await this.#checkBinding(credential, known.facts, presented)
    const { scopes, issuer } = known.facts
    if (!scopes.includes(ACCESS_SCOPE)) throw new InsufficientScope(scopes, [ACCESS_SCOPE], issuer)
    return { principal: { ...known.principal, authenticatedAt: now } }
  }

  /** As `authenticate`, without the proof of possession, which only a request can bring. */
  async recheck (credential: Credential, presented: RequestFacts): Promise<Principal | undefined> {
    if (credential.type !== 'bearer' && credential.type !== 'dpop') return undefined
    const hash = createHash('sha256').update(credential.value).digest('base64url')
    const now = Date.now()
    const known = this.#recall(hash, now) ?? (await this.#established(credential.value, hash, presented))
    return known?.facts.scopes.includes(ACCESS_SCOPE) === true
      ? { ...known.principal, authenticatedAt: now }
      : undefined
  }

  /** Why a token was not ours to judge, for the log: its issuer is read, and nothing of it believed. */
  explain (credential: Credential): string | undefined {
    if (credential.type !== 'bearer' && credential.type !== 'dpop') return undefined
    if (!looksLikeJwt(credential.value)) {
      return this.#options.introspections.length === 0
        ? 'not a JWT, and no introspection is configured (OAUTH2_VALIDATION, OAUTH2_CLIENT_ID)'
        : undefined
    }
    const form = readJwtForm(credential.value)
    const trusted = [...this.#issuers.keys()].map(shown).join(', ')
    return `token of issuer ${shown(form?.claims.iss)}; trusted: ${trusted} (OAUTH2_AUTH_SERVER)`
  }

  async close (): Promise<void> {
    for (const issuer of this.#options.issuers) issuer.close()
  }

  #recall (hash: string, now: number): Known | undefined {
    const known = this.#good.get(hash, now)
    if (known !== undefined) return known.generation === this.#generationOf(known.facts.issuer) ? known : undefined
    const refusal = this.#rejected.get(hash, now)
    if (refusal !== undefined) throw refused(refusal)
    return undefined
  }

  #generationOf (issuer: string): number {
    return this.#issuers.get(issuer)?.keys?.generation ?? 0
  }

  /** Single flight: however many present a token at once, it is looked at once. */
  async #established (token: string, hash: string, presented: RequestFacts): Promise<Known | undefined> {
    let work = this.#underWay.get(hash)
    if (work === undefined) {
      work = this.#establish(token, hash, presented).finally(() => this.#underWay.delete(hash))
      this.#underWay.set(hash, work)
    }
    return await work
  }

  async #establish (token: string, hash: string, presented: RequestFacts): Promise<Known | undefined> {
    const { verifiers, introspections } = this.#options
    try {
      if (verifiers.size > 0 && looksLikeJwt(token)) return await this.#verified(token, hash)
      const known = this.#accepted.has(hash)
      if (introspections.length === 0 || (presented.standing === 'over' && !known)) return undefined
      return await this.#introspected(token, hash, known ? { address: presented.address } : presented)
    } catch (error) {
      if (error instanceof Unreachable) throw unavailable(error.message)
      throw error
    }
  }

  async #verified (token: string, hash: string): Promise<Known | undefined> {
    const now = Date.now()
    // Before the look at the keys: a change in between must make this entry old.
    const generations = new Map([...this.#issuers.keys()].map(name => [name, this.#generationOf(name)]))
    const checked = await checkJwt(token, this.#options.verifiers, this.#options.rules, now)
    if (checked === undefined) return undefined
    if ('refused' in checked) {
      if (checked.lasting) this.#rejected.set(hash, checked, now + REJECTED_MS)
      throw refused(checked)
    }
    const known = {
      facts: checked.facts,
      principal: principalOf(checked.facts),
      generation: generations.get(checked.facts.issuer) ?? 0
    }
    this.#good.set(hash, known, cacheUntil(checked.facts, now, JWT_MS))
    return known
  }

  async #introspected (token: string, hash: string, asker: Asker): Promise<Known | undefined> {
    const { store } = this.#options
    const shared = await store.cacheGet(`token:${hash}`).catch(() => undefined)
    const remembered = shared === undefined ? undefined : this.#readFacts(shared)
    if (remembered !== undefined) return this.#keep(hash, remembered)

    const judged = await this.#ask(token, asker)
    if (judged === undefined) return undefined
    const now = Date.now()
    if ('refused' in judged) {
      // Only the server can read it, and here it was good before: over, and no guess.
      const refusal = this.#accepted.has(hash) ? { ...judged, expired: true } : judged
      this.#rejected.set(hash, refusal, now + REJECTED_MS)
      throw refused(refusal)
    }
    const until = cacheUntil(judged.facts, now, INTROSPECTED_MS)
    store.cacheSet(`token:${hash}`, JSON.stringify({ ...judged.facts, until }), until - now).catch(() => {})
    return this.#keep(hash, judged.facts)
  }

  /**
   * Ask one server after the other, until one knows the token.
   *
   * @returns undefined if none of them answers such questions
   * @throws {Unreachable} if one that may know it cannot be asked
   */
  async #ask (token: string, asker: Asker): Promise<{ readonly facts: TokenFacts } | TokenRefusal | undefined> {
    let refusal: TokenRefusal | undefined
    let trouble: unknown
    for (const introspection of this.#options.introspections) {
      try {
        const judged = await introspection.ask(token, asker)
        if (judged !== undefined && 'facts' in judged) return judged
        // What a server says of a token of its own tells more than that another does not know it.
        if (refusal === undefined || judged?.refused !== 'not active') refusal = judged ?? refusal
      } catch (error) {
        trouble = error
      }
    }
    if (trouble !== undefined) throw trouble
    return refusal
  }

  #keep (hash: string, facts: TokenFacts & { until?: number }): Known {
    const { until, ...rest } = facts
    this.#accepted.add(hash)
    const now = Date.now()
    const known = { facts: rest, principal: principalOf(rest), generation: this.#generationOf(facts.issuer) }
    this.#good.set(hash, known, Math.min(until ?? Infinity, cacheUntil(rest, now, INTROSPECTED_MS)))
    return known
  }

  /** Facts that another replica established, if they are of an issuer that this one trusts too. */
  #readFacts (text: string): (TokenFacts & { until: number }) | undefined {
    try {
      const value = JSON.parse(text) as TokenFacts & { until: number }
      return shape.fits(value) && this.#issuers.has(value.issuer) && value.until > Date.now() ? value : undefined
    } catch {
      return undefined
    }
  }

  /** A bound token is no bearer token, and a bearer token proves nothing (RFC 9449 §7.1, §7.2). */
  async #checkBinding (
    credential: Credential & { type: 'bearer' | 'dpop' },
    { keyThumbprint }: TokenFacts,
    { method, url }: RequestFacts
  ): Promise<void> {
    if (credential.type === 'bearer') {
      if (keyThumbprint !== undefined) {
        throw refused({ refused: 'the token is bound to a key and came without a proof' })
      }
      return
    }
    if (keyThumbprint === undefined) throw refused({ refused: 'the token is not bound to a key' })
    const checked = checkProof(credential.proof, { method, url, token: credential.value, keyThumbprint }, Date.now())
    if ('refused' in checked) throw refused(checked)
    // Kept for as long as the proof could be shown again; every replica asks the same place.
    if (!(await this.#options.store.claim(`dpop:${checked.once}`, 2 * PROOF_WINDOW_MS))) {
      throw refused({ refused: 'dpop proof: used before' })
    }
  }
}

const shape = compileSchema(Type.Object({
  issuer: Type.String(),
  subject: Type.String(),
  client: Type.Optional(Type.String()),
  scopes: Type.Array(Type.String()),
  issuedAt: Type.Optional(Type.Number()),
  expiresAt: Type.Optional(Type.Number()),
  jti: Type.Optional(Type.String()),
  keyThumbprint: Type.Optional(Type.String()),
  claims: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  until: Type.Number()
}, { additionalProperties: false }))

function principalOf (facts: TokenFacts): Omit<Principal, 'authenticatedAt'> {
  const { issuer, subject, client, scopes, issuedAt, expiresAt, jti, claims } = facts
  // Subjects are unique within their issuer only, and their text is the issuer's: encoded, it can be part of a key.
  const tag = createHash('sha256').update(issuer).digest('hex').slice(0, 8)
  const subjectId = ['oauth2', tag, subject].map(encodeURIComponent).join(':')
  return {
    id: client === undefined ? subjectId : `${subjectId}:${encodeURIComponent(client)}`,
    subjectId,
    name: subject,
    authType: 'oauth2',
    role: 'caller',
    permissions: permissionsOf(scopes),
    issuer,
    scopes,
    claims: frozen(claims),
    expiresAt,
    issuedAt,
    revocableAs: [
      ...(jti === undefined ? [] : [`jti:${jti}`]),
      `sub:${subject}`,
      ...(client === undefined ? [] : [`client:${client}`])
    ]
  }
}

/** One object for all requests of a token: no tool may change what the next one reads. */
function frozen<T> (value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(frozen)
  return value
}

function refused ({ refused: why, expired = false }: TokenRefusal): AppError {
  return expired
    ? new EndedCredential(`token: ${why}`)
    : new AppError('INVALID_CREDENTIAL', 'Authentication required', { cause: `token: ${why}` })
}

function unavailable (why: string): AppError {
  return new AppError('STATE_UNAVAILABLE', 'Authentication is out of reach; try again', {
    cause: why, headers: { 'retry-after': '2' }
  })
}

/** How long a good answer serves: never past the token's end. */
function cacheUntil ({ expiresAt = Infinity }: TokenFacts, now: number, maxMs: number): number {
  return Math.min(expiresAt, now + maxMs)
}
