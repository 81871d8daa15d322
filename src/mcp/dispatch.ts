/** The protocol behind the door: a message that was read and admitted goes to its session, the fast lane or the SDK. */
import type { SessionIds, SessionRule } from '../core/session.ts'
import type { Decision } from '../decision/decide.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import type { Log } from '../telemetry/log.ts'
import { resourceAt } from '../tools/catalogue.ts'
import { admitMessage, noteMessage } from './admit.ts'
import { FastLane, type FastAnswer } from './fast/lane.ts'
import { isFast } from './fast/request.ts'
import { ACCEPTED, whole, type HttpResponse } from './http-response.ts'
import { readMessage, type Headers, type McpMessage, type McpRequest } from './message.ts'
import { ModernHandler } from './sdk/modern.ts'
import { sdkServer } from './sdk/server.ts'
import type { RequestContext, ServingOptions } from './serving.ts'
import { Requests } from './sessions/requests.ts'
import { serverRequests, type ServerRequests } from './sessions/server-requests.ts'
import { Sessions } from './sessions/sessions.ts'
import { events, OfferChange, type Events } from './streams/changes.ts'
import { StreamRegistry, type Streams } from './streams/registry.ts'
import { QUIET_MS, Reply } from './streams/reply.ts'
import { listen } from './streams/subscription.ts'
import { WatchedResources } from './streams/watched-resources.ts'

export interface McpOptions extends Omit<ServingOptions, 'changed'> {
  readonly store: Store
  readonly log: Log
  /** Undefined: no sessions, so that clients of the older revisions get no questions and no pushes. */
  readonly sessions?: { readonly path: string, readonly ids: SessionIds, readonly rule: SessionRule } | undefined
  readonly maxStreamsOfPrincipal: number
  /** Longest life of a stream, ms. */
  readonly maxStreamMs: number
  /** How often what stays open is judged again, ms. For tests. */
  readonly judgeStreamsMs?: number | undefined
  /** False: the SDK answers everything, as it would if there were no fast lane. For holding one to the other. */
  readonly fastLane?: boolean | undefined
  /** Silence after which a client that takes streams is told something, ms. */
  readonly quietMs?: number | undefined
}

export class McpService {
  /** Undefined where they are off. */
  readonly sessions: Sessions | undefined
  readonly #options: McpOptions
  readonly #quietMs: number
  readonly #events: Events
  readonly #streams: Streams
  readonly #watched: WatchedResources
  readonly #stopOffer: () => void
  readonly #lane: FastLane | undefined
  readonly #modern: ModernHandler
  readonly #requests: Requests
  readonly #serverRequests: ServerRequests

  constructor (options: McpOptions) {
    const {
      store, log, sessions, maxStreamsOfPrincipal, maxStreamMs, judgeStreamsMs, fastLane = true, quietMs = QUIET_MS
    } = options
    this.#options = options
    this.#quietMs = quietMs
    this.#events = events(store.bus, log)
    this.#watched = new WatchedResources(options.offer, resource => this.#events.here({ resource }))
    this.#streams = new StreamRegistry({
      revocations: store.revocations,
      bus: store.bus,
      maxOfPrincipal: maxStreamsOfPrincipal,
      maxLifeMs: maxStreamMs,
      judgeMs: judgeStreamsMs
    })
    this.#stopOffer = options.offer.onChange((lists, before) =>
      this.#events.offered(new OfferChange(lists, before, options.offer.current))
    )
    this.#serverRequests = serverRequests(store.bus)
    const serving: ServingOptions = { ...options, changed: this.#events.changed }
    this.#lane = fastLane ? new FastLane(serving) : undefined
    this.#modern = new ModernHandler(serving, log)
    this.#requests = new Requests({
      lane: this.#lane,
      makeServer: one => sdkServer(serving, one),
      serverRequests: this.#serverRequests,
      streams: this.#streams,
      quietMs
    })
    this.sessions =
      sessions === undefined
        ? undefined
        : new Sessions({
          store,
          ...sessions,
          events: this.#events,
          watched: this.#watched,
          streams: this.#streams,
          requests: this.#requests,
          serverRequests: this.#serverRequests
        })
  }

  /** Tell subscribers, on every replica, that something changed. */
  get changed (): ServingOptions['changed'] {
    return this.#events.changed
  }

  /**
   * Read one message (message.ts), decide it (admit.ts) and serve it.
   *
   * @param body what JSON.parse gave
   * @throws {AppError} what refuses it before anything was said
   */
  async serve (body: unknown, headers: Headers, context: RequestContext): Promise<HttpResponse> {
    noteMessage(context.trace, body)
    const message = readMessage(body, { headers })
    context.trace.era = message.era
    const decision = admitMessage(this.#options, message, context, headers)
    context.decision = decision instanceof Promise ? await decision : decision
    if (isForUpstream(context.decision)) context.asksUpstream()
    const response = this.#answer(message, headers, context)
    return response instanceof Promise ? await response : response
  }

  /**
   * The one choice of who answers a message: the older revisions in their session or without one, the newer
   * by what it is.
   */
  #answer (message: McpMessage, headers: Headers, context: RequestContext): HttpResponse | Promise<HttpResponse> {
    const id = headers['mcp-session-id']
    const sessions = message.era === 'legacy' ? this.sessions : undefined
    if (message.kind !== 'request') {
      if (sessions !== undefined && typeof id === 'string') return sessions.take(id, message, context.caller.principal)
      if (message.kind === 'notification') return ACCEPTED
      throw new AppError('INVALID_REQUEST', 'Nobody waits for this answer')
    }
    if (message.era === 'modern') {
      return message.method === 'subscriptions/listen'
        ? this.#listen(message, context)
        : this.#serveModern(message, context)
    }
    if (sessions !== undefined && message.method === 'initialize') return sessions.begin(message, context)
    if (sessions !== undefined && typeof id === 'string') return sessions.serve(id, message, context)
    return this.#requests.serve(message, context)
  }

  async close (): Promise<void> {
    this.#stopOffer()
    this.#streams.close()
    this.sessions?.close()
    this.#serverRequests.close()
    this.#requests.close()
    await this.#modern.close()
  }

  #serveModern (request: McpRequest, context: RequestContext): HttpResponse | Promise<HttpResponse> {
    const {
      caller: { principal }, decision, trace, headers, onward, log, departure
    } = context
    const begun =
      this.#lane !== undefined && isFast(request)
        ? this.#lane.answer(request, { principal, decision, trace, headers, onward, log, departure })
        : undefined
    if (typeof begun === 'string') return whole(begun, request.accepts)
    const reply = new Reply({
      id: request.id,
      trace,
      accepts: request.accepts,
      quietMs: this.#quietMs,
      onCut: () => log.info({ principal: principal.id }, 'cut a reader that was too slow')
    })
    this.#finishModern(request, context, reply, begun).catch(error => reply.fail(error))
    return reply.response
  }

  async #finishModern (
    request: McpRequest,
    context: RequestContext,
    reply: Reply,
    begun: FastAnswer | Promise<FastAnswer> | undefined
  ): Promise<void> {
    const answer = await begun
    if (typeof answer === 'string') reply.finish(answer)
    else await this.#modern.serve(request, context, reply, answer)
  }

  /** @throws {AppError} NOT_ACCEPTABLE, TOO_MANY_STREAMS, DRAINING */
  #listen ({ id, params, accepts }: McpRequest, { caller, log }: RequestContext): HttpResponse {
    if (!accepts.stream) throw new AppError('NOT_ACCEPTABLE', 'This is an event stream: accept text/event-stream')
    const offers = (uri: string) => resourceAt(this.#options.offer.current, caller.principal, uri) !== undefined
    const { info } = this.#options.identity
    const options = { events: this.#events, streams: this.#streams, watched: this.#watched, info, offers, log }
    return listen(options, id, params.notifications as object, caller)
  }
}

/** Whether it calls a tool that an upstream runs. */
function isForUpstream (decision: Decision): boolean {
  const { offered } = decision.outcome === 'allow' ? decision : {}
  return offered !== undefined && 'upstream' in offered && offered.upstream !== undefined
}
