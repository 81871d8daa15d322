/**
 * The protocol over standard input and output: the same chain, permissions,
 * limits and inspection as over HTTP, message by message.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Readable, Writable } from 'node:stream'
import { InMemoryServerEventBus, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/server'
import { serveStdio as serveSdk } from '@modelcontextprotocol/server/stdio'
import type { Caller, Identify } from '../auth/chain.ts'
import { rpcError, toAnswer } from '../core/answer.ts'
import { NO_CREDENTIAL, readMessageCredential, type Credential } from '../core/credential.ts'
import { scanJson } from '../core/json-scan.ts'
import { rateLimited } from '../core/limit.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import type { Log } from '../telemetry/log.ts'
import { admitMessage, type Message } from './admit.ts'
import { sdkServer, type ServingOptions } from './sdk/server.ts'

export interface StdioOptions extends Omit<ServingOptions, 'changed'> {
  identify: Identify
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

/** Serve until the input ends. */
export async function serveStdio (options: StdioOptions): Promise<void> {
  const { identify, store, log, credential, input, output, catalogue, maxMessageBytes } = options
  const callers = new AsyncLocalStorage<Caller>()
  const bus = new InMemoryServerEventBus()
  const serving: ServingOptions = { ...options, changed: what => bus.publish(typeof what === 'object' ? { kind: 'resource_updated', uri: what.resource } : { kind: `${what}_list_changed` }) }

  const write = (message: unknown) => new Promise<void>((resolve, reject) => {
    output.write(JSON.stringify(message) + '\n', error => error == null ? resolve() : reject(error))
  })

  const transport: Transport = {
    async start () { read().catch(error => log.error({ err: error }, 'reading standard input failed')) },
    send: write,
    async close () { transport.onclose?.() }
  }

  const handle = serveSdk(({ era }) => sdkServer(serving, {
    get principal () {
      const caller = callers.getStore()
      if (caller === undefined) throw new AppError('AUTHENTICATION_REQUIRED', 'Authentication required')
      return caller.principal
    },
    log,
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
        if (!skipping) await write(rpcError(toAnswer(new AppError('TOO_LARGE', 'The message is over the limit')), null))
        skipping = true
      }
    }
  }

  async function receive (line: string): Promise<void> {
    let message: Message = {}
    try {
      if (Buffer.byteLength(line) > maxMessageBytes) throw new AppError('TOO_LARGE', 'The message is over the limit')
      message = parsed(line)
      const caller = await admitted(message)
      const deliver = () => transport.onmessage?.(withoutAuth(message) as JSONRPCMessage)
      if (caller === undefined) deliver()
      else callers.run(caller, deliver)
    } catch (error) {
      const answer = toAnswer(error)
      log.info({ reason: answer.reason, method: message.method }, 'message refused')
      if (message.id !== undefined || message.method === undefined) await write(rpcError(answer, message.id))
    }
  }

  async function admitted (message: Message): Promise<Caller | undefined> {
    const { method, params } = message
    if (typeof method !== 'string') return undefined // an answer to a question of ours
    const own = readMessageCredential(params)
    const presented = own.type === 'none' ? credential : own
    if (presented.type === 'none' && (OPEN.has(method) || method.startsWith('notifications/'))) {
      return await identify(NO_CREDENTIAL, HERE).catch(() => undefined)
    }
    const caller = await identify(presented, HERE)
    if (!caller.rateLimit.allowed) throw rateLimited(caller.rateLimit)
    await admitMessage(catalogue, store, message, caller)
    return caller
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
