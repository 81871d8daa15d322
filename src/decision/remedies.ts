/** What would let a refused message through, from the rule that refused it. For operators. */
import { allows, scopeFor, spelled, type Target } from '../core/permissions.ts'
import type { ApiKeyRecord } from '../core/api-key.ts'
import { nearest } from '../core/nearest.ts'
import type { Principal } from '../core/principal.ts'
import { ERRORS, type Reason } from '../errors.ts'
import type { Catalogue } from '../tools/catalogue.ts'

/** A refusal, and what is known of whom it met. */
export interface RefusedCase {
  readonly reason: Reason
  readonly rule?: string | undefined
  readonly target?: Target | undefined
  readonly principal?: Pick<Principal, 'id' | 'authType'> | undefined
  readonly record?: ApiKeyRecord | undefined
  readonly address?: string | undefined
  readonly data?: Readonly<Record<string, unknown>> | undefined
  readonly text?: string | undefined
}

export interface Surroundings {
  readonly catalogue?: Catalogue | undefined
  readonly whyAbsent?: ((target: Target) => string | undefined) | undefined
}

type Remedy = (refused: RefusedCase, around: Surroundings) => readonly string[]

/** At least one sentence, whatever the reason: where no case is known better, what docs/errors.md says. */
export function remediesFor (refused: RefusedCase, around: Surroundings = {}): readonly string[] {
  const special = REMEDIES[refused.reason]?.(refused, around) ?? []
  return special.length > 0 ? special : [ERRORS[refused.reason].means]
}

const nameOf = ({ record, principal }: RefusedCase): string =>
  record?.name ?? principal?.id.replace(/^key:/, '') ?? '<key>'

/** Reasons of which the rule says more than the reason. */
const REMEDIES: Readonly<Partial<Record<Reason, Remedy>>> = {
  ADDRESS_BLOCKED: ({ rule = '<range>' }) => [`Take the range off the list: npx secure-mcp-server ip unblock ${rule}`],
  ORIGIN_REFUSED: ({ rule = '' }) => [rule.startsWith('ALLOWED_ORIGINS')
    ? `Add the value to ALLOWED_ORIGINS: ${rule}`
    : `Set PUBLIC_URL to what clients type, or add the value to ALLOWED_HOSTS: ${rule}`],
  AUTHENTICATION_REQUIRED: () => [
    'Send a key or token: Authorization: Bearer <key>. A proxy may have removed the header.'
  ],
  MALFORMED_CREDENTIAL: () => [
    'Send one of Authorization and X-API-Key, once. A proxy that adds its own Authorization must be told not to.'
  ],
  INVALID_CREDENTIAL: credential,
  TOO_MANY_FAILURES: ({ address, rule = '' }) => {
    const from = address ?? rule.replace('failures of ', '')
    return [`Wait a minute, and find the client at ${from} that sends a wrong credential again and again.`]
  },
  INSUFFICIENT_SCOPE: ({ target }) => {
    const scope = target === undefined ? 'mcp:server:access' : scopeFor(target.kind, target.name)
    return [`Grant the scope ${scope} at the authorization server, or map a scope or role to it ` +
      '(OAUTH2_SCOPE_MAP); the client then has to ask for a new token.']
  },
  ACCESS_DENIED: permission,
  FORBIDDEN: permission,
  UNKNOWN_TOOL: absent,
  RATE_LIMITED: limited,
  INVALID_ARGUMENTS: ({ text = 'tools/list shows it' }) => [`Send arguments that fit the input schema: ${text}`],
  SUSPICIOUS_ARGUMENT: ({ rule = '', target, data }) => {
    const pattern = String(data?.pattern ?? rule.split(' at ')[0])
    return [
      `Write the argument otherwise; or, if ${target?.name ?? 'the tool'} handles such text safely, exempt it: ` +
        `exempt: { ${pattern}: '<reason>' } in its definition.`,
      'To see what would be refused without refusing it: INSPECTION=observe.'
    ]
  },
  OVERLOADED: ({ rule }) => [rule === 'MAX_IN_FLIGHT'
    ? 'Raise MAX_IN_FLIGHT, or run more replicas; see mcp_requests_in_flight.'
    : 'Run more replicas or give this one more CPU: its event loop was late for long.'],
  TOOL_FAILED: ({ rule }) => [rule === 'timeoutMs'
    ? 'Raise timeoutMs of the tool, or make it faster.'
    : rule === 'result'
      ? 'Mend the tool: its result has no form in JSON or breaks its output schema.'
      : 'Mend the tool: the log has the cause under the same request id.'],
  STATE_UNAVAILABLE: () => [
    'Bring Redis or the authorization server back: npx secure-mcp-server state show, and the log of this request.'
  ]
}

function credential ({ rule = '', record, principal }: RefusedCase): readonly string[] {
  const key = record?.name ?? '<key>'
  const [, kind, id] = /^revoked (\w+):(.*)$/s.exec(rule) ?? []
  if (kind !== undefined && kind !== 'key') {
    const option = kind === 'sub' ? '--subject' : kind === 'client' ? '--client' : '--jti'
    return [`Accept such tokens again: npx secure-mcp-server tokens unrevoke ${option} ${id}`]
  }
  if (kind === 'key' || rule.endsWith('revoked')) {
    return ['A revoked key stays revoked. Make a new one: npx secure-mcp-server keys create <name>']
  }
  if (rule.endsWith('wrong_address')) {
    const ranges = record?.cidrs?.join(', ') ?? 'the ranges of the key'
    return [`Call from ${ranges}, or change them: npx secure-mcp-server keys change ${key} --cidr <range>`]
  }
  if (rule === 'api key expired') {
    return record?.expires === undefined
      ? ['The key was rotated, and the overlap of the one before is over: use the new one, or rotate again.']
      : [`Give the key more time: npx secure-mcp-server keys change ${key} --expires 90d. Or make a new one.`]
  }
  if (rule === 'expired' || principal?.authType === 'oauth2') {
    return ['The client must get a new token from its authorization server.']
  }
  return rule.startsWith('api key')
    ? ['No key has this value: compare it with what was issued (npx secure-mcp-server keys list), or make a new one.']
    : []
}

function permission (refused: RefusedCase, { catalogue }: Surroundings): readonly string[] {
  const { rule = '', target } = refused
  if (target === undefined) return []
  const name = spelled(target.kind, target.name)
  if (rule === 'role') {
    return ['An operator key calls no tools. Make a caller key: npx secure-mcp-server keys create <name>']
  }
  if (refused.principal?.authType === 'custom') {
    return [`Let the custom authenticator (AUTHENTICATOR) give the permission "${name}".`]
  }
  const key = nameOf(refused)
  if (!rule.startsWith('!')) return [`Give the key the name: npx secure-mcp-server keys change ${key} --allow ${name}`]
  const others = [...catalogue?.tools.keys() ?? []]
    .filter(other => other !== target.name && allows([rule.slice(1)], other))
  const more = others.length > MAX_NAMED ? ` and ${others.length - MAX_NAMED} more` : ''
  const held = others.length === 0 ? 'no other tool' : `${others.slice(0, MAX_NAMED).join(', ')}${more}`
  return [`Drop the pattern: npx secure-mcp-server keys change ${key} --drop '${rule}'. No --allow wins over it. ` +
    `It also holds back: ${held}.`]
}

/** Tools named in one sentence. */
const MAX_NAMED = 10

function absent ({ target }: RefusedCase, { catalogue, whyAbsent }: Surroundings): readonly string[] {
  if (target === undefined) return []
  const why = whyAbsent?.(target)
  if (why !== undefined) return [why]
  const near = nearest(target.name, catalogue?.tools.keys() ?? [])
  const meant = near === undefined ? '' : `; is ${near} meant?`
  return [`No tool has this name${meant} See what is offered: npx secure-mcp-server tools list`]
}

function limited (refused: RefusedCase): readonly string[] {
  const { rule = '', data, principal } = refused
  const waitMs = data?.retryAfterMs
  const room = typeof waitMs === 'number' ? `There is room again in ${Math.ceil(waitMs / 1000)} s. ` : ''
  const ofKey = `npx secure-mcp-server keys change ${nameOf(refused)} --limit <n>`
  switch (rule) {
    case 'places': return ['The principal has a quarter of MAX_IN_FLIGHT under way: wait for answers, or raise it.']
    case 'limit of the key': return [`${room}To allow more: ${ofKey}`]
    case 'rate of the tool': return [`${room}The tool has a rate of its own, in its definition.`]
    case 'limit with the cost of the tool':
      return [`${room}The tool costs more than is left: raise the limit, or lower its cost.`]
    case 'limit of api_key': return [`${room}To allow more: raise RATE_LIMIT_API_KEY, or for this key: ${ofKey}`]
  }
  const setting = principal?.authType === 'oauth2'
    ? 'RATE_LIMIT_OAUTH2'
    : principal?.authType === 'custom' ? 'RATE_LIMIT_API_KEY' : 'RATE_LIMIT_DEFAULT'
  return [`${room}To allow more: raise ${setting}.`]
}
