/**
 * Sessions of the revisions before 2026-07-28, on any replica. A session is a
 * record that all of them see, not an object in one: each request builds a
 * server of its own, has it take what the session began with, and lets it go.
 */
import type { Caller } from '../../auth/chain.ts'
import { holderOf, type Principal } from '../../core/principal.ts'
import { isRequestId } from '../../core/request-id.ts'
import { sessionOwner, type SessionIds, type SessionRule } from '../../core/session.ts'
import { AppError } from '../../errors.ts'
import type { FoundSession } from '../../state/sessions.ts'
import type { Store } from '../../state/store.ts'
import type { Log } from '../../telemetry/log.ts'
import { ACCEPTED, whole, type HttpResponse } from '../http-response.ts'
import type { McpAnswer, McpNotification, McpRequest } from '../message.ts'
import { declaredBy } from '../sdk/declared.ts'
import type { RequestContext, SessionNotes } from '../serving.ts'
import type { Events } from '../streams/changes.ts'
import type { Streams } from '../streams/registry.ts'
import type { WatchedResources } from '../streams/watched-resources.ts'
import type { RequestSession, Requests } from './requests.ts'
import type { ClientAnswer, ServerRequests } from './server-requests.ts'
import { onSignal, tellSignal, type SessionSignal } from './signals.ts'
import { SessionStreams } from './stream.ts'

export interface SessionsOptions {
  /** Path of the endpoint that sessions belong to, beside their principal. */
  readonly path: string
  readonly store: Pick<Store, 'sessions' | 'bus'>
  readonly ids: SessionIds
  readonly rule: SessionRule
  readonly events: Events
  readonly streams: Streams
  readonly watched: WatchedResources
  readonly requests: Requests
  readonly serverRequests: ServerRequests
}

/** A session that was found, and under which owner. */
export interface Session extends FoundSession {
  readonly id: string
  readonly owner: string
}

const MAX_INITIALIZE_BYTES = 2048
const MAX_WATCHED = 200
/** An open stream keeps its session at least so often, ms. */
const KEEP_MS = 60_000

export class Sessions {
  readonly #options: SessionsOptions
  readonly #streams: SessionStreams
  readonly #stop: () => void

  constructor (options: SessionsOptions) {
    const { store, events, streams, watched, rule } = options
    this.#options = options
    this.#streams = new SessionStreams({
      bus: store.bus, store: store.sessions, events, streams, watched, keepMs: Math.min(KEEP_MS, rule.idleMs / 3)
    })
    this.#stop = onSignal(store.bus, signal => this.#hear(signal))
  }

  /**
   * Find a session of this principal, and keep it for another while.
   *
   * @throws {AppError} SESSION_NOT_FOUND for another's, an old or an invented id; STATE_UNAVAILABLE
   */
  async find (id: string, principal: Principal): Promise<Session> {
    const { store, ids, path } = this.#options
    const owner = sessionOwner(principal.id, path)
    const rule = ruleFor(principal, this.#options)
    // An id that was not made for this principal costs no look-up, and says no more than one that is over.
    const found = ids.fits(id, owner) ? await store.sessions.find(owner, id, rule) : undefined
    if (found === undefined) throw notFound()
    return { ...found, id, owner }
  }

  /**
   * Answer `initialize`.
   *
   * @throws {AppError} TOO_MANY_SESSIONS, INVALID_REQUEST where it declares too much
   */
  async begin (request: McpRequest, context: RequestContext): Promise<HttpResponse> {
    const { store, ids, path, requests } = this.#options
    const { protocolVersion, capabilities, clientInfo } = declaredBy(request.params)
    const record = { initialize: { protocolVersion, capabilities, clientInfo }, began: Date.now() }
    if (Buffer.byteLength(JSON.stringify(record)) > MAX_INITIALIZE_BYTES) {
      throw new AppError('INVALID_REQUEST', `What initialize declares must fit into ${MAX_INITIALIZE_BYTES} bytes`)
    }
    const owner = sessionOwner(context.caller.principal.id, path)
    const id = ids.make(owner)
    const response = await requests.serve(request, context, { id, owner, notes: this.#notesOf(owner, id) })
    const started = await store.sessions.start(owner, id, record, ruleFor(context.caller.principal, this.#options))
    if (!started.started) {
      throw new AppError(
        'TOO_MANY_SESSIONS',
        started.inAll ? 'There are too many sessions' : 'Too many sessions: end some with DELETE',
        {
          data: { retryAfterMs: started.retryMs },
          headers: { 'retry-after': String(Math.ceil(started.retryMs / 1000)) }
        }
      )
    }
    return { ...response, headers: { ...response.headers, 'mcp-session-id': id } }
  }

  /**
   * Answer a request of a session. @throws {AppError} SESSION_NOT_FOUND, STATE_UNAVAILABLE, and what refuses
   * the request
   */
  async serve (id: string, request: McpRequest, context: RequestContext): Promise<HttpResponse> {
    const session = await this.find(id, context.caller.principal)
    if (request.method === 'logging/setLevel') return await this.#setLevel(session, request)
    return await this.#options.requests.serve(request, context, this.#standing(session))
  }

  /**
   * Take a message that has no answer.
   *
   * @throws {AppError} SESSION_NOT_FOUND, STATE_UNAVAILABLE; INVALID_REQUEST for an answer that nobody waits for
   */
  async take (id: string, message: McpNotification | McpAnswer, principal: Principal): Promise<HttpResponse> {
    const { serverRequests, store } = this.#options
    const { owner } = await this.find(id, principal)
    if (message.kind === 'answer') {
      if (await serverRequests.answer(owner, id, clientAnswer(message))) return ACCEPTED
      throw new AppError('INVALID_REQUEST', 'Nobody waits for this answer')
    }
    if (message.method === 'notifications/cancelled') {
      const { requestId, reason } = message.params
      await tellSignal(store.bus, {
        session: id,
        what: 'cancel',
        requestId: idOrNone(requestId),
        ...(typeof reason === 'string' ? { reason: reason.slice(0, MAX_REASON) } : {})
      })
    }
    return ACCEPTED
  }

  /**
   * Open the session's own stream. @throws {AppError} SESSION_NOT_FOUND, TOO_MANY_STREAMS, DRAINING,
   * STATE_UNAVAILABLE
   */
  async stream (id: string, caller: Caller, log: Log): Promise<HttpResponse> {
    const { owner } = await this.find(id, caller.principal)
    return await this.#streams.open({ id, owner, keep: () => this.find(id, caller.principal) }, caller, log)
  }

  /** @throws {AppError} SESSION_NOT_FOUND, STATE_UNAVAILABLE */
  async end (id: string, principal: Principal): Promise<void> {
    const { store } = this.#options
    const { owner } = await this.find(id, principal)
    await store.sessions.end(owner, id, ruleFor(principal, this.#options).holder)
    await tellSignal(store.bus, { session: id, what: 'end' })
  }

  close (): void {
    this.#stop()
    this.#streams.close()
  }

  #hear (signal: SessionSignal): void {
    switch (signal.what) {
      case 'cancel': return this.#options.requests.cancel(signal.session, signal.requestId, signal.reason)
      case 'stream': return this.#streams.replaced(signal.session, signal.stream)
      case 'watching': return this.#streams.watchingChanged(signal.session)
      case 'end':
        this.#streams.endOf(signal.session)
        this.#options.requests.endOf(signal.session)
    }
  }

  /** Kept in the record: each later request has its server take it. */
  async #setLevel ({ owner, id }: Session, request: McpRequest): Promise<HttpResponse> {
    if (!await this.#options.store.sessions.setLevel(owner, id, String(request.params.level))) throw notFound()
    return whole(JSON.stringify({ jsonrpc: '2.0', id: request.id, result: {} }), request.accepts)
  }

  #standing ({ id, owner, record, level }: Session): RequestSession {
    return { id, owner, notes: this.#notesOf(owner, id), initialize: record.initialize, level }
  }

  #notesOf (owner: string, id: string): SessionNotes {
    const { sessions, bus } = this.#options.store
    return {
      async subscribe (uri) {
        if (!(await sessions.watch(owner, id, uri, MAX_WATCHED))) {
          throw new AppError('INVALID_PARAMS', `A session may watch ${MAX_WATCHED} resources`)
        }
        await tellSignal(bus, { session: id, what: 'watching' })
      },
      async unsubscribe (uri) {
        await sessions.unwatch(owner, id, uri)
        await tellSignal(bus, { session: id, what: 'watching' })
      }
    }
  }
}

/** Characters of a reason that other replicas are told. */
const MAX_REASON = 1000

function idOrNone (value: unknown): string | number | undefined {
  return isRequestId(value) ? value : undefined
}

function clientAnswer ({ id, result, error }: McpAnswer): ClientAnswer {
  return (error === undefined ? { jsonrpc: '2.0', id, result } : { jsonrpc: '2.0', id, error }) as ClientAnswer
}

function notFound (): AppError {
  return new AppError('SESSION_NOT_FOUND', 'There is no such session; begin a new one with initialize')
}

/** A subject makes clients at will, so what it holds by all of them is held to the number of one, too. */
function ruleFor (principal: Principal, { rule, path }: SessionsOptions): SessionRule {
  const holder = holderOf(principal)
  return holder === principal.id ? rule : { ...rule, holder: sessionOwner(holder, path) }
}
