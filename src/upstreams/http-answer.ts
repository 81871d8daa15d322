/** Reads one answer of an HTTP upstream: a bounded JSON body or event stream; all else is an end with a reason. */
import { StringDecoder } from 'node:string_decoder'
import { createParser, type EventSourceParser } from 'eventsource-parser'
import type { Dispatcher } from 'undici'
import type { ByteBudget } from './byte-budget.ts'

type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>

/** Not 2xx. */
export interface StatusEnd {
  readonly kind: 'status'
  readonly status: number
  readonly headers: AnswerHeaders
  /** The body, where it is JSON. */
  readonly text: string | undefined
}

/** How an answer ended. `message` goes on from "Upstream x". */
export type AnswerEnd =
  /** All of it was told by `onText`, if there was anything; it was an event stream, or not. */
  | { readonly kind: 'done', readonly stream: boolean }
  | StatusEnd
  | { readonly kind: 'too_large' | 'not_mcp', readonly message: string }
  /** @property sent false if nothing was, for sure */
  | { readonly kind: 'broken', readonly error: Error, readonly sent: boolean }

export interface AnswerReceiver {
  /** The headers of an answer of 2xx. @returns what is wrong with them */
  onHeaders (headers: AnswerHeaders): string | undefined
  onText (text: string): void
  /** An event has an id, to go on from. */
  onEventId (id: string): void
  onRetry (ms: number): void
  /** Once. */
  onEnd (end: AnswerEnd): void
}

export interface AnswerBounds {
  readonly maxBytes: number
  readonly budget: ByteBudget
}

/** Of an answer that is no 2xx: an error in JSON is shorter. */
const MAX_ERROR_BYTES = 65_536

export class HttpAnswer implements Dispatcher.DispatchHandler {
  readonly #to: AnswerReceiver
  readonly #bounds: AnswerBounds
  #controller: Dispatcher.DispatchController | undefined
  #isOver = false
  #status = 0
  #headers: AnswerHeaders = {}
  /** What becomes of the bytes of the body. */
  #body: 'json' | 'events' | 'error' | 'ignored' | 'nameless' = 'ignored'
  #chunks: Buffer[] = []
  #size = 0
  #parser: EventSourceParser | undefined
  readonly #decoder = new StringDecoder('utf8')
  #resume: NodeJS.Timeout | undefined

  constructor (to: AnswerReceiver, bounds: AnswerBounds) {
    this.#to = to
    this.#bounds = bounds
  }

  /** Read no further, tell nothing any more. */
  abort (): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#resume)
    this.#controller?.abort(new Error('no longer wanted'))
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // It was given up while it waited for a connection.
    if (this.#isOver) controller.abort(new Error('no longer wanted'))
  }

  onResponseStart (_controller: Dispatcher.DispatchController, status: number, headers: AnswerHeaders): void {
    if (status < 200 || this.#isOver) return
    this.#status = status
    this.#headers = headers
    const encoding = headers['content-encoding']
    const encoded = encoding !== undefined && encoding !== 'identity'
    if (status >= 300) {
      this.#body = !encoded && mediaType(headers) === 'application/json' ? 'error' : 'ignored'
      return
    }
    const fault = this.#to.onHeaders(headers)
    if (fault !== undefined) return this.#stop({ kind: 'not_mcp', message: fault })
    if (status === 202 || status === 204) return
    if (encoded) return this.#stop({ kind: 'not_mcp', message: 'answered in an encoding that was not asked for' })
    this.#begin(mediaType(headers))
  }

  onResponseData (_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return
    this.#size += chunk.length
    if (this.#body === 'events') return this.#feed(chunk)
    const kept = this.#body === 'json' || this.#body === 'nameless'
    if (this.#size > (kept ? this.#bounds.maxBytes : MAX_ERROR_BYTES)) return this.#over()
    if (this.#body !== 'ignored') this.#chunks.push(chunk)
  }

  onResponseEnd (): void {
    if (this.#isOver) return
    const text = Buffer.concat(this.#chunks).toString('utf8')
    if (this.#status >= 300) return this.#end(this.#statusEnd(this.#body === 'error' ? text : undefined))
    const isNameless = this.#body === 'nameless' && text !== ''
    if (isNameless) return this.#end({ kind: 'not_mcp', message: 'answered with a body of no type' })
    if (this.#body === 'json') {
      this.#spend(this.#size)
      this.#to.onText(text.startsWith('\ufeff') ? text.slice(1) : text)
    }
    this.#end({ kind: 'done', stream: this.#body === 'events' })
  }

  onResponseError (_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#end({ kind: 'broken', error, sent: this.#controller !== undefined })
  }

  #begin (type: string | undefined): void {
    if (type === 'application/json') {
      this.#body = 'json'
      if (Number(this.#headers['content-length']) > this.#bounds.maxBytes) this.#over()
    } else if (type === 'text/event-stream') {
      this.#body = 'events'
      this.#parser = createParser({
        maxBufferSize: this.#bounds.maxBytes,
        onEvent: ({ id, event, data }) => this.#onEvent({ id, event, data }),
        onRetry: ms => this.#to.onRetry(ms),
        onError: ({ type }) => { if (type === 'max-buffer-size-exceeded') this.#over() }
      })
    } else if (type === undefined) {
      // As some answer a notification: 200, and nothing.
      this.#body = 'nameless'
    } else {
      const shown = SHOWN_TYPE.test(type) ? type : 'another type'
      const message = `answered with ${shown} instead of JSON or an event stream; is this the URL of an MCP endpoint?`
      this.#stop({ kind: 'not_mcp', message })
    }
  }

  #feed (chunk: Buffer): void {
    this.#parser!.feed(this.#decoder.write(chunk))
  }

  #onEvent ({ id, event, data }: { id: string | undefined, event: string | undefined, data: string }): void {
    if (this.#isOver) return
    if (id !== undefined) this.#to.onEventId(id)
    // The first may be empty: it gives an id to go on from (MCP 2025-11-25, transports).
    if (data === '' || (event !== undefined && event !== 'message')) return
    if (data.length > this.#bounds.maxBytes) return this.#over()
    this.#spend(data.length)
    this.#to.onText(data)
  }

  #spend (bytes: number): void {
    const pauseMs = this.#bounds.budget.take(bytes, performance.now())
    if (pauseMs === 0 || this.#isOver) return
    this.#controller?.pause()
    clearTimeout(this.#resume)
    this.#resume = setTimeout(() => this.#controller?.resume(), pauseMs)
  }

  #over (): void {
    if (this.#status >= 300) this.#stop(this.#statusEnd(undefined))
    else this.#stop({ kind: 'too_large', message: `answered with more than ${this.#bounds.maxBytes} bytes` })
  }

  #statusEnd (text: string | undefined): StatusEnd {
    return { kind: 'status', status: this.#status, headers: this.#headers, text }
  }

  #stop (end: AnswerEnd): void {
    this.#end(end)
    this.#controller?.abort(new Error('not to be read'))
  }

  #end (end: AnswerEnd): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#resume)
    this.#to.onEnd(end)
  }
}

const SHOWN_TYPE = /^[a-z]{1,20}\/[a-z0-9.+-]{1,40}$/

/** Of a header that stands once. */
function mediaType (headers: AnswerHeaders): string | undefined {
  const value = headers['content-type']
  if (value === undefined) return undefined
  return typeof value === 'string' ? value.split(';', 1)[0]!.trim().toLowerCase() : 'several'
}
