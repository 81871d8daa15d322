/**
 * The answer to one request: JSON where it comes alone and soon, an event
 * stream where something comes before it or it takes long. Intermediaries end
 * what is silent for a minute or less, so a stream begins, and says something
 * again, well within the fifteen seconds that they are promised.
 */
import type { JSONRPCMessage } from '@modelcontextprotocol/server'
import type { Accepted } from '../../core/accept.ts'
import { rpcError, toAnswer } from '../../core/answer.ts'
import type { Trace } from '../../decision/trace.ts'
import { EVENT_STREAM_HEADERS, whole, type HttpResponse } from '../http-response.ts'
import { EventStream } from './event-stream.ts'

/** Silence after which something is said, ms. */
export const QUIET_MS = 10_000

export interface ReplyOptions {
  readonly id: string | number
  readonly trace: Trace
  readonly accepts: Accepted
  /** See QUIET_MS. */
  readonly quietMs: number
  /** Told of a reader that was too slow. */
  readonly onCut: () => void
}

export class Reply {
  /**
   * What the client is told first: the whole answer, or the beginning of a stream. Fails where `fail` comes
   * before anything else.
   */
  readonly response: Promise<HttpResponse>
  readonly #options: ReplyOptions
  readonly #timer: NodeJS.Timeout | undefined
  #resolve!: (response: HttpResponse) => void
  #reject!: (error: unknown) => void
  #stream: EventStream | undefined
  #isOver = false

  constructor (options: ReplyOptions) {
    this.#options = options
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // A client that takes no stream waits in silence.
    this.#timer = options.accepts.stream ? setInterval(() => this.#begin().tick(), options.quietMs).unref() : undefined
  }

  /** Whether the client can be told anything before its answer. */
  get streams (): boolean {
    return this.#options.accepts.stream
  }

  /** Something that belongs to the request and comes before its answer. Left out where the client takes no stream. */
  send (message: JSONRPCMessage): void {
    this.sendText(JSON.stringify(message))
  }

  /** @param text a message as JSON */
  sendText (text: string): void {
    if (!this.#isOver && this.streams) this.#begin().sendText(text)
  }

  /**
   * The answer.
   *
   * @param text as JSON
   * @param status for an answer that comes alone
   */
  finish (text: string, status = 200): void {
    if (!this.#end()) return
    if (this.#stream === undefined) this.#resolve(whole(text, this.#options.accepts, status))
    else this.#stream.endText(text)
  }

  /** The request is refused: by HTTP status while nothing has been said, else in the stream. */
  fail (error: unknown): void {
    if (!this.#end()) return
    if (this.#stream === undefined) this.#reject(error)
    else {
      const { id, trace } = this.#options
      const answer = toAnswer(error)
      trace.refuse(answer.reason, answer.rule)
      this.#stream.endText(JSON.stringify(rpcError(answer, id, trace.requestId)))
    }
  }

  /** There is no answer: the client cancelled, or left. */
  close (): void {
    if (!this.#end()) return
    if (this.#stream === undefined) this.#resolve({ status: 200, headers: EVENT_STREAM_HEADERS, body: '' })
    else this.#stream.endText()
  }

  /** @returns false where it is over already */
  #end (): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    // A stream that its reader has not taken yet goes on being looked at.
    if (this.#stream === undefined) clearInterval(this.#timer)
    return true
  }

  #begin (): EventStream {
    if (this.#stream !== undefined) return this.#stream
    const stream = new EventStream(this.#options.onCut)
    this.#stream = stream
    stream.onClose(() => clearInterval(this.#timer))
    this.#resolve({ status: 200, headers: EVENT_STREAM_HEADERS, body: stream.body })
    return stream
  }
}
