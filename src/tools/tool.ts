/**
 * What an author writes. A tool, a resource or a prompt is one value in one
 * file; who may use it, how often, and whether its input is well formed is
 * decided around it.
 */
import type { Static, TSchema } from 'typebox'
import type { AuthType, Claims } from '../core/principal.ts'
import type { StandardSchema } from '../core/standard-schema.ts'
import type { Log } from '../telemetry/log.ts'
import { formOf } from './form.ts'
import type { Relayed } from './relayed.ts'

// A folder of tools may bring a copy of this package: what comes of it is known by its mark, whichever copy made it.
const TOOL_ERROR = Symbol.for('secure-mcp-server.ToolError')
const INPUT_NEEDED = Symbol.for('secure-mcp-server.InputNeeded')

/** Thrown by a tool for what the model should read and can mend. Anything else becomes "Internal error". */
export class ToolError extends Error {
  override readonly name = 'ToolError'
  readonly [TOOL_ERROR] = true

  static override [Symbol.hasInstance] (value: unknown): boolean {
    return isMarked(value, TOOL_ERROR)
  }
}

/** Why a call of a tool that belongs to an MCP server behind this one failed. */
export type UpstreamReason = 'UPSTREAM_UNREACHABLE' | 'UPSTREAM_TIMEOUT' | 'UPSTREAM_BUSY' | 'UPSTREAM_BROKEN'

/** Thrown by what stands for a tool of an upstream; the model reads its message. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  readonly reason: UpstreamReason

  constructor (reason: UpstreamReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/** Who is calling, without the credential, which no tool ever sees. */
export interface CallerInfo {
  readonly id: string
  readonly name: string
  readonly authType: AuthType
  /** Of a token what OAUTH2_CLAIMS lists, of a key its owner, else what the authenticator told. */
  readonly claims: Claims
}

export type Level = 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical' | 'alert' | 'emergency'

/** What changed, for clients that subscribed. */
export type Change = 'tools' | 'prompts' | 'resources' | { readonly resource: string }

/** What every handler is given beside its input. */
export interface Context {
  readonly caller: CallerInfo
  /** As in the answer's X-Request-Id, the log and the records. */
  readonly requestId: string
  /** Those that TOOL_HEADERS lists, by name in lower case. From the client: never decide security by them. */
  readonly headers: Readonly<Record<string, string>>
  /** Fires when the client cancels or goes away: stop working. */
  readonly signal: AbortSignal
  /** The server's log. */
  readonly log: Log
  /** Tell the client how far the work is; nothing happens unless it asked. */
  progress (done: number, total?: number, message?: string): void
  /** Send the client a log message; nothing happens unless it asked. */
  message (level: Level, data: unknown, logger?: string): void
  /** Tell subscribers, on every replica, that something changed. */
  changed (what: Change): void
  /** What the client declared it can do. Unverified: never decide security by it. */
  readonly clientCapabilities: Readonly<Record<string, unknown>>
  /** Answers to what `ask` asked for, by name. From the client: check them. */
  readonly answers: Readonly<Record<string, unknown>>
  /**
   * What the user filled into the form that `elicit` asked for by this name, as the schema reads it.
   * Undefined where there is no answer, and where the user declined or cancelled.
   *
   * @throws {ToolError} for an answer that the schema refuses
   */
  answer<S extends Schema>(name: string, schema: S): OutputOf<S> | undefined
  /** What `ask` was given as state, unaltered, or undefined in the first round. */
  readonly state: unknown
}

export type Content =
  | { readonly type: 'text'; readonly text: string; readonly annotations?: object }
  | {
    readonly type: 'image' | 'audio'
    readonly data: string
    readonly mimeType: string
    readonly annotations?: object
  }
  | { readonly type: 'resource'; readonly resource: ResourceContents; readonly annotations?: object }
  | {
    readonly type: 'resource_link'
    readonly uri: string
    readonly name: string
    readonly description?: string
    readonly mimeType?: string
  }

export type ResourceContents =
  | { readonly uri: string, readonly mimeType?: string, readonly text: string }
  | { readonly uri: string, readonly mimeType?: string, readonly blob: string }

/** One call of a tool, as a hook around it sees it. */
export interface HookedCall {
  readonly tool: string
  /** As the tool gets them. */
  readonly arguments: unknown
  readonly caller: CallerInfo
  readonly requestId: string
  readonly headers: Readonly<Record<string, string>>
  /** Fires when the client cancels or goes away. */
  readonly signal: AbortSignal
  readonly log: Log
}

/**
 * Runs around every call that was let through, for tracing and tenancy:
 * `(call, next) => tenants.run(call.caller.claims.org, next)`. It has to call
 * `next`, whose outcome is the call's, or to throw: a ToolError ends the call in its words.
 */
export type ToolHook = (call: HookedCall, next: () => Promise<Outcome>) => unknown

/** A question for the client or its user: see `elicit`, `sample`, `listRoots`. */
export interface Question {
  readonly method: 'elicitation/create' | 'sampling/createMessage' | 'roots/list'
  readonly params?: Readonly<Record<string, unknown>>
}

/** Returned by a handler that needs answers first; it runs again with them. */
export class InputNeeded {
  readonly [INPUT_NEEDED] = true
  readonly questions: Readonly<Record<string, Question>>
  readonly state: unknown
  /** Told where nobody will bring answers: what waits for them ends. */
  readonly abandon: (() => void) | undefined

  constructor (questions: Readonly<Record<string, Question>>, state?: unknown, abandon?: () => void) {
    this.questions = questions
    this.state = state
    this.abandon = abandon
  }

  static [Symbol.hasInstance] (value: unknown): boolean {
    return isMarked(value, INPUT_NEEDED)
  }
}

/**
 * Ask the client before going on: `return ask({ sure: elicit('Really?', schema) })`.
 * The handler is run again with `answers.sure`. `state` travels with the
 * question, sealed, and comes back as `context.state`.
 */
export function ask (questions: Readonly<Record<string, Question>>, state?: unknown): InputNeeded {
  return new InputNeeded(questions, state)
}

/**
 * Ask the user to fill a form. The schema is flat: strings, numbers, booleans, enums.
 * `context.answer` reads what was filled in.
 *
 * @throws {Error} for a schema that its library cannot write as JSON Schema
 */
export function elicit (message: string, schema: Schema | Record<string, unknown>): Question {
  return { method: 'elicitation/create', params: { mode: 'form', message, requestedSchema: formOf(schema) } }
}

/** Ask the client's model. */
export function sample (params: Record<string, unknown>): Question {
  return { method: 'sampling/createMessage', params }
}

/** Ask for the client's roots. */
export function listRoots (): Question {
  return { method: 'roots/list' }
}

/**
 * Text, content, an object (structured, held to `output` where that is given),
 * or any other value: nothing is no content, a scalar or a list is its JSON text.
 */
export type Outcome =
  | string | number | bigint | boolean | null | undefined | void | object | InputNeeded
  | { readonly content: readonly Content[], readonly isError?: boolean }

export interface Annotations {
  title?: string
  readOnlyHint?: boolean
  destructiveHint?: boolean
  idempotentHint?: boolean
  openWorldHint?: boolean
}

/** TypeBox or JSON Schema; or a schema of another library, by the interface of standardschema.dev. */
export type Schema = TSchema | StandardSchema

/** What a schema gives: defaults filled in, transforms done. */
export type OutputOf<S> = S extends { readonly '~standard': { readonly types?: infer T } }
  ? NonNullable<T> extends { readonly output: infer Output } ? Output : never
  : S extends TSchema ? Static<S> : never

/** What a schema takes. */
export type InputOf<S> = S extends { readonly '~standard': { readonly types?: infer T } }
  ? NonNullable<T> extends { readonly input: infer Input } ? Input : never
  : S extends TSchema ? Static<S> : never

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T

/** What `run` returns: where there is an output schema, what that takes. */
export type RunResult<O> = [O] extends [undefined] ? Outcome : Frozen<InputOf<O>> | ResultOf<O> | InputNeeded

/** A result in the form of the protocol, beside the structured one. */
type ResultOf<O> =
  | { readonly content: readonly Content[], readonly structuredContent: Frozen<InputOf<O>>, readonly isError?: false }
  | { readonly content: readonly Content[], readonly isError: true }

/** What hosts read of a tool, a resource or a prompt beside its own members. */
export interface ListedExtras {
  /** `_meta` of the entry in the list, for extensions of the protocol such as MCP Apps. */
  meta?: Readonly<Record<string, unknown>>
  icons?: ReadonlyArray<{ readonly src: string, readonly mimeType?: string, readonly sizes?: readonly string[] }>
}

export interface Tool<
  Input extends Schema = Schema,
  Output = Schema | undefined,
  Result = Outcome
> extends ListedExtras {
  /** snake_case, 1 to 64 characters of `A-Z a-z 0-9 _ - .` */
  name: string
  title?: string
  /** Read by the model: what it does, and what it is not for. */
  description: string
  annotations?: Annotations
  input: Input
  /** Schema of a structured result. What is sent is what it makes of the value that `run` returns. */
  output?: Output
  /** Units a call takes from the caller's limit. Default 1. */
  cost?: number
  /** A window of its own for each caller, inside the caller's limit. */
  rate?: { limit: number; windowMs: number }
  /** ms; a call that takes longer is ended. Default 60,000. */
  timeoutMs?: number
  /** Inspection patterns that do not apply to its arguments, by name, each with the reason. */
  exempt?: Readonly<Record<string, string>>
  run (input: OutputOf<Input>, context: Context): Result | Promise<Result>
}

/** Values, and how many there are, as an upstream says it. */
export interface Completed {
  readonly values: readonly string[]
  readonly total?: number
  readonly hasMore?: boolean
}

/**
 * Values for a variable or an argument that begin with what was typed; `others`
 * holds those that are filled in already. Values that lead to a resource which
 * the caller may not use are left out of the answer.
 */
export type Complete = (
  typed: string, others: Readonly<Record<string, string>>, context: Context
) => MaybePromise<readonly string[] | Relayed<Completed>>

type MaybePromise<T> = T | Promise<T>

export interface Resource extends ListedExtras {
  /** A fixed URI, or an RFC 6570 template of simple `{variables}`. */
  uri: string
  name: string
  title?: string
  description?: string
  mimeType?: string
  /** Inspection patterns that do not apply to its variables, by name, each with the reason. */
  exempt?: Readonly<Record<string, string>>
  /** Values for a template's variable that begin with what was typed. */
  complete?: Readonly<Record<string, Complete>>
  read (at: { uri: string, variables: Readonly<Record<string, string>> }, context: Context):
  MaybePromise<string | Uint8Array | readonly ResourceContents[] | InputNeeded | Relayed<object>>
}

export interface PromptArgument {
  name: string
  title?: string
  description?: string
  required?: boolean
  complete?: Complete
}

export interface PromptMessage {
  readonly role: 'user' | 'assistant'
  readonly content: Content
}

export interface Prompt<Input extends Schema | undefined = Schema | undefined> extends ListedExtras {
  name: string
  title?: string
  description?: string
  /** Its arguments as a schema of an object of texts, which checks them: instead of `arguments`. */
  input?: Input
  arguments?: readonly PromptArgument[]
  /** With `input`: values for an argument that begin with what was typed, by its name. */
  complete?: Readonly<Record<string, Complete>>
  /** Inspection patterns that do not apply to its arguments, by name, each with the reason. */
  exempt?: Readonly<Record<string, string>>
  get (values: PromptValues<Input>, context: Context): MaybePromise<PromptResult>
}

type PromptResult = string | readonly PromptMessage[] | InputNeeded | Relayed<object>

export type PromptValues<Input> = [Input] extends [undefined] ? Readonly<Record<string, string>> : OutputOf<Input>

function isMarked (value: unknown, mark: symbol): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, mark)
}

/** What a module may export. */
export type Definition =
  | { readonly kind: 'tool', readonly tool: Tool }
  | { readonly kind: 'resource', readonly resource: Resource }
  | { readonly kind: 'prompt', readonly prompt: Prompt }

/** Declare a tool; the input's type reaches `run`, and what `run` returns is held to the output's. */
export function defineTool<
  const Input extends Schema,
  const Output extends Schema | undefined = undefined,
  const Result extends RunResult<Output> = RunResult<Output>
> (tool: Tool<Input, Output, Result>): Definition {
  return { kind: 'tool', tool: tool as unknown as Tool }
}

/** Declare a resource or a template of resources. */
export function defineResource (resource: Resource): Definition {
  return { kind: 'resource', resource }
}

/** Declare a prompt; the type of its `input` reaches `get`. */
export function definePrompt<const Input extends Schema | undefined = undefined> (prompt: Prompt<Input>): Definition {
  return { kind: 'prompt', prompt: prompt as unknown as Prompt }
}
