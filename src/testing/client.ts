/** The client that a test holds: what it asks, and all that it was told on the way to the answer. */
import {
  CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, LOG_LEVEL_META_KEY, MODERN_VERSION, PROTOCOL_VERSION_META_KEY
} from '../mcp/sdk/protocol.ts'
import { answerTo, type Answers, type ClientQuestion } from './answers.ts'
import type { Connection, RequestListener, LogMessage, JsonMembers, Progress } from './connection.ts'

export interface TestClientOptions {
  readonly connection: Connection
  readonly revision: string
  readonly capabilities: JsonMembers
  readonly answers: Answers
  /** Lines of the server's log so far. */
  readonly lines: readonly LogLine[]
  readonly close: () => Promise<void>
}

/** A line of the server's log. */
export type LogLine = Readonly<Record<string, unknown>>

export interface RequestOptions {
  /** Cancels the request. */
  readonly signal?: AbortSignal
  /** Instead of those that `testTools` was given. */
  readonly answers?: Answers
  readonly onProgress?: (progress: Progress) => void
  readonly onMessage?: (message: LogMessage) => void
}

/** What was said on the way to an answer. */
export interface Conversation {
  readonly progress: readonly Progress[]
  /** What the handler told the client by `message`. */
  readonly messages: readonly LogMessage[]
  /** What the handler asked. */
  readonly questions: readonly ClientQuestion[]
  /** The server's log meanwhile, where the cause of an "Internal error" stands. */
  readonly log: readonly LogLine[]
}

export interface CallResult extends Conversation {
  /** Texts of the content, a line each. */
  readonly text: string
  readonly content: readonly any[]
  readonly structuredContent: any
  readonly isError: boolean
}

const CLIENT = { name: 'testTools', version: '1.0.0' }

export class TestClient {
  readonly #options: TestClientOptions

  /** @internal */
  constructor (options: TestClientOptions) {
    this.#options = options
  }

  /** @internal The handshake of the revisions that have one. */
  async open (): Promise<this> {
    const { connection, revision, capabilities } = this.#options
    if (revision === MODERN_VERSION) return this
    await connection.request('initialize', { protocolVersion: revision, capabilities, clientInfo: CLIENT })
    connection.notify('notifications/initialized')
    return this
  }

  /**
   * Call a tool. What the tool itself refuses comes as a result with `isError`.
   *
   * @throws {RpcError} for errors of the protocol, such as an unknown tool or a limit
   */
  async call (name: string, args: object = {}, options: RequestOptions = {}): Promise<CallResult> {
    const { result, ...conversation } = await this.#converse('tools/call', { name, arguments: args }, options)
    const { content = [], structuredContent, isError = false } = result as Partial<CallResult>
    return { text: textOf(content), content, structuredContent, isError, ...conversation }
  }

  async tools (): Promise<readonly any[]> { return await this.#list('tools/list', 'tools') }
  async resources (): Promise<readonly any[]> { return await this.#list('resources/list', 'resources') }
  async templates (): Promise<readonly any[]> {
    return await this.#list('resources/templates/list', 'resourceTemplates')
  }

  async prompts (): Promise<readonly any[]> { return await this.#list('prompts/list', 'prompts') }

  /** @throws {RpcError} */
  async read (
    uri: string, options: RequestOptions = {}
  ): Promise<Conversation & { text: string, contents: readonly any[] }> {
    const { result, ...conversation } = await this.#converse('resources/read', { uri }, options)
    const { contents = [] } = result as { contents?: readonly any[] }
    return { text: textOf(contents), contents, ...conversation }
  }

  /** @throws {RpcError} */
  async get (
    name: string, args: Readonly<Record<string, string>> = {}, options: RequestOptions = {}
  ): Promise<Conversation & { text: string, messages: readonly any[] }> {
    const { result, ...conversation } = await this.#converse('prompts/get', { name, arguments: args }, options)
    const { messages = [] } = result as { messages?: readonly any[] }
    return { ...conversation, text: textOf(messages.map(({ content }) => content)), messages }
  }

  /**
   * Values for an argument of a prompt, or a variable of a template.
   *
   * @param of `{ prompt: 'summarise' }` or `{ resource: 'orders://{number}' }`
   * @param argument its name and what was typed: `{ number: '10' }`
   * @param others what is filled in already
   */
  async complete (
    of: { readonly prompt: string } | { readonly resource: string },
    argument: Readonly<Record<string, string>>,
    others: Readonly<Record<string, string>> = {}
  ): Promise<readonly string[]> {
    const [[name, value] = ['', '']] = Object.entries(argument)
    const ref = 'prompt' in of ? { type: 'ref/prompt', name: of.prompt } : { type: 'ref/resource', uri: of.resource }
    const context = Object.keys(others).length === 0 ? {} : { context: { arguments: others } }
    const { completion } = await this.request('completion/complete', { ref, argument: { name, value }, ...context })
    return completion.values
  }

  /** Any request of the protocol. @throws {RpcError} */
  async request (method: string, params: JsonMembers = {}, options: RequestOptions = {}): Promise<any> {
    return (await this.#converse(method, params, options)).result
  }

  async close (): Promise<void> {
    await this.#options.close()
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.close()
  }

  async #list (method: string, member: string): Promise<readonly any[]> {
    return (await this.request(method))[member]
  }

  /** Ask, and answer what is asked back, until there is a result. */
  async #converse (
    method: string, params: JsonMembers, options: RequestOptions
  ): Promise<Conversation & { result: JsonMembers }> {
    const { connection, lines } = this.#options
    const { answers = this.#options.answers } = options
    const from = lines.length
    const conversation = new RequestExchange(answers, options)
    let asked: JsonMembers = {}
    for (;;) {
      const sent = { ...params, ...asked, ...this.#meta(params) }
      const work = connection.request(method, sent, conversation, options.signal)
      const result = await Promise.race([work, conversation.failed])
      if (result.resultType !== 'input_required') {
        const { progress, messages, questions } = conversation
        return { result, progress, messages, questions, log: lines.slice(from) }
      }
      const { inputRequests = {}, requestState } = result
      const inputResponses = await conversation.answerAll(inputRequests)
      asked = { inputResponses, ...(requestState === undefined ? {} : { requestState }) }
    }
  }

  /** What each request of 2026-07-28 says of its client. */
  #meta ({ _meta }: JsonMembers): JsonMembers {
    const { revision, capabilities } = this.#options
    if (revision !== MODERN_VERSION) return {}
    return {
      _meta: {
        [PROTOCOL_VERSION_META_KEY]: revision,
        [CLIENT_CAPABILITIES_META_KEY]: capabilities,
        [CLIENT_INFO_META_KEY]: CLIENT,
        [LOG_LEVEL_META_KEY]: 'debug',
        ...Object(_meta)
      }
    }
  }
}

/** What is said between a request and its result. */
class RequestExchange implements RequestListener {
  readonly progress: Progress[] = []
  readonly messages: LogMessage[] = []
  readonly questions: ClientQuestion[] = []
  /** Rejected where a question of an older revision has no answer. */
  readonly failed: Promise<never>
  readonly #answers: Answers
  readonly #options: RequestOptions
  #fail: (error: unknown) => void = () => {}

  constructor (answers: Answers, options: RequestOptions) {
    this.#answers = answers
    this.#options = options
    this.failed = new Promise((_resolve, reject) => { this.#fail = reject })
    this.failed.catch(() => {})
  }

  onProgress (progress: Progress): void {
    this.progress.push(progress)
    this.#options.onProgress?.(progress)
  }

  onMessage (message: LogMessage): void {
    this.messages.push(message)
    this.#options.onMessage?.(message)
  }

  async onQuestion (method: string, params: JsonMembers): Promise<unknown> {
    try {
      return await this.#answer({ method, params })
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  async answerAll (questions: unknown): Promise<JsonMembers> {
    const answers: Record<string, unknown> = {}
    for (const [name, { method, params = {} }] of Object.entries<ClientQuestion>(Object(questions))) {
      answers[name] = await this.#answer({ name, method, params })
    }
    return answers
  }

  #answer (question: ClientQuestion): Promise<unknown> {
    this.questions.push(question)
    return answerTo(question, this.#answers)
  }
}

function textOf (content: readonly unknown[]): string {
  return content.flatMap(part => typeof Object(part).text === 'string' ? [Object(part).text] : []).join('\n')
}
