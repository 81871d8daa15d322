/**
 * The common requests without the SDK's machinery: a call of a tool, the
 * lists, what the server can do. Each is answered as text from what was worked
 * out at start. What needs more (progress, questions, streams), what is odd
 * and what is wrong goes to the SDK, and so does whatever this module is not
 * sure of: test/mcp/lanes.test.ts holds the two to the same answers.
 *
 * Nothing is decided here: the decision comes with the message (admit.ts).
 */
import { CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY, SERVER_INFO_META_KEY, SUPPORTED_PROTOCOL_VERSIONS } from '@modelcontextprotocol/server'
import type { Principal } from '../../core/principal.ts'
import type { Log } from '../../telemetry/log.ts'
import { rpcError, toAnswer } from '../../core/answer.ts'
import type { Decision } from '../../decision/decide.ts'
import type { Trace } from '../../decision/trace.ts'
import { runTool, type CallOutcome } from '../../tools/call.ts'
import { visible, type OfferedTool } from '../../tools/catalogue.ts'
import { CallContext, type Host } from '../../tools/context.ts'
import type { ToolResult } from '../../tools/result.ts'
import { InputNeeded } from '../../tools/tool.ts'
import type { Message } from '../admit.ts'
import { emptyListMeta } from '../empty-list.ts'
import { CAPABILITIES, LIST_TTL_MS, SERVER_INFO } from '../identity.ts'
import { resultOf, settle } from '../refusals.ts'
import type { ServingOptions } from '../sdk/server.ts'

/** A request that the lane can answer, and all that it needs of it. */
export interface FastRequest {
  readonly era: 'modern' | 'legacy'
  readonly method: string
  readonly id: string | number
  readonly params: Params
}

/** For whom a request is answered. */
export interface FastLaneContext {
  readonly principal: Principal
  readonly decision: Decision
  readonly trace: Trace
  readonly log: Log
  /** Fires when the client is gone. Made on first use. */
  readonly abortSignal: () => AbortSignal
  /** Legacy: the session's record, where there is one. */
  readonly session?: { readonly clientCapabilities: Json | undefined } | undefined
}

export interface FastLane {
  /** Look at a message and its headers; undefined: not for the lane. */
  read (message: Message, headers: Headers): FastRequest | undefined
  /** The answer as JSON text, or a call under way that needs the SDK to go on. */
  answer (quick: FastRequest, who: FastLaneContext): string | PendingCall | Promise<string | PendingCall>
}

/** A call that the lane began and the SDK's server brings to its end. */
export interface PendingCall {
  /** Its result. What was said of it so far, and what is still said, goes to this host. */
  resume (host: Host): Promise<CallOutcome>
}

type Headers = Readonly<Record<string, unknown>>
type Json = Readonly<Record<string, unknown>>
interface Params { readonly name?: unknown, readonly arguments?: unknown, readonly protocolVersion?: unknown, readonly _meta?: unknown }

const MODERN = '2026-07-28'
/** Silence after which a client of the older revisions gets a stream with comments, ms. */
const QUIET_MS = 10_000

/** What each method may hold in its params, beside `_meta`. Anything else is the SDK's to judge. */
const METHODS: Readonly<Record<FastRequest['era'], ReadonlyMap<string, ReadonlySet<string>>>> = {
  modern: new Map(Object.entries({
    'tools/call': new Set(['name', 'arguments']),
    'tools/list': new Set<string>(),
    'prompts/list': new Set<string>(),
    'resources/list': new Set<string>(),
    'resources/templates/list': new Set<string>(),
    'server/discover': new Set<string>()
  })),
  legacy: new Map(Object.entries({
    'tools/call': new Set(['name', 'arguments']),
    'tools/list': new Set<string>(),
    'prompts/list': new Set<string>(),
    'resources/list': new Set<string>(),
    'resources/templates/list': new Set<string>(),
    ping: new Set<string>(),
    initialize: new Set(['protocolVersion', 'capabilities', 'clientInfo'])
  }))
}

export function fastLane (options: ServingOptions): FastLane {
  const { offer } = options
  /** What a modern result has besides its own members. */
  const completeWith = (meta: Json) => `"resultType":"complete","_meta":${JSON.stringify({ ...meta, [SERVER_INFO_META_KEY]: SERVER_INFO })}`
  const complete = completeWith({})
  const kept = `"ttlMs":${LIST_TTL_MS},"cacheScope":"private"`
  const discovered = JSON.stringify({ supportedVersions: [MODERN], capabilities: CAPABILITIES(options.authentication, true) }).slice(1, -1)
  const welcome = [false, true].map(pushes => JSON.stringify({ capabilities: CAPABILITIES(options.authentication, pushes), serverInfo: SERVER_INFO }).slice(1, -1))
  const lists: Readonly<Record<string, (principal: Principal) => string>> = {
    'tools/list': lister('tools', principal => visible(offer.current.tools, 'tool', principal)),
    'prompts/list': lister('prompts', principal => visible(offer.current.prompts, 'prompt', principal)),
    'resources/list': lister('resources', principal => visible(offer.current.resources, 'resource', principal)),
    'resources/templates/list': lister('resourceTemplates', principal => visible(offer.current.templates, 'resource', principal))
  }

  function read ({ jsonrpc, id, method, params }: Message, headers: Headers): FastRequest | undefined {
    if (jsonrpc !== '2.0' || typeof method !== 'string' || !(typeof id === 'string' || Number.isSafeInteger(id))) return undefined
    const given = params ?? NO_PARAMS
    if (!isObject(given)) return undefined
    const era = isModern(given._meta, headers, method) ? 'modern' : isLegacy(given._meta, headers) ? 'legacy' : undefined
    if (era === undefined || !takesBoth(headers.accept)) return undefined
    const mayHold = METHODS[era].get(method)
    if (mayHold === undefined) return undefined
    for (const key in given) if (key !== '_meta' && !mayHold.has(key)) return undefined
    if (method === 'tools/call' && !isCall(given, era, headers)) return undefined
    if (method === 'initialize' && !isGreeting(given)) return undefined
    return { era, method, id: id as string | number, params: given }
  }

  function answer ({ era, method, id, params }: FastRequest, who: FastLaneContext): string | PendingCall | Promise<string | PendingCall> {
    const { principal } = who
    if (method === 'tools/call') return call(era, id, params, who)
    const list = lists[method]
    if (list !== undefined) return respond(id, listed(method, list(principal), era, who))
    if (method === 'server/discover') return respond(id, `${discovered},${kept},${complete}`)
    if (method === 'initialize') return respond(id, `"protocolVersion":${JSON.stringify(params.protocolVersion)},${welcome[who.session === undefined ? 0 : 1]!}`)
    return respond(id, '') // ping
  }

  function listed (method: string, text: string, era: FastRequest['era'], { principal, log }: FastLaneContext): string {
    const meta = method === 'tools/list' && text === NO_TOOLS ? emptyListMeta(principal, log) : undefined
    if (era === 'legacy') return meta === undefined ? text : `${text},"_meta":${JSON.stringify(meta)}`
    return `${text},${kept},${meta === undefined ? complete : completeWith(meta)}`
  }

  function call (era: FastRequest['era'], id: string | number, { _meta }: Params, who: FastLaneContext): string | PendingCall | Promise<string | PendingCall> {
    const { principal, decision, trace, log, abortSignal: gone } = who
    if (decision.outcome === 'refuse') {
      try {
        return respond(id, written(resultOf(decision, trace), era))
      } catch (error) {
        return refused(id, error, trace)
      }
    }
    const said: Array<(host: Host) => void> = []
    let onSaid: () => void = () => {}
    let signal: AbortSignal | undefined
    // A client of the older revisions hears what a tool says on the way; one of the newer asks for it, which is not for the lane.
    const host: Host = {
      principal,
      log,
      signal () {
        signal ??= gone()
        return signal
      },
      changed: options.changed,
      clientCapabilities: era === 'modern' ? (_meta as Json)[CLIENT_CAPABILITIES_META_KEY] as Json : who.session?.clientCapabilities,
      ...(era === 'modern' ? {} : { message: (...words) => { said.push(host => host.message?.(...words)); onSaid() } })
    }
    const outcome = runTool(decision.offered as OfferedTool, decision.input, new CallContext(host))
    if (!isPromise(outcome) && said.length === 0) {
      const result = settle(outcome, trace)
      if (isPlain(result)) return respond(id, written(result, era))
    }

    const work = Promise.resolve(outcome)
    const begun: PendingCall = {
      resume (next) {
        Object.assign(host, next)
        for (const say of said) say(next)
        return work
      }
    }
    return finish()

    async function finish (): Promise<string | PendingCall> {
      if (era === 'legacy') {
        let timer: NodeJS.Timeout | undefined
        const needsMore = said.length > 0 || await Promise.race([
          work.then(() => false, () => true),
          new Promise<boolean>(resolve => {
            onSaid = () => resolve(true)
            timer = setTimeout(resolve, QUIET_MS, true)
          })
        ])
        clearTimeout(timer)
        if (needsMore) return begun
      }
      const done = await work.catch(() => undefined)
      const result = done === undefined ? undefined : settle(done, trace)
      return result !== undefined && isPlain(result) ? respond(id, written(result, era)) : begun
    }
  }

  function written (result: ToolResult, era: FastRequest['era']): string {
    const own = JSON.stringify(result).slice(1, -1)
    return era === 'modern' ? `${own},${complete}` : own
  }

  return { read, answer }
}

const NO_PARAMS: Json = {}
const NO_TOOLS = '"tools":[]'

/** Each list as text, written once for everyone with the same permissions. */
function lister (name: string, of: (principal: Principal) => ReadonlyArray<{ listed: object }>): (principal: Principal) => string {
  const texts = new WeakMap<readonly string[], string>()
  return principal => {
    const known = principal.role === 'caller' ? texts.get(principal.permissions) : undefined
    if (known !== undefined) return known
    const text = `"${name}":${JSON.stringify(of(principal).map(({ listed }) => listed))}`
    if (principal.role === 'caller') texts.set(principal.permissions, text)
    return text
  }
}

function respond (id: string | number, result: string): string {
  return `{"jsonrpc":"2.0","id":${typeof id === 'number' ? id : JSON.stringify(id)},"result":{${result}}}`
}

/** An error of the protocol, as the SDK would answer with it. */
function refused (id: string | number, error: unknown, trace: Trace): string {
  const answer = toAnswer(error)
  trace.refuse(answer.reason, answer.rule)
  return JSON.stringify(rpcError(answer, id, trace.requestId))
}

/** The envelope of 2026-07-28, well formed, with the headers that repeat it, and nothing that asks for more. */
function isModern (meta: unknown, headers: Headers, method: string): boolean {
  if (headers['mcp-protocol-version'] !== MODERN || headers['mcp-method'] !== method || !isObject(meta)) return false
  for (const key in meta) {
    const value = meta[key]
    switch (key) {
      case PROTOCOL_VERSION_META_KEY:
        if (value !== MODERN) return false
        break
      case CLIENT_CAPABILITIES_META_KEY:
        if (!isCapabilities(value)) return false
        break
      case CLIENT_INFO_META_KEY:
        if (!isClientInfo(value)) return false
        break
      default:
        return false
    }
  }
  return meta[PROTOCOL_VERSION_META_KEY] !== undefined && meta[CLIENT_CAPABILITIES_META_KEY] !== undefined
}

/** No sign of the newer revision, and no more in `_meta` than nothing. */
function isLegacy (meta: unknown, headers: Headers): boolean {
  const version = headers['mcp-protocol-version']
  if (version !== undefined && !(SUPPORTED_PROTOCOL_VERSIONS as readonly unknown[]).includes(version)) return false
  return meta === undefined || isEmpty(meta)
}

/** Whether the tool exists is not asked: those who may not use it must not learn it by the way their answer went. */
function isCall ({ name, arguments: args }: Params, era: FastRequest['era'], headers: Headers): boolean {
  return typeof name === 'string' && (args === undefined || isObject(args)) && (era === 'legacy' || headers['mcp-name'] === name)
}

function isGreeting ({ protocolVersion, capabilities, clientInfo }: Json): boolean {
  return (SUPPORTED_PROTOCOL_VERSIONS as readonly unknown[]).includes(protocolVersion) && isCapabilities(capabilities) && isClientInfo(clientInfo)
}

/** What clients declare, in the forms that are common. */
function isCapabilities (value: unknown): boolean {
  if (!isObject(value)) return false
  for (const key in value) {
    const inner = value[key]
    const may = CAPABILITY_MEMBERS[key]
    if (may === undefined || !isObject(inner)) return false
    for (const member in inner) if (!may(member, inner[member])) return false
  }
  return true
}

const isEmpty = (value: unknown) => isObject(value) && Object.keys(value).length === 0
const CAPABILITY_MEMBERS: Readonly<Record<string, (member: string, value: unknown) => boolean>> = {
  roots: (member, value) => member === 'listChanged' && typeof value === 'boolean',
  sampling: (member, value) => (member === 'context' || member === 'tools') && isEmpty(value),
  elicitation: (member, value) => (member === 'form' || member === 'url') && isEmpty(value)
}

function isClientInfo (value: unknown): boolean {
  if (!isObject(value) || typeof value.name !== 'string' || typeof value.version !== 'string') return false
  for (const key in value) if (key !== 'name' && key !== 'version' && !(key === 'title' && typeof value.title === 'string')) return false
  return true
}

function takesBoth (accept: unknown): boolean {
  return typeof accept === 'string' && accept.includes('application/json') && accept.includes('text/event-stream')
}

/** A result of text, or one that its tool's output schema was held to: it cannot break the protocol's. */
function isPlain (result: ToolResult | InputNeeded): result is ToolResult {
  if (result instanceof InputNeeded) return false
  for (const key in result) if (key !== 'content' && key !== 'structuredContent' && key !== 'isError') return false
  const { content, structuredContent, isError } = result
  return (structuredContent === undefined || isObject(structuredContent)) && (isError === undefined || typeof isError === 'boolean') &&
    content.every(part => {
      for (const key in part) if (key !== 'type' && key !== 'text') return false
      return part.type === 'text' && typeof (part as { text?: unknown }).text === 'string'
    })
}

function isObject (value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isPromise<T> (value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown }).then === 'function'
}
