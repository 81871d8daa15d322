import { ACCESS_SCOPE } from '../core/oauth-scopes.ts'
import { scopeFor, type Target } from '../core/permissions.ts'
import type { Principal } from '../core/principal.ts'
import { AppError } from '../errors.ts'

/**
 * An access token lacks scopes. What to ask for depends on its authorization server: whoever writes the
 * challenge decides it.
 */
export class InsufficientScope extends AppError {
  /** Of this server, as the token has them. */
  readonly held: readonly string[]
  /** Of this server, as the call needs them. */
  readonly wanted: readonly string[]
  readonly issuer: string | undefined

  /** @param rule what decided, for the log */
  constructor (held: readonly string[], wanted: readonly string[], issuer: string | undefined, rule?: string) {
    super('INSUFFICIENT_SCOPE', 'The token lacks a scope that this call needs', {
      data: { scope: [...new Set([...held, ...wanted])].join(' ') }, rule
    })
    this.held = held
    this.wanted = wanted
    this.issuer = issuer
  }

  /** The answer's body names the same scopes as its challenge. */
  askFor (scopes: readonly string[]): void {
    this.data.scope = scopes.join(' ')
  }
}

/** What an OAuth2 caller lacks for something it named. */
export function insufficientScope (
  { scopes, issuer }: Principal,
  { kind, name }: Target,
  rule?: string
): InsufficientScope {
  return new InsufficientScope(scopes ?? [], [ACCESS_SCOPE, scopeFor(kind, name)], issuer, rule)
}
