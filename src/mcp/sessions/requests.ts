/**
 * Requests of the older revisions, with a session and without one: answered by
 * the fast lane as far as it goes, else by a server of the SDK that stands
 * where the session stands. Each can be cancelled while it runs.
 */
import type { JSONRPCRequest, Server } from '@modelcontextprotocol/server'
import { Departure } from '../../core/departure.ts'
import { EVENT_STREAM_HEADERS, whole, type HttpResponse } from '../http-response.ts'
import type { FastAnswer, FastLane } from '../fast/lane.ts'
import { isFast } from '../fast/request.ts'
import type { Json } from '../members.ts'
import type { McpRequest } from '../message.ts'
import type { RequestContext, ServedMessage, Serving, SessionNotes } from '../serving.ts'
import type { Streams } from '../streams/registry.ts'
import { Reply } from '../streams/reply.ts'
import { Exchange } from './exchange.ts'
import type { ServerRequests } from './server-requests.ts'

export interface RequestsOptions {
  /** Undefined: the SDK answers everything. */
  readonly lane: FastLane | undefined
  /** Makes the server of one request. */
  readonly makeServer: (serving: Serving) => Server
  readonly serverRequests: ServerRequests
  readonly streams: Streams
  /** See Reply. */
  readonly quietMs: number
}

/** The session of a request. */
export interface RequestSession {
  readonly id: string
  readonly owner: string
  readonly notes: SessionNotes
  /** What `initialize` declared, and the level that was set since; undefined while it is being answered. */
  readonly initialize?: Json | undefined
  readonly level?: string | undefined
}

/** In the place of an id, which it cannot be. */
const NO_SESSION = '-'
/** Where the client is gone. */
const NOTHING: HttpResponse = { status: 200, headers: EVENT_STREAM_HEADERS, body: '' }

export class Requests {
  readonly #options: RequestsOptions
  readonly #running = new Map<string, Set<RunningRequest>>()

  constructor (options: RequestsOptions) {
    this.#options = options
  }

  /** @throws {AppError} what refuses the request before anything was said */
  serve (request: McpRequest, context: RequestContext, session?: RequestSession): HttpResponse | Promise<HttpResponse> {
    const { lane } = this.#options
    const {
      caller: { principal }, decision, trace, headers, onward, log, departure
    } = context
    const running = new RunningRequest()
    let begun: FastAnswer | Promise<FastAnswer> | undefined
    if (lane !== undefined && isFast(request)) {
      const clientCapabilities = session?.initialize?.capabilities as Json | undefined
      begun = lane.answer(request, {
        principal,
        decision,
        trace,
        headers,
        onward,
        log,
        departure: () => running.departure(departure()),
        session: session === undefined ? undefined : { clientCapabilities }
      })
      if (typeof begun === 'string') return whole(begun, request.accepts)
    } else if (departure().aborted) return NOTHING // it left while its session was looked up
    const reply = new Reply({
      id: request.id,
      trace,
      accepts: request.accepts,
      quietMs: this.#options.quietMs,
      onCut: () => log.info({ principal: principal.id }, 'cut a reader that was too slow')
    })
    running.reply = reply
    const leave = this.#enter(runningKey(session?.id ?? NO_SESSION, request.id), running)
    this.#run(request, context, running, { reply, begun, session })
      .catch(error => reply.fail(error))
      .finally(leave)
    return reply.response
  }

  /** The client wants no answer any more. */
  cancel (session: string, requestId: unknown, reason: unknown): void {
    for (const one of this.#running.get(runningKey(session, requestId)) ?? []) one.cancel(reason)
  }

  /** The session is over. */
  endOf (session: string): void {
    for (const [key, those] of this.#running) if (key.startsWith(`${session} `)) for (const one of those) one.close()
  }

  close (): void {
    for (const those of this.#running.values()) for (const one of those) one.close()
  }

  async #run (
    request: McpRequest,
    context: RequestContext,
    running: RunningRequest,
    {
      reply, begun, session
    }: { reply: Reply; begun: FastAnswer | Promise<FastAnswer> | undefined; session: RequestSession | undefined }
  ): Promise<void> {
    const answer = await begun
    if (typeof answer === 'string') return reply.finish(answer)
    const exchange = this.#openExchange(context, reply, session)
    running.exchange = exchange
    const {
      caller: { principal }, decision, trace, headers, onward, log
    } = context
    const onOver: ServedMessage['onOver'] = listener => exchange.onClose(listener)
    const message: ServedMessage = { principal, decision, trace, headers, onward, log, pending: answer, onOver }
    const server = this.#options.makeServer({ era: 'legacy', log, session: session?.notes, messageOf: () => message })
    await server.connect(exchange)
    context.departure().addEventListener(
      'abort',
      () => {
        exchange.end()
      }
    )
    if (session?.initialize !== undefined) await exchange.replay('initialize', session.initialize)
    if (session?.level !== undefined) await exchange.replay('logging/setLevel', { level: session.level })
    exchange.serve(wireForm(request))
    await new Promise<void>(resolve => exchange.onClose(resolve))
  }

  #openExchange (
    { caller, becomesStream }: RequestContext,
    reply: Reply,
    session: RequestSession | undefined
  ): Exchange {
    const { serverRequests, streams } = this.#options
    let release: (() => void) | undefined
    const exchange = new Exchange({
      reply,
      ask (deliver) {
        if (session === undefined) throw new Error('the client has no session, so it cannot be asked')
        const end = () => {
          exchange.end()
        }
        // Waiting for a person holds something open: it is counted, and ends with the credential.
        release ??= streams.open({ caller, tick () {}, end, cut: end })
        becomesStream()
        return serverRequests.ask(session.owner, session.id, deliver)
      },
      forget: serverRequests.forget
    })
    exchange.onClose(() => release?.())
    return exchange
  }

  /** Lets a request be cancelled until what comes back is called. */
  #enter (key: string, one: RunningRequest): () => void {
    const those = this.#running.get(key) ?? new Set()
    this.#running.set(key, those.add(one))
    return () => {
      those.delete(one)
      if (those.size === 0) this.#running.delete(key)
    }
  }
}

/** A request that is being answered. */
class RunningRequest {
  reply: Reply | undefined
  exchange: Exchange | undefined
  #departure: Departure | undefined

  /** The client leaves, cancels, or its session ends. Made on first use. */
  departure (client: Departure): Departure {
    if (this.#departure !== undefined) return this.#departure
    const departure = new Departure()
    this.#departure = departure
    const leave = () => departure.leave()
    if (client.aborted) leave()
    else client.addEventListener('abort', leave)
    return departure
  }

  cancel (reason: unknown): void {
    this.#departure?.leave()
    if (this.exchange === undefined) this.reply?.close()
    else this.exchange.cancel(reason)
  }

  close (): void {
    this.#departure?.leave()
    if (this.exchange === undefined) this.reply?.close()
    else this.exchange.end()
  }
}

/** Ids are numbers or texts, and 1 is not "1". */
function runningKey (session: string, requestId: unknown): string {
  return `${session} ${JSON.stringify(requestId)}`
}

/** A request as the SDK takes it. */
export function wireForm ({ id, method, params }: McpRequest): JSONRPCRequest {
  return { jsonrpc: '2.0', id, method, params }
}
