import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { RequestFacts } from '../src/auth/authenticator.ts'
import type { Caller, Identify } from '../src/auth/chain.ts'
import { challengeHeader } from '../src/core/challenge.ts'
import { NO_CREDENTIAL, readCredential, type Credential } from '../src/core/credential.ts'
import { InsufficientScope } from '../src/auth/scopes.ts'
import { isScope, loginScopes, stepUpScopes, type GrantableScopes } from '../src/core/oauth-scopes.ts'
import { operatorPatterns } from '../src/core/operators.ts'
import { scopeFor } from '../src/core/permissions.ts'
import { repeated } from '../src/core/repeated.ts'
import { AppError } from '../src/errors.ts'
import { routeOf } from './request-context.ts'

export interface OAuth2Challenge {
  /** URL of the resource metadata. */
  readonly metadataUrl: string
  /** What an issuer can grant; undefined asks for the first one, where clients log in. */
  grantable (issuer?: string): GrantableScopes
}

export interface AuthOptions {
  /** Who presents a credential. */
  identify: Identify
  /** Who asks, where the app around this service knows: then no credential is read. */
  given?: ((request: FastifyRequest, facts: RequestFacts) => Promise<Caller>) | undefined
  publicUrl: string
  /** Callers are refused. */
  operatorsOnly?: boolean
  /** Where OAuth2 is on. */
  oauth2?: OAuth2Challenge | undefined
}

/**
 * Identifies the caller of every route that does not say `public: true`,
 * before the body is read. A forgotten route answers 401.
 */
export default fp<AuthOptions>(
  async function auth (app, { identify, given, publicUrl, operatorsOnly = false, oauth2 }) {
    app.secureMcp.identify = identify

    app.addHook('onRequest', async function authenticate (request, reply) {
      if (routeOf(request).public === true) return
      const { method, secureMcp } = request
      try {
        const facts = { address: secureMcp.address, method, url: publicUrl + request.url.split('?', 1)[0] }
        const caller = await (given === undefined ? identify(credentialOf(request), facts) : given(request, facts))
        secureMcp.caller = caller
        secureMcp.rateLimit = caller.rateLimit
        secureMcp.trace.identified(caller.principal)
        if (operatorsOnly && operatorPatterns(caller.principal) === undefined) {
          throw new AppError('FORBIDDEN', 'This needs an operator key', { rule: `role ${caller.principal.role}` })
        }
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        // Nothing was looked up for it, and so nothing else counts it.
        if (error.code === 'AUTHENTICATION_REQUIRED' || error.code === 'MALFORMED_CREDENTIAL') {
          await app.secureMcp.countStranger(request)
        }
        challenge(error, request, header => reply.header('www-authenticate', header))
        throw error
      }
    })

    app.addHook('onError', function challengeLater (request, reply, error, done) {
      // Scopes that only the body names: thrown after authentication.
      if (error instanceof AppError && error.code === 'INSUFFICIENT_SCOPE' && request.secureMcp.caller !== undefined) {
        challenge(error, request, header => reply.header('www-authenticate', header))
      }
      done()
    })

    function challenge (error: AppError, request: FastifyRequest, write: (header: string) => void): void {
      const resourceMetadata = oauth2?.metadataUrl
      switch (error.code) {
        case 'AUTHENTICATION_REQUIRED':
          return write(challengeHeader({ resourceMetadata, scope: oauth2 && loginScopes(oauth2.grantable()) }))
        case 'INVALID_CREDENTIAL':
          return write(
            challengeHeader({
              resourceMetadata, scope: oauth2 && loginScopes(oauth2.grantable()), error: 'invalid_token'
            })
          )
        case 'INSUFFICIENT_SCOPE':
          return write(
            challengeHeader({
              resourceMetadata,
              scope: oauth2 && scopesFor(error, request, oauth2),
              error: 'insufficient_scope',
              description: error.message
            })
          )
        case 'MALFORMED_CREDENTIAL':
          return write(challengeHeader({ resourceMetadata, error: 'invalid_request' }))
      }
    }
  },
  { name: 'secure-mcp/auth', fastify: '5.x', dependencies: ['secure-mcp/strangers'] }
)

/** All that the call needs in one challenge, in names that the token's authorization server can grant. */
function scopesFor (error: AppError, request: FastifyRequest, { grantable }: OAuth2Challenge): string[] {
  if (!(error instanceof InsufficientScope)) return loginScopes(grantable())
  const scopes = stepUpScopes(error.held, [...error.wanted, ...scopeHinted(request)], grantable(error.issuer))
  error.askFor(scopes)
  return scopes
}

/**
 * The tool that the headers of a 2026-07-28 request name, so that a token
 * without any scope of ours learns all it needs in one challenge. A hint only:
 * what is decided later is decided by the body.
 */
function scopeHinted ({ headers }: FastifyRequest): string[] {
  const name = headers['mcp-name']
  const scope =
    headers['mcp-method'] === 'tools/call' && typeof name === 'string' && !name.startsWith('=?')
      ? scopeFor('tool', name)
      : ''
  return isScope(scope) ? [scope] : []
}

/** Both header names, each counted. */
function credentialOf ({ headers, raw }: FastifyRequest): Credential {
  const { authorization, dpop } = headers
  const apiKey = headers['x-api-key']
  if (authorization === undefined && apiKey === undefined) return NO_CREDENTIAL
  return readCredential(
    authorization !== undefined && repeated(raw.rawHeaders, 'authorization') ? [authorization] : authorization,
    apiKey !== undefined && repeated(raw.rawHeaders, 'x-api-key') ? [String(apiKey)] : apiKey,
    dpop
  )
}
