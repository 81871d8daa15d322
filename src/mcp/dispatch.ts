/** The protocol behind the door: takes a message that was admitted, gives back the answer, by the fast lane where that can. */
import { createMcpHandler, isLegacyRequest, type AuthInfo } from '@modelcontextprotocol/server'
import type { Caller } from '../auth/chain.ts'
import type { Decision } from '../decision/decide.ts'
import type { InspectionMode } from '../decision/layers.ts'
import type { Trace } from '../decision/trace.ts'
import type { SessionIds, SessionRule } from '../core/session.ts'
import type { Store } from '../state/store.ts'
import { resourceAt } from '../tools/catalogue.ts'
import { AppError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import { admitMessage, type Message } from './admit.ts'
import { noted, notedResponse } from './refusals.ts'
import { bounded, event, EVENT_STREAM_HEADERS } from './streams/event-stream.ts'
import { events, OfferChange } from './streams/changes.ts'
import { fastLane, type PendingCall } from './fast/lane.ts'
import { listen } from './streams/subscription.ts'
import { sdkServer, type ServingOptions } from './sdk/server.ts'
import { json, type HttpResponse } from './http-response.ts'
import { requireServed, sessions, type RequestContext, type Sessions } from './sessions/sessions.ts'
import { StreamRegistry } from './streams/registry.ts'

export interface McpOptions extends Omit<ServingOptions, 'changed'> {
  inspection: InspectionMode
  store: Store
  log: Log
  /** Undefined: no sessions, so that clients of the older revisions get no questions and no pushes. */
  sessions?: { ids: SessionIds, rule: SessionRule } | undefined
  maxStreamsOfPrincipal: number
  /** Longest life of a stream, ms. */
  maxStreamMs: number
  /** How often what stays open is judged again, ms. For tests. */
  judgeStreamsMs?: number | undefined
  /** False: the SDK answers everything, as it would if there were no fast lane. For holding one to the other. */
  fastLane?: boolean | undefined
}

/** Of a request, names in lower case. */
type Headers = Readonly<Record<string, string | string[] | undefined>>

export interface McpService {
  /** Decide one message (admit.ts) and serve it. */
  serve (message: Message, headers: Headers, asking: RequestContext): Promise<HttpResponse>
  /** Undefined where they are off. */
  readonly sessions: Sessions | undefined
  close (): Promise<void>
}

export function mcpService ({ store, log, sessions: withSessions, maxStreamsOfPrincipal, maxStreamMs, judgeStreamsMs, fastLane: isFast = true, inspection, ...options }: McpOptions): McpService {
  const told = events(store.bus, log)
  const serving: ServingOptions = { ...options, changed: told.changed }
  const lane = fastLane(serving)
  const open = new StreamRegistry({
    revocations: store.revocations, bus: store.bus, maxOfPrincipal: maxStreamsOfPrincipal, maxLifeMs: maxStreamMs, judgeMs: judgeStreamsMs
  })
  const stopOffer = serving.offer.onChange((lists, before) => told.offered(new OfferChange(lists, before, serving.offer.current)))
  const held = withSessions === undefined
    ? undefined
    : sessions({ store, ...withSessions, events: told, streams: open, makeServer: one => sdkServer(serving, one), lane })

  const handler = createMcpHandler(({ era, authInfo }) => {
    const { caller, decision, trace, log, begun } = authInfo!.extra as unknown as Extra
    return sdkServer(serving, { principal: caller.principal, decision, trace, log, era, begun })
  }, {
    onerror: error => log.debug({ err: error }, 'sdk refused a message')
  })

  async function bySdk (message: Message, headers: Headers, { caller, decision, trace, log, abortSignal: gone }: RequestContext, begun?: PendingCall): Promise<HttpResponse> {
    // The SDK repeats an unknown version in its answer and in its errors, so it must at least be one.
    const version = headers['mcp-protocol-version']
    if (typeof version === 'string' && !/^[\w.-]{0,32}$/.test(version)) throw new AppError('INVALID_REQUEST', 'MCP-Protocol-Version must be a date, such as 2026-07-28')
    const authInfo: AuthInfo = { token: '', clientId: caller.principal.id, scopes: [], extra: { caller, decision, trace, log, begun } satisfies Extra as never }
    const response = await handler.fetch(webRequest(headers, gone()), { authInfo, parsedBody: message })
    if (response.body === null || !response.headers.get('content-type')?.startsWith('text/event-stream')) return await notedResponse(response, trace)
    if (message.method !== 'subscriptions/listen') {
      return bounded(response, { onCut: () => log.info({ principal: caller.principal.id }, 'cut a reader that was too slow'), onError: error => noted(error, trace) })
    }
    // The SDK has checked the request; the stream is ours, since its own knows no principals and no bounds.
    await response.body.cancel()
    const filter = (message.params as { notifications: object }).notifications
    const offers = (uri: string) => resourceAt(serving.offer.current, caller.principal, uri) !== undefined
    return listen({ events: told, streams: open, offers }, message.id as string | number, filter, caller, log)
  }

  return {
    async serve (message, headers, asking) {
      const deciding = admitMessage({ offer: serving.offer, store, inspection }, message, asking, headers)
      asking.decision = deciding instanceof Promise ? await deciding : deciding
      const quick = isFast ? lane.read(message, headers) : undefined
      const id = headers['mcp-session-id']
      if (quick?.era !== 'modern' && held !== undefined && (id !== undefined || message.method === 'initialize')) {
        if (quick !== undefined || await isLegacyRequest(webRequest(headers), message)) {
          if (message.method === 'initialize') return await held.begin(message, asking, quick)
          requireServed(headers['mcp-protocol-version'])
          return await held.post(String(id), message, asking, quick)
        }
      }
      if (quick === undefined) return await bySdk(message, headers, asking)
      const { caller: { principal }, decision, trace, log, abortSignal } = asking
      const answer = await lane.answer(quick, { principal, decision, trace, log, abortSignal })
      if (typeof answer !== 'string') return await bySdk(message, headers, asking, answer)
      return quick.era === 'modern' ? json(answer) : { status: 200, headers: EVENT_STREAM_HEADERS, body: event(answer) }
    },

    sessions: held,

    async close () {
      stopOffer()
      open.close()
      held?.close()
      await handler.close()
    }
  }
}

interface Extra { caller: Caller, decision: Decision, trace: Trace, log: Log, begun: PendingCall | undefined }

/** The head of a request as the SDK reads it; the parsed body goes beside it. The URL is not read, credentials are kept back. */
function webRequest (headers: Headers, signal?: AbortSignal): Request {
  const { authorization, 'x-api-key': apiKey, cookie, ...safe } = headers
  return new Request('http://mcp.invalid/mcp', { method: 'POST', headers: safe as Record<string, string>, ...(signal === undefined ? {} : { signal }) })
}
