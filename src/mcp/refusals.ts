/** How refusals of a message are answered: as a result that the model reads, or as an error of the protocol. */
import { insufficientScope } from '../auth/scopes.ts'
import { rateLimited } from '../core/limit.ts'
import type { Principal } from '../core/principal.ts'
import type { Refusal } from '../decision/layers.ts'
import type { Trace } from '../decision/trace.ts'
import { AppError } from '../errors.ts'
import { redact } from '../telemetry/redact.ts'
import { FailedCall, failure, type CallOutcome } from '../tools/call.ts'
import type { ToolResult } from '../tools/result.ts'
import type { InputNeeded } from '../tools/tool.ts'

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
