import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { normalAddress } from '../src/core/address.ts'
import { rpcError, toAnswer } from '../src/core/answer.ts'
import { judgeAddress, judgeOrigin, type Allowed } from '../src/decision/layers.ts'
import { Trace } from '../src/decision/trace.ts'
import { AppError } from '../src/errors.ts'
import { refused } from './refused.ts'

export interface TransportOptions {
  allowed: Allowed
  requestId: () => string
  /** Told of what was refused outside the hooks, to count and record it. */
  onRefused: (trace: Trace) => void
}

/** Headers of one request; with more, somebody wants that one of them is overlooked. */
const MAX_HEADERS = 100
/** How long a refused connection may go on sending, so that its answer is read and not reset, ms. */
const LINGER_MS = 1000

/** What Node calls a fault of the request; everything else that a socket says is the network's. */
const FAULT = /^(HPE_|ERR_HTTP_)/
const STATUS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431, HPE_CHUNK_EXTENSIONS_OVERFLOW: 413, ERR_HTTP_REQUEST_TIMEOUT: 408
}
const WORDS: Readonly<Record<number, string>> = {
  400: 'The request cannot be read as HTTP',
  408: 'The request came too slowly',
  413: 'Chunk extensions are too long',
  431: 'The headers are too long'
}

/** Refuses what Node would refuse by itself, in this service's form: answered, logged and counted like the rest. */
export class Transport {
  readonly #app: FastifyInstance
  readonly #options: TransportOptions
  /** The last request of each connection, whose body may still be coming. */
  readonly #last = new WeakMap<Socket, { request: IncomingMessage; response: ServerResponse }>()
  readonly #refused = new WeakSet<Socket>()
  /** Bodies that failed before anyone read them: hooks, which may wait for an answer of their own, come first. */
  readonly #unread = new WeakMap<IncomingMessage, AppError>()

  constructor (app: FastifyInstance, options: TransportOptions) {
    this.#app = app
    this.#options = options
  }

  begin (request: IncomingMessage, response: ServerResponse): void {
    this.#last.set(request.socket, { request, response })
  }

  /**
   * A request that the parser cannot read, or that comes too slowly. One slow head makes two events, so the
   * first counts.
   */
  unreadable (error: NodeJS.ErrnoException, socket: Socket): void {
    const rule = error.code ?? ''
    if (this.#refused.has(socket) || socket.destroyed) return
    // Nothing was said, as by browsers that connect ahead: there is nothing to answer.
    if (!FAULT.test(rule) || !socket.writable || (rule === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0)) {
      socket.destroy()
      return
    }
    this.#refused.add(socket)
    const status = STATUS[rule] ?? 400
    const refusal = new AppError('TRANSPORT', WORDS[status]!, { http: status, rule, headers: { connection: 'close' } })
    const last = this.#last.get(socket)
    if (last !== undefined && !last.request.complete) return this.#endBody(socket, last, refusal)
    // A part of the answer to an earlier request may be on its way: a second one would be read as its rest.
    if (isAnswering(socket)) socket.destroy()
    else this.#answer(socket, refusal)
  }

  /** CONNECT, for which this is no proxy. */
  connect (request: IncomingMessage, socket: Socket): void {
    socket.on('error', () => {})
    const {
      headers: { host, origin }, url
    } = request
    const refusal =
      judgeOrigin(host, origin, this.#options.allowed, false) ??
      judgeOrigin(url, undefined, this.#options.allowed, false)
    this.#answer(
      socket,
      refusal === undefined
        ? new AppError('METHOD_NOT_ALLOWED', 'CONNECT is not served here', { headers: { allow: 'GET, POST, DELETE' } })
        : refused(refusal, 'This Host is not served here')
    )
  }

  /** What is wrong with a body that is about to be read. */
  faultOf (request: IncomingMessage): AppError | undefined {
    return this.#unread.get(request)
  }

  /** The body of a request that reached a route is what fails: its hooks answer, log and count. */
  #endBody (
    socket: Socket,
    { request, response }: { request: IncomingMessage; response: ServerResponse },
    refusal: AppError
  ): void {
    if (response.headersSent) {
      socket.destroy()
      return
    }
    // Head and body may come at once: then its first hooks still run, and the fault waits for who reads the body.
    if (request.listenerCount('error') === 0) this.#unread.set(request, refusal)
    else request.emit('error', refusal)
    setTimeout(() => socket.destroy(), LINGER_MS)
  }

  #answer (socket: Socket, refusal: AppError): void {
    const address = normalAddress(socket.remoteAddress ?? '') ?? ''
    const blocked = judgeAddress(address, this.#app.secureMcp.blocked)
    const error = blocked === undefined ? refusal : refused(blocked, 'This address is blocked')
    const trace = new Trace(this.#options.requestId())
    trace.refuse(error.code, error.rule)
    const answer = toAnswer(error)
    trace.http = '(unread)'
    trace.address = address
    trace.status = answer.status
    this.#options.onRefused(trace)
    const body = JSON.stringify(rpcError(answer, undefined, trace.requestId))
    const headers = {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
      'X-Request-Id': trace.requestId,
      Connection: 'close',
      ...answer.headers
    }
    socket.end(
      `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}\r\n${Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('')}\r\n${body}`
    )
    setTimeout(() => socket.destroy(), LINGER_MS)
  }
}

/**
 * What Node's HTTP server would settle by itself goes through the hooks
 * instead, or where there is no request yet is answered here. The factory
 * hands `clientErrorHandler` on to `app.secureMcp.transport.unreadable`.
 */
export default fp<TransportOptions>(async function transport (app, options) {
  const { server } = app
  const it = new Transport(app, options)
  app.secureMcp.transport = it
  // Not 2,000, beyond which Node drops headers without a word: the head itself is bounded by its bytes.
  server.maxHeadersCount = 0
  server.on('request', (request: IncomingMessage, response: ServerResponse) => it.begin(request, response))
  server.on('connect', (request: IncomingMessage, socket: Socket) => it.connect(request, socket))
  // A body is asked for when its request may have one (`continueBody`).
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    server.emit('request', request, response)
  )
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    server.emit('request', request, response)
  )

  app.addHook('onRequest', function checkForm ({ raw, headers: { expect } }, _reply, done) {
    if (raw.rawHeaders.length > 2 * MAX_HEADERS) {
      return done(
        new AppError('TRANSPORT', `Send ${MAX_HEADERS} headers at most`, {
          http: 431, rule: 'headers', headers: { connection: 'close' }
        })
      )
    }
    if (expect !== undefined && !isContinue(expect) && raw.httpVersion !== '1.0') {
      return done(
        new AppError('TRANSPORT', 'Only Expect: 100-continue is served', {
          http: 417, rule: 'expect', headers: { connection: 'close' }
        })
      )
    }
    done()
  })

  app.addHook('preParsing', function continueBody ({ raw, headers: { expect } }, reply, payload, done) {
    const fault = it.faultOf(raw)
    if (fault !== undefined) return done(fault)
    if (expect !== undefined && raw.httpVersion !== '1.0') reply.raw.writeContinue()
    done(null, payload)
  })
}, { name: 'secure-mcp/transport', fastify: '5.x', dependencies: ['secure-mcp/address'] })

/** RFC 9110 §10.1.1, as Node reads it. */
function isContinue (expect: string): boolean {
  return /(?:^|\W)100-continue(?:$|\W)/i.test(expect)
}

/** Node's own question before it answers by itself (`_http_server.js`, socketOnError), and its documentation's. */
function isAnswering (socket: Socket): boolean {
  return (socket as unknown as { _httpMessage?: { _headerSent?: boolean } | null })._httpMessage?._headerSent === true
}
