/** How refusals of a message are answered: as a result that the model reads, or as an error of the protocol. */
import { insufficientScope } from '../auth/scopes.ts'
import { rateLimited } from '../core/limit.ts'
import type { Principal } from '../core/principal.ts'
import type { Refusal } from '../decision/layers.ts'
import type { Trace } from '../decision/trace.ts'
import { AppError } from '../errors.ts'
import { redact } from '../telemetry/redact.ts'
import { FailedCall, failure, invalidArguments, type CallOutcome } from '../tools/call.ts'
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
    case 'cost': throw rateLimited({ retryAfterMs: data!.retryAfterMs as number, windowMs: Infinity }, { rule })
  }
}

/** The words that callers of the system which this one follows look for. */
const SUSPICIOUS = 'Security validation failed'

/** What was found, for whoever can write it otherwise: the argument, and the pattern by its public name. */
function found ({ path, pattern }: Readonly<Record<string, unknown>>): string {
  return redact(
    `${path === '' ? 'The argument' : `The argument "${String(path)}"`} looks like ${String(pattern)}. Write it otherwise, or leave it out.`,
    400
  )
}

/** Words of a prompt, a template or a completion: these have no result that a model reads. */
function suspiciousWords ({ rule, data }: Refusal): AppError {
  const { path, pattern } = data!
  return new AppError('SUSPICIOUS_ARGUMENT', `${SUSPICIOUS}. ${found(data!)}`, {
    rule, data: { argument: redact(String(path), 200), pattern }
  })
}

/**
 * The result that a refused call has.
 *
 * @throws {AppError} where the refusal is an error of the protocol
 */
export function resultOf (refusal: Refusal, trace: Trace): ToolResult {
  const { reason, rule, text, data } = refusal
  switch (reason) {
    case 'ACCESS_DENIED':
      trace.refuse(reason, rule)
      return failure('Access denied')
    case 'SUSPICIOUS_ARGUMENT':
      trace.refuse(reason, rule)
      return { content: [{ type: 'text', text: SUSPICIOUS }, { type: 'text', text: found(data!) }], isError: true }
    case 'INVALID_ARGUMENTS':
      trace.refuse(reason, rule)
      return invalidArguments(text!)
    default:
      throw errorOf(refusal)
  }
}

/** A refusal as an error of the protocol. */
export function errorOf (refusal: Refusal): AppError {
  const { reason, target, rule, text, data } = refusal
  const name = target === undefined ? '' : redact(target.name, MAX_NAME)
  switch (reason) {
    case 'SUSPICIOUS_ARGUMENT': return suspiciousWords(refusal)
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
