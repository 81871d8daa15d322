/** Which work is recorded before it starts. */
import type { Allowance } from '../decision/decide.ts'
import type { Trace } from '../decision/trace.ts'
import type { OfferedTool } from '../tools/catalogue.ts'
import type { ServingOptions } from './serving.ts'

/**
 * A call that may change something: after a kill it is the only sign that
 * something may have been done. Own tools that say `readOnlyHint: true` are
 * believed; the word of an MCP server behind this one is not.
 *
 * @throws {AppError} AUDIT_UNAVAILABLE: the call does not start
 */
export function noteBegin ({ onBegin }: ServingOptions, { offered }: Allowance, trace: Trace): void {
  const { tool, upstream } = offered as OfferedTool
  trace.upstream = upstream
  if (tool.annotations?.readOnlyHint !== true || upstream !== undefined) onBegin?.(trace)
  trace.ran = true
}
