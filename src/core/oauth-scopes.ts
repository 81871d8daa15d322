/** Scopes and roles of authorization servers, in the words of this server. */
import { OPERATOR_SCOPE } from './operators.ts'
import { allows, PERMISSION_PATTERN } from './permissions.ts'

/** The scope that opens the endpoint at all. */
export const ACCESS_SCOPE = 'mcp:server:access'
const TOOL_SCOPE = 'mcp:tool:'
const ALL_TOOLS = `${TOOL_SCOPE}*`

/** A value as the authorization server writes it → the scopes it stands for here. */
export type ScopeMap = ReadonlyMap<string, readonly string[]>

const PATTERN = new RegExp(PERMISSION_PATTERN)
const MOST_VALUES = 512

/**
 * This server's scopes among a token's claims. A claim is a text of values
 * with spaces between (`scope`, `scp`) or a list of them (`roles`,
 * `permissions`); a name with dots leads into objects
 * (`realm_access.roles`) unless a claim has exactly that name.
 *
 * @returns undefined if there are more values than anyone needs
 */
export function scopesIn (
  claims: Readonly<Record<string, unknown>>,
  names: readonly string[],
  map: ScopeMap
): string[] | undefined {
  const found = new Set<string>()
  let values = 0
  for (const name of names) {
    const value = claimAt(claims, name)
    const list = typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value : []
    values += list.length
    if (values > MOST_VALUES) return undefined
    for (const item of list) {
      if (typeof item !== 'string') continue
      for (const scope of map.get(item) ?? [item]) if (isScope(scope)) found.add(scope)
    }
  }
  return [...found]
}

/** A claim by its name, or by the way to it through objects: `realm_access.roles`. */
export function claimAt (claims: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : inside(claims, name.split('.'))
}

/** Whether a text is a scope of this server: the access scope, or one over tools or operations with a good pattern. */
export function isScope (scope: string): boolean {
  return scope === ACCESS_SCOPE ||
    [TOOL_SCOPE, OPERATOR_SCOPE].some(kind => scope.startsWith(kind) && PATTERN.test(scope.slice(kind.length)))
}

/** The patterns over names that scopes give. */
export function permissionsOf (scopes: readonly string[]): string[] {
  return scopes.filter(scope => scope.startsWith(TOOL_SCOPE)).map(scope => scope.slice(TOOL_SCOPE.length))
}

/** Whether a scope is one of those held, or lies within one of them (`mcp:tool:get_*` holds `mcp:tool:get_time`). */
export function covers (held: readonly string[], scope: string): boolean {
  return (
    held.includes(scope) ||
    (scope.startsWith(TOOL_SCOPE) && isScope(scope) && allows(permissionsOf(held), scope.slice(TOOL_SCOPE.length)))
  )
}

/** Scopes as the authorization server knows them: what a client must ask it for. */
export function namesOf (scopes: readonly string[], map: ScopeMap): string[] {
  const theirs = (scope: string) => [...map].find(([, ours]) => covers(ours, scope))?.[0] ?? scope
  return [...new Set(scopes.map(theirs))]
}

/** What is known of the scopes that an authorization server can grant. */
export interface GrantableScopes {
  /** OAUTH2_LOGIN_SCOPES. */
  readonly login: readonly string[]
  readonly map: ScopeMap
  /** `scopes_supported` of its metadata (RFC 8414 §2), which it may leave out or fill in part. */
  readonly published?: readonly string[] | undefined
}

/** More names than this make a challenge that is longer than the pattern is wide. */
const MAX_LISTED = 32

/**
 * What a client asks for at its first login: enough that its lists are not
 * empty. A pattern that the authorization server does not publish is replaced
 * by the published scopes that lie within it.
 */
export function loginScopes ({ login, map, published }: GrantableScopes): string[] {
  const known = ofThisServer(published, map)
  const granted = login.flatMap(scope => {
    const [name] = namesOf([scope], map) as [string]
    if (known.length === 0 || known.includes(name)) return [name]
    const within = known.filter(other => isScope(other) && covers([scope], other))
    return within.length > 0 && within.length <= MAX_LISTED ? within : [name]
  })
  return [...new Set(granted)]
}

/**
 * What a client must ask for to use something that its token has no scope for.
 * A scope that an authorization server does not know ends the login there, so
 * the exact one is named only where it is published. Else the narrowest
 * published or configured one that covers it, and at last `mcp:tool:*`.
 *
 * @param held scopes of the token, as this server reads them: some clients do not accumulate them
 * @param wanted scopes of this server
 */
export function stepUpScopes (
  held: readonly string[],
  wanted: readonly string[],
  { login, map, published }: GrantableScopes
): string[] {
  // Where roles of the account decide, no scope of ours is known there and nothing more can be asked for.
  if (!login.some(isScope)) return [...login]
  const known = ofThisServer(published, map)
  const grantable = (scope: string): string => {
    const [name] = namesOf([scope], map) as [string]
    if (name !== scope || scope === ACCESS_SCOPE || known.includes(scope)) return name
    const covering = narrowest(known, scope) ?? narrowest(login, scope)
    if (covering !== undefined) return namesOf([covering], map)[0]!
    return known.length > 0 && isScope(scope) ? scope : ALL_TOOLS
  }
  return [...new Set([...namesOf(held.filter(isScope), map), ...wanted.map(grantable)])]
}

/** Of the scopes that cover another one, the one with the longest pattern. */
function narrowest (scopes: readonly string[], scope: string): string | undefined {
  return scopes.filter(other => isScope(other) && covers([other], scope)).sort((a, b) => b.length - a.length)[0]
}

/** Many authorization servers publish the scopes of OpenID alone: that says nothing about ours. */
function ofThisServer (published: readonly string[] = [], map: ScopeMap): string[] {
  return published.filter(scope => isScope(scope) || map.has(scope))
}

/**
 * Read a map written as `value=scope scope, value=scope`.
 *
 * @returns undefined if it is not one
 */
export function readScopeMap (text: string): ScopeMap | undefined {
  const map = new Map<string, string[]>()
  for (const entry of text.split(',').map(part => part.trim()).filter(part => part !== '')) {
    const equals = entry.indexOf('=')
    const scopes = entry.slice(equals + 1).trim().split(/\s+/)
    if (equals < 1 || !scopes.every(isScope)) return undefined
    map.set(entry.slice(0, equals).trim(), scopes)
  }
  return map
}

function inside (value: unknown, path: readonly string[]): unknown {
  let at = value
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
    at = (at as Record<string, unknown>)[step]
  }
  return at
}
