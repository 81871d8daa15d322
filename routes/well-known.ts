import type { FastifyPluginAsync } from 'fastify'
import { PROOF_ALGORITHMS } from '../src/auth/oauth2/dpop.ts'
import { ACCESS_SCOPE, namesOf, type ScopeMap } from '../src/core/oauth-scopes.ts'

export interface WellKnownOptions {
  publicUrl: string
  /** In the order in which clients should try them. */
  issuers: readonly string[]
  scopeMap: ScopeMap
}

const PATH = '/.well-known/oauth-protected-resource'

/** RFC 9728 §3.1: the path of the resource goes behind the well-known one. */
export function resourceMetadataUrl (publicUrl: string): string {
  const { origin, pathname } = new URL(publicUrl)
  return `${origin}${PATH}${pathname.replace(/\/$/, '')}/mcp`
}

/**
 * What a client needs to log its user in (RFC 9728), at the path that belongs
 * to the endpoint and at the root, where older clients look. Only the scope
 * that opens the endpoint is named; the rest is asked for when it is needed.
 */
const wellKnown: FastifyPluginAsync<WellKnownOptions> = async (app, { publicUrl, issuers, scopeMap }) => {
  const metadata = {
    resource: `${publicUrl}/mcp`,
    authorization_servers: issuers,
    scopes_supported: namesOf([ACCESS_SCOPE], scopeMap),
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    resource_name: 'secure-mcp-server'
  }
  for (const url of [PATH, `${PATH}/mcp`]) {
    app.get(url, { config: { open: true } }, (_request, reply) => {
      reply.header('cache-control', 'public, max-age=300')
      return metadata
    })
  }
}

export default wellKnown
