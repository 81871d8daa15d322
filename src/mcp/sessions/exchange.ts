/**
 * One request of a session: the SDK's server on one side, the client on the
 * other. What the server sends before its answer goes out as an event stream;
 * an answer that comes alone goes out as JSON.
 */
import {
  isJSONRPCErrorResponse, isJSONRPCRequest, isJSONRPCResultResponse,
  type JSONRPCErrorResponse, type JSONRPCMessage, type JSONRPCNotification, type JSONRPCRequest, type Transport
} from '@modelcontextprotocol/server'
import { AppError } from '../../errors.ts'
import { eventStream, EVENT_STREAM_HEADERS, type EventStream } from '../streams/event-stream.ts'
import type { ClientAnswer } from './server-requests.ts'
import { json, type HttpResponse } from '../http-response.ts'

export interface ExchangeOptions {
  /** Registers a question; throws where there are too many. */
  ask: (deliver: (answer: ClientAnswer) => void) => string
  forget: (id: string) => void
  onCut: () => void
  /** Sees an error that the server answers with, and says how it leaves. */
  onError: (error: JSONRPCErrorResponse['error']) => JSONRPCErrorResponse['error']
}

export interface Exchange {
  /** For the server to connect to. */
  readonly transport: Transport
  /** Have the server take what an earlier request brought; nobody else sees its answer. */
  replay (method: string, params: unknown): Promise<ClientAnswer>
  /** Have the server answer. Resolves when the client can be told something. */
  serve (request: JSONRPCRequest): Promise<HttpResponse>
  /** The client wants no answer any more. */
  cancel (reason: unknown): void
  close (): void
  onClose (listener: () => void): void
}

/** Silence after which the client gets a stream with comments, ms. */
const QUIET_MS = 10_000
const REPLAY = 'replay'

export function exchange ({ ask, forget, onCut, onError }: ExchangeOptions): Exchange {
  /** Questions by the server's own id for them. */
  const asked = new Map<unknown, string>()
  const listeners: Array<() => void> = []
  let replayed: ((answer: ClientAnswer) => void) | undefined
  let request: JSONRPCRequest | undefined
  let tell: (served: HttpResponse) => void = () => {}
  let stream: EventStream | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  /** The stream to the client, begun with what is said first. */
  const streamed = (): EventStream => {
    if (stream !== undefined) return stream
    stream = eventStream(onCut)
    clearTimeout(timer)
    timer = setInterval(stream.tick, QUIET_MS)
    stream.onClose(close)
    tell({ status: 200, headers: EVENT_STREAM_HEADERS, body: stream.body })
    return stream
  }

  const transport: Transport = {
    async start () {},

    async send (message, options) {
      if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
        if (message.id === REPLAY && replayed !== undefined) return replayed(message)
        if (message.id === request?.id) finish('error' in message ? { ...message, error: onError(message.error) } : message)
        return
      }
      if (closed) throw new Error('the exchange is over')
      if (isJSONRPCRequest(message)) return question(message)
      if (message.method === 'notifications/cancelled') return withdraw(message)
      // What does not belong to this request has no stream here.
      if (options?.relatedRequestId !== undefined) streamed().send(message)
    },

    async close () { close() }
  }

  function question (message: JSONRPCRequest): void {
    const id = ask(answer => {
      asked.delete(message.id)
      transport.onmessage?.({ ...answer, id: message.id })
    })
    asked.set(message.id, id)
    // The progress token is the server's own number and would lead nowhere.
    const { _meta, ...params } = message.params ?? {}
    const { progressToken: _token, ...meta } = _meta ?? {}
    streamed().send({ ...message, id, params: { ...params, ...(Object.keys(meta).length === 0 ? {} : { _meta: meta }) } })
  }

  function withdraw (message: JSONRPCNotification): void {
    const { requestId, ...params } = message.params as { requestId: unknown }
    const id = asked.get(requestId)
    if (id === undefined) return
    forget(id)
    asked.delete(requestId)
    streamed().send({ ...message, params: { ...params, requestId: id } })
  }

  function finish (answer: JSONRPCMessage): void {
    if (stream === undefined) {
      tell(json(JSON.stringify(answer)))
      close()
    } else {
      stream.end(answer)
      settle()
    }
  }

  /** Nothing more comes of the server; what the client has not read yet may still be read. */
  function settle (): void {
    if (closed) return
    closed = true
    for (const id of asked.values()) forget(id)
    asked.clear()
    transport.onclose?.()
    if (stream === undefined) clearTimeout(timer)
    for (const listener of listeners.splice(0)) listener()
  }

  function close (): void {
    settle()
    clearTimeout(timer)
    if (stream === undefined) tell({ status: 200, headers: EVENT_STREAM_HEADERS, body: '' })
    else if (!stream.ended) stream.end()
  }

  return {
    transport,

    replay: (method, params) => new Promise(resolve => {
      replayed = answer => {
        replayed = undefined
        resolve(answer)
      }
      transport.onmessage?.({ jsonrpc: '2.0', id: REPLAY, method, params: params as Record<string, unknown> })
    }),

    serve (message) {
      if (closed) throw new AppError('DRAINING', 'This replica is about to stop; try again', { headers: { 'retry-after': '1' } })
      return new Promise(resolve => {
        tell = resolve
        request = message
        timer = setTimeout(streamed, QUIET_MS)
        transport.onmessage?.(message)
      })
    },

    cancel (reason) {
      if (request === undefined) return close()
      transport.onmessage?.({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: request.id, ...(typeof reason === 'string' ? { reason } : {}) } })
      // The server says nothing more of what was cancelled. Its handler is told in a microtask.
      setImmediate(close)
    },

    close,
    onClose (listener) {
      if (closed) listener()
      else listeners.push(listener)
    }
  }
}
