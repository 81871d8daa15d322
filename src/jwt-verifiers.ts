import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import type { JwtRules, VerifyJwt } from './auth/oauth2/jwt.ts'

/** Without this list a token that lacks a claim passes the check of that claim. */
const REQUIRED = ['iss', 'aud', 'exp', 'iat', 'sub']

/**
 * A verifier for each issuer, by @fastify/jwt. It is a plugin, and tokens come
 * over standard input too, where nothing listens: so it lives in an instance of
 * its own that never does. One namespace an issuer, so that a key, an algorithm
 * or a secret of one can never serve a token of another. Its cache is off:
 * what is known of a token is kept where revocation is looked at
 * (src/auth/oauth2/authenticator.ts).
 */
export async function jwtVerifiers (rules: readonly JwtRules[]): Promise<VerifyJwt[]> {
  const holder = Fastify({ logger: false })
  for (const [i, { issuer, audiences, algorithms, typ, skewMs, key }] of rules.entries()) {
    await holder.register(jwt, {
      namespace: namespace(i),
      // Only the public half: this instance cannot sign.
      secret: { public: ({ header }: { header: Record<string, unknown> }) => key(header) } as never,
      verify: {
        algorithms: knownAlgorithms(algorithms) as never,
        allowedIss: issuer,
        allowedAud: [...audiences],
        requiredClaims: REQUIRED,
        clockTolerance: skewMs,
        // Judged afterwards, where null is absent.
        ignoreNotBefore: true,
        cache: false,
        ...(typ === undefined ? {} : { checkTyp: typ })
      }
    })
  }
  await holder.ready()
  const verifiers = holder.jwt as unknown as Record<string, { verify: VerifyJwt }>
  return rules.map((_, i) => token => verifiers[namespace(i)]!.verify(token))
}

/**
 * An empty list would accept whatever fits the key: it never is one. `Ed25519` is verified beside it
 * (src/auth/oauth2/jwt.ts).
 */
function knownAlgorithms (algorithms: readonly string[]): string[] {
  const known = algorithms.filter(name => name !== 'Ed25519')
  return known.length > 0 ? known : ['EdDSA']
}

function namespace (i: number): string {
  return `issuer${i}`
}
