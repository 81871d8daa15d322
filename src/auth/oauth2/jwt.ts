/** Access tokens that are JWTs (RFC 9068). The signature is checked by the verifier that was handed in. */
import { createPublicKey } from 'node:crypto'
import {
  judgeJwt,
  shown,
  wrongAudience,
  type TokenRefusal,
  type TokenFacts,
  type TokenRules
} from '../../core/access-token.ts'
import { readJwtForm, type JwtForm } from '../../core/jwt-form.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import type { Issuer } from './issuer.ts'
import { signatureFits } from './jws.ts'

/** What a verifier must hold a token of one issuer to. */
export interface JwtRules {
  readonly issuer: string
  readonly audiences: readonly string[]
  readonly algorithms: readonly string[]
  /** Undefined accepts others too; `acceptableType` has looked at it by then. */
  readonly typ: string | undefined
  readonly skewMs: number
  /**
   * The key for a token's header, as PEM or secret.
   *
   * @throws {Unreachable | HeaderRefused}
   */
  readonly key: (header: Readonly<Record<string, unknown>>) => Promise<Buffer>
  /** Fetch the keys anew, unless that was done a moment ago; says whether they are others now. */
  readonly renewKeys: () => Promise<boolean>
}

/**
 * Verify signature, algorithm, issuer, audience, times and type.
 *
 * @throws whatever is wrong, with a `code`; what `key` threw stands in `originalError`
 */
export type VerifyJwt = (token: string) => Promise<JwtClaims>

/** How tokens of one issuer are verified. */
export interface TokenVerifier {
  readonly rules: JwtRules
  readonly verify: VerifyJwt
}

/** How `OAUTH2_TOKEN_TYP` may stand. */
export type TokenType = 'at+jwt' | 'jwt'

/** The header names no key that may be used, or is not one of an access token. */
export class HeaderRefused extends Error {
  override readonly name = 'HeaderRefused'
}

/** `lasting`: it can never become good. */
export type Checked = { readonly facts: TokenFacts } | (TokenRefusal & { readonly lasting: boolean })

type JwtClaims = Readonly<Record<string, unknown>>

const MAX_KID = 256

/** `EdDSA` is accepted by the name of its curve, too (RFC 9864 §2.2). */
const ED25519 = 'Ed25519'

/** The rules for tokens of an issuer, verified by its published keys or by a secret. */
export function rulesFor (
  issuer: Issuer,
  {
    audiences, algorithms, typ, skewMs, secret
  }: {
    audiences: readonly string[]
    algorithms: readonly string[]
    typ: TokenType
    skewMs: number
    secret: string | undefined
  }
): JwtRules {
  const shared = secret === undefined ? undefined : Buffer.from(secret)
  const accepted =
    shared !== undefined
      ? ['HS256', 'HS384', 'HS512']
      : algorithms.includes('EdDSA')
        ? [...new Set([...algorithms, ED25519])]
        : algorithms
  return {
    issuer: issuer.name,
    audiences,
    algorithms: accepted,
    typ: typ === 'at+jwt' ? 'at+jwt' : undefined,
    skewMs,
    async key (header) {
      if (!acceptableType(header.typ, typ)) {
        throw new HeaderRefused(
          `typ ${shown(header.typ)} is not that of an access token; see OAUTH2_TOKEN_TYP (${typ})`
        )
      }
      // Before the look-up: what will not be verified must not cost a fetch.
      if (typeof header.alg !== 'string' || !accepted.includes(header.alg)) {
        throw new HeaderRefused(`alg ${shown(header.alg)} is not accepted; see OAUTH2_ALGORITHMS`)
      }
      return shared ?? (await publishedKey(issuer, header.kid, header.alg))
    },
    renewKeys: async () => (await issuer.keys?.renew()) ?? false
  }
}

async function publishedKey (issuer: Issuer, kid: unknown, alg: string): Promise<Buffer> {
  const name = kid ?? undefined
  if (name !== undefined && (typeof name !== 'string' || name === '' || name.length > MAX_KID)) {
    throw new HeaderRefused(`kid ${shown(kid)} is no name`)
  }
  const found = await issuer.keys!.find(name, alg)
  if ('missing' in found) throw new HeaderRefused(`${found.missing}: kid ${shown(kid)}, alg ${alg}`)
  return found.key.pem
}

/** `jwt` is for servers that do not mark access tokens; ID tokens are then told by their claims and audience. */
/** RFC 9068 §2.1, and names of products that end so, such as `okta-internal-at+jwt`. */
const ACCESS_TOKEN_TYPE = /^(?:[a-z0-9][a-z0-9.-]*-)?at\+jwt$/

function acceptableType (declared: unknown, typ: TokenType): boolean {
  if (declared === undefined || declared === null) return typ === 'jwt'
  if (typeof declared !== 'string') return false
  const name = nameOfType(declared)
  return name === 'at+jwt' || (typ === 'jwt' && name !== 'dpop+jwt' && (name === 'jwt' || ACCESS_TOKEN_TYPE.test(name)))
}

function nameOfType (declared: string): string {
  return declared.toLowerCase().replace(/^application\//, '')
}

/**
 * Check a token.
 *
 * @param verifiers by issuer
 * @returns undefined if it is of no issuer that is trusted here
 * @throws {Unreachable} if its issuer cannot be asked for the key
 */
export async function checkJwt (
  token: string,
  verifiers: ReadonlyMap<string, TokenVerifier>,
  rules: TokenRules,
  now: number
): Promise<Checked | undefined> {
  const form = readJwtForm(token)
  if (form === undefined) return { refused: 'malformed', lasting: true }
  // Only chooses among names that stand in the settings; it is verified below.
  const { iss } = form.claims
  const verifier = typeof iss === 'string' ? verifiers.get(iss) : undefined
  if (verifier === undefined) return undefined

  let result = await verified(token, form, verifier)
  // The server may have put another key under the same name, or changed the only one, which has none.
  if ('badSignature' in result && (await verifier.rules.renewKeys())) result = await verified(token, form, verifier)
  if ('badSignature' in result) return { refused: result.badSignature, lasting: true }
  if ('refused' in result) return result
  const { typ } = form.header
  const marked = typeof typ === 'string' && ACCESS_TOKEN_TYPE.test(nameOfType(typ))
  const judged = judgeJwt({ claims: result.claims, marked }, iss as string, rules, now)
  return 'facts' in judged ? judged : { ...judged, lasting: judged.expired === true }
}

type Verified =
  { readonly claims: JwtClaims } | { readonly badSignature: string } | (TokenRefusal & { readonly lasting: boolean })

/** What the verifier says of a token; anything else is a failure of ours and must not look like a bad token. */
async function verified (token: string, form: JwtForm, { rules, verify }: TokenVerifier): Promise<Verified> {
  try {
    return { claims: form.header.alg === ED25519 ? await verifyEd25519(form, rules) : await verify(token) }
  } catch (thrown) {
    // What `key` threw comes wrapped.
    const {
      originalError = thrown, code, message
    } = thrown as { originalError?: unknown; code?: unknown; message: string }
    if (originalError instanceof Unreachable) throw originalError
    if (originalError instanceof HeaderRefused) return { refused: originalError.message, lasting: false }
    switch (code) {
      case 'FAST_JWT_INVALID_SIGNATURE': return { badSignature: 'the signature is not that of the key' }
      // The signature was looked at before the times.
      case 'FAST_JWT_EXPIRED': return { refused: 'expired', expired: true, lasting: true }
      case 'FAST_JWT_VERIFY_ERROR': return { refused: message, lasting: true }
      case 'FAST_JWT_KEY_FETCHING_ERROR': throw thrown
    }
    if (typeof code !== 'string' || !code.startsWith('FAST_JWT_')) throw thrown
    return {
      refused: /\baud\b/.test(message) ? wrongAudience(form.claims.aud, rules.audiences) : message, lasting: false
    }
  }
}

/**
 * The verifier knows `EdDSA` alone. Issuer, audience and times are judged
 * afterwards, as for every token.
 *
 * @throws {Unreachable | HeaderRefused}
 */
async function verifyEd25519 ({ header, claims, signed, signature }: JwtForm, { key }: JwtRules): Promise<JwtClaims> {
  const publicKey = createPublicKey(await key(header))
  if (header.crit !== undefined) throw new HeaderRefused('crit names an extension that is not known')
  if (!signatureFits(ED25519, publicKey, signed, signature)) {
    throw Object.assign(new Error('signature'), { code: 'FAST_JWT_INVALID_SIGNATURE' })
  }
  return claims
}
