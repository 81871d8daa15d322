/** Running one call: permitted, known, unsuspicious, well formed — in that order, then the tool, then its result. */
import { inspect } from '../core/inspection.ts'
import { mayUse } from '../core/permissions.ts'
import type { Principal } from '../core/principal.ts'
import { AppError } from '../errors.ts'
import type { Catalogue, OfferedTool } from './catalogue.ts'
import type { Log } from '../telemetry/log.ts'
import { redact } from '../telemetry/redact.ts'
import { InputNeeded, ToolError, type Content, type Context, type Outcome } from './tool.ts'

/** A `tools/call` result as it goes on the wire, apart from what each era adds. */
export interface ToolResult {
  content: readonly Content[]
  structuredContent?: unknown
  isError?: boolean
}

/** What comes of a call: its result, or what it asks first. */
export type CallOutcome = ToolResult | InputNeeded

export type InspectionMode = 'block' | 'observe' | 'off'

export interface CallOptions {
  catalogue: Catalogue
  inspection: InspectionMode
  /** Told of every suspicious argument, blocked or not. */
  onFinding?: (finding: { tool: string, pattern: string, path: string, principal: Principal, blocked: boolean }) => void
}

/**
 * Call a tool. What the model can mend comes back as a result with `isError`.
 * A tool that answers at once is answered for at once, without a promise.
 *
 * @throws {AppError} INVALID_PARAMS for a permitted name that is not there
 */
export function callTool (
  { catalogue, inspection, onFinding }: CallOptions, principal: Principal, name: string, args: unknown, context: Context
): CallOutcome | Promise<CallOutcome> {
  if (!mayUse(principal, 'tool', name)) return failure('Access denied')
  const offered = catalogue.tools.get(name)
  if (offered === undefined) throw new AppError('INVALID_PARAMS', `Unknown tool: ${redact(name, 128)}`)

  const input = args ?? {}
  if (inspection !== 'off') {
    const found = inspect(input, { exempt: offered.exempt })
    if (found !== undefined) {
      const blocked = inspection === 'block'
      onFinding?.({ tool: name, pattern: found.pattern, path: found.path, principal, blocked })
      if (blocked) return failure('Security validation failed')
    }
  }
  if (!offered.input.fits(input)) {
    return failure(redact(`Invalid arguments: ${offered.input.problems(input).join('; ')}`, 4000))
  }
  return run(offered, input, context)
}

function run (offered: OfferedTool, input: unknown, context: Context): CallOutcome | Promise<CallOutcome> {
  try {
    const outcome = offered.tool.run(input as never, context)
    if (!isPromise(outcome)) return shape(offered, outcome, context.log)
    return within(offered.timeoutMs, outcome).then(outcome => shape(offered, outcome, context.log)).catch(error => failed(error, offered, context))
  } catch (error) {
    return failed(error, offered, context)
  }
}

function failed (error: unknown, offered: OfferedTool, context: Context): ToolResult {
  if (error instanceof ToolError) return failure(error.message)
  if (context.signal.aborted) throw error
  context.log.error({ err: error, tool: offered.tool.name }, 'tool failed')
  return failure('Internal error')
}

/** A result in the shape the protocol wants, checked against `output`. */
function shape ({ tool, output }: OfferedTool, outcome: Outcome, log: Log): CallOutcome {
  if (outcome instanceof InputNeeded) return outcome
  if (typeof outcome === 'string') {
    if (output === undefined) return { content: [{ type: 'text', text: outcome }] }
  } else if (output === undefined && isContent(outcome)) {
    return outcome
  } else if (output === undefined || output.fits(outcome)) {
    return { content: [{ type: 'text', text: JSON.stringify(outcome) }], structuredContent: outcome }
  } else if (isContent(outcome) && outcome.isError === true) {
    return outcome
  }
  log.error({ tool: tool.name, problems: output!.problems(outcome) }, 'tool broke its output schema')
  return failure('Internal error')
}

export function failure (text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true }
}

function isContent (outcome: unknown): outcome is ToolResult {
  return typeof outcome === 'object' && outcome !== null && Array.isArray((outcome as { content?: unknown }).content)
}

function isPromise (value: unknown): value is Promise<Outcome> {
  return typeof (value as { then?: unknown } | null)?.then === 'function'
}

async function within (timeoutMs: number, work: Promise<Outcome>): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new ToolError(`The tool took longer than ${timeoutMs} ms and was ended`)), timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
