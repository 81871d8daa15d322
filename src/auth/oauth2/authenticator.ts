/** OAuth2 access tokens, as a link of the chain. */
import { createHash } from 'node:crypto'
import Type from 'typebox'
import type { TokenFacts, TokenRules } from '../../core/access-token.ts'
import type { Credential } from '../../core/credential.ts'
import { looksLikeJwt } from '../../core/jwt-form.ts'
import { ACCESS_SCOPE, permissionsOf } from '../../core/oauth-scopes.ts'
import type { Principal } from '../../core/principal.ts'
import { compileSchema } from '../../core/schema.ts'
import { AppError } from '../../errors.ts'
import type { Store } from '../../state/store.ts'
import type { Authenticator, RequestFacts } from '../authenticator.ts'
import { InsufficientScope } from '../scopes.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import { checkProof, PROOF_WINDOW_MS } from './dpop.ts'
import type { Introspection } from './introspection.ts'
import type { Issuer } from './issuer.ts'
import { checkJwt, type VerifyJwt } from './jwt.ts'
import { cacheUntil, tokenCache } from './token-cache.ts'

export interface OAuth2Options {
  store: Store
  rules: TokenRules
  issuers: readonly Issuer[]
  /** By issuer; empty where JWTs are not verified here. */
  verifiers: ReadonlyMap<string, VerifyJwt>
  /** Whom to ask about tokens that cannot be verified here, in order. */
  introspections: readonly Introspection[]
}

/** Good tokens known at once in this process. */
const MOST_GOOD = 10_000
/** Bad ones: few, since anyone can make them. */
const MAX_REJECTED = 500
const JWT_MS = 60_000
const INTROSPECTED_MS = 30_000
const BAD_MS = 10_000

/** A good token, and what its principal is made of. */
interface Known {
  readonly facts: TokenFacts
  readonly principal: Omit<Principal, 'authenticatedAt'>
  /** Of its issuer's keys, when it was verified: after a change it is verified again. */
  readonly generation: number
}

export function oauth2Authenticator ({ store, rules, issuers, verifiers, introspections }: OAuth2Options): Authenticator {
  const good = tokenCache<Known>(MOST_GOOD)
  const bad = tokenCache<string>(MAX_REJECTED)
  const underWay = new Map<string, Promise<Known | undefined>>()
  const byName = new Map(issuers.map(issuer => [issuer.name, issuer]))
  const generationOf = (issuer: string) => byName.get(issuer)?.keys?.generation ?? 0

  return {
    type: 'oauth2',

    async authenticate (credential, presented) {
      if (credential.type !== 'bearer' && credential.type !== 'dpop') return undefined
      const hash = createHash('sha256').update(credential.value).digest('base64url')
      const now = Date.now()
      const known = recall(hash, now) ?? await established(credential.value, hash)
      if (known === undefined) return undefined

      await checkBinding(credential, known.facts, presented)
      const { scopes } = known.facts
      if (!scopes.includes(ACCESS_SCOPE)) {
        throw new InsufficientScope(scopes, [ACCESS_SCOPE], known.facts.issuer)
      }
      return { principal: { ...known.principal, authenticatedAt: now } }
    },

    async close () {
      for (const issuer of issuers) issuer.close()
    }
  }

  function recall (hash: string, now: number): Known | undefined {
    const known = good.get(hash, now)
    if (known !== undefined) return known.generation === generationOf(known.facts.issuer) ? known : undefined
    const why = bad.get(hash, now)
    if (why !== undefined) throw refused(why)
    return undefined
  }

  /** Single flight: however many present a token at once, it is looked at once. */
  async function established (token: string, hash: string): Promise<Known | undefined> {
    let work = underWay.get(hash)
    if (work === undefined) {
      work = establish(token, hash).finally(() => underWay.delete(hash))
      underWay.set(hash, work)
    }
    return await work
  }

  async function establish (token: string, hash: string): Promise<Known | undefined> {
    try {
      if (verifiers.size > 0 && looksLikeJwt(token)) return await verified(token, hash)
      return introspections.length > 0 ? await introspected(token, hash) : undefined
    } catch (error) {
      if (error instanceof Unreachable) throw unavailable(error.message)
      throw error
    }
  }

  async function verified (token: string, hash: string): Promise<Known | undefined> {
    const now = Date.now()
    // Before the look at the keys: a change in between must make this entry old.
    const generations = new Map(issuers.map(({ name }) => [name, generationOf(name)]))
    const checked = await checkJwt(token, verifiers, rules, now)
    if (checked === undefined) return undefined
    if ('refused' in checked) {
      if (checked.lasting) bad.set(hash, checked.refused, now + BAD_MS)
      throw refused(checked.refused)
    }
    const known = { facts: checked.facts, principal: principalOf(checked.facts), generation: generations.get(checked.facts.issuer) ?? 0 }
    good.set(hash, known, cacheUntil(checked.facts, now, JWT_MS))
    return known
  }

  async function introspected (token: string, hash: string): Promise<Known | undefined> {
    const shared = await store.cacheGet(`token:${hash}`).catch(() => undefined)
    const remembered = shared === undefined ? undefined : readFacts(shared)
    if (remembered !== undefined) return keep(hash, remembered)

    let refusal: string | undefined
    let trouble: unknown
    for (const introspection of introspections) {
      try {
        const judged = await introspection.ask(token)
        if (judged === undefined) continue
        if ('facts' in judged) {
          const now = Date.now()
          const text = JSON.stringify({ ...judged.facts, until: cacheUntil(judged.facts, now, INTROSPECTED_MS) })
          store.cacheSet(`token:${hash}`, text, cacheUntil(judged.facts, now, INTROSPECTED_MS) - now).catch(() => {})
          return keep(hash, judged.facts)
        }
        refusal = judged.refused
      } catch (error) {
        // Another server may still know the token.
        trouble = error
      }
    }
    if (trouble !== undefined) throw trouble
    if (refusal === undefined) return undefined
    bad.set(hash, refusal, Date.now() + BAD_MS)
    throw refused(refusal)
  }

  function keep (hash: string, facts: TokenFacts & { until?: number }): Known {
    const { until, ...rest } = facts
    const now = Date.now()
    const known = { facts: rest, principal: principalOf(rest), generation: generationOf(facts.issuer) }
    good.set(hash, known, Math.min(until ?? Infinity, cacheUntil(rest, now, INTROSPECTED_MS)))
    return known
  }

  /** Facts that another replica established, if they are of an issuer that this one trusts too. */
  function readFacts (text: string): (TokenFacts & { until: number }) | undefined {
    try {
      const value = JSON.parse(text) as TokenFacts & { until: number }
      return shape.fits(value) && byName.has(value.issuer) && value.until > Date.now() ? value : undefined
    } catch {
      return undefined
    }
  }

  /** A bound token is no bearer token, and a bearer token proves nothing (RFC 9449 §7.1, §7.2). */
  async function checkBinding (credential: Credential & { type: 'bearer' | 'dpop' }, { keyThumbprint }: TokenFacts, { method, url }: RequestFacts): Promise<void> {
    if (credential.type === 'bearer') {
      if (keyThumbprint !== undefined) throw refused('the token is bound to a key and came without a proof')
      return
    }
    if (keyThumbprint === undefined) throw refused('the token is not bound to a key')
    const checked = checkProof(credential.proof, { method, url, token: credential.value, keyThumbprint }, Date.now())
    if ('refused' in checked) throw refused(checked.refused)
    // Kept for as long as the proof could be shown again; every replica asks the same place.
    if (!await store.claim(`dpop:${checked.once}`, 2 * PROOF_WINDOW_MS)) throw refused('dpop proof: used before')
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
  until: Type.Number()
}, { additionalProperties: false }))

function principalOf ({ issuer, subject, client, scopes, issuedAt, expiresAt, jti }: TokenFacts): Omit<Principal, 'authenticatedAt'> {
  // Subjects are unique within their issuer only, and their text is the issuer's: encoded, it can be part of a key.
  const tag = createHash('sha256').update(issuer).digest('hex').slice(0, 8)
  return {
    id: ['oauth2', tag, subject, ...(client === undefined ? [] : [client])].map(encodeURIComponent).join(':'),
    name: subject,
    authType: 'oauth2',
    role: 'caller',
    permissions: permissionsOf(scopes),
    issuer,
    scopes,
    expiresAt,
    issuedAt,
    revocableAs: [
      ...(jti === undefined ? [] : [`jti:${jti}`]),
      `sub:${subject}`,
      ...(client === undefined ? [] : [`client:${client}`])
    ]
  }
}

function refused (why: string): AppError {
  return new AppError('INVALID_CREDENTIAL', 'Authentication required', { cause: `token: ${why}` })
}

function unavailable (why: string): AppError {
  return new AppError('STATE_UNAVAILABLE', 'Authentication is out of reach; try again', { cause: why, headers: { 'retry-after': '2' } })
}
