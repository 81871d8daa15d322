/** `WWW-Authenticate` challenges (RFC 6750 §3, RFC 9728 §5.1). */

export interface Challenge {
  /** URL of the protected resource metadata; absent where OAuth2 is off. */
  resourceMetadata?: string | undefined
  /** All scopes that the operation needs, in one challenge. */
  scope?: readonly string[] | undefined
  /** Absent when the request had no credential (RFC 6750 §3.1). */
  error?: 'invalid_token' | 'insufficient_scope' | 'invalid_request' | undefined
  description?: string | undefined
}

export function challengeHeader ({ resourceMetadata, scope, error, description }: Challenge): string {
  const parts = ['realm="mcp"']
  if (error !== undefined) parts.push(`error="${error}"`)
  if (description !== undefined) parts.push(`error_description="${quoted(description)}"`)
  if (scope !== undefined && scope.length > 0) parts.push(`scope="${quoted(scope.join(' '))}"`)
  if (resourceMetadata !== undefined) parts.push(`resource_metadata="${quoted(resourceMetadata)}"`)
  return `Bearer ${parts.join(', ')}`
}

/** What may stand between double quotes in a header; the rest is dropped rather than escaped. */
function quoted (text: string): string {
  return text.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '')
}
