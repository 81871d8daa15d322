/** The protocol behind the door: takes a message that was admitted, gives back the answer. */
import { createMcpHandler, isLegacyRequest, type AuthInfo } from '@modelcontextprotocol/server'
import type { Caller } from '../auth/chain.ts'
import type { Verdict } from '../core/limit.ts'
import type { SessionIds, SessionRule } from '../core/session.ts'
import type { Store } from '../state/store.ts'
import { resourceAt } from '../tools/catalogue.ts'
import type { Log } from '../log.ts'
import { admitMessage, type Message } from './admit.ts'
import { bounded } from './event-stream.ts'
import { events } from './events.ts'
import { listen } from './listen.ts'
import { sdkServer, type ServingOptions } from './sdk-server.ts'
import type { Served } from './served.ts'
import { requireServed, sessions, type Asking, type Sessions } from './sessions.ts'
import { streams } from './streams.ts'

export interface McpOptions extends Omit<ServingOptions, 'changed'> {
  store: Store
  log: Log
  /** Undefined: no sessions, so that clients of the older revisions get no questions and no pushes. */
  sessions?: { ids: SessionIds, rule: SessionRule } | undefined
  maxStreamsOfPrincipal: number
}

export interface McpService {
  /** See admit.ts. */
  admit (message: Message, caller: Caller, headers: Readonly<Record<string, unknown>>): Promise<Verdict>
  /** Serve one admitted message. */
  serve (message: Message, http: Request, asking: Omit<Asking, 'gone'>): Promise<Response | Served>
  /** Undefined where they are off. */
  readonly sessions: Sessions | undefined
  close (): Promise<void>
}

export function mcpService ({ store, log, sessions: withSessions, maxStreamsOfPrincipal, ...options }: McpOptions): McpService {
  const told = events(store.bus, log)
  const serving: ServingOptions = { ...options, changed: told.changed }
  const open = streams({ revocations: store.revocations, mostOfPrincipal: maxStreamsOfPrincipal })
  const held = withSessions === undefined
    ? undefined
    : sessions({ store, ...withSessions, events: told, streams: open, makeServer: one => sdkServer(serving, one) })

  const handler = createMcpHandler(({ era, authInfo }) => {
    const { caller, log } = authInfo!.extra as unknown as Extra
    return sdkServer(serving, { principal: caller.principal, log, era })
  }, {
    onerror: error => log.debug({ err: error }, 'sdk refused a message')
  })

  return {
    admit: (message, caller, headers) => admitMessage(options.catalogue, store, message, caller, headers),

    async serve (message, http, { caller, log, lasts }) {
      const id = http.headers.get('mcp-session-id')
      if (held !== undefined && (id !== null || message.method === 'initialize') && await isLegacyRequest(http, message)) {
        const asking: Asking = { caller, log, lasts, gone: http.signal }
        if (message.method === 'initialize') return await held.begin(message, asking)
        requireServed(http.headers.get('mcp-protocol-version'))
        return await held.post(id!, message, asking)
      }

      const authInfo: AuthInfo = { token: '', clientId: caller.principal.id, scopes: [], extra: { caller, log } satisfies Extra as never }
      const response = await handler.fetch(http, { authInfo, parsedBody: message })
      if (response.body === null || !response.headers.get('content-type')?.startsWith('text/event-stream')) return response
      if (message.method !== 'subscriptions/listen') return bounded(response, () => log.info({ principal: caller.principal.id }, 'cut a reader that was too slow'))
      // The SDK has checked the request; the stream is ours, since its own knows no principals and no bounds.
      await response.body.cancel()
      const filter = (message.params as { notifications: object }).notifications
      const offers = (uri: string) => resourceAt(options.catalogue, caller.principal, uri) !== undefined
      return listen({ events: told, streams: open, offers }, message.id as string | number, filter, caller, log)
    },

    sessions: held,

    async close () {
      open.close()
      held?.close()
      await handler.close()
    }
  }
}

interface Extra { caller: Caller, log: Log }
