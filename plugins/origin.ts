import fp from 'fastify-plugin'
import { hostAllowed, originAllowed } from '../src/core/origin.ts'
import { repeated } from '../src/core/repeated.ts'
import { AppError } from '../src/errors.ts'

export interface OriginOptions {
  /** `host[:port]` values, lower case. */
  allowedHosts: readonly string[]
  /** Browser origins, lower case. */
  allowedOrigins: readonly string[]
}

const ALLOWED_HEADERS = 'authorization, content-type, dpop, last-event-id, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id, x-api-key'
const EXPOSED_HEADERS = 'www-authenticate, x-request-id, mcp-session-id, mcp-protocol-version, retry-after, ratelimit, ratelimit-policy'

/**
 * Refuses a Host or Origin that is not ours, before authentication and before
 * the body, against DNS rebinding; answers CORS for the origins that are.
 * Probes are asked by address, so they are not held to the Host list.
 */
export default fp<OriginOptions>(async function origin (app, { allowedHosts, allowedOrigins }) {
  const hosts = new Set(allowedHosts)
  const origins = new Set(allowedOrigins)

  app.addHook('onRequest', function checkOrigin (request, reply, done) {
    const { host, origin } = request.headers
    // RFC 9112 §3.2: whoever stands before us may have gone by the other one.
    if (repeated(request.raw.rawHeaders, 'host')) return done(new AppError('INVALID_REQUEST', 'Send one Host header', { headers: { connection: 'close' } }))
    if (request.routeOptions.config.anyHost !== true && !hostAllowed(host, hosts)) {
      return done(new AppError('ORIGIN_REFUSED', 'This Host is not served here', { cause: 'host' }))
    }
    if (origin === undefined) return done()
    if (!originAllowed(origin, origins)) {
      return done(new AppError('ORIGIN_REFUSED', 'This Origin is not allowed', { cause: 'origin' }))
    }
    reply.header('access-control-allow-origin', origin)
    reply.header('access-control-expose-headers', EXPOSED_HEADERS)
    reply.header('vary', 'origin')
    done()
  })

  app.options('/*', { config: { public: true } }, (request, reply) => {
    const asked = request.headers['access-control-request-headers']
    const params = asked?.split(',').map(name => name.trim().toLowerCase()).filter(name => /^mcp-param-[a-z0-9-]{1,64}$/.test(name)) ?? []
    reply.headers({
      'access-control-allow-methods': 'GET, POST, DELETE',
      'access-control-allow-headers': [ALLOWED_HEADERS, ...params].join(', '),
      'access-control-max-age': '600'
    }).code(204).send()
  })
}, { name: 'origin', fastify: '5.x', dependencies: ['state'] })

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answer under any Host: for probes, which come by address. */
    anyHost?: boolean
  }
}
