/**
 * The session's own stream: what no request asked for. Each session has one, on some replica; a newer one
 * takes its place.
 */
import { randomUUID } from 'node:crypto'
import type { Caller } from '../../auth/chain.ts'
import type { Principal } from '../../core/principal.ts'
import type { AppError } from '../../errors.ts'
import type { Bus } from '../../state/bus.ts'
import type { SessionStore } from '../../state/sessions.ts'
import type { Log } from '../../telemetry/log.ts'
import { EVENT_STREAM_HEADERS, type HttpResponse } from '../http-response.ts'
import { noticesOf, type Events } from '../streams/changes.ts'
import { EventStream } from '../streams/event-stream.ts'
import type { Streams } from '../streams/registry.ts'
import type { WatchedResources } from '../streams/watched-resources.ts'
import { tellSignal } from './signals.ts'

export interface SessionStreamsOptions {
  readonly bus: Bus
  readonly store: SessionStore
  readonly events: Events
  readonly streams: Streams
  readonly watched: WatchedResources
  /** How often an open stream keeps its session, ms. */
  readonly keepMs: number
}

/** What is needed of the session whose stream it is. */
export interface StreamedSession {
  readonly id: string
  readonly owner: string
  /** Find it again, which keeps it. @throws {AppError} SESSION_NOT_FOUND */
  readonly keep: () => Promise<unknown>
}

interface HeldStream {
  readonly id: string
  readonly session: StreamedSession
  readonly stream: EventStream
  readonly principal: Principal
  uris: ReadonlySet<string>
  /** Lets go of what is watched elsewhere. */
  letGo: () => void
}

const ALL_LISTS: ReadonlySet<'tools' | 'prompts' | 'resources'> = new Set(['tools', 'prompts', 'resources'])

export class SessionStreams {
  readonly #options: SessionStreamsOptions
  /** Those of this process, by their session. */
  readonly #held = new Map<string, HeldStream>()
  readonly #stopGap: () => void

  constructor (options: SessionStreamsOptions) {
    this.#options = options
    // What a stream watches may have changed unheard.
    this.#stopGap = options.bus.onGap(() => { for (const one of this.#held.values()) this.#reload(one) })
  }

  /** @throws {AppError} TOO_MANY_STREAMS, DRAINING, STATE_UNAVAILABLE */
  async open (session: StreamedSession, caller: Caller, log: Log): Promise<HttpResponse> {
    /** As it is now: permissions may change while the stream is open. */
    let current = caller.principal
    const { bus, store, events, streams, watched } = this.#options
    const uris = new Set(await store.watched(session.owner, session.id))
    const stream = new EventStream(() => log.info({ principal: caller.principal.id }, 'cut a reader that was too slow'))
    const one: HeldStream = { id: randomUUID(), session, stream, principal: current, uris, letGo () {} }
    const changed = (next: Principal) => {
      current = next
      for (const list of ALL_LISTS) stream.send({ jsonrpc: '2.0', method: `notifications/${list}/list_changed` })
    }
    const release = streams.open({
      caller, changed, tick: this.#keeping(one), end: () => stream.end(), cut: () => stream.cut()
    })
    one.letGo = watched.hold(uris, current)
    const stopListening = events.listen(change => {
      for (const { method, params } of noticesOf(change, { lists: ALL_LISTS, uris: one.uris }, current)) {
        stream.send({ jsonrpc: '2.0', method, ...(params === undefined ? {} : { params: { ...params } }) })
      }
    })
    this.#held.get(session.id)?.stream.end()
    this.#held.set(session.id, one)
    stream.onClose(() => {
      one.letGo()
      stopListening()
      release()
      if (this.#held.get(session.id) === one) this.#held.delete(session.id)
    })
    // Others may hold an older stream of this session. If they cannot be told, it ends when its reader is gone.
    tellSignal(bus, { session: session.id, what: 'stream', stream: one.id }).catch(() => {})
    stream.tick()
    return { status: 200, headers: EVENT_STREAM_HEADERS, body: stream.body }
  }

  /** Another replica opened a stream of that session. */
  replaced (session: string, stream: string): void {
    const mine = this.#held.get(session)
    if (mine !== undefined && mine.id !== stream) mine.stream.end()
  }

  /** What the session watches has changed. */
  watchingChanged (session: string): void {
    const mine = this.#held.get(session)
    if (mine !== undefined) this.#reload(mine)
  }

  endOf (session: string): void {
    this.#held.get(session)?.stream.end()
  }

  close (): void {
    this.#stopGap()
  }

  /** What is done about every ten seconds: a comment, and now and then the session is kept. */
  #keeping ({ stream, session }: HeldStream): () => void {
    let keptAt = Date.now()
    return () => {
      stream.tick()
      if (Date.now() - keptAt < this.#options.keepMs) return
      keptAt = Date.now()
      // An open stream is use of the session. Out of reach says nothing about it.
      session.keep().catch(error => { if ((error as AppError).code === 'SESSION_NOT_FOUND') stream.end() })
    }
  }

  #reload (one: HeldStream): void {
    this.#options.store.watched(one.session.owner, one.session.id).then(uris => {
      if (uris === undefined) one.stream.end()
      else this.#watch(one, new Set(uris))
    }, () => {})
  }

  #watch (one: HeldStream, uris: ReadonlySet<string>): void {
    const before = one.letGo
    one.uris = uris
    if (this.#held.get(one.session.id) !== one) return // it closed meanwhile
    one.letGo = this.#options.watched.hold(uris, one.principal)
    before()
  }
}
