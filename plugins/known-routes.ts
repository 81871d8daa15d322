import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { oauthHint } from '../src/core/oauth-hint.ts'
import { decodedPath, resemblesEndpoint, UNDECODABLE } from '../src/core/request-target.ts'
import { AppError } from '../src/errors.ts'

export interface KnownRoutesOptions {
  /** The authorization servers that are trusted, for those who look for one here. */
  issuers: readonly string[]
  /** Path of the MCP endpoint as clients see it, with the prefix of PUBLIC_URL. */
  endpoint: string
}

const ALLOWED_HEADERS =
  'authorization, content-type, dpop, last-event-id, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id, x-api-key'

/**
 * Answers what no route serves, before a credential or a body is read: 404,
 * 405, and the preflights of browsers. Whoever asks for these needs no
 * credential, so they are counted by address, and hold no place.
 */
export default fp<KnownRoutesOptions>(async function knownRoutes (app, options) {
  const methodsOf = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsOf.get(url) ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    methodsOf.set(url, methods)
  })

  app.addHook('onRequest', function answerUnknown (request, reply, done) {
    if (!request.is404) return done()
    app.secureMcp.countStranger(request).then(() => {
      const methods = methodsOf.get(decodedPath(request.url) ?? '')
      if (request.method === 'OPTIONS' && methods !== undefined) answerPreflight(request, reply, methods)
      else done(unknown(request, methods, options))
    }).catch(done)
  })
}, { name: 'secure-mcp/known-routes', fastify: '5.x', dependencies: ['secure-mcp/strangers'] })

function unknown (
  { url, method }: FastifyRequest, methods: ReadonlySet<string> | undefined, { issuers, endpoint }: KnownRoutesOptions
): AppError {
  if (url === UNDECODABLE) return new AppError('INVALID_REQUEST', 'The path cannot be decoded', { rule: 'path' })
  if (methods !== undefined) {
    const allow = [...methods].join(', ')
    return new AppError('METHOD_NOT_ALLOWED', `${method} is not served here`, { headers: { allow } })
  }
  const hint = oauthHint(url, issuers)
  if (hint !== undefined) return new AppError('NOT_FOUND', hint, { data: { error_description: hint } })
  const near = resemblesEndpoint(decodedPath(url) ?? '')
  return new AppError(
    'NOT_FOUND',
    near ? `There is nothing here: the MCP endpoint is ${endpoint}` : 'There is nothing here'
  )
}

/** The Origin was judged already (plugins/origin.ts), which also named it in the answer. */
export function answerPreflight (request: FastifyRequest, reply: FastifyReply, methods: ReadonlySet<string>): void {
  const asked = request.headers['access-control-request-headers']
  const params =
    asked
      ?.split(',')
      .map(name => name.trim().toLowerCase())
      .filter(name => /^mcp-param-[a-z0-9-]{1,64}$/.test(name)) ?? []
  const allow = [...methods].join(', ')
  reply.headers({
    allow,
    'access-control-allow-methods': allow,
    'access-control-allow-headers': [ALLOWED_HEADERS, ...params].join(', '),
    'access-control-max-age': '600'
  }).code(204).send()
}
