/** Requests of revision 2026-07-28 by the SDK's handler, which wants web requests and gives web responses. */
import { createMcpHandler, type AuthInfo, type McpHttpHandler } from '@modelcontextprotocol/server'
import { encodeHeader } from '../../core/param-headers.ts'
import type { Log } from '../../telemetry/log.ts'
import { isObject } from '../members.ts'
import type { McpRequest } from '../message.ts'
import type { PendingCall } from '../pending-call.ts'
import { wireForm } from '../sessions/requests.ts'
import type { RequestContext, ServedMessage, ServingOptions } from '../serving.ts'
import type { Reply } from '../streams/reply.ts'
import { ofSdk } from './errors.ts'
import { MODERN_VERSION } from './protocol.ts'
import { sdkServer } from './server.ts'

/** What the handler hands to the making of a server, among what belongs to an authentication of its own. */
interface Extra {
  readonly message: ServedMessage
}

export class ModernHandler {
  readonly #handler: McpHttpHandler

  constructor (options: ServingOptions, log: Log) {
    this.#handler = createMcpHandler(({ era, authInfo }) => {
      const { message } = authInfo!.extra as unknown as Extra
      return sdkServer(options, { era, log: message.log, messageOf: () => message })
    }, { legacy: 'reject', onerror: error => log.debug({ err: error }, 'sdk refused a message') })
  }

  /** Have the SDK answer. @param pending the call, where the fast lane began it */
  async serve (request: McpRequest, context: RequestContext, reply: Reply, pending?: PendingCall): Promise<void> {
    const { caller: { principal }, decision, trace, headers, onward, log } = context
    const message: ServedMessage = { principal, decision, trace, headers, onward, log, pending }
    const authInfo: AuthInfo = {
      token: '', clientId: principal.id, scopes: [], extra: { message } satisfies Extra as never
    }
    const response = await this.#handler.fetch(webRequest(request, context.departure().signal), {
      authInfo, parsedBody: wireForm(request)
    })
    if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) {
      await passEvents(response, reply)
    } else if (response.body === null) {
      reply.close() // the client is gone
    } else {
      reply.finish(translated(await response.text(), message), response.status)
    }
  }

  async close (): Promise<void> {
    await this.#handler.close()
  }
}

/** An answer that no server object gave is a refusal by the SDK's handler; those of a server bear the request's id. */
function translated (text: string, { trace, log }: ServedMessage): string {
  if (!text.includes('"error":')) return text
  const answer = JSON.parse(text) as { error?: { code: number, message: string, data?: { requestId?: unknown } } }
  if (answer.error === undefined || answer.error.data?.requestId !== undefined) return text
  return JSON.stringify({ ...answer, error: ofSdk(answer.error, trace, log) })
}

/** The head of a request as the SDK wants it; the parsed body goes beside it. The URL is not read. */
function webRequest ({ method, params, row }: McpRequest, signal: AbortSignal): Request {
  const name = row.mirrored === undefined ? undefined : String(params[row.mirrored])
  return new Request('http://mcp.invalid/mcp', {
    method: 'POST',
    signal,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN_VERSION,
      'mcp-method': method,
      ...(name === undefined ? {} : { 'mcp-name': encodeHeader(name) })
    }
  })
}

/** The SDK's stream, message by message, so that it is held to the bounds of every stream. */
async function passEvents (response: Response, reply: Reply): Promise<void> {
  const decoder = new TextDecoder()
  let held = ''
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    const events = (held + decoder.decode(chunk, { stream: true })).split('\n\n')
    held = events.pop()!
    for (const event of events) {
      const line = event.split('\n').find(line => line.startsWith('data: '))
      if (line === undefined) continue // a comment
      const text = line.slice('data: '.length)
      if (isAnswer(text)) reply.finish(text)
      else reply.sendText(text)
    }
  }
  reply.close()
}

function isAnswer (text: string): boolean {
  const message = JSON.parse(text) as unknown
  return isObject(message) && (Object.hasOwn(message, 'result') || Object.hasOwn(message, 'error'))
}
