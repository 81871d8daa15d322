import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { repeated } from '../src/core/repeated.ts'
import { authorityOf } from '../src/core/request-target.ts'
import { judgeOrigin, type Allowed } from '../src/decision/layers.ts'
import { AppError } from '../src/errors.ts'
import { refused } from './refused.ts'
import { routeOf } from './request-context.ts'

const EXPOSED_HEADERS =
  'www-authenticate, x-request-id, mcp-session-id, mcp-protocol-version, retry-after, ratelimit, ratelimit-policy'

/**
 * Refuses a Host or Origin that is not ours, before authentication and before
 * the body, against DNS rebinding; answers CORS for the origins that are.
 * Probes are asked by address, so they are not held to the Host list.
 */
export default fp<Allowed>(async function origin (app, allowed) {
  app.addHook('onRequest', function checkOrigin (request, reply, done) {
    const refusal = refusalOf(request, allowed)
    if (refusal !== undefined) return done(refusal)
    const { origin } = request.headers
    if (origin === undefined || routeOf(request).anyOrigin === true) return done()
    reply.header('access-control-allow-origin', origin)
    reply.header('access-control-expose-headers', EXPOSED_HEADERS)
    reply.header('vary', 'origin')
    done()
  })
}, { name: 'secure-mcp/origin', fastify: '5.x', dependencies: ['secure-mcp/state'] })

/**
 * RFC 9112 §3.2: one Host, except in HTTP/1.0; the host of an absolute target counts before it, and both must
 * be allowed.
 */
function refusalOf (request: FastifyRequest, allowed: Allowed): AppError | undefined {
  const { raw, headers: { host }, originalUrl } = request
  // Whoever stands before us may have gone by the other one.
  if (repeated(raw.rawHeaders, 'host') || (host === undefined && raw.httpVersion !== '1.0')) {
    return new AppError('INVALID_REQUEST', 'Send one Host header', { rule: 'host', headers: { connection: 'close' } })
  }
  const { anyHost = false, anyOrigin = false } = routeOf(request)
  const origin = anyOrigin ? undefined : request.headers.origin
  const target = authorityOf(originalUrl)
  const refusal =
    judgeOrigin(host, origin, allowed, anyHost) ??
    (target === undefined ? undefined : judgeOrigin(target, undefined, allowed, anyHost))
  return refusal && refused(refusal, 'This Host or Origin is not served here')
}
