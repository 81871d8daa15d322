/**
 * Sessions of the revisions before 2026-07-28, on any replica. A session is a
 * record that all of them see, not an object in one: each request builds a
 * server of its own, has it take what the session began with, and lets it go.
 */
import { randomUUID } from 'node:crypto'
import {
  isJSONRPCErrorResponse, isJSONRPCNotification, isJSONRPCRequest, isJSONRPCResultResponse, specTypeSchemas, SUPPORTED_PROTOCOL_VERSIONS,
  type JSONRPCRequest, type Server
} from '@modelcontextprotocol/server'
import type { Caller } from '../../auth/chain.ts'
import type { Principal } from '../../core/principal.ts'
import { sessionOwner, type SessionIds, type SessionRule } from '../../core/session.ts'
import { AppError } from '../../errors.ts'
import type { FoundSession } from '../../state/sessions.ts'
import type { Store } from '../../state/store.ts'
import type { Log } from '../../telemetry/log.ts'
import type { Level } from '../../tools/tool.ts'
import type { Decision } from '../../decision/decide.ts'
import type { Message, Sender } from '../admit.ts'
import { noted } from '../refusals.ts'
import { noticesOf, type Events } from '../streams/changes.ts'
import { eventStream, EVENT_STREAM_HEADERS, type EventStream } from '../streams/event-stream.ts'
import { exchange, type Exchange } from './exchange.ts'
import type { PendingCall, FastLane, FastRequest } from '../fast/lane.ts'
import { serverRequests } from './server-requests.ts'
import type { Serving, SessionNotes } from '../sdk/server.ts'
import { json, type HttpResponse } from '../http-response.ts'
import type { Streams } from '../streams/registry.ts'

export interface SessionsOptions {
  store: Pick<Store, 'sessions' | 'bus'>
  ids: SessionIds
  rule: SessionRule
  events: Events
  streams: Streams
  /** Makes the server of one request. */
  makeServer: (serving: Serving) => Server
  lane: FastLane
}

/** A session that was found, and under which owner. */
export interface Session extends FoundSession {
  readonly id: string
  readonly owner: string
}

export interface RequestContext extends Sender {
  /** What was decided of the message. Nothing is refused before that. */
  decision: Decision
  /** Fires when the client is gone. Made on first use. */
  readonly abortSignal: () => AbortSignal
  /** Told when the answer waits for the client, perhaps for long. */
  readonly becomesStream: () => void
}

export interface Sessions {
  /**
   * Find a session of this principal, and keep it for another while.
   *
   * @throws {AppError} SESSION_NOT_FOUND for another's, an old or an invented id; STATE_UNAVAILABLE
   */
  find (id: string, principal: Principal): Promise<Session>
  /**
   * Answer `initialize`.
   *
   * @param quick the same message, where the fast lane can answer it
   * @throws {AppError} TOO_MANY_SESSIONS
   */
  begin (message: Message, asking: RequestContext, quick?: FastRequest): Promise<HttpResponse>
  /** Take a message of a session. */
  post (id: string, message: Message, asking: RequestContext, quick?: FastRequest): Promise<HttpResponse>
  /** The session's own stream: what no request asked for. A newer one takes its place. */
  stream (id: string, caller: Caller, log: Log): Promise<HttpResponse>
  end (id: string, principal: Principal): Promise<void>
  close (): void
}

/** The endpoint that sessions belong to, beside their principal. */
const MOUNT = '/mcp'
const TOPIC = 'sessions'
const MAX_INITIALIZE_BYTES = 16_384
const MAX_WATCHED = 200
const ACCEPTED: HttpResponse = { status: 202, headers: {}, body: undefined }
/** Where the client is gone or cancelled. */
const NOTHING: HttpResponse = { status: 200, headers: EVENT_STREAM_HEADERS, body: '' }

/** What replicas tell each other of a session. */
type SessionSignal =
  | { readonly session: string, readonly what: 'cancel', readonly requestId: unknown, readonly reason?: unknown }
  | { readonly session: string, readonly what: 'stream', readonly stream: string }
  | { readonly session: string, readonly what: 'watching' | 'end' }

/** A request that is being answered. */
type Running = Pick<Exchange, 'cancel' | 'close'>

interface OpenStream { readonly id: string, readonly session: Session, readonly stream: EventStream, uris: ReadonlySet<string> }

export function sessions ({ store, ids, rule, events, streams, makeServer, lane }: SessionsOptions): Sessions {
  const { bus } = store
  const asked = serverRequests(bus)
  const running = new Map<string, Set<Running>>()
  const held = new Map<string, OpenStream>()
  const stop = bus.listen(TOPIC, text => { hear(JSON.parse(text) as SessionSignal) })
  // What a stream watches may have changed unheard.
  const stopGap = bus.onGap(() => { for (const one of held.values()) reload(one) })
  const tell = (word: SessionSignal) => bus.publish(TOPIC, JSON.stringify(word))

  function hear (word: SessionSignal): void {
    const mine = held.get(word.session)
    switch (word.what) {
      case 'cancel':
        for (const one of running.get(runningKey(word.session, word.requestId)) ?? []) one.cancel(word.reason)
        return
      case 'stream':
        if (mine !== undefined && mine.id !== word.stream) mine.stream.end()
        return
      case 'watching':
        if (mine !== undefined) reload(mine)
        return
      case 'end':
        mine?.stream.end()
        for (const [key, those] of running) if (key.startsWith(word.session)) for (const one of those) one.close()
    }
  }

  function reload (one: OpenStream): void {
    store.sessions.watched(one.session.owner, one.session.id).then(uris => {
      if (uris === undefined) one.stream.end()
      else one.uris = new Set(uris)
    }, () => {})
  }

  async function find (id: string, principal: Principal): Promise<Session> {
    const owner = sessionOwner(principal.id, MOUNT)
    // An id that was not made for this principal costs no look-up, and says no more than one that is over.
    const found = ids.fits(id, owner) ? await store.sessions.find(owner, id, rule) : undefined
    if (found === undefined) throw gone()
    return { ...found, id, owner }
  }

  const notesOf = ({ owner, id }: Pick<Session, 'owner' | 'id'>): SessionNotes => ({
    async subscribe (uri) {
      if (!await store.sessions.watch(owner, id, uri, MAX_WATCHED)) throw new AppError('INVALID_PARAMS', `A session may watch ${MAX_WATCHED} resources`)
      await tell({ session: id, what: 'watching' })
    },
    async unsubscribe (uri) {
      await store.sessions.unwatch(owner, id, uri)
      await tell({ session: id, what: 'watching' })
    }
  })

  /** A server that stands where the session stands. */
  async function open ({ owner, id }: Pick<Session, 'owner' | 'id'>, { caller, decision, trace, log, becomesStream }: RequestContext, begun?: PendingCall): Promise<Exchange> {
    const { principal } = caller
    let release: (() => void) | undefined
    const one = exchange({
      ask (deliver) {
        // Waiting for a person holds something open: it is counted, and ends with the credential.
        release ??= streams.open({ caller, tick () {}, end: () => one.close(), cut: () => one.close() })
        becomesStream()
        return asked.ask(owner, id, deliver)
      },
      forget: asked.forget,
      onError: error => noted(error, trace),
      onCut: () => log.info({ principal: principal.id }, 'cut a reader that was too slow')
    })
    const server = makeServer({ principal, decision, trace, log, era: 'legacy', session: notesOf({ owner, id }), begun })
    server.onerror = error => log.debug({ err: error }, 'sdk refused a message')
    await server.connect(one.transport)
    one.onClose(() => release?.())
    return one
  }

  /** Kept in the record: each later request has its server take it. */
  async function setLevel ({ owner, id }: Session, request: JSONRPCRequest): Promise<HttpResponse> {
    const level = request.params?.level
    if (typeof level !== 'string' || !LEVELS.has(level)) throw new AppError('INVALID_PARAMS', `The level must be one of ${[...LEVELS].join(', ')}`)
    if (!await store.sessions.setLevel(owner, id, level)) throw gone()
    return json(JSON.stringify({ jsonrpc: '2.0', id: request.id, result: {} }))
  }

  /** Lets a request be cancelled until what comes back is called. */
  function enter (session: Session, requestId: unknown, one: Running): () => void {
    const key = runningKey(session.id, requestId)
    const those = running.get(key) ?? new Set()
    running.set(key, those.add(one))
    return () => {
      those.delete(one)
      if (those.size === 0) running.delete(key)
    }
  }

  async function serve (session: Session, request: JSONRPCRequest, asking: RequestContext, begun?: PendingCall): Promise<HttpResponse> {
    const gone = asking.abortSignal()
    if (gone.aborted) return NOTHING // it left while the session was looked up
    const one = await open(session, asking, begun)
    one.onClose(enter(session, request.id, one))
    gone.addEventListener('abort', one.close, { once: true })
    await one.replay('initialize', session.record.initialize)
    if (session.level !== undefined) await one.replay('logging/setLevel', { level: session.level })
    return await one.serve(request)
  }

  /** By the fast lane, as far as it goes. */
  async function serveQuickly (session: Session, quick: FastRequest, message: Message, asking: RequestContext): Promise<HttpResponse> {
    const { caller: { principal }, decision, trace, log, abortSignal: gone } = asking
    const stopped = new AbortController()
    const clientCapabilities = session.record.initialize.capabilities as Record<string, unknown> | undefined
    const answer = lane.answer(quick, { principal, decision, trace, log, abortSignal: () => AbortSignal.any([gone(), stopped.signal]), session: { clientCapabilities } })
    if (typeof answer === 'string') return json(answer)
    const stop = () => stopped.abort()
    const leave = enter(session, quick.id, { cancel: stop, close: stop })
    try {
      // Of what is cancelled nothing more is said.
      const done = await Promise.race([answer, new Promise<undefined>(resolve => stopped.signal.addEventListener('abort', () => resolve(undefined)))])
      if (typeof done === 'string') return json(done)
      return done === undefined ? NOTHING : await serve(session, message as JSONRPCRequest, asking, done)
    } finally {
      leave()
    }
  }

  async function greet (session: Pick<Session, 'owner' | 'id'>, message: Message, asking: RequestContext): Promise<HttpResponse> {
    if (!isJSONRPCRequest(message)) throw new AppError('INVALID_REQUEST', 'initialize must be a request')
    return await (await open(session, asking)).serve(message)
  }

  return {
    find,

    async begin (message, asking, quick) {
      const { caller: { principal }, decision, trace, log, abortSignal } = asking
      const owner = sessionOwner(principal.id, MOUNT)
      const id = ids.make(owner)
      const who = { principal, decision, trace, log, abortSignal, session: { clientCapabilities: undefined } }
      const served = quick === undefined ? await greet({ owner, id }, message, asking) : json(lane.answer(quick, who) as string)
      if (quick === undefined && (JSON.parse(String(served.body)) as { result?: unknown }).result === undefined) return served

      const { protocolVersion, capabilities, clientInfo } = declared(message.params)
      const record = { initialize: { protocolVersion, capabilities, clientInfo }, began: Date.now() }
      if (JSON.stringify(record).length > MAX_INITIALIZE_BYTES) {
        throw new AppError('INVALID_REQUEST', `What initialize declares must fit into ${MAX_INITIALIZE_BYTES} bytes`)
      }
      const started = await store.sessions.start(owner, id, record, rule)
      if (!started.started) {
        throw new AppError('TOO_MANY_SESSIONS', started.inAll ? 'There are too many sessions' : 'Too many sessions: end some with DELETE', {
          data: { retryAfterMs: started.retryMs }, headers: { 'retry-after': String(Math.ceil(started.retryMs / 1000)) }
        })
      }
      return { ...served, headers: { ...served.headers, 'mcp-session-id': id } }
    },

    async post (id, message, asking, quick) {
      const session = await find(id, asking.caller.principal)
      if (quick !== undefined) return await serveQuickly(session, quick, message, asking)
      if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
        if (await asked.answer(session.owner, id, message)) return ACCEPTED
        throw new AppError('INVALID_REQUEST', 'Nobody waits for this answer')
      }
      if (isJSONRPCRequest(message)) return await (message.method === 'logging/setLevel' ? setLevel(session, message) : serve(session, message, asking))
      if (!isJSONRPCNotification(message)) throw new AppError('INVALID_REQUEST', 'The body must be one JSON-RPC message')
      if (message.method === 'notifications/cancelled') {
        const { requestId, reason } = (message.params ?? {}) as { requestId?: unknown, reason?: unknown }
        await tell({ session: id, what: 'cancel', requestId, reason })
      }
      return ACCEPTED
    },

    async stream (id, caller, log) {
      const { principal } = caller
      let current = principal
      const session = await find(id, principal)
      const uris = new Set(await store.sessions.watched(session.owner, id))
      const stream = eventStream(() => log.info({ principal: principal.id }, 'cut a reader that was too slow'))
      const one: OpenStream = { id: randomUUID(), session, stream, uris }
      let kept = Date.now()
      const release = streams.open({
        caller,
        changed (next) {
          current = next
          for (const list of ALL_LISTS) stream.send({ jsonrpc: '2.0', method: `notifications/${list}/list_changed` })
        },
        tick () {
          stream.tick()
          if (Date.now() - kept < Math.min(60_000, rule.idleMs / 3)) return
          kept = Date.now()
          // An open stream is use of the session. Out of reach says nothing about it.
          find(id, principal).catch(error => { if ((error as AppError).code === 'SESSION_NOT_FOUND') stream.end() })
        },
        end: () => stream.end(),
        cut: () => stream.cut()
      })
      const stopListening = events.listen(change => {
        for (const { method, params } of noticesOf(change, { lists: ALL_LISTS, uris: one.uris }, current)) {
          stream.send({ jsonrpc: '2.0', method, ...(params === undefined ? {} : { params: { ...params } }) })
        }
      })
      held.get(id)?.stream.end()
      held.set(id, one)
      stream.onClose(() => {
        stopListening()
        release()
        if (held.get(id) === one) held.delete(id)
      })
      // Others may hold an older stream of this session. If they cannot be told, it ends when its reader is gone.
      tell({ session: id, what: 'stream', stream: one.id }).catch(() => {})
      stream.tick()
      return { status: 200, headers: EVENT_STREAM_HEADERS, body: stream.body }
    },

    async end (id, principal) {
      const { owner } = await find(id, principal)
      await store.sessions.end(owner, id)
      await tell({ session: id, what: 'end' })
    },

    close () {
      stop()
      stopGap()
      asked.close()
      for (const those of running.values()) for (const one of those) one.close()
    }
  }
}

const LEVELS: ReadonlySet<string> = new Set<Level>(['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'])
const ALL_LISTS: ReadonlySet<'tools' | 'prompts' | 'resources'> = new Set(['tools', 'prompts', 'resources'])

/** What `initialize` declares in the form that the SDK gives it, for instance with the `form` that an empty `elicitation` means. */
function declared (params: unknown): Record<string, unknown> {
  const parsed = specTypeSchemas.InitializeRequestParams['~standard'].validate(params)
  if (parsed.issues !== undefined) throw new AppError('INVALID_PARAMS', 'What initialize declares is not well formed')
  return parsed.value as Record<string, unknown>
}

function gone (): AppError {
  return new AppError('SESSION_NOT_FOUND', 'There is no such session; begin a new one with initialize')
}

/** Ids are numbers or texts, and 1 is not "1". */
function runningKey (session: string, requestId: unknown): string {
  return `${session} ${JSON.stringify(requestId)}`
}

/** @throws {AppError} INVALID_REQUEST for a revision that is not served */
export function requireServed (version: unknown): void {
  if (version != null && !(SUPPORTED_PROTOCOL_VERSIONS as readonly unknown[]).includes(version)) {
    throw new AppError('INVALID_REQUEST', 'This MCP-Protocol-Version is not served', { data: { supported: SUPPORTED_PROTOCOL_VERSIONS } })
  }
}
