/**
 * Who may use what, by name. A permission is a pattern: `*`, an exact name, or
 * a prefix and `*` (`get_*`). A leading `!` takes away what the others give,
 * wherever it stands in the list.
 *
 * Tools go by their bare name, resources by `resource:<uri>`, prompts by
 * `prompt:<name>`. A prefix reaches resources or prompts only if it spells
 * their kind out: `*` covers everything, `resource:note://*` some resources,
 * and `re*` tools alone.
 */
import type { Principal } from './principal.ts'

/** What a pattern may look like. A `*` stands only at the end. */
export const PERMISSION_PATTERN = '^!?(\\*|[^\\s*!]{1,256}\\*?)$'

/** Anything with a name that a principal may or may not use. */
export type Kind = 'tool' | 'resource' | 'prompt'

/** What a message names. */
export interface Target {
  readonly kind: Kind
  readonly name: string
}

/** Whether something may be used, and what decided it. */
export interface Allowing {
  readonly allowed: boolean
  /** The pattern that gave or took away, `role`, or `no pattern`. */
  readonly by: string
}

const NO_PATTERN: Allowing = { allowed: false, by: 'no pattern' }
const ROLE: Allowing = { allowed: false, by: 'role' }

/** A target in the words of patterns. A tool cannot pass for a resource by its name. */
export function spelled (kind: Kind, name: string): string {
  if (kind !== 'tool') return `${kind}:${name}`
  return kindLength(name) === 0 ? name : `tool:${name}`
}

/** Whether a list of patterns allows a name, see `allowing`. */
export function allows (patterns: readonly string[], name: string): boolean {
  return gives(deciding(patterns, name))
}

/**
 * Whether a list of patterns allows a name, and by which: some pattern gives it
 * and none takes it away. An empty list allows nothing.
 *
 * @param name as `spelled` spells it
 */
export function allowing (patterns: readonly string[], name: string): Allowing {
  const by = deciding(patterns, name)
  return by === undefined ? NO_PATTERN : { allowed: gives(by), by }
}

/**
 * The one decision about names: listing, calling, reading, completing and
 * subscribing all ask it, so what a principal sees is what it can use.
 */
export function mayUse (principal: Principal, kind: Kind, name: string): boolean {
  if (principal.role !== 'caller') return false
  return allows(principal.permissions, spelled(kind, name))
}

/**
 * Whether anything whose name begins so may be used: some pattern gives such
 * names, and none takes all of them away. A hint, for names that are not whole yet.
 */
export function mayUseSome (principal: Principal, kind: Kind, beginning: string): boolean {
  if (principal.role !== 'caller') return false
  const prefix = spelled(kind, beginning)
  const isWhole = (pattern: string) =>
    pattern === '*' ||
    (pattern.endsWith('*') && pattern.length > kindLength(prefix) && prefix.startsWith(pattern.slice(0, -1)))
  return (
    principal.permissions.some(
      pattern => !pattern.startsWith('!') && (isWhole(pattern) || pattern.startsWith(prefix))
    ) && !principal.permissions.some(pattern => pattern.startsWith('!') && isWhole(pattern.slice(1)))
  )
}

/** The same decision with what made it: for the log, the audit and explanations. */
export function usableBy (principal: Principal, kind: Kind, name: string): Allowing {
  return principal.role === 'caller' ? allowing(principal.permissions, spelled(kind, name)) : ROLE
}

/** The scope a call needs, for a challenge (PRODUCT: `mcp:tool:<pattern>`). */
export function scopeFor (kind: Kind, name: string): string {
  return `mcp:tool:${spelled(kind, name)}`
}

const BANG = '!'.charCodeAt(0)
const STAR = '*'.charCodeAt(0)

/** The first pattern that takes the name away, else the first that gives it. */
function deciding (patterns: readonly string[], name: string): string | undefined {
  const kind = kindLength(name)
  let given: string | undefined
  for (const pattern of patterns) {
    if (pattern.charCodeAt(0) === BANG) {
      if (matches(pattern, 1, name, kind)) return pattern
    } else if (given === undefined && matches(pattern, 0, name, kind)) {
      given = pattern
    }
  }
  return given
}

function gives (pattern: string | undefined): boolean {
  return pattern !== undefined && pattern.charCodeAt(0) !== BANG
}

/** How much of a name says that it is a resource or a prompt; 0 for tools. */
function kindLength (name: string): number {
  return name.startsWith('resource:') ? 9 : name.startsWith('prompt:') ? 7 : 0
}

/** @param kind characters of the name that a prefix must cover, unless it is empty */
function matches (pattern: string, from: number, name: string, kind: number): boolean {
  const last = pattern.length - 1
  if (last >= from && pattern.charCodeAt(last) === STAR) {
    const length = last - from
    if (name.length < length || (length > 0 && length < kind)) return false
    for (let i = 0; i < length; i++) {
      if (pattern.charCodeAt(from + i) !== name.charCodeAt(i)) return false
    }
    return true
  }
  return name.length === pattern.length - from && pattern.endsWith(name)
}
