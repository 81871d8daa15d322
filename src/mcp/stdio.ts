/**
 * The protocol over standard input and output: the same chain, permissions,
 * limits and inspection as over HTTP, message by message.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Readable, Writable } from 'node:stream'
import { randomUUID } from 'node:crypto'
import { InMemoryServerEventBus, isJSONRPCErrorResponse, isJSONRPCResultResponse, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/server'
import { serveStdio as serveSdk } from '@modelcontextprotocol/server/stdio'
import type { Caller, Identify } from '../auth/chain.ts'
import { rpcError, toAnswer } from '../core/answer.ts'
import { NO_CREDENTIAL, readMessageCredential, type Credential } from '../core/credential.ts'
import { scanJson } from '../core/json-scan.ts'
import { rateLimited } from '../core/limit.ts'
import type { Principal } from '../core/principal.ts'
import { NOTHING_NAMED, type Decision } from '../decision/decide.ts'
import type { InspectionMode } from '../decision/layers.ts'
import { Trace } from '../decision/trace.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import { logOf, type Log } from '../telemetry/log.ts'
import { admitMessage, type Message } from './admit.ts'
import { knownMethod } from './methods.ts'
import { noted } from './refusals.ts'
import { sdkServer, type ServingOptions } from './sdk/server.ts'

export interface StdioOptions extends Omit<ServingOptions, 'changed'> {
  identify: Identify
  inspection: InspectionMode
  store: Store
  log: Log
  /** What the process environment presents, for messages without a credential of their own. */
  credential: Credential
  maxMessageBytes: number
  input: Readable
  output: Writable
}

/** What a client may ask before it has shown who it is: how to go on, and nothing of what is offered. */
const OPEN = new Set(['initialize', 'ping', 'server/discover'])

/** One message: who sent it, and what was decided of it. */
class StdioMessage {
  readonly trace = new Trace(randomUUID())
  readonly began = performance.now()
  readonly log: Log
  caller: Caller | undefined = undefined
  decision: Decision = NOTHING_NAMED

  constructor (log: Log) {
    this.log = logOf(this.trace.requestId, log)
  }

  get principal (): Principal {
    if (this.caller === undefined) throw new AppError('AUTHENTICATION_REQUIRED', 'Authentication required')
    return this.caller.principal
  }

  /** One line, in the words of the request line over HTTP. */
  write (log: Log): void {
    const { requestId: reqId, principal, auth, method, target, decision, rule } = this.trace
    log.info({ reqId, principal, auth, method, target, decision, rule, ms: Math.round((performance.now() - this.began) * 100) / 100 }, 'request')
  }
}

/** Serve until the input ends. */
export async function serveStdio (options: StdioOptions): Promise<void> {
  const { identify, store, log, credential, input, output, offer, inspection, maxMessageBytes } = options
  const messages = new AsyncLocalStorage<StdioMessage>()
  const current = () => messages.getStore() ?? new StdioMessage(log)
  /** Requests that are not answered yet, by their id. */
  const open = new Map<unknown, StdioMessage>()
  const bus = new InMemoryServerEventBus()
  const serving: ServingOptions = { ...options, changed: what => bus.publish(typeof what === 'object' ? { kind: 'resource_updated', uri: what.resource } : { kind: `${what}_list_changed` }) }

  const write = (message: unknown) => new Promise<void>((resolve, reject) => {
    output.write(JSON.stringify(message) + '\n', error => error == null ? resolve() : reject(error))
  })

  const transport: Transport = {
    async start () { read().catch(error => log.error({ err: error }, 'reading standard input failed')) },
    send: message => write(isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message) ? finished(message) : message),
    async close () { transport.onclose?.() }
  }

  const handle = serveSdk(({ era }) => sdkServer(serving, {
    get principal () { return current().principal },
    get decision () { return current().decision },
    get trace () { return current().trace },
    get log () { return current().log },
    era
  }), { transport, onerror: error => log.debug({ err: error }, 'sdk refused a message') })

  await new Promise<void>(resolve => input.once('close', resolve).once('end', resolve))
  await handle.close()

  /** Lines in, messages on; a line that is refused is answered here and goes no further. */
  async function read (): Promise<void> {
    let held = ''
    let skipping = false
    input.setEncoding('utf8')
    for await (const chunk of input as AsyncIterable<string>) {
      const lines = (held + chunk).split('\n')
      held = lines.pop()!
      for (const line of lines) {
        if (skipping) skipping = false
        else if (line.trim() !== '') await receive(line)
      }
      if (held.length > maxMessageBytes) {
        held = ''
        if (!skipping) await refuse(new StdioMessage(log), new AppError('TOO_LARGE', 'The message is over the limit'), null)
        skipping = true
      }
    }
  }

  async function receive (line: string): Promise<void> {
    const one = new StdioMessage(log)
    let message: Message = {}
    try {
      if (Buffer.byteLength(line) > maxMessageBytes) throw new AppError('TOO_LARGE', 'The message is over the limit')
      message = parsed(line)
      await admit(message, one)
    } catch (error) {
      return await refuse(one, error, message.id !== undefined || message.method === undefined ? message.id ?? null : undefined)
    }
    if (message.id !== undefined && typeof message.method === 'string') open.set(message.id, one)
    else one.write(log)
    messages.run(one, () => transport.onmessage?.(withoutAuth(message) as JSONRPCMessage))
  }

  /** @param id undefined where no answer is wanted */
  async function refuse (one: StdioMessage, error: unknown, id: unknown): Promise<void> {
    const answer = toAnswer(error)
    one.trace.refuse(answer.reason, answer.rule)
    one.trace.principal ??= answer.principal
    one.write(log)
    if (id !== undefined) await write(rpcError(answer, id, one.trace.requestId))
  }

  /** The answer as it leaves; its line is written. */
  function finished (message: JSONRPCMessage & { id?: unknown }): JSONRPCMessage {
    const one = open.get(message.id)
    if (one === undefined) return message
    open.delete(message.id)
    const answer = isJSONRPCErrorResponse(message) ? { ...message, error: noted(message.error, one.trace) } : message
    one.write(log)
    return answer
  }

  async function admit (message: Message, one: StdioMessage): Promise<void> {
    const { method, params } = message
    if (typeof method !== 'string') return // an answer to a question of the server
    one.trace.method = knownMethod(method)
    const own = readMessageCredential(params)
    const presented = own.type === 'none' ? credential : own
    if (presented.type === 'none' && (OPEN.has(method) || method.startsWith('notifications/'))) {
      one.caller = await identify(NO_CREDENTIAL, HERE).catch(() => undefined)
    } else {
      one.caller = await identify(presented, HERE)
    }
    const { caller } = one
    if (caller === undefined) return
    one.trace.principal = caller.principal.id
    one.trace.auth = caller.principal.authType
    if (!caller.rateLimit.allowed) throw rateLimited(caller.rateLimit)
    one.decision = await admitMessage({ offer, store, inspection }, message, { caller, trace: one.trace, log: one.log, rateLimit: caller.rateLimit })
  }
}

const HERE = { address: '127.0.0.1', method: 'STDIO', url: 'stdio:' }

function parsed (line: string): Message {
  const fault = scanJson(line)
  if (fault !== undefined) throw new AppError('INVALID_REQUEST', fault.message)
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new AppError('PARSE_ERROR', 'The message is not JSON')
  }
  if (typeof value !== 'object' || value === null) throw new AppError('INVALID_REQUEST', 'The message is not a JSON-RPC message')
  return value as Message
}

/** The credential goes no further than the chain: no handler and no log sees it. */
function withoutAuth (message: Message): Message {
  const params = message.params as Record<string, unknown> | undefined
  if (params === undefined || params === null || typeof params !== 'object') return message
  const { auth: _auth, _meta, ...rest } = params
  const { auth: _inMeta, ...meta } = (_meta ?? {}) as Record<string, unknown>
  return { ...message, params: { ...rest, ...(_meta === undefined ? {} : { _meta: meta }) } }
}
