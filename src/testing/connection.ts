/** JSON-RPC over two streams in one process, from the client's side: what the server says, to whoever asked. */
import { PassThrough } from 'node:stream'
import { createInterface } from 'node:readline'

/** An error of the protocol, as the client receives it. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: number
  readonly data: unknown

  constructor ({ code, message, data }: { code: number, message: string, data?: unknown }) {
    super(message)
    this.code = code
    this.data = data
  }
}

/** Told what the server says while it works on a request. */
export interface RequestListener {
  readonly onProgress: (progress: Progress) => void
  readonly onMessage: (message: LogMessage) => void
  /** A question of the revisions before 2026-07-28. */
  readonly onQuestion: (method: string, params: JsonMembers) => Promise<unknown>
}

export interface Progress {
  readonly progress: number
  readonly total?: number
  readonly message?: string
}

export interface LogMessage {
  readonly level: string
  readonly data: unknown
  readonly logger?: string
}

export type JsonMembers = Readonly<Record<string, unknown>>

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: JsonMembers
  readonly result?: JsonMembers
  readonly error?: { readonly code: number, readonly message: string, readonly data?: unknown }
}

interface AwaitedResult {
  readonly listener: RequestListener | undefined
  readonly resolve: (result: JsonMembers) => void
  readonly reject: (error: unknown) => void
}

const CLOSED = 'the client was closed'

export class Connection {
  /** What the server reads and writes. */
  readonly input = new PassThrough()
  readonly output = new PassThrough()
  readonly #waiting = new Map<number, AwaitedResult>()
  #lastId = 0

  constructor () {
    createInterface({ input: this.output }).on('line', line => { this.#receive(JSON.parse(line)) })
  }

  /**
   * Ask the server, under a progress token where somebody listens.
   *
   * @throws {RpcError} what the server refuses it with
   * @throws the reason of `signal` where it fires first; the server is told that the request is cancelled
   */
  async request (
    method: string, params: JsonMembers, listener?: RequestListener, signal?: AbortSignal
  ): Promise<JsonMembers> {
    signal?.throwIfAborted()
    if (this.input.writableEnded) throw new Error(CLOSED)
    const id = ++this.#lastId
    const meta = listener === undefined ? params._meta : { ...Object(params._meta), progressToken: id }
    const cancel = () => {
      this.#send({ method: 'notifications/cancelled', params: { requestId: id } })
      this.#waiting.get(id)?.reject(signal?.reason)
    }
    signal?.addEventListener('abort', cancel)
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { listener, resolve, reject })
        this.#send({ id, method, params: meta === undefined ? params : { ...params, _meta: meta } })
      })
    } finally {
      this.#waiting.delete(id)
      signal?.removeEventListener('abort', cancel)
    }
  }

  notify (method: string): void {
    this.#send({ method })
  }

  end (): void {
    this.input.end()
    for (const { reject } of this.#waiting.values()) reject(new Error(CLOSED))
  }

  #send (message: object): void {
    if (!this.input.writableEnded) this.input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  }

  #receive ({ id, method, params = {}, result, error }: Message): void {
    if (method !== undefined && id !== undefined) {
      this.#answer(id, method, params).catch(error => {
        this.#send({ id, error: { code: -32603, message: String(error) } })
      })
    } else if (method !== undefined) {
      this.#tell(method, params)
    } else if (error !== undefined) {
      this.#waiting.get(id ?? this.#lastId)?.reject(new RpcError(error))
    } else if (id !== undefined) {
      this.#waiting.get(id)?.resolve(result ?? {})
    }
  }

  #tell (method: string, params: JsonMembers): void {
    if (method === 'notifications/progress') {
      const { progressToken, ...progress } = params
      if (isProgress(progress)) this.#waiting.get(Number(progressToken))?.listener?.onProgress(progress)
    } else if (method === 'notifications/message' && isLogMessage(params)) {
      // Nothing in it says for which request it was written.
      for (const { listener } of this.#waiting.values()) listener?.onMessage(params)
    }
  }

  async #answer (id: number, method: string, params: JsonMembers): Promise<void> {
    // Nothing in it says which request asks: the one that waits longest.
    const listener = [...this.#waiting.values()].find(({ listener }) => listener !== undefined)?.listener
    this.#send({ id, result: method === 'ping' ? {} : await listener?.onQuestion(method, params) })
  }
}

function isProgress (value: JsonMembers): value is JsonMembers & Progress {
  return typeof value.progress === 'number'
}

function isLogMessage (value: JsonMembers): value is JsonMembers & LogMessage {
  return typeof value.level === 'string'
}
