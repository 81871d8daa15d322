import type { FastifyPluginAsync } from 'fastify'
import { PROOF_ALGORITHMS } from '../src/auth/oauth2/dpop.ts'

export interface WellKnownOptions {
  publicUrl: string
  /** In the order in which clients should try them. */
  issuers: readonly string[]
  /** What clients ask for at login, as the authorization server knows it; it may change with the server's metadata. */
  scopes: () => readonly string[]
}

const PATH = '/.well-known/oauth-protected-resource'

/** RFC 9728 §3.1: the path of the resource goes behind the well-known one. */
export function resourceMetadataUrl (publicUrl: string): string {
  const { origin, pathname } = new URL(publicUrl)
  return `${origin}${PATH}${pathname.replace(/\/$/, '')}/mcp`
}

/**
 * What a client needs to log its user in (RFC 9728), at the path that belongs
 * to the endpoint and at the root, where older clients look. It names the
 * scopes that make lists non-empty: a client that sees no tool calls none, and
 * is never asked for more.
 */
const wellKnown: FastifyPluginAsync<WellKnownOptions> = async (app, { publicUrl, issuers, scopes }) => {
  const metadata = {
    resource: `${publicUrl}/mcp`,
    authorization_servers: issuers,
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    resource_name: 'secure-mcp-server'
  }
  for (const url of [PATH, `${PATH}/mcp`]) {
    app.get(url, { config: { public: true } }, (_request, reply) => {
      reply.header('cache-control', 'public, max-age=300')
      return { ...metadata, scopes_supported: scopes() }
    })
  }
}

export default wellKnown
