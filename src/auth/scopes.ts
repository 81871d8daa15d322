import { ACCESS_SCOPE } from '../core/oauth-scopes.ts'
import { scopeFor, type Kind } from '../core/permissions.ts'
import { AppError } from '../errors.ts'
import type { Caller } from './chain.ts'

/**
 * What an OAuth2 caller lacks for something it named: a refusal that lists all
 * scopes the call needs, with those it already holds, because clients of
 * 2025-11-25 and before do not accumulate scopes.
 */
export function insufficientScope ({ principal }: Caller, kind: Kind, name: string): AppError {
  const held = principal.scopes?.filter(scope => scope.startsWith('mcp:')) ?? []
  const scope = [...new Set([ACCESS_SCOPE, ...held, scopeFor(kind, name)])]
  return new AppError('INSUFFICIENT_SCOPE', 'The token lacks a scope that this call needs', { data: { scope: scope.join(' ') } })
}
