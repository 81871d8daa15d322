/** Running a call that was let through: the tool, its time, and the shape of its result. Nothing is decided here. */
import type { ReadValue } from '../core/standard-schema.ts'
import { AppError, type Reason } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import { redact } from '../telemetry/redact.ts'
import type { OfferedTool } from './catalogue.ts'
import { Relayed } from './relayed.ts'
import { resultOf, resultRead, type ResultFault, type ToolResult } from './result.ts'
import { InputNeeded, ToolError, UpstreamError, type Context, type Outcome, type Tool, type ToolHook } from './tool.ts'

/** Of one thing that is wrong, characters: libraries repeat the value, which is as long as a caller makes it. */
const MAX_PROBLEM = 200

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
export function runTool (
  offered: OfferedTool, input: unknown, context: Context, hook?: ToolHook
): CallOutcome | Promise<CallOutcome> {
  try {
    if (offered.input.check === undefined) return readAndRun(offered, input, context, hook)
    const done = run(offered, input, context, hook)
    return isPromise(done) ? inTime(offered, done, context) : done
  } catch (error) {
    return failed(error, offered, context)
  }
}

/** What the hook returns is nobody's: what is answered is what the tool said. */
async function hooked (hook: ToolHook, { tool }: OfferedTool, input: unknown, context: Context): Promise<Outcome> {
  const { caller, requestId, headers, signal, log } = context
  let outcome: Promise<Outcome> | undefined
  const next = () => {
    if (outcome === undefined) {
      outcome = Promise.resolve().then(() => tool.run(input, context))
      outcome.catch(() => {}) // a hook that does not wait for it must not end the process; it is looked at below
    }
    return outcome
  }
  await hook({ tool: tool.name, arguments: input, caller, requestId, headers, signal, log }, next)
  if (outcome === undefined) throw new Error('TOOL_HOOK returned without calling next')
  return await outcome
}

function run (
  offered: OfferedTool, input: unknown, context: Context, hook: ToolHook | undefined
): CallOutcome | Promise<CallOutcome> {
  const outcome: Outcome | Promise<Outcome> = hook === undefined
    ? offered.tool.run(input, context)
    : hooked(hook, offered, input, context)
  if (!isPromise(outcome)) return shape(offered, outcome, context.log)
  return Promise.resolve(outcome).then(outcome => shape(offered, outcome, context.log))
}

/** Arguments that another library reads first: what it makes of them is what the tool gets. */
function readAndRun (
  offered: OfferedTool, input: unknown, context: Context, hook: ToolHook | undefined
): CallOutcome | Promise<CallOutcome> {
  const read = offered.input.read(input)
  if (!isPromise(read)) {
    const done = runRead(offered, read, context, hook)
    return isPromise(done) ? inTime(offered, done, context) : done
  }
  // A call that was given up while its arguments were read must not run after all.
  let ended = false
  const done = read.then(read => {
    if (ended || context.signal.aborted) throw new Error('given up')
    return runRead(offered, read, context, hook)
  })
  return inTime(offered, done, context).finally(() => { ended = true })
}

function runRead (
  offered: OfferedTool, read: ReadValue, context: Context, hook: ToolHook | undefined
): CallOutcome | Promise<CallOutcome> {
  if ('value' in read) return run(offered, read.value, context, hook)
  return new FailedCall('INVALID_ARGUMENTS', invalidArguments(toldProblems(read.problems)), 'input schema')
}

/** Ended after `timeoutMs`; what fails becomes a result. */
function inTime (offered: OfferedTool, work: Promise<CallOutcome>, context: Context): Promise<CallOutcome> {
  return within(offered.timeoutMs, work).catch(error => failed(error, offered, context))
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
function shape (offered: OfferedTool, outcome: Outcome, log: Log): CallOutcome | Promise<CallOutcome> {
  if (outcome instanceof InputNeeded) return outcome
  if (outcome instanceof Relayed) return sent(outcome.result as ToolResult)
  const { tool, output } = offered
  if (output === undefined || output.check !== undefined) {
    const result = resultOf(outcome, output?.check?.fits)
    if (!('fault' in result)) return sent(result)
    return unsendable(tool, { ...result, problems: output?.check?.problems(outcome) }, log)
  }
  const result = resultRead(outcome, output)
  const settle = (result: ToolResult | ResultFault): CallOutcome =>
    'fault' in result ? unsendable(tool, result, log) : sent(result)
  return isPromise(result) ? result.then(settle) : settle(result)
}

function sent (result: ToolResult): CallOutcome {
  return result.isError === true ? new FailedCall('TOOL_ERROR', result) : result
}

function unsendable ({ name }: Tool, { fault, problems }: ResultFault, log: Log): FailedCall {
  const seen = problems?.map(problem => redact(problem, MAX_PROBLEM))
  log.error({ tool: name, fault, problems: seen }, 'tool returned what cannot be sent')
  return new FailedCall('TOOL_FAILED', failure('Internal error'), 'result')
}

/** What is wrong with what somebody sent, in words that may be sent back. */
export function toldProblems (problems: readonly string[]): string {
  return problems.map(problem => redact(problem, MAX_PROBLEM)).join('; ')
}

/** What a caller reads of arguments that do not fit. */
export function invalidArguments (problems: string): ToolResult {
  return failure(redact(`Invalid arguments: ${problems}`, 4000))
}

export function failure (text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true }
}

function isPromise<T> (value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

class ToolTooLate extends Error {}

async function within (timeoutMs: number, work: Promise<CallOutcome>): Promise<CallOutcome> {
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
