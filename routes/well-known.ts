import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { PROOF_ALGORITHMS } from '../src/auth/oauth2/dpop.ts'
import { AppError } from '../src/errors.ts'
import { HIDDEN } from './hidden.ts'

export interface WellKnownOptions {
  publicUrl: string
  /** Of the endpoint, below `publicUrl`. */
  path: string
  /** What people call the server. */
  name: string
  /** In the order in which clients should try them. */
  issuers: readonly string[]
  /** What clients ask for at login, as the authorization server knows it; it may change with the server's metadata. */
  scopes: () => readonly string[]
  /** Where the metadata of the first issuer was found; undefined sends no client there. */
  legacyDiscovery: (() => string | undefined) | undefined
}

const PATH = '/.well-known/oauth-protected-resource'

/** RFC 9728 §3.1: the path of the resource goes behind the well-known one. */
export function resourceMetadataUrl (publicUrl: string, path: string): string {
  const { origin, pathname } = new URL(publicUrl)
  return `${origin}${PATH}${pathname.replace(/\/$/, '')}${path}`
}

/**
 * What a client needs to log its user in (RFC 9728), at the path that belongs
 * to the endpoint and at the root, where older clients look. It names the
 * scopes that make lists non-empty: a client that sees no tool calls none, and
 * is never asked for more.
 */
const wellKnown: FastifyPluginAsync<WellKnownOptions> = async (app, options) => {
  const { publicUrl, path, name, issuers, scopes, legacyDiscovery } = options
  const metadata = {
    resource: `${publicUrl}${path}`,
    authorization_servers: issuers,
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    resource_name: name
  }
  for (const url of new Set([PATH, `${PATH}${path}`, new URL(resourceMetadataUrl(publicUrl, path)).pathname])) {
    // At the root stands the first of several endpoints.
    if (url === PATH && app.hasRoute({ method: 'GET', url })) continue
    app.get(url, { schema: HIDDEN, config: { secureMcp: { public: true } } }, (_request, reply) => {
      reply.header('cache-control', 'public, max-age=300')
      return { ...metadata, scopes_supported: scopes() }
    })
  }
  if (legacyDiscovery !== undefined) await registerLegacyDiscovery(app, legacyDiscovery)
}

/**
 * Clients of MCP revision 2025-03-26 take the origin of the endpoint for the
 * authorization server. They are sent to the metadata of the real one, which
 * they follow; whoever compares its `issuer` with this origin refuses it, which
 * is why this is off by default (RFC 8414 §3.3).
 */
async function registerLegacyDiscovery (app: FastifyInstance, metadataUrl: () => string | undefined): Promise<void> {
  for (const url of ['/.well-known/oauth-authorization-server', '/.well-known/oauth-authorization-server/*']) {
    app.get(url, { schema: HIDDEN, config: { secureMcp: { public: true } } }, (_request, reply) => {
      const place = metadataUrl()
      if (place === undefined) {
        throw new AppError('STATE_UNAVAILABLE', 'The authorization server does not answer; try again', {
          headers: { 'retry-after': '2' }
        })
      }
      return reply.header('cache-control', 'no-store').redirect(place, 307)
    })
  }
}

export default wellKnown
