/** Running a call that was let through: the tool, its time, and the shape of its result. Nothing is decided here. */
import { AppError, type Reason } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { OfferedTool } from './catalogue.ts'
import { Relayed } from './relayed.ts'
import { resultOf, type ToolResult } from './result.ts'
import { InputNeeded, ToolError, UpstreamError, type Context, type Outcome } from './tool.ts'

/** A call that came to nothing: what the model reads of it, and why, for the log. */
export class FailedCall {
  readonly reason: Reason
  readonly rule: string | undefined
  readonly result: ToolResult

  constructor (reason: Reason, result: ToolResult, rule?: string) {
    this.reason = reason
    this.result = result
    this.rule = rule
  }
}

/** What comes of a call: its result, what it asks first, or why it failed. */
export type CallOutcome = ToolResult | InputNeeded | FailedCall

/**
 * Run a tool with arguments that were judged. A tool that answers at once is
 * answered for at once, without a promise.
 */
export function runTool (offered: OfferedTool, input: unknown, context: Context): CallOutcome | Promise<CallOutcome> {
  try {
    const outcome = offered.tool.run(input as never, context)
    if (!isPromise(outcome)) return shape(offered, outcome, context.log)
    return within(offered.timeoutMs, outcome).then(
      outcome => shape(offered, outcome, context.log)
    ).catch(error => failed(error, offered, context))
  } catch (error) {
    return failed(error, offered, context)
  }
}

function failed (error: unknown, offered: OfferedTool, context: Context): FailedCall {
  if (error instanceof UpstreamError) {
    return new FailedCall(error.reason, failure(error.message), `upstream of ${offered.tool.name}`)
  }
  if (error instanceof ToolError) return new FailedCall('TOOL_ERROR', failure(error.message))
  if (error instanceof ToolTooLate) return new FailedCall('TOOL_FAILED', failure(error.message), 'timeoutMs')
  // An error of the protocol, from an upstream.
  if (error instanceof AppError || context.signal.aborted) throw error
  context.log.error({ err: error, tool: offered.tool.name }, 'tool failed')
  return new FailedCall('TOOL_FAILED', failure('Internal error'), 'threw')
}

/** A result in the shape that the protocol has for it, held to `output`. */
function shape ({ tool, output }: OfferedTool, outcome: Outcome, log: Log): CallOutcome {
  if (outcome instanceof InputNeeded) return outcome
  if (outcome instanceof Relayed) return told(outcome.result as ToolResult)
  const result = resultOf(outcome, output?.fits)
  if (!('fault' in result)) return told(result)
  log.error(
    { tool: tool.name, fault: result.fault, problems: output?.problems(outcome) }, 'tool returned what cannot be sent'
  )
  return new FailedCall('TOOL_FAILED', failure('Internal error'), 'result')
}

function told (result: ToolResult): CallOutcome {
  return result.isError === true ? new FailedCall('TOOL_ERROR', result) : result
}

export function failure (text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true }
}

function isPromise (value: unknown): value is Promise<Outcome> {
  return typeof (value as { then?: unknown } | null)?.then === 'function'
}

class ToolTooLate extends Error {}

async function within (timeoutMs: number, work: Promise<Outcome>): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new ToolTooLate(`The tool took longer than ${timeoutMs} ms and was ended`)), timeoutMs
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
