/** What a record of a request says of the layers: which it passed, which refused it, and what would mend that. */
import type { AuthType } from '../core/principal.ts'
import type { Target, Kind } from '../core/permissions.ts'
import type { Reason } from '../errors.ts'
import type { Explanation } from './explain.ts'
import { LAYERS, type LayerName } from './layers.ts'
import { remediesFor, type Surroundings } from './remedies.ts'

/** Of a record, what says why: the names are those of the request line. */
export interface RecordedDecision {
  readonly decision: Reason | 'served'
  readonly rule?: string | undefined
  readonly principal?: string | undefined
  readonly auth?: string | undefined
  readonly target?: string | undefined
  readonly address?: string | undefined
}

/** The layer that refuses for a reason. Where two may, the rule tells which. */
const LAYER_OF: Readonly<Record<Reason, LayerName | ((rule: string) => LayerName)>> = {
  TRANSPORT: 'load',
  ADDRESS_BLOCKED: 'address',
  ORIGIN_REFUSED: 'origin',
  TOO_LARGE: 'message',
  PARSE_ERROR: 'message',
  UNSUPPORTED_MEDIA_TYPE: 'message',
  INVALID_REQUEST: rule => rule === 'host' ? 'origin' : rule === 'path' ? 'route' : 'message',
  INVALID_PARAMS: rule => rule.startsWith('no such ') ? 'existence' : 'message',
  NOT_ACCEPTABLE: 'message',
  CAPABILITY_MISSING: 'upstream',
  UNKNOWN_TOOL: 'existence',
  UNKNOWN_METHOD: 'message',
  VERSION_REFUSED: 'message',
  LOOP_DETECTED: 'message',
  HEADER_MISMATCH: rule => rule.startsWith('mcp-param-') ? 'param-headers' : 'message',
  MALFORMED_CREDENTIAL: 'credential',
  AUTHENTICATION_REQUIRED: 'credential',
  INVALID_CREDENTIAL: rule => rule.startsWith('revoked ') || rule === 'expired' ? 'revocation' : 'credential',
  INSUFFICIENT_SCOPE: rule => rule === '' ? 'credential' : 'scope',
  CROSS_SITE: 'origin',
  FORBIDDEN: 'permission',
  ACCESS_DENIED: 'permission',
  SUSPICIOUS_ARGUMENT: 'inspection',
  INVALID_ARGUMENTS: 'arguments',
  TOOL_ERROR: 'upstream',
  TOOL_FAILED: 'upstream',
  UPSTREAM_UNREACHABLE: 'upstream',
  UPSTREAM_TIMEOUT: 'upstream',
  UPSTREAM_BUSY: 'upstream',
  UPSTREAM_BROKEN: 'upstream',
  NOT_FOUND: 'route',
  SESSION_NOT_FOUND: 'message',
  METHOD_NOT_ALLOWED: 'route',
  PRECONDITION_REQUIRED: 'message',
  PRECONDITION_FAILED: 'message',
  RATE_LIMITED: rule => rule === 'places' ? 'places' : / of the tool$/.test(rule) ? 'cost' : 'limit',
  TOO_MANY_FAILURES: 'credential',
  TOO_MANY_SESSIONS: 'message',
  TOO_MANY_STREAMS: 'message',
  STATE_UNAVAILABLE: 'credential',
  AUDIT_UNAVAILABLE: 'message',
  OVERLOADED: rule => rule === 'MAX_IN_FLIGHT' ? 'places' : 'load',
  DRAINING: 'message',
  INTERNAL: 'upstream'
}

/** @returns the layer that such a refusal comes from */
export function layerOf (reason: Reason, rule = ''): LayerName {
  const layer = LAYER_OF[reason]
  return typeof layer === 'string' ? layer : layer(rule)
}

/** What was decided then, layer by layer. */
export function explainRecord (record: RecordedDecision, around: Surroundings = {}): Explanation {
  const { decision, rule, principal, target } = record
  const layer = decision === 'served' ? undefined : layerOf(decision, rule)
  const at = layer === undefined ? LAYERS.length : LAYERS.indexOf(layer)
  return {
    decision,
    layer,
    rule,
    principal,
    target,
    layers: LAYERS.map((name, i) => ({
      layer: name,
      verdict: i < at ? 'passed' : i > at ? 'not asked' : 'refused',
      ...(i === at ? { reason: decision as Reason, rule } : {})
    })),
    mend: decision === 'served' ? [] : remediesFor({ reason: decision, rule, ...partsOf(record) }, around)
  }
}

function partsOf ({ principal, auth, target, address }: RecordedDecision) {
  return {
    target: target === undefined ? undefined : targetIn(target),
    principal: principal === undefined ? undefined : { id: principal, authType: auth as AuthType },
    address
  }
}

/** A target out of the words of permissions. A tool whose name begins like a kind is spelled with its own. */
export function targetIn (spelling: string): Target {
  const [, kind, name] = /^(resource|prompt|tool):(.+)$/s.exec(spelling) ?? []
  return kind === undefined ? { kind: 'tool', name: spelling } : { kind: kind as Kind, name: name! }
}
