import { runTool } from '../../../tools/call.ts'
import { visible, type OfferedTool } from '../../../tools/catalogue.ts'
import { CallContext } from '../../../tools/context.ts'
import { InputNeeded } from '../../../tools/tool.ts'
import { noteBegin } from '../../note-begin.ts'
import { resultOf, settle } from '../../refusals.ts'
import { toolsListMeta } from '../../tools-list-meta.ts'
import type { HandledRequest } from '../host.ts'

export function listTools ({ catalogue, message: { principal, log } }: HandledRequest): object {
  const tools = visible(catalogue.tools, 'tool', principal).map(({ listed }) => listed)
  const meta = toolsListMeta({ isEmpty: tools.length === 0, via: catalogue.via }, principal, log)
  return { tools, ...(meta === undefined ? {} : { _meta: meta }) }
}

/** Run the tool, or go on with the call that runs already. */
export async function callTool (request: HandledRequest): Promise<object> {
  const { message } = request
  const { decision, trace, pending } = message
  if (decision.outcome === 'refuse') return resultOf(decision, trace)
  message.pending = undefined
  const refused = await request.judgeAnswers()
  if (refused !== undefined) return resultOf(refused, trace)
  if (pending === undefined) noteBegin(request.options, decision, trace)
  const outcome = pending === undefined
    ? await runTool(decision.offered as OfferedTool, decision.input, new CallContext(request.host()), request.toolHook)
    : await pending.resume(request.host())
  const result = settle(outcome, trace)
  return result instanceof InputNeeded ? request.asked(result) : result
}
