/**
 * The one ordered list of what lets a call through or refuses it. Each layer
 * is a pure function of what is asked and of what holds now; it returns
 * nothing where it lets through, so that a call which is served costs no
 * object. The hooks of the HTTP front call the first of them one by one;
 * decide.ts folds those that look at a message.
 */
import { LATE_LOOKS, type Load } from '../core/load.ts'
import type { HostCheck } from '../core/origin.ts'
import { paramHeaderFault } from '../core/param-headers.ts'
import { mayUse, usableBy, type Target } from '../core/permissions.ts'
import type { Principal } from '../core/principal.ts'
import { revokedBy } from '../core/revocation.ts'
import type { AddressSet } from '../core/address.ts'
import { waitOf, type RateLimitResult } from '../core/limit.ts'
import { inexactNumberIn } from '../core/exact-numbers.ts'
import type { Finding, Inspector } from '../core/inspection.ts'
import type { Reason } from '../errors.ts'
import {
  resourceAt,
  type Catalogue,
  type FoundResource,
  type OfferedPrompt,
  type OfferedResource,
  type OfferedTool
} from '../tools/catalogue.ts'

export type LayerName = typeof LAYERS[number]

/** In the order in which a request meets them. No other list of them exists. */
export const LAYERS = [
  'load', 'origin', 'address', 'route', 'credential', 'revocation', 'limit', 'places', 'message',
  'scope', 'permission', 'existence', 'param-headers', 'cost', 'arguments', 'inspection', 'upstream'
] as const

export interface Refusal {
  readonly outcome: 'refuse'
  readonly reason: Reason
  readonly layer: LayerName
  readonly target?: Target | undefined
  /** What decided: `!delete_*`, `10.0.0.0/8`. For the log and the audit, never for the caller. */
  readonly rule?: string | undefined
  /** For the caller, where the reason alone does not say what to mend. */
  readonly text?: string | undefined
  /** For the caller, beside the reason. */
  readonly data?: Readonly<Record<string, unknown>> | undefined
}

/** What the catalogue has for a target. */
export type Offered = OfferedTool | OfferedPrompt | OfferedResource | FoundResource

export type HeadersOfMessage = Readonly<Record<string, unknown>>

/** A message, and who sends it. */
export interface LayerInput {
  readonly principal: Principal
  readonly method: string
  readonly target: Target
  /** `arguments` of the message as sent. */
  readonly args: unknown
  /** Of the request, in lower case, where its revision repeats arguments in headers. */
  readonly headers?: HeadersOfMessage | undefined
}

export type InspectionMode = 'block' | 'observe' | 'off'

export interface Inspection {
  readonly mode: InspectionMode
  readonly inspector: Inspector
}

/**
 * An event loop that stays late while half of what may be in flight is. A late
 * event loop alone says nothing, for a neighbour on the machine makes it late,
 * too, and to refuse would help nobody.
 */
export function judgeLoad ({ inFlight, lateLooks }: Load, maxInFlight: number): Refusal | undefined {
  return lateLooks < LATE_LOOKS || inFlight < maxInFlight / 2 ? undefined : EVENT_LOOP_LATE
}

/** Of a header's value that is repeated in a rule, characters. */
const MAX_SEEN = 128

/** What a client sent, for the log: of long parts, which may be a credential in a wrong place, the beginning only. */
function seen (value: string): string {
  return value.slice(0, MAX_SEEN).replace(/([^.:/]{20})[^.:/]{12,}/g, '$1…')
}

export interface Allowed {
  readonly isHost: HostCheck
  readonly isOrigin: (origin: string | undefined) => boolean
}

/** @param anyHost the route is asked by address, as probes are */
export function judgeOrigin (
  host: string | undefined,
  origin: string | undefined,
  { isHost, isOrigin }: Allowed,
  anyHost: boolean
): Refusal | undefined {
  if (!anyHost && !isHost(host)) {
    return {
      outcome: 'refuse',
      reason: 'ORIGIN_REFUSED',
      layer: 'origin',
      rule: `ALLOWED_HOSTS has no ${seen(host ?? '(no Host)')}`,
      text: 'This Host is not served here'
    }
  }
  if (isOrigin(origin)) return undefined
  return {
    outcome: 'refuse',
    reason: 'ORIGIN_REFUSED',
    layer: 'origin',
    rule: `ALLOWED_ORIGINS has no ${seen(origin!)}`,
    text: 'This Origin is not allowed'
  }
}

export function judgeAddress (address: string, blocked: AddressSet): Refusal | undefined {
  const rule = blocked.size === 0 ? undefined : blocked.find(address)
  return rule === undefined ? undefined : { outcome: 'refuse', reason: 'ADDRESS_BLOCKED', layer: 'address', rule }
}

/** What an entry of the revocations, or the end of a credential, says of a principal. */
export function judgeRevocation (
  principal: Principal,
  revocations: Parameters<typeof revokedBy>[1],
  now: number
): Refusal | undefined {
  const revocation = revokedBy(principal, revocations)
  const rule =
    revocation !== undefined
      ? `revoked ${revocation.id}`
      : principal.expiresAt !== undefined && principal.expiresAt <= now
        ? 'expired'
        : undefined
  return rule === undefined ? undefined : { outcome: 'refuse', reason: 'INVALID_CREDENTIAL', layer: 'revocation', rule }
}

/** @param of whose limit it is: `limit of the key`, `limit of api_key`, `limit of the tool` */
export function judgeLimit (
  counted: RateLimitResult,
  of: string,
  layer: 'limit' | 'cost' = 'limit'
): Refusal | undefined {
  return counted.allowed
    ? undefined
    : { outcome: 'refuse', reason: 'RATE_LIMITED', layer, rule: of, data: { retryAfterMs: waitOf(counted) } }
}

export interface PlacesTaken {
  /** Requests being answered now, streams left out. */
  readonly inFlight: number
  /** Those of this principal. */
  readonly ofPrincipal: number
  readonly maxInFlight: number
}

/** When somebody who holds too many places may come back, ms: a guess, for nobody knows how long calls take. */
const PLACES_RETRY_MS = 1000

/** So many places may one principal hold: a quarter, so that no one silences the rest. */
export function placesOf (maxInFlight: number): number {
  return Math.max(1, Math.ceil(maxInFlight / 4))
}

/** Where all places are taken everyone is told so: to wait for one's own answers would not help. */
export function judgePlaces ({ inFlight, ofPrincipal, maxInFlight }: PlacesTaken): Refusal | undefined {
  if (inFlight >= maxInFlight) return NO_PLACE
  return ofPrincipal >= placesOf(maxInFlight) ? TOO_MANY_PLACES : undefined
}

const EVENT_LOOP_LATE: Refusal = { outcome: 'refuse', reason: 'OVERLOADED', layer: 'load', rule: 'event loop late' }
const NO_PLACE: Refusal = { outcome: 'refuse', reason: 'OVERLOADED', layer: 'places', rule: 'MAX_IN_FLIGHT' }
const TOO_MANY_PLACES: Refusal = {
  outcome: 'refuse', reason: 'RATE_LIMITED', layer: 'places', rule: 'places', data: { retryAfterMs: PLACES_RETRY_MS }
}

/** A token may use what its scopes give. The same for what does not exist. */
export function judgeScope ({ principal, target }: LayerInput): Refusal | undefined {
  if (principal.authType !== 'oauth2' || mayUse(principal, target.kind, target.name)) return undefined
  return {
    outcome: 'refuse',
    reason: 'INSUFFICIENT_SCOPE',
    layer: 'scope',
    target,
    rule: usableBy(principal, target.kind, target.name).by
  }
}

/** Everybody else may use what patterns give. The same for what does not exist. */
export function judgePermission ({ principal, target }: LayerInput): Refusal | undefined {
  if (principal.authType === 'oauth2' || mayUse(principal, target.kind, target.name)) return undefined
  return {
    outcome: 'refuse',
    reason: target.kind === 'tool' ? 'ACCESS_DENIED' : 'FORBIDDEN',
    layer: 'permission',
    target,
    rule: usableBy(principal, target.kind, target.name).by
  }
}

/** Methods that need what they name to be there. */
const MUST_EXIST: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read', 'resources/subscribe'])

/** What the catalogue has for a target that its principal may use. */
export function offeredFor (
  { principal, method, target: { kind, name } }: LayerInput,
  catalogue: Catalogue
): Offered | undefined {
  switch (kind) {
    case 'tool':
      return catalogue.tools.get(name)
    case 'prompt':
      return catalogue.prompts.get(name)
    // A completion names the template itself.
    case 'resource':
      return method === 'completion/complete' ? catalogue.templates.get(name) : resourceAt(catalogue, principal, name)
  }
}

export function judgeExistence ({ method, target }: LayerInput, offered: Offered | undefined): Refusal | undefined {
  if (offered !== undefined || !MUST_EXIST.has(method)) return undefined
  return {
    outcome: 'refuse',
    reason: target.kind === 'tool' ? 'UNKNOWN_TOOL' : 'INVALID_PARAMS',
    layer: 'existence',
    target,
    rule: `no such ${target.kind}`
  }
}

/** Headers that repeat arguments say what the arguments say. */
export function judgeParamHeaders ({ target, args, headers }: LayerInput, offered: OfferedTool): Refusal | undefined {
  const fault =
    headers === undefined || offered.headers.length === 0 ? undefined : paramHeaderFault(offered.headers, args, headers)
  if (fault === undefined) return undefined
  return {
    outcome: 'refuse',
    reason: 'HEADER_MISMATCH',
    layer: 'param-headers',
    target,
    rule: fault.header,
    text: fault.message,
    data: { header: fault.header }
  }
}

/**
 * Arguments fit the tool's schema. A schema of another library reads them where
 * the call runs (tools/call.ts): that may take time, and runs the author's code.
 */
export function judgeArguments (
  target: Target, input: unknown, { input: { check } }: OfferedTool
): Refusal | undefined {
  const inexact = inexactNumberIn(input)
  if (inexact !== undefined) {
    return {
      outcome: 'refuse',
      reason: 'INVALID_ARGUMENTS',
      layer: 'arguments',
      target,
      rule: 'inexact number',
      text: `${inexact.path.join('.').slice(0, 200)} is a number that would be read as another one (whole numbers are exact up to 2^53 - 1): send it as text`
    }
  }
  if (check === undefined || check.fits(input)) return undefined
  const text = check.problems(input).join('; ')
  return { outcome: 'refuse', reason: 'INVALID_ARGUMENTS', layer: 'arguments', target, rule: 'input schema', text }
}

/** Methods whose words reach an author's code, beside `tools/call`. */
const SPEAKING: ReadonlySet<string> = new Set(['prompts/get', 'resources/read', 'completion/complete'])

/**
 * What of a message reaches an author's code: arguments of a prompt, values that are completed, variables of
 * a template.
 */
export function wordsOf ({ method, args }: LayerInput, offered: Offered | undefined): unknown {
  if (offered === undefined || !SPEAKING.has(method)) return undefined
  return method === 'resources/read' ? (offered as FoundResource).variables : args
}

/** Patterns that do not apply to what is said to it. */
export function exemptOf (offered: Offered): ReadonlySet<string> {
  return 'variables' in offered ? offered.offered.exempt : offered.exempt
}

/**
 * Nothing that is said looks like an attack on what stands behind the tool.
 *
 * @returns a promise where there is so much text that others have their turn between
 */
export function judgeInspection (
  target: Target,
  said: unknown,
  offered: Offered,
  inspector: Inspector
): Refusal | undefined | Promise<Refusal | undefined> {
  const found = inspector.inspect(said, exemptOf(offered))
  return found instanceof Promise ? found.then(found => suspicious(target, found)) : suspicious(target, found)
}

function suspicious (target: Target, found: Finding | undefined): Refusal | undefined {
  if (found === undefined) return undefined
  const { pattern, path } = found
  return {
    outcome: 'refuse',
    reason: 'SUSPICIOUS_ARGUMENT',
    layer: 'inspection',
    target,
    rule: `${pattern} at ${path}`,
    data: { pattern, path }
  }
}
