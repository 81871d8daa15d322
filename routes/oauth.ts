import cookie from '@fastify/cookie'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { Unreachable } from '../src/resilience/unreachable.ts'
import { errorOf } from '../src/auth/oauth2/bounded-fetch.ts'
import { loggedInPage, PAGE_POLICY, problemPage } from '../src/auth/oauth2/login-page.ts'
import { covers, namesOf, type ScopeMap } from '../src/core/oauth-scopes.ts'
import { AppError } from '../src/errors.ts'
import { HIDDEN } from './hidden.ts'

export interface OAuthRouteOptions {
  publicUrl: string
  /** Of the endpoint, below `publicUrl`. */
  path: string
  /** Asked for by default, and the most that may be asked for. */
  loginScopes: readonly string[]
  scopeMap: ScopeMap
}

const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': PAGE_POLICY,
  'cache-control': 'no-store',
  // The address holds the code, for as long as the page is open.
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin'
}

/** Login for people, by browser: to the authorization server and back. What fails is a page that can be read. */
const oauth: FastifyPluginAsync<OAuthRouteOptions> = async (app, { publicUrl, path, loginScopes, scopeMap }) => {
  await app.register(cookie)

  app.get('/oauth/login', { schema: HIDDEN, config: { secureMcp: { public: true } } }, async (request, reply) => {
    const asked = (request.query as { scope?: unknown }).scope
    const scopes = asked === undefined ? loginScopes : String(asked).split(' ').filter(scope => scope !== '')
    if (scopes.length === 0 || scopes.length > 64 || !scopes.every(scope => covers(loginScopes, scope))) {
      return problem(
        reply,
        400,
        'A scope was asked for that this server does not offer.',
        `It offers: ${loginScopes.join(' ')}`
      )
    }
    try {
      const url = await app.secureMcp.login.begin(request, reply, namesOf(scopes, scopeMap))
      return await reply.headers({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' }).redirect(url)
    } catch (error) {
      return failed(request, reply, error)
    }
  })

  app.get('/oauth/callback', { schema: HIDDEN, config: { secureMcp: { public: true } } }, async (request, reply) => {
    const { error, error_description: description } = request.query as Record<string, unknown>
    if (error !== undefined) {
      const code = typeof error === 'string' && /^[a-z_]{1,40}$/.test(error) ? error : 'an unknown error'
      request.log.info(
        { why: `${code}${errorOf({ error_description: description })}` },
        'login was refused by the authorization server'
      )
      return problem(
        reply,
        400,
        `The authorization server refused: ${code}.`,
        REMEDIES.get(code) ?? 'If it stays so, ask whoever runs it.'
      )
    }
    try {
      const { token, expiresAt } = await app.secureMcp.login.finish(request, reply)
      const caller = await app.secureMcp
        .identify(
          { type: 'bearer', value: token },
          { address: request.secureMcp.address, method: 'GET', url: `${publicUrl}/oauth/callback` }
        )
        .catch((error: unknown) => {
          request.log.warn({ err: error }, 'the token of a login is not accepted here')
        })
      const { principal } = caller ?? {}
      return await reply.headers(PAGE_HEADERS).send(loggedInPage({
        endpoint: `${publicUrl}${path}`,
        token,
        scopes: principal?.scopes ?? [],
        expiresAt: principal?.expiresAt ?? expiresAt,
        subject: principal?.name
      }))
    } catch (error) {
      return failed(request, reply, error)
    }
  })
}

export default oauth

const REMEDIES: ReadonlyMap<string, string> = new Map(Object.entries({
  access_denied: 'You, or a rule of that server, said no.',
  invalid_scope: 'It does not know a scope of this server: they must be set up there.',
  invalid_target: 'It does not know this server: the audience must be set up there.',
  unauthorized_client: 'This server is not registered there for logins.',
  login_required: 'Sign in there first.'
}))

function failed (request: FastifyRequest, reply: FastifyReply, error: unknown) {
  if (error instanceof AppError && error.code === 'INVALID_REQUEST') {
    return problem(reply, 400, error.message, 'Begin again, in this browser.')
  }
  if (error instanceof Unreachable) {
    request.log.warn({ why: error.message }, 'login could not reach the authorization server')
    return problem(
      reply,
      502,
      'The authorization server does not answer.',
      'Nothing is wrong with your account. Try again in a minute.'
    )
  }
  request.log.warn({ why: `${(error as Error).message}${answeredError(error)}` }, 'login failed')
  return problem(
    reply,
    502,
    'The authorization server did not give a token for the code that it sent.',
    'Codes are good once, and for a minute: begin again. If it stays so, the log of this server says why.'
  )
}

/**
 * What the token endpoint said (RFC 6749 §5.2). The rest of what was thrown may hold the request, with its
 * code and secret.
 */
function answeredError (error: unknown): string {
  const { data } = error as { data?: { payload?: unknown } | null }
  const payload = data?.payload
  return typeof payload === 'object' && payload !== null ? errorOf(payload as Record<string, unknown>) : ''
}

function problem (reply: FastifyReply, status: number, what: string, remedy: string) {
  return reply.code(status).headers(PAGE_HEADERS).send(problemPage(what, remedy))
}
