export interface AuthorizationServer {
  issuer: string
  /** The private key that it signs with, as JWK. */
  key: Record<string, string>
  /** Requests so far, by path. */
  counts: Record<string, number>
  close: () => Promise<void>
}

export function signingKey (alg?: string): Record<string, string>

export function startAuthorizationServer (options: {
  resource: string
  scopes: string[]
  format?: 'jwt' | 'opaque'
  port?: number
  clients?: Array<Record<string, unknown>>
  documents?: Record<string, object>
  seconds?: number
}): Promise<AuthorizationServer>
