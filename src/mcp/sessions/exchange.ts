/**
 * One request of the older revisions: the SDK's server on one side, the client
 * on the other. What the server sends before its answer goes out on the
 * request's own stream; so do its questions, whose answers come by themselves.
 */
import type {
  JSONRPCMessage,
  JSONRPCNotification,
  JSONRPCRequest,
  Transport,
  TransportSendOptions
} from '@modelcontextprotocol/server'
import { AppError } from '../../errors.ts'
import { Misread } from '../members.ts'
import { readAnswer, requestedSchema } from '../sdk/answers.ts'
import type { Reply } from '../streams/reply.ts'
import type { ClientAnswer } from './server-requests.ts'

export interface ExchangeOptions {
  readonly reply: Reply
  /** Registers a question and gives the id to ask under. Throws where nobody can be asked, or too much is. */
  readonly ask: (deliver: (answer: ClientAnswer) => void) => string
  readonly forget: (id: string) => void
}

const REPLAY = 'replay'

export class Exchange implements Transport {
  // What the SDK's server hangs on its transport.
  onmessage?: NonNullable<Transport['onmessage']>
  onclose?: () => void
  onerror?: (error: Error) => void

  readonly #options: ExchangeOptions
  /** Questions by the server's own id for them. */
  readonly #asked = new Map<unknown, string>()
  readonly #listeners: Array<() => void> = []
  #replayed: ((answer: ClientAnswer) => void) | undefined
  #request: JSONRPCRequest | undefined
  #isClosed = false

  constructor (options: ExchangeOptions) {
    this.#options = options
  }

  async start (): Promise<void> {}

  async send (message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if ('result' in message || 'error' in message) {
      if (message.id === REPLAY && this.#replayed !== undefined) return this.#replayed(message)
      if (message.id === this.#request?.id) this.#finish(message)
      return
    }
    if (this.#isClosed) throw new Error('the exchange is over')
    if ('id' in message) return this.#question(message)
    if (message.method === 'notifications/cancelled') return this.#withdraw(message)
    // What does not belong to this request has no stream here.
    if (options?.relatedRequestId !== undefined) this.#options.reply.send(message)
  }

  /** Have the server take what an earlier request brought; nobody else sees its answer. */
  replay (method: string, params: unknown): Promise<ClientAnswer> {
    return new Promise(resolve => {
      this.#replayed = answer => {
        this.#replayed = undefined
        resolve(answer)
      }
      this.onmessage?.({ jsonrpc: '2.0', id: REPLAY, method, params: params as Record<string, unknown> })
    })
  }

  /** Have the server answer. */
  serve (request: JSONRPCRequest): void {
    if (this.#isClosed) {
      throw new AppError('DRAINING', 'This replica is about to stop; try again', { headers: { 'retry-after': '1' } })
    }
    this.#request = request
    this.onmessage?.(request)
  }

  /** The client wants no answer any more. */
  cancel (reason: unknown): void {
    if (this.#request === undefined) return this.end()
    this.onmessage?.({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: this.#request.id, ...(typeof reason === 'string' ? { reason } : {}) }
    })
    // The server says nothing more of what was cancelled. Its handler is told in a microtask.
    setImmediate(() => { this.end() })
  }

  /** It is over, answered or not. */
  end (): void {
    this.#settle()
    this.#options.reply.close()
  }

  /** Called by the SDK's server. */
  async close (): Promise<void> {
    this.end()
  }

  onClose (listener: () => void): void {
    if (this.#isClosed) listener()
    else this.#listeners.push(listener)
  }

  #question (message: JSONRPCRequest): void {
    const { reply, ask } = this.#options
    if (!reply.streams) throw new Error('the client takes no event stream, so it cannot be asked')
    const id = ask(answer => {
      this.#asked.delete(message.id)
      this.onmessage?.({ ...heldTo(message, answer), id: message.id })
    })
    this.#asked.set(message.id, id)
    // The progress token is the server's own number and would lead nowhere.
    const { _meta, ...params } = message.params ?? {}
    const { progressToken: _token, ...meta } = _meta ?? {}
    reply.send({ ...message, id, params: { ...params, ...(Object.keys(meta).length === 0 ? {} : { _meta: meta }) } })
  }

  #withdraw (message: JSONRPCNotification): void {
    const { requestId, ...params } = message.params as { requestId: unknown }
    const id = this.#asked.get(requestId)
    if (id === undefined) return
    this.#options.forget(id)
    this.#asked.delete(requestId)
    this.#options.reply.send({ ...message, params: { ...params, requestId: id } })
  }

  #finish (answer: JSONRPCMessage): void {
    this.#options.reply.finish(JSON.stringify(answer))
    this.#settle()
  }

  /** Nothing more comes of the server. */
  #settle (): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const id of this.#asked.values()) this.#options.forget(id)
    this.#asked.clear()
    this.onclose?.()
    for (const listener of this.#listeners.splice(0)) listener()
  }
}

/** An answer as the SDK takes it: in good form and as it was asked for, or an error that says what is wrong with it. */
function heldTo ({ method, params }: JSONRPCRequest, answer: ClientAnswer): ClientAnswer {
  if (!('result' in answer)) return answer
  try {
    return {
      ...answer,
      result: readAnswer({ method, schema: requestedSchema(params) }, answer.result) as Record<string, unknown>
    }
  } catch (error) {
    if (!(error instanceof Misread)) throw error
    return {
      jsonrpc: '2.0',
      id: answer.id,
      error: { code: -32602, message: `the answer does not fit what was asked: ${error.message}` }
    }
  }
}
