/** Access tokens that are JWTs (RFC 9068). The signature is checked by the verifier that was handed in. */
import { judgeJwt, type TokenFacts, type TokenRules } from '../../core/access-token.ts'
import { readJwtForm } from '../../core/jwt-form.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import type { Issuer } from './issuer.ts'

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
   * @throws {Unreachable | NoKey}
   */
  readonly key: (header: Readonly<Record<string, unknown>>) => Promise<Buffer>
}

/**
 * Verify signature, algorithm, issuer, audience, times and type.
 *
 * @throws whatever is wrong, with a `code`; what `key` threw stands in `originalError`
 */
export type VerifyJwt = (token: string) => Promise<Readonly<Record<string, unknown>>>

/** How `OAUTH2_TOKEN_TYP` may stand. */
export type TokenType = 'at+jwt' | 'jwt'

/** No key of the issuer fits the token's header. */
export class NoKey extends Error {
  override readonly name = 'NoKey'
}

export type Checked = { readonly facts: TokenFacts } | { readonly refused: string, readonly lasting: boolean }

const MOST_KID = 256

/** The rules for tokens of an issuer, verified by its published keys or by a secret. */
export function rulesFor (issuer: Issuer, { audiences, algorithms, typ, skewMs, secret }: {
  audiences: readonly string[], algorithms: readonly string[], typ: TokenType, skewMs: number, secret: string | undefined
}): JwtRules {
  const shared = secret === undefined ? undefined : Buffer.from(secret)
  return {
    issuer: issuer.name,
    audiences,
    algorithms: shared === undefined ? algorithms : ['HS256', 'HS384', 'HS512'],
    typ: typ === 'at+jwt' ? 'at+jwt' : undefined,
    skewMs,
    async key ({ kid, alg, typ: declared }) {
      if (!acceptableType(declared, typ)) throw new NoKey(`typ is not that of an access token; see OAUTH2_TOKEN_TYP (${typ})`)
      if (shared !== undefined) return shared
      if (typeof kid !== 'string' || kid === '' || kid.length > MOST_KID) throw new NoKey('kid is missing')
      // Before the look-up: what will not be verified must not cost a fetch.
      if (typeof alg !== 'string' || !algorithms.includes(alg)) throw new NoKey('alg is not accepted')
      const key = await issuer.keys!.find(kid)
      if (key === undefined) throw new NoKey('kid is not known')
      if (!key.algorithms.includes(alg)) throw new NoKey('the key is not for this alg')
      return key.pem
    }
  }
}

/** `jwt` is for servers that do not mark access tokens; ID tokens are then told by their claims and audience. */
function acceptableType (declared: unknown, typ: TokenType): boolean {
  if (declared === undefined) return typ === 'jwt'
  if (typeof declared !== 'string') return false
  const name = declared.toLowerCase().replace(/^application\//, '')
  return name === 'at+jwt' || (typ === 'jwt' && name !== 'dpop+jwt' && (name === 'jwt' || name.endsWith('at+jwt')))
}

/**
 * Check a token.
 *
 * @param verifiers by issuer
 * @returns undefined if it is of no issuer that is trusted here
 * @throws {Unreachable} if its issuer cannot be asked for the key
 */
export async function checkJwt (token: string, verifiers: ReadonlyMap<string, VerifyJwt>, rules: TokenRules, now: number): Promise<Checked | undefined> {
  const form = readJwtForm(token)
  if (form === undefined) return { refused: 'malformed', lasting: true }
  // Only chooses among names that stand in the settings; it is verified below.
  const { iss } = form.claims
  const verify = typeof iss === 'string' ? verifiers.get(iss) : undefined
  if (verify === undefined) return undefined
  try {
    const judged = judgeJwt(await verify(token), iss as string, rules, now)
    return 'facts' in judged ? judged : { ...judged, lasting: false }
  } catch (thrown) {
    // What `key` threw comes wrapped.
    const { originalError, code, message } = thrown as { originalError?: unknown, code?: unknown, message: string }
    if (originalError instanceof Unreachable) throw originalError
    if (originalError instanceof NoKey) return { refused: originalError.message, lasting: false }
    // What the verifier says of a token; anything else is a failure of ours and must not look like a bad token.
    if (typeof code !== 'string' || !code.startsWith('FAST_JWT_') || code === 'FAST_JWT_KEY_FETCHING_ERROR') throw thrown
    return { refused: message, lasting: code === 'FAST_JWT_INVALID_SIGNATURE' || code === 'FAST_JWT_VERIFY_ERROR' }
  }
}
