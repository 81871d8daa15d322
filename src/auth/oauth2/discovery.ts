/** Metadata of an authorization server (RFC 8414, OpenID Connect Discovery). */
import { endpointUrl } from '../../core/endpoint.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import { errorOf, type BoundedResponse } from './bounded-fetch.ts'

/** What of the metadata is used; endpoints that may not be asked are left out. */
export interface Metadata {
  readonly jwksUri?: string | undefined
  readonly introspectionEndpoint?: string | undefined
  readonly introspectionAuth: 'basic' | 'post'
  readonly authorizationEndpoint?: string | undefined
  readonly tokenEndpoint?: string | undefined
  readonly tokenAuth: 'basic' | 'post'
  /** RFC 8414 §2; undefined where it publishes none. */
  readonly scopesSupported?: readonly string[] | undefined
  /** RFC 9207: every authorization response names the issuer. */
  readonly namesIssuer: boolean
}

/**
 * Where an issuer's metadata may stand, in the order of preference of the MCP
 * specification: RFC 8414 §3.1, then OpenID with the path inserted, then
 * OpenID with the path before it.
 */
export function metadataUrls (issuer: string): string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/(?<!\/)\/+$/, '')
  return [...new Set([
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`
  ])]
}

/**
 * Find an issuer's metadata. Whatever a place answers that is not it, the next
 * one is looked at: behind one name paths often lead to different servers.
 *
 * @param ask a GET of one place
 * @param places where to look
 * @returns the metadata, and the place that had it
 * @throws {Unreachable} if none has it, naming what each said
 */
export async function discover (
  issuer: string,
  ask: (url: string) => Promise<BoundedResponse>,
  places: readonly string[] = metadataUrls(issuer)
): Promise<{ metadata: Metadata; place: string }> {
  const troubles: string[] = []
  for (const place of places) {
    try {
      const { status, json } = await ask(place)
      if (status !== 200) throw new Unreachable(`GET ${place}: status ${status}${errorOf(json)}`)
      return { metadata: readMetadata(json, issuer, place), place }
    } catch (error) {
      if (!(error instanceof Unreachable) || error.final) throw error
      troubles.push(error.message)
    }
  }
  throw new Unreachable(`no metadata of ${issuer}: ${troubles.join('; ')}`)
}

const MAX_SCOPES = 1000

/** @throws {Unreachable} for metadata of another issuer (RFC 8414 §3.3) */
function readMetadata (json: Readonly<Record<string, unknown>>, issuer: string, place: string): Metadata {
  if (typeof json.issuer !== 'string') throw new Unreachable(`GET ${place}: no metadata, it names no issuer`)
  if (json.issuer !== issuer) {
    throw new Unreachable(
      `GET ${place}: the server calls itself ${JSON.stringify(json.issuer).slice(0, 200)}; OAUTH2_AUTH_SERVER must name exactly that`
    )
  }
  const at = (name: string) => endpointUrl(json[name], issuer)
  const auth = (name: string) => {
    const methods = json[name]
    return Array.isArray(methods) && !methods.includes('client_secret_basic') && methods.includes('client_secret_post')
      ? 'post'
      : 'basic'
  }
  return {
    jwksUri: at('jwks_uri'),
    introspectionEndpoint: at('introspection_endpoint'),
    introspectionAuth: auth('introspection_endpoint_auth_methods_supported'),
    authorizationEndpoint: at('authorization_endpoint'),
    tokenEndpoint: at('token_endpoint'),
    tokenAuth: auth('token_endpoint_auth_methods_supported'),
    scopesSupported: Array.isArray(json.scopes_supported)
      ? json.scopes_supported.filter(scope => typeof scope === 'string').slice(0, MAX_SCOPES)
      : undefined,
    namesIssuer: json.authorization_response_iss_parameter_supported === true
  }
}
