/**
 * JSON-RPC over Streamable HTTP (MCP, transports): each message is a POST, its
 * answer a JSON body or an event stream. Only the origin of the file is ever
 * asked; redirects are not followed.
 */
import { Pool } from 'undici'
import type { Log } from '../telemetry/log.ts'
import { backoffMs } from '../resilience/backoff.ts'
import { AddressRefused, guardedLookup, networkOfHost, urlFault } from './address-guard.ts'
import { ByteBudget } from './byte-budget.ts'
import type { Network } from './entry.ts'
import { HttpAnswer, type AnswerEnd, type AnswerReceiver, type StatusEnd } from './http-answer.ts'
import { NotificationGate } from './notification-gate.ts'
import { TokenTrouble, type Outgoing } from './outgoing.ts'
import type { HttpWire, Wire, WireExchange, WireFailure } from './wire.ts'

export interface HttpWireOptions {
  readonly url: URL
  readonly network: Network | undefined
  readonly outgoing: Outgoing
  readonly maxAnswerBytes: number
  /** Calls at once; each takes a connection. */
  readonly maxInFlight: number
  /** Lines bear the name of the upstream already. */
  readonly log: Log
  /** For tests: that of the system. */
  readonly lookup?: Parameters<typeof guardedLookup>[1]
}

/** Beside calls: calls that wait for a person, the stream of the server, cancellations. */
const FURTHER_CONNECTIONS = 80
const CONNECT_TIMEOUT_MS = 10_000
/** A stream should end with its answer; one that does not is closed after this. */
const AFTER_ANSWER_MS = 1000
const CLOSE_TIMEOUT_MS = 1000
const MAX_RETRY_MS = 60_000
/** Streams that break before the answer are taken up again so often without anything new on them. */
const MAX_RESUMES = 5
/** Visible ASCII (MCP 2025-11-25, transports, session management). */
const SESSION_ID = /^[\x21-\x7e]{1,256}$/
const EVENT_ID = /^[\x20-\x7e]{1,1024}$/
const GET = { accept: 'text/event-stream', 'user-agent': 'secure-mcp-server' }
const POST = { ...GET, accept: 'application/json, text/event-stream', 'content-type': 'application/json' }

/** One message, or one stream, until nothing more comes: several requests where a stream is taken up again. */
class OpenExchange {
  readonly exchange: WireExchange
  /** Undefined: the stream on which the server speaks by itself. */
  readonly text: string | undefined
  answer: HttpAnswer | undefined
  /** The session id that went out with it. */
  session: string | undefined
  /** The `authorization` that went out with it. */
  authorization: string | undefined
  tokenRenewed = false
  lastEventId: string | undefined
  /** Before a stream is taken up again. */
  retryMs = 1000
  /** Ends of the stream since something new came on it. */
  failures = 0
  /** Something came that was no message. */
  noise = false
  timer: NodeJS.Timeout | undefined
  isOver = false

  constructor (exchange: WireExchange, text: string | undefined) {
    this.exchange = exchange
    this.text = text
  }
}

export class UndiciWire implements HttpWire {
  onText: Wire['onText'] = () => false
  onTooLarge: Wire['onTooLarge'] = () => {}
  onClose: Wire['onClose'] = () => {}
  session: string | undefined
  readonly #options: HttpWireOptions
  readonly #pool: Pool
  readonly #path: string
  /** The address in the URL may not be used. */
  readonly #fault: string | undefined
  readonly #budget = new ByteBudget()
  readonly #gate = new NotificationGate()
  readonly #open = new Map<WireExchange, OpenExchange>()
  #noise = 0
  #isOver = false

  constructor (options: HttpWireOptions) {
    const { url, network, outgoing, maxInFlight, lookup } = options
    this.#options = options
    this.#path = url.pathname + url.search
    this.#fault = urlFault(url, network, outgoing.sendsSecrets)
    this.#pool = new Pool(url.origin, {
      connections: maxInFlight + FURTHER_CONNECTIONS,
      pipelining: 1,
      // The deadline is that of the call: these tick once a second.
      headersTimeout: 0,
      bodyTimeout: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      connect: { lookup: guardedLookup(network ?? networkOfHost(url.hostname) ?? 'public', lookup) }
    })
  }

  /** Bodies and events that were no message so far. */
  get noise (): number {
    return this.#noise
  }

  send (text: string, exchange: WireExchange = {}): void {
    this.#start(exchange, text)
  }

  listen (exchange: WireExchange): void {
    this.#start(exchange, undefined)
  }

  abandon (exchange: WireExchange): void {
    const one = this.#open.get(exchange)
    if (one !== undefined) this.#finish(one)
  }

  /** Ends the session at the upstream, too, if it is still known here. */
  async close (): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    for (const one of [...this.#open.values()]) this.#finish(one)
    if (this.session !== undefined) await this.#endSession(this.session)
    await this.#pool.destroy()
  }

  #start (exchange: WireExchange, text: string | undefined): void {
    const fault = this.#isOver ? 'is not connected' : this.#fault
    if (fault !== undefined) {
      exchange.onEnd?.({ kind: 'unreachable', message: fault, sent: false })
      return
    }
    const one = new OpenExchange(exchange, text)
    this.#open.set(exchange, one)
    this.#request(one)
  }

  /** A POST; a GET where there is nothing to say, or a stream is taken up again. */
  #request (one: OpenExchange): void {
    let headers: ReturnType<Outgoing['headers']>
    try {
      headers = this.#options.outgoing.headers(one.exchange.caller)
    } catch (error) {
      return this.#tokenFailed(one, error as Error)
    }
    if (!(headers instanceof Promise)) return this.#dispatch(one, headers)
    headers.then(headers => this.#dispatch(one, headers), error => this.#tokenFailed(one, error))
  }

  #dispatch (one: OpenExchange, outgoing: Readonly<Record<string, string>>): void {
    if (one.isOver) return
    const { exchange, text, lastEventId } = one
    const post = text !== undefined && lastEventId === undefined
    one.session = exchange.opensSession === true ? undefined : this.session
    one.authorization = outgoing.authorization
    const headers: Record<string, string> = { ...(post ? POST : GET), ...outgoing, ...exchange.headers }
    if (one.session !== undefined) headers['mcp-session-id'] = one.session
    if (lastEventId !== undefined) headers['last-event-id'] = lastEventId
    const answer = new HttpAnswer(this.#receiver(one), { maxBytes: this.#options.maxAnswerBytes, budget: this.#budget })
    one.answer = answer
    const body = post ? text : null
    this.#pool.dispatch({ path: this.#path, method: post ? 'POST' : 'GET', headers, body }, answer)
  }

  #receiver (one: OpenExchange): AnswerReceiver {
    return {
      onHeaders: ({ 'mcp-session-id': id }) => one.exchange.opensSession === true ? this.#takeSession(id) : undefined,
      onText: text => this.#onText(one, text),
      onEventId: id => {
        one.lastEventId = EVENT_ID.test(id) ? id : undefined
        one.failures = 0
      },
      onRetry: ms => { one.retryMs = Math.min(Math.max(ms, 100), MAX_RETRY_MS) },
      onEnd: end => this.#onEnd(one, end)
    }
  }

  #takeSession (id: string | string[] | undefined): string | undefined {
    if (id !== undefined && (typeof id !== 'string' || !SESSION_ID.test(id))) {
      return 'gave a session id that is not 1 to 256 characters of visible ASCII'
    }
    this.session = id
    return undefined
  }

  #onText (one: OpenExchange, text: string): void {
    const verdict = this.#gate.judge(text, performance.now())
    if (verdict === 'end') return this.#fail('sent nothing but notifications, over 1000 a second, for 10 s')
    if (verdict === 'drop' || one.isOver) return
    if (!this.onText(text, one.exchange)) {
      one.noise = true
      this.#onNoise()
    }
    if (one.exchange.answered === true && !one.isOver) {
      one.timer ??= setTimeout(() => this.#finish(one), AFTER_ANSWER_MS)
    }
  }

  #onNoise (): void {
    if (this.#noise++ > 0) return
    this.#options.log.warn({}, 'bodies or events that are no messages are skipped; further ones are not logged')
  }

  #onEnd (one: OpenExchange, end: AnswerEnd): void {
    if (one.isOver) return
    const { exchange, text } = one
    if (exchange.answered === true) return this.#tell(one)
    if (end.kind === 'status' && end.status === 401 && !one.tokenRenewed) {
      one.tokenRenewed = this.#options.outgoing.forgetToken(exchange.caller, one.authorization)
      if (one.tokenRenewed) return this.#request(one)
    }
    const isOwnStream = text === undefined
    if (isOwnStream || one.lastEventId !== undefined) {
      if (this.#takeUpAgain(one, end, isOwnStream)) return
    }
    if (end.kind !== 'done') this.#tell(one, this.#failureOf(one, end))
    else this.#tell(one, end.stream ? CLOSED_EARLY : one.noise ? NO_MESSAGE : undefined)
  }

  /** A stream that ended before its answer, or that never ends. @returns whether it will be */
  #takeUpAgain (one: OpenExchange, end: AnswerEnd, isOwnStream: boolean): boolean {
    const again = end.kind === 'done' || end.kind === 'broken' || (end.kind === 'status' && end.status >= 500)
    if (!again || (!isOwnStream && one.failures >= MAX_RESUMES)) return false
    one.failures++
    const backoff = isOwnStream && one.failures > 1 ? backoffMs(one.failures - 1, MAX_RETRY_MS) : 0
    one.timer = setTimeout(() => {
      one.timer = undefined
      this.#request(one)
    }, Math.max(one.retryMs, backoff))
    one.timer.unref()
    return true
  }

  #failureOf (one: OpenExchange, end: Exclude<AnswerEnd, { kind: 'done' }>): WireFailure {
    // Where its stream was taken up again, the call was looked at: it must not be made anew.
    const isFirst = one.lastEventId === undefined
    if (end.kind === 'status') return statusFailure(end, isFirst && one.session !== undefined, this.#options.url)
    if (end.kind === 'broken') return brokenFailure(end.error, end.sent)
    return { kind: end.kind, message: end.message, sent: true }
  }

  /** No token, or none that may be used: nothing was sent. */
  #tokenFailed (one: OpenExchange, error: Error): void {
    if (one.isOver) return
    const message = error instanceof TokenTrouble ? error.message : 'cannot be asked: its credentials failed'
    if (!(error instanceof TokenTrouble)) this.#options.log.error({ err: error }, 'credentials of an upstream failed')
    this.#tell(one, { kind: 'unreachable', message, sent: false })
  }

  #tell (one: OpenExchange, failure?: WireFailure): void {
    this.#finish(one)
    one.exchange.onEnd?.(failure)
  }

  #finish (one: OpenExchange): void {
    one.isOver = true
    clearTimeout(one.timer)
    this.#open.delete(one.exchange)
    one.answer?.abort()
  }

  #fail (why: string): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const one of [...this.#open.values()]) this.#finish(one)
    this.#pool.destroy().catch(() => {})
    this.onClose(why)
  }

  /** As the specification asks of a client that leaves. What it answers is its own affair. */
  async #endSession (session: string): Promise<void> {
    try {
      const headers = { ...await this.#options.outgoing.headers(undefined), 'mcp-session-id': session }
      const signal = AbortSignal.timeout(CLOSE_TIMEOUT_MS)
      const { body } = await this.#pool.request({ path: this.#path, method: 'DELETE', headers, signal })
      await body.dump({ limit: 1024 })
    } catch {}
  }
}

const CLOSED_EARLY: WireFailure = { kind: 'closed', message: 'closed the stream without an answer', sent: true }
const NO_MESSAGE: WireFailure = { kind: 'not_mcp', message: 'answered with JSON that is no JSON-RPC', sent: true }

/** Never the body, which may hold names of hosts, a page, or what was sent. */
function statusFailure ({ status, headers, text }: StatusEnd, hadSession: boolean, url: URL): WireFailure {
  const failure = { sent: true, status, ...retryAfter(headers['retry-after']), ...(text === undefined ? {} : { text }) }
  if (hadSession && (status === 404 || (status === 400 && isAboutSession(text)))) {
    return { ...failure, kind: 'session_lost', message: `does not know its session any more (HTTP ${status})` }
  }
  const detail = DETAILS[status]?.(url)
  const message = status < 400 ? redirectMessage(status, headers.location, url) : `answered HTTP ${status}${MEANS[status] ?? ''}`
  return { ...failure, kind: 'refused', message, ...(detail === undefined ? {} : { detail }) }
}

/** What a status says beyond its number (RFC 5842 section 7.2). */
const MEANS: Readonly<Record<number, string>> = { 508: ': it is this server, or leads back to it' }

/** What an operator can do about it. */
const DETAILS: Readonly<Record<number, (url: URL) => string>> = {
  401: () => 'it does not accept the credentials in the file',
  403: (
    { host }
  ) => `it may not allow the Host "${host}" (set its allowed hosts, or use the URL that it wants) or these credentials`,
  404: ({ pathname }) => `there is no "${pathname}": is it the path of its MCP endpoint?`,
  405: ({ pathname }) => `"${pathname}" takes no POST: is it the path of its MCP endpoint?`
}

function redirectMessage (status: number, location: string | string[] | undefined, url: URL): string {
  const isUrl = typeof location === 'string' && URL.canParse(location, url.href)
  const to = isUrl ? new URL(location, url).origin : 'nowhere'
  return `redirects to ${to} (HTTP ${status}), where nothing was sent; put the final URL into the file`
}

/** A 400 to a request with a session is about that session unless it is an error of JSON-RPC about the message. */
function isAboutSession (text: string | undefined): boolean {
  try {
    const { error } = JSON.parse(text ?? '') as { error?: { code?: unknown } }
    return error?.code === undefined || error.code === -32000
  } catch {
    return true
  }
}

const MAX_RETRY_AFTER_MS = 86_400_000

/** RFC 9110 §10.2.3 */
function retryAfter (value: string | string[] | undefined): { retryAfterMs?: number } {
  if (typeof value !== 'string') return {}
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(ms) ? { retryAfterMs: Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) } : {}
}

/** Texts of errors name hosts and addresses: their codes do not. */
function brokenFailure (error: Error, sent: boolean): WireFailure {
  if (sent) return { kind: 'closed', message: `closed the connection without an answer (${codeOf(error)})`, sent }
  const isRefused = error instanceof AddressRefused
  const message = isRefused ? `cannot be asked: ${error.message}` : `cannot be reached (${codeOf(error)})`
  return { kind: 'unreachable', message, sent }
}

function codeOf (error: Error): string {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : error.name
}
