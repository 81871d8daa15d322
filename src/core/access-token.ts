/**
 * What a token says, once its signature or its authorization server vouched
 * for it: whether that is enough, and the few facts that are kept.
 */
import type { Claims } from './principal.ts'
import { claimAt, scopesIn, type ScopeMap } from './oauth-scopes.ts'

export interface TokenRules {
  /** Exact values; one of them must be in `aud`. */
  readonly audiences: readonly string[]
  /** Claims that hold scopes or roles; dots lead into objects. */
  readonly scopeClaims: readonly string[]
  readonly scopeMap: ScopeMap
  /** Claims that handlers may read; dots lead into objects. */
  readonly claims: readonly string[]
  /** How far clocks may differ, ms. */
  readonly skewMs: number
  /** Longest time from `iat` to `exp`, ms. */
  readonly maxAgeMs: number
  /** Whether an introspection answer without `aud` is for this server (RFC 7662 §2.2 makes it optional). */
  readonly introspectionWithoutAud: 'refuse' | 'accept'
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
  /** What handlers may read, by the names that the settings list. */
  readonly claims?: Claims
  /** The thumbprint of the key that must be shown to hold the token (RFC 9449 §6). */
  readonly keyThumbprint?: string
}

/** Why a token is refused, for the log. `expired`: it was good once, so it is no guess. */
export interface TokenRefusal {
  readonly refused: string
  readonly expired?: boolean
}

export type Judged = { readonly facts: TokenFacts } | TokenRefusal

const MAX_SCOPE_CHARACTERS = 4096
/** Of all claims for handlers together: they are kept with each token that is remembered. */
const MAX_CLAIM_CHARACTERS = 8192
/** Keycloak names every client of whose roles the account has one. */
const MAX_AUDIENCES = 1024

const EXPIRED: TokenRefusal = { refused: 'expired', expired: true }

/** Only ID tokens carry these (OpenID Connect Core §2, §3.3.2.11). */
const ID_TOKEN_CLAIMS = ['at_hash', 'c_hash', 's_hash']

/**
 * Judge the claims of a JWT whose signature, issuer and audience were
 * verified. What the verifier is told is looked at again here, so that one
 * wrong option is not a hole.
 *
 * @param token its claims, and whether its header says that it is an access token (RFC 9068 §2.1)
 * @param now ms since the epoch
 */
export function judgeJwt (
  token: { claims: Claims; marked: boolean },
  issuer: string,
  rules: TokenRules,
  now: number
): Judged {
  const claims = withoutNulls(token.claims)
  if (claims.iss !== issuer) return { refused: `issuer: ${shown(claims.iss)}` }
  if (!time(claims.exp) || !time(claims.iat)) return { refused: 'exp or iat is not a time' }
  const issuedAt = claims.iat * 1000
  const expiresAt = claims.exp * 1000
  if (issuedAt > now + rules.skewMs) return { refused: 'iat is in the future' }
  if (expiresAt <= now) return EXPIRED
  if (expiresAt - issuedAt > rules.maxAgeMs) return { refused: 'lives longer than OAUTH2_MAX_TOKEN_AGE_MS' }
  if (text(claims.sub) === undefined) return { refused: 'sub' }
  return judge(claims, issuer, rules, { now, marked: token.marked })
}

/**
 * Judge what an authorization server answers about a token (RFC 7662 §2.2).
 * `active` must be true and nothing like it. Members that are null are absent:
 * many servers write them so.
 *
 * @param now ms since the epoch
 */
export function judgeIntrospection (answer: Claims, issuer: string, rules: TokenRules, now: number): Judged {
  const said = withoutNulls(answer)
  if (said.active !== true) {
    return {
      refused: said.active === false ? 'not active' : `not active: \`active\` is ${shown(said.active)} instead of true`
    }
  }
  if (said.iss !== undefined && said.iss !== issuer) {
    return { refused: `issuer: ${shown(said.iss)} seen, ${shown(issuer)} wanted` }
  }
  const type = said.token_type
  if (type !== undefined && !isAccessType(type)) return { refused: `token_type: ${shown(type)}` }
  if (said.aud === undefined && rules.introspectionWithoutAud === 'accept') said.aud = rules.audiences[0]
  return judge(withNumbers(said), issuer, rules, { now, marked: true })
}

/**
 * Judge an answer of the older `tokeninfo` form: it has no `active`, and
 * writes numbers as text.
 *
 * @param now ms since the epoch
 */
export function judgeTokenInfo (answer: Claims, issuer: string, rules: TokenRules, now: number): Judged {
  const said = withoutNulls(answer)
  if (said.error !== undefined || said.error_description !== undefined) {
    return { refused: `not active: ${shown(said.error)}` }
  }
  const left = number(said.expires_in)
  const exp = number(said.exp) ?? (left === undefined ? undefined : now / 1000 + left)
  if (exp === undefined) return { refused: 'exp' }
  const { nbf: _nbf, ...rest } = withNumbers(said)
  return judge({ ...rest, exp, aud: said.aud ?? said.audience, sub: said.sub ?? said.user_id }, issuer, rules, {
    now, marked: true
  })
}

function judge (
  claims: Claims,
  issuer: string,
  rules: TokenRules,
  { now, marked }: { now: number; marked: boolean }
): Judged {
  const { exp, iat, nbf, jti } = claims
  if (!isForUs(claims.aud, rules.audiences)) return { refused: wrongAudience(claims.aud, rules.audiences) }
  if (!isAccessToken(claims, marked)) return { refused: 'not an access token' }
  if (exp !== undefined && !time(exp)) return { refused: 'exp is not a time' }
  if (exp !== undefined && exp * 1000 <= now) return EXPIRED
  if (iat !== undefined && (!time(iat) || iat * 1000 > now + rules.skewMs)) return { refused: 'iat is in the future' }
  if (nbf !== undefined && (!time(nbf) || nbf * 1000 > now + rules.skewMs)) return { refused: 'nbf is in the future' }
  if (jti !== undefined && text(jti) === undefined) return { refused: 'jti' }

  const client = [claims.client_id, claims.azp, claims.appid, claims.cid].find(value => value !== undefined)
  if (client !== undefined && text(client) === undefined) return { refused: 'client_id' }
  const subject = text(claims.sub ?? client)
  if (subject === undefined) return { refused: 'sub' }

  const scopes = scopesIn(claims, rules.scopeClaims, rules.scopeMap)
  if (scopes === undefined || scopes.join(' ').length > MAX_SCOPE_CHARACTERS) return { refused: 'scopes' }
  const told = toldClaims(claims, rules.claims)
  if (told === undefined) {
    return { refused: `claims: those of OAUTH2_CLAIMS have more than ${MAX_CLAIM_CHARACTERS} characters` }
  }
  const binding = bindingOf(claims.cnf)
  if (binding === undefined) return { refused: `cnf: ${shown(claims.cnf)}` }

  return {
    facts: {
      issuer,
      subject,
      scopes,
      ...(client === undefined ? {} : { client: client as string }),
      ...(iat === undefined ? {} : { issuedAt: iat * 1000 }),
      ...(exp === undefined ? {} : { expiresAt: exp * 1000 }),
      ...(jti === undefined ? {} : { jti: jti as string }),
      ...(Object.keys(told).length === 0 ? {} : { claims: told }),
      ...binding
    }
  }
}

/** The claims that handlers may read, or undefined where they are too long to be kept with the token. */
function toldClaims (claims: Claims, names: readonly string[]): Claims | undefined {
  const told: Record<string, unknown> = {}
  for (const name of names) {
    const value = claimAt(claims, name)
    if (value !== undefined && value !== null) told[name] = value
  }
  return JSON.stringify(told).length > MAX_CLAIM_CHARACTERS ? undefined : told
}

function isForUs (aud: unknown, audiences: readonly string[]): boolean {
  const seen = typeof aud === 'string' ? [aud] : aud
  return Array.isArray(seen) && seen.length <= MAX_AUDIENCES && seen.some(value => audiences.includes(value as string))
}

/** For the log: what was seen, and what would have been right. */
export function wrongAudience (seen: unknown, audiences: readonly string[]): string {
  const [part] = [seen].flat().filter(value => typeof value !== 'string')
  if (part !== undefined || seen === null) {
    return `audience: ${shown(seen)} seen, a text or a list of texts wanted (RFC 7519 section 4.1.3)`
  }
  return `audience: ${shown(seen)} seen, ${audiences.map(shown).join(' or ')} wanted (OAUTH2_AUDIENCE)`
}

/**
 * Whether claims are those of an access token and not of an ID or refresh
 * token. `nonce` alone does not decide: Keycloak before 25 copies that of the
 * login into access tokens, which say `typ: Bearer` or carry a scope.
 */
function isAccessToken (claims: Claims, marked: boolean): boolean {
  if (ID_TOKEN_CLAIMS.some(name => claims[name] !== undefined)) return false
  const { typ, token_use: use, nonce } = claims
  if (typeof typ === 'string' && !isAccessType(typ)) return false
  if (use !== undefined && use !== 'access' && use !== 'access_token') return false
  return (
    nonce === undefined || marked || typeof typ === 'string' || claims.scope !== undefined || claims.scp !== undefined
  )
}

function isAccessType (type: unknown): boolean {
  return (
    typeof type === 'string' && /^(bearer|dpop|(urn:ietf:params:oauth:token-type:)?access_token|at\+jwt)$/i.test(type)
  )
}

/**
 * The key that a token is bound to (RFC 7800 §3.1, RFC 9449 §6).
 *
 * @returns undefined if it is bound to something that is not checked here, such as a TLS certificate
 */
function bindingOf (cnf: unknown): { keyThumbprint?: string } | undefined {
  if (cnf === undefined) return {}
  if (typeof cnf !== 'object' || cnf === null || Array.isArray(cnf)) return undefined
  const methods = withoutNulls(cnf as Claims)
  const names = Object.keys(methods)
  if (names.length === 0) return Object.keys(cnf).length > 0 ? {} : undefined
  const keyThumbprint = text(methods.jkt)
  return names.length === 1 && keyThumbprint !== undefined ? { keyThumbprint } : undefined
}

/** Members that are null are absent. */
function withoutNulls (claims: Claims): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null))
}

/** Some servers write the times of an answer as text. */
function withNumbers (claims: Claims): Record<string, unknown> {
  const times = ['exp', 'iat', 'nbf']
    .filter(name => claims[name] !== undefined)
    .map(name => [name, number(claims[name]) ?? claims[name]])
  return { ...claims, ...Object.fromEntries(times) as Claims }
}

/** A value of a token for the log: whole if it is short, never more than a line. */
export function shown (value: unknown): string {
  const written = value === undefined ? 'none' : JSON.stringify(value) ?? 'none'
  return written.length <= 200 ? written : `${written.slice(0, 200)}…`
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
