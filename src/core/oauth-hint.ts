/** What is said to clients that look for an authorization server here. */

/**
 * Where clients look: RFC 8414 §3, OpenID Connect Discovery §4, RFC 9728 §3, and the default paths of MCP
 * revision 2025-03-26.
 */
const LOOKED_FOR =
  /^\/(?:(?:[^?]*\/)?\.well-known\/(?:oauth-authorization-server|openid-configuration|oauth-protected-resource)(?:\/[^?]*)?|(?:authorize|token|register|revoke)\/?)$/

/**
 * One sentence for a path of OAuth at which there is nothing: clients show
 * `error_description` to their user (RFC 6749 §5.2, RFC 7591 §3.2.2).
 *
 * @param url as it was requested
 * @param issuers the authorization servers that are trusted; empty where OAuth is off
 * @returns undefined for other paths
 */
export function oauthHint (url: string, issuers: readonly string[]): string | undefined {
  if (!LOOKED_FOR.test(url.split('?', 1)[0]!)) return undefined
  return issuers.length === 0
    ? 'OAuth is off here: this server takes an API key, as "Authorization: Bearer <key>" or "X-API-Key: <key>". If a key was sent, it was refused: check it.'
    : `There is no authorization server at this origin. This server trusts ${issuers.join(' and ')}; clients find it by /.well-known/oauth-protected-resource.`
}
