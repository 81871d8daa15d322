/**
 * What a token says, once its signature or its authorization server vouched
 * for it: whether that is enough, and the few facts that are kept.
 */
import { scopesIn, type ScopeMap } from './oauth-scopes.ts'

export interface TokenRules {
  /** Exact values; one of them must be in `aud`. */
  readonly audiences: readonly string[]
  /** Claims that hold scopes or roles; dots lead into objects. */
  readonly scopeClaims: readonly string[]
  readonly scopeMap: ScopeMap
  /** How far clocks may differ, ms. */
  readonly skewMs: number
  /** Longest time from `iat` to `exp`, ms. */
  readonly maxAgeMs: number
}

/** All that is kept of a token; the token itself is not. Times are ms since the epoch. */
export interface TokenFacts {
  readonly issuer: string
  readonly subject: string
  readonly client?: string
  /** Those of this server only, mapped. */
  readonly scopes: readonly string[]
  readonly issuedAt?: number
  readonly expiresAt?: number
  readonly jti?: string
  /** The thumbprint of the key that must be shown to hold the token (RFC 9449 §6). */
  readonly keyThumbprint?: string
}

export type Judged = { readonly facts: TokenFacts } | { readonly refused: string }

type Claims = Readonly<Record<string, unknown>>

const MOST_SCOPE_CHARACTERS = 4096
const MOST_AUDIENCES = 32

/** Only ID tokens carry these (OpenID Connect Core §2, §3.3.2.11). */
const ID_TOKEN_CLAIMS = ['at_hash', 'c_hash', 's_hash', 'nonce']

/**
 * Judge the claims of a JWT whose signature, issuer and audience were
 * verified. What the verifier is told is looked at again here, so that one
 * wrong option is not a hole.
 *
 * @param now ms since the epoch
 */
export function judgeJwt (claims: Claims, issuer: string, rules: TokenRules, now: number): Judged {
  if (claims.iss !== issuer) return { refused: 'issuer' }
  if (!time(claims.exp) || !time(claims.iat)) return { refused: 'exp or iat is not a time' }
  const issuedAt = claims.iat * 1000
  const expiresAt = claims.exp * 1000
  if (issuedAt > now + rules.skewMs) return { refused: 'iat is in the future' }
  if (expiresAt <= now) return { refused: 'expired' }
  if (expiresAt - issuedAt > rules.maxAgeMs) return { refused: 'lives longer than OAUTH2_MAX_TOKEN_AGE_MS' }
  if (text(claims.sub) === undefined) return { refused: 'sub' }
  return judge(claims, issuer, rules, now)
}

/**
 * Judge what an authorization server answers about a token (RFC 7662 §2.2).
 * `active` must be true and nothing like it; the audience is not optional here.
 *
 * @param now ms since the epoch
 */
export function judgeIntrospection (answer: Claims, issuer: string, rules: TokenRules, now: number): Judged {
  if (answer.active !== true) return { refused: 'not active' }
  if (answer.iss !== undefined && answer.iss !== issuer) return { refused: 'issuer' }
  const type = answer.token_type
  if (type !== undefined && !(typeof type === 'string' && /^(bearer|dpop)$/i.test(type))) return { refused: 'token_type' }
  return judge(answer, issuer, rules, now)
}

/**
 * Judge an answer of the older `tokeninfo` form: it has no `active`, and
 * writes numbers as text.
 *
 * @param now ms since the epoch
 */
export function judgeTokenInfo (answer: Claims, issuer: string, rules: TokenRules, now: number): Judged {
  if (answer.error !== undefined || answer.error_description !== undefined) return { refused: 'not active' }
  const left = number(answer.expires_in)
  const exp = number(answer.exp) ?? (left === undefined ? undefined : now / 1000 + left)
  if (exp === undefined) return { refused: 'exp' }
  const { iat: _iat, nbf: _nbf, ...rest } = answer
  return judge({
    ...rest,
    exp,
    aud: answer.aud ?? answer.audience,
    sub: answer.sub ?? answer.user_id,
    ...(answer.iat === undefined ? {} : { iat: number(answer.iat) })
  }, issuer, rules, now)
}

function judge (claims: Claims, issuer: string, rules: TokenRules, now: number): Judged {
  const { exp, iat, nbf, jti } = claims
  const audience = typeof claims.aud === 'string' ? [claims.aud] : claims.aud
  if (!Array.isArray(audience) || audience.length > MOST_AUDIENCES || !audience.some(value => rules.audiences.includes(value as string))) {
    return { refused: 'audience' }
  }
  if (ID_TOKEN_CLAIMS.some(name => claims[name] !== undefined) || claims.token_use === 'id' ||
    (typeof claims.typ === 'string' && !/^(bearer|dpop)$/i.test(claims.typ))) {
    return { refused: 'not an access token' }
  }
  if (exp !== undefined && (!time(exp) || exp * 1000 <= now)) return { refused: 'expired' }
  if (iat !== undefined && (!time(iat) || iat * 1000 > now + rules.skewMs)) return { refused: 'iat is in the future' }
  if (nbf !== undefined && (!time(nbf) || nbf * 1000 > now + rules.skewMs)) return { refused: 'nbf is in the future' }
  if (jti !== undefined && text(jti) === undefined) return { refused: 'jti' }

  const client = [claims.client_id, claims.azp, claims.appid, claims.cid].find(value => value !== undefined)
  if (client !== undefined && text(client) === undefined) return { refused: 'client_id' }
  const subject = text(claims.sub ?? client)
  if (subject === undefined) return { refused: 'sub' }

  const scopes = scopesIn(claims, rules.scopeClaims, rules.scopeMap)
  if (scopes === undefined || scopes.join(' ').length > MOST_SCOPE_CHARACTERS) return { refused: 'scopes' }

  const bound = claims.cnf
  const keyThumbprint = bound === undefined ? undefined : text((bound as { jkt?: unknown } | null)?.jkt)
  // Bound to something that is not checked here, such as a TLS certificate: refuse rather than ignore.
  if (bound !== undefined && (keyThumbprint === undefined || Object.keys(bound as object).length !== 1)) return { refused: 'cnf' }

  return {
    facts: {
      issuer,
      subject,
      scopes,
      ...(client === undefined ? {} : { client: client as string }),
      ...(iat === undefined ? {} : { issuedAt: (iat as number) * 1000 }),
      ...(exp === undefined ? {} : { expiresAt: (exp as number) * 1000 }),
      ...(jti === undefined ? {} : { jti: jti as string }),
      ...(keyThumbprint === undefined ? {} : { keyThumbprint })
    }
  }
}

/** A NumericDate (RFC 7519 §2) that a date can stand for. */
function time (value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value < 1e11
}

function number (value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : undefined
}

/** Names that go into ids, counters and the log: present, bounded, and without characters that forge lines. */
function text (value: unknown): string | undefined {
  return typeof value === 'string' && /^[^\p{C}]{1,256}$/u.test(value) ? value : undefined
}
