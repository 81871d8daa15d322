/**
 * The protocol over standard input and output: the same chain, permissions,
 * limits and inspection as over HTTP, message by message.
 */
import { randomUUID } from 'node:crypto'
import type { Readable, Writable } from 'node:stream'
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/server'
import type { Caller, Identify } from '../auth/chain.ts'
import { limitOf } from '../auth/counters.ts'
import { rpcError, toAnswer } from '../core/answer.ts'
import { NO_CREDENTIAL, readMessageCredential, type Credential } from '../core/credential.ts'
import { parseMessage } from '../core/json-message.ts'
import { rateLimited } from '../core/limit.ts'
import type { Principal } from '../core/principal.ts'
import { NOTHING_NAMED, type Decision } from '../decision/decide.ts'
import { Trace } from '../decision/trace.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import { logOf, type Log } from '../telemetry/log.ts'
import { admitMessage, noteMessage } from './admit.ts'
import { isObject } from './members.ts'
import { readMessage, type McpMessage } from './message.ts'
import { methodOf, type Era } from './methods.ts'
import type { PendingCall } from './pending-call.ts'
import { connectStdio, type StdioConnection } from './sdk/stdio.ts'
import type { ServedMessage, ServingOptions } from './serving.ts'

export interface StdioOptions extends Omit<ServingOptions, 'changed'> {
  readonly identify: Identify
  readonly store: Store
  readonly log: Log
  /** Writes the record of a message, before its answer. */
  readonly record: (trace: Trace) => void
  /** What the process environment presents, for messages without a credential of their own. */
  readonly credential: Credential
  readonly maxMessageBytes: number
  readonly input: Readable
  readonly output: Writable
}

const HERE = { address: '127.0.0.1', method: 'STDIO', url: 'stdio:' }

/** Serve until the input ends. */
export async function serveStdio (options: StdioOptions): Promise<void> {
  await new StdioServer(options).serve()
}

/** There are none over stdio. */
const NO_HEADERS = Object.freeze({})

/** One message: who sent it, and what was decided of it. */
class StdioMessage implements ServedMessage {
  readonly trace = new Trace(randomUUID())
  readonly headers = NO_HEADERS
  readonly log: Log
  caller: Caller | undefined = undefined
  decision: Decision = NOTHING_NAMED
  pending: PendingCall | undefined = undefined
  readonly #listeners: Array<() => void> = []

  constructor (log: Log) {
    this.trace.http = HERE.method
    this.trace.address = HERE.address
    this.log = logOf(this.trace.requestId, log)
  }

  get principal (): Principal {
    if (this.caller === undefined) throw new AppError('AUTHENTICATION_REQUIRED', 'Authentication required')
    return this.caller.principal
  }

  readonly onOver = (listener: () => void): void => { this.#listeners.push(listener) }

  over (): void {
    for (const listener of this.#listeners.splice(0)) listener()
  }
}

class StdioServer implements Transport {
  // What the SDK hangs on its transport.
  onmessage?: NonNullable<Transport['onmessage']>
  onclose?: () => void
  onerror?: (error: Error) => void

  readonly #options: StdioOptions
  readonly #connection: StdioConnection
  /** Requests that are not answered yet, by their id. Who sent one is known by it, and by nothing else. */
  readonly #open = new Map<unknown, StdioMessage>()
  /** Settled by the first message that is no question about what is served. */
  #era: Era | undefined

  constructor (options: StdioOptions) {
    this.#options = options
    const serving: ServingOptions = { ...options, changed: what => this.#connection.changed(what) }
    this.#connection = connectStdio(
      serving,
      this,
      options.log,
      id => this.#open.get(id) ?? new StdioMessage(options.log)
    )
  }

  async serve (): Promise<void> {
    const { input, offer } = this.#options
    const stop = offer.onChange(lists => { for (const list of lists) this.#connection.changed(list) })
    await new Promise<void>(resolve => input.once('close', resolve).once('end', resolve))
    stop()
    await this.#connection.close()
  }

  async start (): Promise<void> {
    this.#read().catch(error => this.#options.log.error({ err: error }, 'reading standard input failed'))
  }

  async send (message: JSONRPCMessage): Promise<void> {
    if ('result' in message || 'error' in message) this.#finished(message.id)
    await this.#write(message)
  }

  async close (): Promise<void> {
    this.onclose?.()
  }

  /** Lines in, messages on; a line that is refused is answered here and goes no further. */
  async #read (): Promise<void> {
    const { input, maxMessageBytes, log } = this.#options
    let held = ''
    let skipping = false
    input.setEncoding('utf8')
    for await (const chunk of input as AsyncIterable<string>) {
      const lines = (held + chunk).split('\n')
      held = lines.pop()!
      for (const line of lines) {
        if (skipping) skipping = false
        else if (line.trim() !== '') await this.#receive(line)
      }
      if (held.length > maxMessageBytes) {
        held = ''
        if (!skipping) {
          await this.#refuse(new StdioMessage(log), new AppError('TOO_LARGE', 'The message is over the limit'), null)
        }
        skipping = true
      }
    }
  }

  async #receive (line: string): Promise<void> {
    const { log, maxMessageBytes } = this.#options
    const one = new StdioMessage(log)
    let body: unknown
    let message: McpMessage
    try {
      if (Buffer.byteLength(line) > maxMessageBytes) throw new AppError('TOO_LARGE', 'The message is over the limit')
      body = parseMessage(line, 'The message')
      message = await this.#admitted(body, one)
    } catch (error) {
      const { id, method } = isObject(body) ? body : {}
      return await this.#refuse(one, error, id !== undefined || method === undefined ? id ?? null : undefined)
    }
    this.#settleEra(message)
    if (message.kind === 'request') this.#open.set(message.id, one)
    else {
      if (message.method === 'notifications/cancelled') this.#finished(message.params.requestId)
      this.#options.record(one.trace)
    }
    this.onmessage?.(wireForm(message))
  }

  async #admitted (body: unknown, one: StdioMessage): Promise<McpMessage> {
    const { credential, identify } = this.#options
    const { method, params } = isObject(body) ? body : {}
    // an answer to a question of the server
    if (typeof method !== 'string') return readMessage(body, { era: this.#era })
    noteMessage(one.trace, body)
    const own = readMessageCredential(params)
    const presented = own.type === 'none' ? credential : own
    one.caller = presented.type === 'none' && (methodOf(method)?.open === true || method.startsWith('notifications/'))
      ? await identify(NO_CREDENTIAL, HERE).catch(() => undefined)
      : await identify(presented, HERE)
    const { caller, trace, log } = one
    if (caller !== undefined) {
      trace.identified(caller.principal)
      trace.limit = caller.rateLimit
      if (!caller.rateLimit.allowed) throw rateLimited(caller.rateLimit, { rule: limitOf(caller, caller.rateLimit) })
    }
    // The credential goes no further: what is read has no member for it, so no handler and no log sees it.
    const message = readMessage(body, { era: this.#era })
    trace.era = message.era
    if (message.kind === 'request' && this.#open.has(message.id)) {
      throw new AppError('INVALID_REQUEST', 'A request with this id is still being answered')
    }
    if (caller !== undefined) one.decision = await admitMessage(this.#options, message, { caller, trace, log })
    return message
  }

  /** As the SDK settles it: asking what is served, or a notification of the newer revision, leaves both open. */
  #settleEra ({ kind, era, method }: McpMessage): void {
    if (kind === 'answer' || (era === 'modern' && (kind === 'notification' || method === 'server/discover'))) return
    this.#era ??= era
  }

  /** @param id undefined where no answer is wanted */
  async #refuse (one: StdioMessage, error: unknown, id: unknown): Promise<void> {
    const answer = toAnswer(error)
    one.trace.refuse(answer.reason, answer.rule)
    one.trace.principal ??= answer.principal
    this.#options.record(one.trace)
    if (id !== undefined) await this.#write(rpcError(answer, id, one.trace.requestId))
  }

  /** A request was answered, or cancelled: its line is written. */
  #finished (id: unknown): void {
    const one = this.#open.get(id)
    if (one === undefined) return
    this.#open.delete(id)
    one.over()
    this.#options.record(one.trace)
  }

  async #write (message: unknown): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#options.output.write(JSON.stringify(message) + '\n', error => error == null ? resolve() : reject(error))
    })
  }
}

/** A message as the SDK takes it. */
function wireForm (message: McpMessage): JSONRPCMessage {
  const { jsonrpc, method, params } = message
  switch (message.kind) {
    case 'request':
      return { jsonrpc, id: message.id, method, params } as JSONRPCMessage
    case 'notification':
      return { jsonrpc, method, params } as JSONRPCMessage
    case 'answer':
      return (
        message.error === undefined
          ? { jsonrpc, id: message.id, result: message.result }
          : { jsonrpc, id: message.id, error: message.error }
      ) as JSONRPCMessage
  }
}
