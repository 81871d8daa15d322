/**
 * Errors on their way through the SDK. Those of this service pass it with a
 * code that only they have, so that at its outer side they are told from the
 * SDK's own, whose words (a validator's, mostly) are for the log.
 */
import type { JSONRPCMessage } from '@modelcontextprotocol/server'
import { toAnswer } from '../../core/answer.ts'
import type { Trace } from '../../decision/trace.ts'
import { AppError } from '../../errors.ts'
import type { Log } from '../../telemetry/log.ts'
import { UpstreamError } from '../../tools/tool.ts'
import type { ServedMessage } from '../serving.ts'

/**
 * Added to the code of an error of this service while it is inside the SDK. No code of JSON-RPC, MCP or HTTP
 * comes near.
 */
const OURS = 1_000_000

interface WireError { code: number, message: string, data?: unknown }

/** What a handler threw, as an error that the SDK puts on the wire: code, data, and a text that may be shown. */
export function wireError (thrown: unknown, { trace, log }: Pick<ServedMessage, 'trace' | 'log'>): Error {
  if (thrown instanceof UpstreamError) return wireError(new AppError(thrown.reason, thrown.message), { trace, log })
  if (!(thrown instanceof AppError)) log.error({ err: thrown }, 'handler failed')
  const { rpc, reason, message, data, rule } = toAnswer(thrown)
  trace.refuse(reason, rule)
  return Object.assign(new Error(message), {
    code: rpc + OURS, data: { ...(rpc > 0 ? { reason } : {}), ...data, requestId: trace.requestId }
  })
}

/** A message as it leaves: errors in the words of this service, with the request's id to ask about. */
export function inOurWords (
  message: JSONRPCMessage,
  { trace, log }: Pick<ServedMessage, 'trace' | 'log'>
): JSONRPCMessage {
  if (!('error' in message)) return message
  const { code } = message.error
  return {
    ...message, error: code > OURS / 2 ? { ...message.error, code: code - OURS } : ofSdk(message.error, trace, log)
  }
}

/**
 * What the SDK refuses by itself. Messages were read before it got them, so most of this is a fault of this
 * service.
 */
export function ofSdk ({ code, message, data }: WireError, trace: Trace, log: Log): WireError {
  const told = { ...data as object | undefined, requestId: trace.requestId }
  switch (code) {
    case -32601:
      trace.refuse('UNKNOWN_METHOD')
      return { code, message: 'Method not found', data: { requestId: trace.requestId } }
    case -32021:
      trace.refuse('CAPABILITY_MISSING')
      return { code, message: 'This needs a capability that the client did not declare', data: told }
    case -32022:
      trace.refuse('VERSION_REFUSED')
      return { code, message: 'This protocol revision is not served', data: told }
    case -32602:
      // Its only check of what a handler gives: what a tool returned is no result that MCP knows.
      if (!message.startsWith('Invalid tools/call result')) break
      trace.refuse('TOOL_FAILED', 'result')
      log.error({ sdk: message.slice(0, 500) }, 'tool gave a result that MCP does not know')
      return { code: -32603, message: 'Internal error', data: { requestId: trace.requestId } }
  }
  trace.refuse('INTERNAL')
  log.error({ code, sdk: message.slice(0, 500) }, 'the sdk refused what was checked before')
  return { code: -32603, message: 'Internal error', data: { requestId: trace.requestId } }
}
