/** How refusals of a message are answered: as a result that the model reads, or as an error of the protocol. */
import { insufficientScope } from '../auth/scopes.ts'
import { rateLimited } from '../core/limit.ts'
import type { Principal } from '../core/principal.ts'
import type { Refusal } from '../decision/layers.ts'
import type { Trace } from '../decision/trace.ts'
import { AppError, ERRORS, type Reason } from '../errors.ts'
import { redact } from '../telemetry/redact.ts'
import { FailedCall, failure, type CallOutcome } from '../tools/call.ts'
import type { ToolResult } from '../tools/result.ts'
import type { InputNeeded } from '../tools/tool.ts'
import type { HttpResponse } from './http-response.ts'

/** Of a name that the caller sent and an answer repeats, characters. */
const MAX_NAME = 128

/**
 * Refusals that end a message before any handler is asked, with a status of HTTP.
 *
 * @throws {AppError} INSUFFICIENT_SCOPE, HEADER_MISMATCH, RATE_LIMITED
 */
export function raiseAtOnce ({ layer, target, rule, text, data }: Refusal, principal: Principal): void {
  switch (layer) {
    case 'scope': throw insufficientScope(principal, target!, rule)
    case 'param-headers': throw new AppError('HEADER_MISMATCH', text!, { data: { ...data }, rule })
    case 'cost': throw rateLimited({ retryAfterMs: data!.retryAfterMs as number }, { rule })
  }
}

/**
 * The result that a refused call has.
 *
 * @throws {AppError} where the refusal is an error of the protocol
 */
export function resultOf (refusal: Refusal, trace: Trace): ToolResult {
  const { reason, target, rule, text, data } = refusal
  switch (reason) {
    case 'ACCESS_DENIED':
      trace.refuse(reason, rule)
      return failure('Access denied')
    case 'SUSPICIOUS_ARGUMENT':
      trace.refuse(reason, rule)
      return { content: [{ type: 'text', text: 'Security validation failed' }, { type: 'text', text: redact(`${data?.path === '' ? 'The arguments' : `Argument "${String(data?.path)}"`} matched ${String(data?.pattern)}`, 300) }], isError: true }
    case 'INVALID_ARGUMENTS':
      trace.refuse(reason, rule)
      return failure(redact(`Invalid arguments: ${text}`, 4000))
    default:
      throw errorOf(refusal, target === undefined ? '' : redact(target.name, MAX_NAME))
  }
}

function errorOf ({ reason, target, rule, text, data }: Refusal, name: string): AppError {
  switch (reason) {
    case 'UNKNOWN_TOOL': return new AppError(reason, `Unknown tool: ${name}`, { rule })
    case 'INVALID_PARAMS': return new AppError(reason, text ?? `Unknown ${target?.kind}: ${name}`, { rule })
    case 'FORBIDDEN': return new AppError(reason, 'Access denied', { rule })
    default: return new AppError(reason, text ?? 'Refused', { rule, data: { ...data } })
  }
}

/** The result that a call has on the wire; what failed is noted. */
export function settle (called: CallOutcome, trace: Trace): ToolResult | InputNeeded {
  if (!(called instanceof FailedCall)) return called
  trace.refuse(called.reason, called.rule)
  return called.result
}

/** Reasons of JSON-RPC's and MCP's own codes, as the SDK uses them. */
const REASONS = new Map<unknown, Reason>([
  [-32700, 'PARSE_ERROR'], [-32600, 'INVALID_REQUEST'], [-32601, 'UNKNOWN_METHOD'], [-32602, 'INVALID_PARAMS'], [-32603, 'INTERNAL'],
  [-32020, 'HEADER_MISMATCH'], [-32021, 'INVALID_REQUEST'], [-32022, 'VERSION_REFUSED'], [-32000, 'INVALID_REQUEST']
])

interface WireError { code: number, message: string, data?: unknown }

/** An error as the SDK answers with it: its reason is noted, and the answer tells the request's id. */
export function noted<T extends WireError> (error: T, trace: Trace): T {
  const data = typeof error.data === 'object' && error.data !== null ? error.data as { reason?: unknown } : {}
  const own = typeof data.reason === 'string' && Object.hasOwn(ERRORS, data.reason) ? data.reason as Reason : undefined
  trace.refuse(own ?? REASONS.get(error.code) ?? 'INTERNAL')
  return { ...error, data: { ...data, requestId: trace.requestId } }
}

/** An answer of the SDK's as text, its error noted. */
export async function notedResponse (response: Response, trace: Trace): Promise<HttpResponse> {
  const { connection: _whoeverEndsIt, ...headers } = Object.fromEntries(response.headers)
  const text = response.body === null ? undefined : await response.text()
  if (!text?.includes('"error":')) return { status: response.status, headers, body: text }
  const message = JSON.parse(text) as { error?: WireError }
  const body = message.error === undefined ? text : JSON.stringify({ ...message, error: noted(message.error, trace) })
  return { status: response.status, headers, body }
}
