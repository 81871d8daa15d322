/**
 * JSON-RPC over a wire: questions with ids, deadlines and cancellation;
 * progress, log messages and questions that belong to one of them; and
 * notifications that belong to none. An answer is taken only for an id that
 * waits, on the exchange that it was sent on, and ids are never used again.
 */
import type { Departing } from '../core/departure.ts'
import { scanJson, type ScanBounds } from '../core/json-scan.ts'
import { idOfEnds } from './bounded-lines.ts'
import {
  faultOf, isMembers, member, membersIn, PeerTrouble, readIncoming, UpstreamFault, type Incoming,
  type Members
} from './messages.ts'
import type { Wire, WireCaller, WireExchange, WireFailure } from './wire.ts'

/** How one question is asked. */
export interface AskOptions {
  readonly deadlineMs: number
  readonly signal?: Departing | undefined
  /** For this message alone, in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly caller?: WireCaller | undefined
  /** It is `initialize`. */
  readonly opensSession?: boolean
  readonly onProgress?: ((progress: number, total: number | undefined, message: string | undefined) => void) | undefined
  /** A log message that came on the exchange of this question. */
  readonly onLog?: ((params: Members) => void) | undefined
  /**
   * A question of the upstream on the way to its answer, whose time stands still meanwhile. `withdrawn` fires where
   * no answer is wanted any more. Absent: nobody is asked.
   */
  readonly onQuestion?: OnQuestion | undefined
  /** A question that names no call is this one's, where nothing else is under way. */
  readonly takesStrays?: boolean | undefined
}

export type OnQuestion = (method: string, params: Members, withdrawn: AbortSignal) => Promise<Members>

export interface PeerEvents {
  /** What belongs to no question: changes of lists and resources, log messages. */
  onNotification (method: string, params: Members): void
  /** A question of the upstream. Its rejection with an UpstreamFault is the answer. */
  onQuestion (method: string, params: Members): Promise<Members>
  /** The wire is gone; goes on from "Upstream x". */
  onClose (why: string): void
}

/** Progress and log messages of one question that are passed on in a second. */
const TOLD_PER_S = 20
/** Of the words of progress, characters. */
const MAX_TOLD = 1024

export class Peer {
  /** Of every message that goes out, in lower case; the handshake sets them. */
  headers: Readonly<Record<string, string>> = {}
  /** Over HTTP of revision 2026-07-28 the end of the request cancels it, and no notification does. */
  cancelsByClosing = false
  /** When anything was heard last, ms of `performance.now()`. */
  heardAt = -Infinity
  /** Answers that nobody waited for. */
  strays = 0
  readonly #wire: Wire
  readonly #events: PeerEvents
  readonly #pending = new Map<number, PendingAsk>()
  #lastId = 0
  #closed: string | undefined

  constructor (wire: Wire, events: PeerEvents) {
    this.#wire = wire
    this.#events = events
    wire.onText = (text, exchange) => this.#heard(text, exchange)
    wire.onTooLarge = id => this.#tooLarge(id)
    wire.onClose = why => this.#ended(why, true)
  }

  /** Questions that wait for an answer. */
  get waiting (): number {
    return this.#pending.size
  }

  /**
   * Ask, and wait for the result.
   *
   * @throws {UpstreamFault} where the upstream answers with an error
   * @throws {PeerTrouble} where nothing came that can be used
   */
  ask (method: string, params: Members, options: AskOptions): Promise<Members> {
    if (this.#closed !== undefined) return Promise.reject(new PeerTrouble('closed', this.#closed, { sent: false }))
    if (options.signal?.aborted === true) {
      return Promise.reject(new PeerTrouble('cancelled', 'was not asked: the call was cancelled', { sent: false }))
    }
    const id = ++this.#lastId
    const asked = options.onProgress === undefined
      ? params
      : {
          ...params, _meta: { ...membersIn(params, '_meta'), progressToken: id }
        }
    return new Promise((resolve, reject) => {
      const one = new PendingAsk({
        id,
        method,
        options,
        headers: {
          ...this.headers, ...options.headers
        },
        end: (one, trouble) => this.#giveUp(one, trouble)
      }, { resolve, reject })
      this.#pending.set(id, one)
      one.onEnd = failure => this.#exchangeEnded(one, failure)
      this.#wire.send(JSON.stringify({ jsonrpc: '2.0', id, method, params: asked }), one)
    })
  }

  /** Send a notification. Nobody waits for it. */
  tell (method: string, params: Members = {}): void {
    if (this.#closed === undefined) {
      this.#wire.send(JSON.stringify({ jsonrpc: '2.0', method, params }), { headers: this.headers })
    }
  }

  /** End in order. What still waits fails with `why`, which goes on from "Upstream x". */
  async close (why = 'was closed'): Promise<void> {
    this.#ended(why, false)
    await this.#wire.close()
  }

  #ended (why: string, told: boolean): void {
    if (this.#closed !== undefined) return
    this.#closed = why
    for (const one of [...this.#pending.values()]) this.#settle(one)?.reject(new PeerTrouble('closed', why))
    if (told) this.#events.onClose(why)
  }

  #heard (text: string, exchange: WireExchange | undefined): boolean {
    this.heardAt = performance.now()
    const message = parse(text)
    if (message === undefined) return this.#unreadable(text, exchange)
    switch (message.kind) {
      case 'notification':
        this.#notification(message, exchange)
        break
      case 'question':
        this.#question(message, this.#askedBy(exchange)).catch(() => {}) // it answers with whatever went wrong
        break
      default: {
        const one = this.#waitingFor(message.id, exchange)
        if (one === undefined) this.strays++
        else if (message.kind === 'answer') this.#settle(one)?.resolve(message.result)
        else this.#settle(one)?.reject(message.error)
      }
    }
    return true
  }

  /** An id is believed only where its question was sent: on the same wire, and over HTTP on the same exchange. */
  #waitingFor (id: number | undefined, exchange: WireExchange | undefined): PendingAsk | undefined {
    const one = id === undefined ? undefined : this.#pending.get(id)
    return exchange === undefined || exchange === one ? one : undefined
  }

  #notification ({ method, params }: Incoming & { kind: 'notification' }, exchange: WireExchange | undefined): void {
    const of = exchange instanceof PendingAsk && this.#pending.get(exchange.id) === exchange ? exchange : undefined
    switch (method) {
      case 'notifications/progress': {
        const token = member(params, 'progressToken')
        const one = typeof token === 'number' ? this.#waitingFor(token, exchange) : undefined
        return one?.progress(params, this.heardAt)
      }
      case 'notifications/message':
        if (of?.options.onLog !== undefined) return of.log(params, this.heardAt)
        break
      case 'notifications/cancelled':
        for (const one of this.#pending.values()) one.withdraw(member(params, 'requestId'))
        return
    }
    this.#events.onNotification(method, params)
  }

  /** Whose call a question belongs to: that of its exchange, else the only one, where that takes it. */
  #askedBy (exchange: WireExchange | undefined): PendingAsk | undefined {
    if (exchange instanceof PendingAsk) return this.#pending.get(exchange.id) === exchange ? exchange : undefined
    const [only] = this.#pending.values()
    return this.#pending.size === 1 && only!.options.takesStrays === true ? only : undefined
  }

  async #question (
    { id, method, params }: Incoming & { kind: 'question' }, one: PendingAsk | undefined
  ): Promise<void> {
    const withdrawn = new AbortController()
    let answer: object
    try {
      answer = { result: await this.#answerTo(method, params, { one, id, withdrawn }) }
    } catch (error) {
      const { code, message } = error instanceof UpstreamFault ? error : new UpstreamFault(-32603, 'Internal error')
      answer = { error: { code, message } }
    }
    if (this.#closed === undefined && !withdrawn.signal.aborted) {
      const text = JSON.stringify({ jsonrpc: '2.0', id, ...answer })
      this.#wire.send(text, { headers: this.headers, ...(one?.caller === undefined ? {} : { caller: one.caller }) })
    }
  }

  async #answerTo (
    method: string, params: Members,
    { one, id, withdrawn }: { one: PendingAsk | undefined, id: string | number, withdrawn: AbortController }
  ): Promise<Members> {
    if (method === 'ping') return {}
    const onQuestion = one?.options.onQuestion
    if (one === undefined || onQuestion === undefined) return await this.#events.onQuestion(method, params)
    one.hold(id, withdrawn)
    try {
      return await onQuestion(method, params, withdrawn.signal)
    } finally {
      one.release(id)
    }
  }

  #tooLarge (id: number | string): void {
    const one = this.#waitingFor(Number(id), undefined)
    if (one !== undefined) {
      this.#settle(one)?.reject(new PeerTrouble('too_large', 'answered with more than maxAnswerBytes allows'))
    }
  }

  /** An answer that is JSON but breaks a bound ends its question at once. */
  #unreadable (text: string, exchange: WireExchange | undefined): boolean {
    const fault = scanJson(text, ANSWER)
    const one = fault === undefined ? undefined : this.#waitingFor(idOf(text), exchange)
    if (one === undefined) return false
    this.#settle(one)?.reject(new PeerTrouble('not_mcp', `gave an answer that is refused: ${fault!.message}`))
    return true
  }

  #exchangeEnded (one: PendingAsk, failure: WireFailure | undefined): void {
    const settled = this.#settle(one)
    if (settled === undefined) return
    if (failure === undefined) return settled.reject(new PeerTrouble('silent', 'took the message and gave no answer'))
    settled.reject(errorIn(failure) ?? new PeerTrouble(failure.kind, failure.message, failure))
  }

  /** Nobody wants the answer any more: tell the upstream, and forget the question. */
  #giveUp (one: PendingAsk, trouble: PeerTrouble): void {
    const settled = this.#settle(one)
    if (settled === undefined) return
    this.#wire.abandon(one)
    if (!this.cancelsByClosing && one.method !== 'initialize') {
      this.tell('notifications/cancelled', { requestId: one.id, reason: trouble.kind })
    }
    settled.reject(trouble)
  }

  /** Take a question off the list. @returns the way to end it; undefined where it is over */
  #settle (one: PendingAsk): Settling | undefined {
    if (!this.#pending.delete(one.id)) return undefined
    one.answered = true
    one.stop()
    return one.settling
  }
}

interface Settling {
  resolve (result: Members): void
  reject (error: Error): void
}

interface PendingAskOptions {
  readonly id: number
  readonly method: string
  readonly options: AskOptions
  readonly headers: Readonly<Record<string, string>>
  readonly end: (one: PendingAsk, trouble: PeerTrouble) => void
}

/** One question under way; over HTTP the exchange that it was sent on. */
export class PendingAsk implements WireExchange {
  readonly id: number
  readonly method: string
  readonly options: AskOptions
  readonly headers: Readonly<Record<string, string>>
  readonly caller: WireCaller | undefined
  readonly opensSession: boolean
  readonly settling: Settling
  answered = false
  onEnd: (failure?: WireFailure) => void = () => {}
  readonly #onAbort: () => void
  readonly #onLate: () => void
  /** Questions of the upstream that wait for an answer: the deadline stands still. */
  readonly #questions = new Map<string | number, AbortController>()
  #timer: NodeJS.Timeout | undefined
  /** Of the deadline, ms, when it ran last. */
  #leftMs: number
  #ranAt = performance.now()
  #isOver = false
  #reached = -Infinity
  #told = 0
  #toldSecond = 0

  constructor ({ id, method, options, headers, end }: PendingAskOptions, settling: Settling) {
    this.id = id
    this.method = method
    this.options = options
    this.headers = headers
    this.caller = options.caller
    this.opensSession = options.opensSession === true
    this.settling = settling
    this.#onAbort = () => end(this, new PeerTrouble('cancelled', 'was told that the call was cancelled'))
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#onLate = () => end(this, new PeerTrouble('late', `did not answer within ${options.deadlineMs} ms`))
    this.#leftMs = Math.max(0, options.deadlineMs)
    this.#timer = setTimeout(this.#onLate, this.#leftMs)
  }

  /** It asks something: its time stands still until that is answered. */
  hold (id: string | number, withdrawn: AbortController): void {
    if (this.#questions.size === 0) {
      clearTimeout(this.#timer)
      this.#leftMs -= performance.now() - this.#ranAt
    }
    this.#questions.set(id, withdrawn)
  }

  release (id: string | number): void {
    if (!this.#questions.delete(id) || this.#questions.size > 0 || this.#isOver) return
    this.#ranAt = performance.now()
    this.#timer = setTimeout(this.#onLate, Math.max(0, this.#leftMs))
  }

  /** The upstream wants no answer to this question any more. */
  withdraw (id: unknown): void {
    this.#questions.get(id as string | number)?.abort()
  }

  /** It is over. */
  stop (): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    for (const withdrawn of this.#questions.values()) withdrawn.abort()
    this.options.signal?.removeEventListener('abort', this.#onAbort)
  }

  /** Pass on what rises, so many times a second. */
  progress (params: Members, now: number): void {
    const { onProgress } = this.options
    const progress = member(params, 'progress')
    if (onProgress === undefined || typeof progress !== 'number' || !(progress > this.#reached)) return
    if (!this.#mayTell(now)) return
    this.#reached = progress
    const total = member(params, 'total')
    const message = member(params, 'message')
    onProgress(
      progress,
      typeof total === 'number' ? total : undefined,
      typeof message === 'string' ? message.slice(0, MAX_TOLD) : undefined
    )
  }

  /** Pass on a log message, within the same bound. */
  log (params: Members, now: number): void {
    if (this.#mayTell(now)) this.options.onLog?.(params)
  }

  #mayTell (now: number): boolean {
    const second = Math.floor(now / 1000)
    if (second !== this.#toldSecond) {
      this.#toldSecond = second
      this.#told = 0
    }
    return ++this.#told <= TOLD_PER_S
  }
}

/**
 * What one message of an upstream may hold. Keys are unique in the envelope alone: the rest is the business of
 * whoever reads it.
 */
const ANSWER: ScanBounds = { maxDepth: 64, maxElements: 100_000, uniqueDepth: 1 }

/** The id of an answer that is not parsed: it stands at one of its ends. */
function idOf (text: string): number {
  return Number(idOfEnds({ head: text.slice(0, EDGE), tail: text.slice(-EDGE) }))
}

const EDGE = 256

function parse (text: string): Incoming | undefined {
  if (scanJson(text, ANSWER) !== undefined) return undefined
  try {
    return readIncoming(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** A refusal with a status may hold an error of JSON-RPC: that is what the upstream says of the question. */
function errorIn ({ kind, text, status = 0 }: WireFailure): UpstreamFault | undefined {
  // 401, 403 and 429 speak of our credential and our rate; 5xx of what stands between.
  if (kind !== 'refused' || text === undefined || status < 400 || status > 499 || [401, 403, 429].includes(status)) {
    return undefined
  }
  try {
    const value = JSON.parse(text) as unknown
    return isMembers(value) ? faultOf(member(value, 'error')) : undefined
  } catch {
    return undefined
  }
}
