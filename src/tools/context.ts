import type { Departing } from '../core/departure.ts'
import type { Principal } from '../core/principal.ts'
import type { Log } from '../telemetry/log.ts'
import { redact } from '../telemetry/redact.ts'
import type { Reader } from '../core/standard-schema.ts'
import { readerOf } from './author-schema.ts'
import {
  ToolError,
  type CallerInfo,
  type Change,
  type Context,
  type Level,
  type OutputOf,
  type Schema
} from './tool.ts'

/** What a way of serving (HTTP, stdio) lends to one call. */
export interface Host {
  principal: Principal
  requestId: string
  /** Of the request, as far as TOOL_HEADERS lists them. */
  headers: Readonly<Record<string, string>>
  log: Log
  /** Made on first use: most tools never look at it. */
  signal: () => AbortSignal
  /** The same for less, where there is such. */
  departure?: (() => Departing) | undefined
  progress?: ((done: number, total?: number, message?: string) => void) | undefined
  message?: ((level: Level, data: unknown, logger?: string) => void) | undefined
  /** The least level of messages that the client wants; undefined: none. */
  logLevel?: Level | undefined
  changed?: ((what: Change) => void) | undefined
  clientCapabilities?: Readonly<Record<string, unknown>> | undefined
  answers?: Readonly<Record<string, unknown>>
  state?: unknown
  onward?: (() => Onward) | undefined
}

/** What of a request may go on to an upstream where its entry says so. No handler sees it. */
export interface Onward {
  /** @param name in lower case */
  header (name: string): string | undefined
  /** The access token that was presented, for token exchange (RFC 8693); undefined for any other credential. */
  subjectToken (): string | undefined
}

const NOTHING = Object.freeze({})

/** The context that handlers see, over what a host lends. */
export class CallContext implements Context {
  readonly #host: Host

  constructor (host: Host) {
    this.#host = host
  }

  /** What is lent beyond what handlers see: for calls that go on to an upstream. */
  static hostOf (context: Context): Host {
    if (!(context instanceof CallContext)) throw new TypeError('not a context of this server')
    return context.#host
  }

  get caller (): CallerInfo {
    const { id, name, authType, claims = NOTHING } = this.#host.principal
    return { id, name, authType, claims }
  }

  get requestId (): string {
    return this.#host.requestId
  }

  get headers () {
    return this.#host.headers
  }

  get signal (): AbortSignal {
    return this.#host.signal()
  }

  get log (): Log {
    return this.#host.log
  }

  get clientCapabilities () {
    return this.#host.clientCapabilities ?? NOTHING
  }

  get answers () {
    return this.#host.answers ?? NOTHING
  }

  get state (): unknown {
    return this.#host.state
  }

  get answer () {
    return <S extends Schema>(name: string, schema: S) => readForm(this.answers, name, schema)
  }

  // Functions of their own, because handlers take them apart: `({ progress }) => …`.
  readonly progress = (done: number, total?: number, message?: string): void => {
    this.#host.progress?.(done, total, message)
  }

  readonly message = (level: Level, data: unknown, logger?: string): void => {
    this.#host.message?.(level, data, logger)
  }

  readonly changed = (what: Change): void => {
    this.#host.changed?.(what)
  }
}

/** Readers of forms, by their schemas: a handler asks the same few again and again. */
const readers = new WeakMap<object, Reader>()

/** @throws {ToolError} for content that the schema refuses */
function readForm<S extends Schema> (answers: Context['answers'], name: string, schema: S): OutputOf<S> | undefined {
  const given: { action?: unknown; content?: unknown } =
    (Object.hasOwn(answers, name) ? answers[name] : undefined) ?? {}
  const { action, content } = given
  if (action !== 'accept') return undefined
  let reader = readers.get(schema)
  if (reader === undefined) readers.set(schema, reader = readerOf(schema))
  const read = reader.read(content)
  if (read instanceof Promise) throw new Error(`answer("${name}"): its schema must validate synchronously`)
  if ('problems' in read) {
    throw new ToolError(redact(`The answer "${name}" does not fit: ${read.problems.join('; ')}`, 1000))
  }
  return read.value as OutputOf<S>
}
