/**
 * The catalogue as the SDK serves it: one low-level server object a request,
 * holding only what this principal may use. Both eras and stdio come here; what
 * the fast lane answers never does.
 */
import {
  isJSONRPCErrorResponse,
  Server,
  type Implementation,
  type ServerOptions,
  type Transport
} from '@modelcontextprotocol/server'
import type { ServerInfo } from '../../core/identity.ts'
import { CAPABILITIES, LIST_TTL_MS } from '../capabilities.ts'
import type { Serving, ServingOptions } from '../serving.ts'
import { inOurWords, wireError } from './errors.ts'
import { complete } from './handlers/completion.ts'
import { getPrompt, listPrompts } from './handlers/prompts.ts'
import { listResources, listTemplates, readResource, subscribe, unsubscribe } from './handlers/resources.ts'
import { callTool, listTools } from './handlers/tools.ts'
import { HandledRequest, type Handler, type Params } from './host.ts'

const PRIVATE = { ttlMs: LIST_TTL_MS, cacheScope: 'private' } as const
const CACHE_HINTS = {
  'tools/list': PRIVATE,
  'prompts/list': PRIVATE,
  'resources/list': PRIVATE,
  'resources/templates/list': PRIVATE,
  'resources/read': { ttlMs: 0, cacheScope: 'private' },
  'server/discover': PRIVATE
} as const

const HANDLERS: ReadonlyArray<readonly [method: string, handler: Handler]> = [
  ['tools/list', listTools],
  ['tools/call', callTool],
  ['prompts/list', listPrompts],
  ['prompts/get', getPrompt],
  ['resources/list', listResources],
  ['resources/templates/list', listTemplates],
  ['resources/read', readResource],
  ['completion/complete', complete]
]
const LEGACY_HANDLERS: typeof HANDLERS = [['resources/subscribe', subscribe], ['resources/unsubscribe', unsubscribe]]

export function sdkServer (options: ServingOptions, serving: Serving): Server {
  const { era, session, log } = serving
  const { info, instructions } = options.identity
  const server = new TranslatingServer(serving, info, {
    ...(instructions === undefined ? {} : { instructions }),
    capabilities: CAPABILITIES(options.authentication, era === 'modern' || session !== undefined),
    cacheHints: CACHE_HINTS
  })
  server.onerror = error => log.debug({ err: error }, 'sdk reported')
  for (const [method, handler] of era === 'legacy' ? [...HANDLERS, ...LEGACY_HANDLERS] : HANDLERS) {
    // Registered by its name in the table; the SDK's types want a literal for each.
    server.setRequestHandler(method as 'tools/call', async ({ params = {} }, ctx) => {
      try {
        return await handler(new HandledRequest({ options, serving, server }, params as Params, ctx)) as never
      } catch (error) {
        throw wireError(error, serving.messageOf(ctx.mcpReq.id))
      }
    })
  }
  return server
}

/** A server whose errors leave in the words of this service, whatever it is connected to. */
class TranslatingServer extends Server {
  readonly #serving: Serving

  constructor (serving: Serving, info: ServerInfo, options: ServerOptions) {
    super(info as Implementation, options)
    this.#serving = serving
  }

  override async connect (transport: Transport): Promise<void> {
    const send = transport.send.bind(transport)
    transport.send = async (message, options) => {
      // Errors without an id answer nothing that was asked here.
      const isError = isJSONRPCErrorResponse(message) && message.id !== undefined
      await send(isError ? inOurWords(message, this.#serving.messageOf(message.id!)) : message, options)
    }
    await super.connect(transport)
  }
}
