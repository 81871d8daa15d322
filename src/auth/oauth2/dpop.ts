/** Proof that the caller holds the key its token is bound to (RFC 9449). */
import { createHash, type JsonWebKey } from 'node:crypto'
import { readJwtForm } from '../../core/jwt-form.ts'
import { algorithmsOf, publicKeyOf } from './jwks.ts'
import { signatureFits } from './jws.ts'

/** What the proof must be for. */
export interface ProofTarget {
  readonly method: string
  /** Without query; built from PUBLIC_URL. */
  readonly url: string
  readonly token: string
  /** `cnf.jkt` of the token. */
  readonly keyThumbprint: string
}

/** Accepted in proofs, and named in the resource metadata. */
export const PROOF_ALGORITHMS: readonly string[] = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'RS256', 'PS256']

/** How far a proof's `iat` may lie from now, ms, either way. */
export const PROOF_WINDOW_MS = 60_000

/**
 * Check a proof, all but that it is new.
 *
 * @returns the name under which it must be claimed once, or why it is refused
 */
export function checkProof (
  proof: string,
  target: ProofTarget,
  now: number
): { readonly once: string } | { readonly refused: string } {
  const form = readJwtForm(proof)
  if (form === undefined) return refused('malformed')
  const { header, claims, signed, signature } = form
  if (header.typ !== 'dpop+jwt' || header.crit !== undefined) return refused('typ')
  const { alg, jwk } = header
  if (typeof alg !== 'string' || !PROOF_ALGORITHMS.includes(alg)) return refused('alg')
  if (typeof jwk !== 'object' || jwk === null) return refused('jwk')
  const key = algorithmsOf(jwk as JsonWebKey).includes(alg) ? publicKeyOf(jwk as JsonWebKey) : undefined
  if (key === undefined) return refused('jwk')

  const thumbprint = thumbprintOf(jwk as JsonWebKey)
  if (thumbprint !== target.keyThumbprint) return refused('another key than the token is bound to')
  if (!signatureFits(alg, key, signed, signature)) return refused('signature')

  const { jti, htm, htu, iat, ath } = claims
  if (htm !== target.method) return refused('htm')
  if (!sameUrl(htu, target.url)) return refused('htu')
  if (typeof iat !== 'number' || Math.abs(iat * 1000 - now) > PROOF_WINDOW_MS) return refused('iat')
  if (ath !== createHash('sha256').update(target.token).digest('base64url')) return refused('ath')
  if (typeof jti !== 'string' || jti === '' || jti.length > 256) return refused('jti')
  return { once: createHash('sha256').update(`${thumbprint}\n${jti}`).digest('base64url') }
}

function refused (why: string) {
  return { refused: `dpop proof: ${why}` }
}

/** RFC 7638: the required members, in order of their names. */
export function thumbprintOf ({ kty, crv, x, y, e, n }: JsonWebKey): string {
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x }
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url')
}

/** RFC 9449 §4.3: without query and fragment, in normal form. */
function sameUrl (htu: unknown, url: string): boolean {
  if (typeof htu !== 'string' || !URL.canParse(htu)) return false
  const [a, b] = [new URL(htu), new URL(url)]
  return a.origin === b.origin && a.pathname === b.pathname && a.username === '' && a.password === ''
}
