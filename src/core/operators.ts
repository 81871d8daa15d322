/** Who may manage, and what: patterns over operations (`read.*`, `write.keys`), as permissions are over tools. */
import { allows } from './permissions.ts'
import type { Principal } from './principal.ts'

/** A token with a scope of this beginning manages; what follows is a pattern. */
export const OPERATOR_SCOPE = 'mcp:operator:'

const EVERYTHING: readonly string[] = ['*']

/** The patterns that an operator has, or undefined for who is none. A key that was given none may do everything. */
export function operatorPatterns ({ role, permissions, scopes = [] }: Principal): readonly string[] | undefined {
  if (role === 'operator') return permissions.length === 0 ? EVERYTHING : permissions
  const given = scopes.filter(
    scope => scope.startsWith(OPERATOR_SCOPE)
  ).map(scope => scope.slice(OPERATOR_SCOPE.length))
  return given.length === 0 ? undefined : given
}

/** @param needs `read.keys` */
export function mayPerform (principal: Principal, needs: string): boolean {
  return allows(operatorPatterns(principal) ?? [], needs)
}
