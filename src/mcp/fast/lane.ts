/**
 * The common requests without the SDK's machinery: a call of a tool, the
 * lists, what the server can do. Each is answered as text from what was worked
 * out at start. A call that says something on the way, or asks, or has more
 * than text to give, is handed to the SDK while it runs:
 * test/mcp/lanes.test.ts holds the two to the same answers.
 *
 * Nothing is decided here: the decision comes with the request (admit.ts).
 */
import { rpcError, toAnswer } from '../../core/answer.ts'
import type { Departing, Departure } from '../../core/departure.ts'
import type { Principal } from '../../core/principal.ts'
import type { Decision } from '../../decision/decide.ts'
import type { Trace } from '../../decision/trace.ts'
import { AppError } from '../../errors.ts'
import type { Log } from '../../telemetry/log.ts'
import { runTool, type CallOutcome } from '../../tools/call.ts'
import type { OfferedTool } from '../../tools/catalogue.ts'
import { CallContext, type Host, type Onward } from '../../tools/context.ts'
import type { ToolResult } from '../../tools/result.ts'
import { InputNeeded, type Content } from '../../tools/tool.ts'
import { CAPABILITIES, LIST_TTL_MS } from '../capabilities.ts'
import { isObject, type Json } from '../members.ts'
import type { McpRequest } from '../message.ts'
import type { Era } from '../methods.ts'
import type { PendingCall } from '../pending-call.ts'
import { noteBegin } from '../note-begin.ts'
import { resultOf, settle } from '../refusals.ts'
import {
  CLIENT_CAPABILITIES_META_KEY, LEGACY_LOG_LEVEL, MODERN_VERSION, SERVER_INFO_META_KEY, SUPPORTED_PROTOCOL_VERSIONS
} from '../sdk/protocol.ts'
import type { ServingOptions } from '../serving.ts'
import { toolsListMeta } from '../tools-list-meta.ts'
import { ListTexts } from './list-texts.ts'

/** For whom a request is answered. */
export interface FastLaneContext {
  readonly principal: Principal
  readonly decision: Decision
  readonly trace: Trace
  readonly headers: Readonly<Record<string, string>>
  readonly onward?: (() => Onward) | undefined
  readonly log: Log
  /** Of the client. Made on first use. */
  readonly departure: () => Departure
  /** Legacy: what the session's record says, where there is one. */
  readonly session?: { readonly clientCapabilities: Json | undefined } | undefined
}

/** An answer as JSON text, or a call under way that needs the SDK to go on. */
export type FastAnswer = string | PendingCall

const NO_TOOLS = '"tools":[]'
const KEPT = `"ttlMs":${LIST_TTL_MS},"cacheScope":"private"`

export class FastLane {
  readonly #options: ServingOptions
  readonly #lists: ListTexts
  readonly #discovered: string
  /** What a modern result has besides its own members. */
  readonly #complete: string
  /** What `initialize` is told, without a session and with one. */
  readonly #welcome: readonly [string, string]

  constructor (options: ServingOptions) {
    const { offer, authentication, identity: { info, instructions } } = options
    this.#options = options
    this.#lists = new ListTexts(offer)
    this.#complete = this.#completeWith({})
    const said = instructions === undefined ? {} : { instructions }
    this.#discovered = membersOf(
      { supportedVersions: [MODERN_VERSION], capabilities: CAPABILITIES(authentication, true), ...said }
    )
    const welcome = (pushes: boolean) => membersOf(
      { capabilities: CAPABILITIES(authentication, pushes), serverInfo: info, ...said }
    )
    this.#welcome = [welcome(false), welcome(true)]
  }

  /** Answer a request that is for the lane. A tool that answers at once is answered for at once, without a promise. */
  answer (request: McpRequest, who: FastLaneContext): FastAnswer | Promise<FastAnswer> {
    const { era, method, id, params } = request
    if (method === 'tools/call') return this.#call(request, who)
    const list = this.#lists.textOf(method, who.principal)
    if (list !== undefined) return respond(id, this.#listed(method, list, era, who))
    if (method === 'server/discover') return respond(id, `${this.#discovered},${KEPT},${this.#complete}`)
    if (method === 'initialize') {
      return respond(
        id,
        `"protocolVersion":${JSON.stringify(servedVersion(params.protocolVersion))},${this.#welcome[who.session === undefined ? 0 : 1]}`
      )
    }
    return respond(id, '') // ping
  }

  #call (request: McpRequest, who: FastLaneContext): FastAnswer | Promise<FastAnswer> {
    const { era, id, params } = request
    const { decision, trace } = who
    if (decision.outcome === 'refuse') return this.#refused(id, era, () => resultOf(decision, trace), who)
    try {
      noteBegin(this.#options, decision, trace)
    } catch (error) {
      return this.#refused(id, era, () => { throw error }, who)
    }
    const host = new LaneHost(this.#options, era, params, who)
    const { toolHook } = this.#options
    const outcome = runTool(decision.offered as OfferedTool, decision.input, new CallContext(host), toolHook)
    if (!isPromise(outcome) && !host.hasSpoken) {
      const result = settle(outcome, trace)
      if (isPlain(result)) return respond(id, this.#written(result, era))
    }
    return this.#finish(request, host, Promise.resolve(outcome), who)
  }

  async #finish (
    { id, era }: McpRequest, host: LaneHost, work: Promise<CallOutcome>, who: FastLaneContext
  ): Promise<FastAnswer> {
    const pending: PendingCall = {
      resume (next) {
        host.handTo(next)
        return work
      }
    }
    try {
      const done = await Promise.race([work, host.spoken()])
      if (done === undefined || host.hasSpoken) return pending
      const result = settle(done, who.trace)
      return isPlain(result) ? respond(id, this.#written(result, era)) : pending
    } catch (error) {
      // The SDK gives this error its status.
      if (host.hasSpoken || (error instanceof AppError && error.code === 'CAPABILITY_MISSING')) return pending
      if (!host.isAborted) who.log.error({ err: error }, 'handler failed')
      return this.#refused(id, era, () => { throw error }, who)
    }
  }

  /** What is answered where nothing ran, as the SDK's server would have told it. */
  #refused (id: string | number, era: Era, result: () => ToolResult, { trace }: FastLaneContext): string {
    try {
      return respond(id, this.#written(result(), era))
    } catch (error) {
      const answer = toAnswer(error)
      trace.refuse(answer.reason, answer.rule)
      return JSON.stringify(rpcError(answer, id, trace.requestId))
    }
  }

  #listed (method: string, text: string, era: Era, { principal, log }: FastLaneContext): string {
    const { via } = this.#options.offer.current
    const meta = method === 'tools/list'
      ? toolsListMeta({ isEmpty: text === NO_TOOLS, via }, principal, log)
      : undefined
    if (era === 'legacy') return meta === undefined ? text : `${text},"_meta":${JSON.stringify(meta)}`
    return `${text},${KEPT},${meta === undefined ? this.#complete : this.#completeWith(meta)}`
  }

  #completeWith (meta: Json): string {
    return `"resultType":"complete","_meta":${JSON.stringify({ ...meta, [SERVER_INFO_META_KEY]: this.#options.identity.info })}`
  }

  #written (result: ToolResult, era: Era): string {
    const own = membersOf(result)
    return era === 'modern' ? `${own},${this.#complete}` : own
  }
}

/** What a call on the lane is lent. What it says is kept until somebody can carry it. */
class LaneHost implements Host {
  readonly principal: Principal
  readonly requestId: string
  readonly headers: Readonly<Record<string, string>>
  readonly onward: Host['onward']
  readonly log: Log
  readonly changed: Host['changed']
  readonly clientCapabilities: Readonly<Record<string, unknown>>
  readonly progress: Host['progress']
  readonly message: Host['message']
  readonly logLevel: Host['logLevel']
  readonly #depart: () => Departure
  readonly #said: Array<(host: Host) => void> = []
  #departure: Departure | undefined
  #signal: AbortSignal | undefined
  #next: Host | undefined
  #onSpoken: () => void = () => {}

  constructor (
    { changed }: ServingOptions, era: Era, { _meta }: Json, who: FastLaneContext
  ) {
    const { principal, trace, headers, onward, log, departure, session } = who
    const meta = isObject(_meta) ? _meta : {}
    this.principal = principal
    this.requestId = trace.requestId
    this.headers = headers
    this.onward = onward
    this.log = log
    this.changed = changed
    this.#depart = departure
    this.clientCapabilities = (
      (era === 'modern' ? meta[CLIENT_CAPABILITIES_META_KEY] : session?.clientCapabilities) ?? {}
    ) as Json
    // Both go nowhere unless the client asked: by a token, or by speaking an older revision.
    this.progress = meta.progressToken === undefined
      ? undefined
      : (...words) => {
          this.#say(host => host.progress?.(...words))
        }
    this.logLevel = era === 'modern' ? undefined : LEGACY_LOG_LEVEL
    this.message = era === 'modern' ? undefined : (...words) => { this.#say(host => host.message?.(...words)) }
  }

  get hasSpoken (): boolean {
    return this.#said.length > 0
  }

  /** Whether its client is gone, as far as the call has looked. */
  get isAborted (): boolean {
    return (this.#signal ?? this.#departure)?.aborted === true
  }

  signal (): AbortSignal {
    this.#signal ??= this.#next?.signal() ?? this.#depart().signal
    return this.#signal
  }

  departure (): Departing {
    if (this.#next !== undefined) return this.signal()
    this.#departure ??= this.#depart()
    return this.#departure
  }

  /** Resolves when there is something to carry. */
  spoken (): Promise<void> {
    return this.hasSpoken ? Promise.resolve() : new Promise(resolve => { this.#onSpoken = resolve })
  }

  /** From now on this host carries what is said, beginning with what was. */
  handTo (host: Host): void {
    this.#next = host
    for (const say of this.#said) say(host)
  }

  #say (say: (host: Host) => void): void {
    if (this.#next !== undefined) return say(this.#next)
    this.#said.push(say)
    this.#onSpoken()
  }
}

function respond (id: string | number, result: string): string {
  return `{"jsonrpc":"2.0","id":${typeof id === 'number' ? id : JSON.stringify(id)},"result":{${result}}}`
}

/**
 * The revision that `initialize` is answered with: the one that was asked for, else the latest that has a handshake.
 */
function servedVersion (wanted: unknown): unknown {
  return (SUPPORTED_PROTOCOL_VERSIONS as readonly unknown[]).includes(wanted) ? wanted : SUPPORTED_PROTOCOL_VERSIONS[0]
}

/** An object as JSON text without its braces, so that others can stand beside its members. */
function membersOf (value: object): string {
  return JSON.stringify(value).slice(1, -1)
}

/** A result of text, or one that its tool's output schema was held to: it cannot break the protocol's. */
function isPlain (result: ToolResult | InputNeeded): result is ToolResult {
  if (result instanceof InputNeeded) return false
  for (const key in result) if (key !== 'content' && key !== 'structuredContent' && key !== 'isError') return false
  const { content, structuredContent, isError } = result
  if (structuredContent !== undefined && !isObject(structuredContent)) return false
  return (isError === undefined || typeof isError === 'boolean') && content.every(isPlainPart)
}

/** Members that a part of each type may have, each of them a text. */
const PARTS: ReadonlyMap<unknown, ReadonlySet<string>> = new Map([
  ['text', ['text']],
  ['image', ['data', 'mimeType']],
  ['audio', ['data', 'mimeType']],
  ['resource_link', ['uri', 'name', 'title', 'description', 'mimeType']]
].map(([type, members]) => [type, new Set(['type', ...members as string[]])]))
/** Those that it must have; a text in any other form is the SDK's to judge. */
const NEEDED: ReadonlyMap<unknown, number> = new Map([['text', 2], ['image', 3], ['audio', 3], ['resource_link', 3]])

function isPlainPart (part: Content): boolean {
  const members = PARTS.get(part.type)
  if (members === undefined) return false
  let found = 0
  for (const key in part) {
    if (!members.has(key) || typeof (part as unknown as Json)[key] !== 'string') return false
    found++
  }
  return found >= NEEDED.get(part.type)!
}

function isPromise<T> (value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown }).then === 'function'
}
