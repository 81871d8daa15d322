/**
 * What an author writes. A tool, a resource or a prompt is one value in one
 * file; who may use it, how often, and whether its input is well formed is
 * decided around it.
 */
import type { Static, TSchema } from 'typebox'
import type { AuthType } from '../core/principal.ts'
import type { Log } from '../telemetry/log.ts'
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
}

export type Level = 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical' | 'alert' | 'emergency'

/** What changed, for clients that subscribed. */
export type Change = 'tools' | 'prompts' | 'resources' | { readonly resource: string }

/** What every handler is given beside its input. */
export interface Context {
  readonly caller: CallerInfo
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
  /** What `ask` was given as state, unaltered, or undefined in the first round. */
  readonly state: unknown
}

export type Content =
  | { readonly type: 'text', readonly text: string, readonly annotations?: object }
  | {
    readonly type: 'image' | 'audio', readonly data: string, readonly mimeType: string, readonly annotations?: object
  }
  | { readonly type: 'resource', readonly resource: ResourceContents, readonly annotations?: object }
  | {
    readonly type: 'resource_link', readonly uri: string, readonly name: string, readonly description?: string, readonly mimeType?: string
  }

export type ResourceContents =
  | { readonly uri: string, readonly mimeType?: string, readonly text: string }
  | { readonly uri: string, readonly mimeType?: string, readonly blob: string }

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

  constructor (questions: Readonly<Record<string, Question>>, state?: unknown) {
    this.questions = questions
    this.state = state
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

/** Ask the user to fill a form. The schema is flat: strings, numbers, booleans, enums. */
export function elicit (message: string, requestedSchema: TSchema | Record<string, unknown>): Question {
  return { method: 'elicitation/create', params: { mode: 'form', message, requestedSchema } }
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
export type Outcome = string | number | bigint | boolean | null | undefined | void | {
  readonly content: readonly Content[], readonly isError?: boolean
} | object | InputNeeded

export interface Annotations {
  title?: string
  readOnlyHint?: boolean
  destructiveHint?: boolean
  idempotentHint?: boolean
  openWorldHint?: boolean
}

export interface Tool<Input extends TSchema = TSchema> {
  /** snake_case, 1 to 64 characters of `A-Z a-z 0-9 _ - .` */
  name: string
  title?: string
  /** Read by the model: what it does, and what it is not for. */
  description: string
  annotations?: Annotations
  input: Input
  /** Schema of a structured result. */
  output?: TSchema
  /** Units a call takes from the caller's limit. Default 1. */
  cost?: number
  /** A window of its own for each caller, inside the caller's limit. */
  rate?: { limit: number, windowMs: number }
  /** ms; a call that takes longer is ended. Default 60,000. */
  timeoutMs?: number
  /** Inspection patterns that do not apply to its arguments, by name, each with the reason. */
  exempt?: Readonly<Record<string, string>>
  run (input: Static<Input>, context: Context): Outcome | Promise<Outcome>
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
) => readonly string[] | Promise<readonly string[] | Relayed<Completed>>

export interface Resource {
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
  string | Uint8Array | readonly ResourceContents[] | InputNeeded | Promise<string | Uint8Array | readonly ResourceContents[] | InputNeeded | Relayed<object>>
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

export interface Prompt {
  name: string
  title?: string
  description?: string
  arguments?: readonly PromptArgument[]
  /** Inspection patterns that do not apply to its arguments, by name, each with the reason. */
  exempt?: Readonly<Record<string, string>>
  get (values: Readonly<Record<string, string>>, context: Context): string | readonly PromptMessage[] | InputNeeded | Promise<string | readonly PromptMessage[] | InputNeeded | Relayed<object>>
}

function isMarked (value: unknown, mark: symbol): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, mark)
}

/** What a module may export. */
export type Definition =
  | { readonly kind: 'tool', readonly tool: Tool }
  | { readonly kind: 'resource', readonly resource: Resource }
  | { readonly kind: 'prompt', readonly prompt: Prompt }

/** Declare a tool; the input's type reaches `run`. */
export function defineTool<Input extends TSchema> (tool: Tool<Input>): Definition {
  return { kind: 'tool', tool: tool as unknown as Tool }
}

/** Declare a resource or a template of resources. */
export function defineResource (resource: Resource): Definition {
  return { kind: 'resource', resource }
}

/** Declare a prompt. */
export function definePrompt (prompt: Prompt): Definition {
  return { kind: 'prompt', prompt }
}
