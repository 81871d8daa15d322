/** The protocol behind the door: takes a message that was admitted, gives back the answer. */
import { createMcpHandler, type AuthInfo } from '@modelcontextprotocol/server'
import type { Caller } from '../auth/chain.ts'
import type { Verdict } from '../core/limit.ts'
import type { Store } from '../state/store.ts'
import type { Change, Log } from '../tools/tool.ts'
import { admitMessage, type Message } from './admit.ts'
import { sdkServer, type ServingOptions } from './sdk-server.ts'

export interface McpOptions extends Omit<ServingOptions, 'changed'> {
  store: Store
  log: Log
}

export interface McpService {
  /** See admit.ts. */
  admit (message: Message, caller: Caller): Promise<Verdict>
  /** Serve one admitted message. */
  serve (message: Message, http: Request, caller: Caller, log: Log): Promise<Response>
  close (): Promise<void>
}

export function mcpService ({ store, log, ...options }: McpOptions): McpService {
  const changed = (what: Change) => handler.bus.publish(
    typeof what === 'object' ? { kind: 'resource_updated', uri: what.resource } : { kind: `${what}_list_changed` })
  const serving: ServingOptions = { ...options, changed }

  const handler = createMcpHandler(({ era, authInfo }) => {
    const { caller, log } = authInfo!.extra as unknown as Extra
    return sdkServer(serving, { principal: caller.principal, log, era })
  }, {
    onerror: error => log.debug({ err: error }, 'sdk refused a message')
  })

  return {
    admit: (message, caller) => admitMessage(options.catalogue, store, message, caller),

    async serve (message, http, caller, log) {
      const authInfo: AuthInfo = { token: '', clientId: caller.principal.id, scopes: [], extra: { caller, log } satisfies Extra as never }
      return await handler.fetch(http, { authInfo, parsedBody: message })
    },

    close: () => handler.close()
  }
}

interface Extra { caller: Caller, log: Log }
