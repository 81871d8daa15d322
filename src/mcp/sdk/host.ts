/** One request as its handler sees it: what was asked and decided, and what may be said on the way to the answer. */
import type { InputRequests, Server, ServerContext } from '@modelcontextprotocol/server'
import type { Allowance } from '../../decision/decide.ts'
import { judgeInspection, type Refusal } from '../../decision/layers.ts'
import { AppError } from '../../errors.ts'
import { redact } from '../../telemetry/redact.ts'
import type { Catalogue } from '../../tools/catalogue.ts'
import { CallContext, type Host } from '../../tools/context.ts'
import { failure } from '../../tools/call.ts'
import type { Context, InputNeeded, Level, Question } from '../../tools/tool.ts'
import { tellSuspicion } from '../admit.ts'
import { errorOf } from '../refusals.ts'
import type { ServedMessage, Serving, ServingOptions } from '../serving.ts'
import { openAnswers, sealQuestions, type Repeated, type Returned } from './answers.ts'
import { CLIENT_CAPABILITIES_META_KEY, LEGACY_LOG_LEVEL, LOG_LEVEL_META_KEY } from './protocol.ts'

/** Params of every method that has a handler. Their form was read before the SDK got them. */
export interface Params {
  readonly name?: string
  readonly uri?: string
  readonly arguments?: Readonly<Record<string, unknown>>
  readonly ref?: { readonly type: string, readonly name?: string, readonly uri?: string }
  readonly argument?: { readonly name: string, readonly value: string }
  readonly context?: { readonly arguments?: Readonly<Record<string, string>> }
}

/** Answers one method. What it throws leaves in the words of core/answer.ts. */
export type Handler = (request: HandledRequest) => unknown

/** What handlers share beside the request: of the process, and of the server object that serves it. */
export interface HandlerDeps {
  readonly options: ServingOptions
  readonly serving: Serving
  readonly server: Server
}

export class HandledRequest {
  readonly params: Params
  readonly message: ServedMessage
  readonly #deps: HandlerDeps
  readonly #ctx: ServerContext
  #opened: Returned | undefined

  /** @throws {AppError} AUTHENTICATION_REQUIRED */
  constructor (deps: HandlerDeps, params: Params, ctx: ServerContext) {
    this.#deps = deps
    this.#ctx = ctx
    this.params = params
    this.message = deps.serving.messageOf(ctx.mcpReq.id)
  }

  get catalogue (): Catalogue { return this.#deps.options.offer.current }
  get toolHook (): ServingOptions['toolHook'] { return this.#deps.options.toolHook }
  get options (): ServingOptions { return this.#deps.options }
  get session (): Serving['session'] { return this.#deps.serving.session }

  /**
   * What was decided, where it lets through.
   *
   * @throws {AppError} what refuses it, as an error of the protocol
   */
  allowed (): Allowance {
    const { decision } = this.message
    if (decision.outcome === 'allow') return decision
    const { reason, target, rule } = decision
    if (reason === 'INVALID_PARAMS' && target?.kind === 'resource') {
      // A client tells this from other wrong params by the data, which is the URI.
      throw new AppError(reason, `Resource not found: ${redact(target.name, 128)}`, {
        rule, data: { uri: redact(target.name, 2048) }
      })
    }
    throw errorOf(decision)
  }

  /** @throws {AppError} INVALID_PARAMS for answers that do not fit what was asked, SUSPICIOUS_ARGUMENT */
  async context (): Promise<Context> {
    const refused = await this.judgeAnswers()
    if (refused !== undefined) throw errorOf(refused)
    return new CallContext(this.host())
  }

  /**
   * Look at what the client answered: it reaches the handler as arguments do.
   *
   * @throws {AppError} INVALID_PARAMS for answers that do not fit what was asked
   */
  async judgeAnswers (): Promise<Refusal | undefined> {
    const { inspection: { mode, inspector } } = this.#deps.options
    const { decision, log, principal } = this.message
    const { answers } = this.#returned
    if (mode === 'off' || decision.outcome === 'refuse' || Object.keys(answers).length === 0) return undefined
    const refused = await judgeInspection(decision.target!, answers, decision.offered!, inspector)
    if (refused === undefined) return undefined
    tellSuspicion(refused, { caller: { principal }, log, blocked: mode === 'block' })
    return mode === 'block' ? refused : undefined
  }

  /** What a handler is lent. Its answers have been judged. */
  host (): Host {
    const { mcpReq } = this.#ctx
    const { options, server } = this.#deps
    const { principal, trace, headers, onward, log } = this.message
    const token = mcpReq._meta?.progressToken
    const { state, answers } = this.#returned
    const envelope = mcpReq.envelope as Record<string, unknown> | undefined
    return {
      principal,
      requestId: trace.requestId,
      headers,
      onward,
      log,
      signal: () => mcpReq.signal,
      progress:
        token === undefined
          ? undefined
          : (progress, total, message) => {
              mcpReq
                .notify({
                  method: 'notifications/progress',
                  params: {
                    progressToken: token,
                    progress,
                    ...(total === undefined ? {} : { total }),
                    ...(message === undefined ? {} : { message })
                  }
                })
                .catch(gone)
            },
      message: (level, data, logger) => {
        mcpReq.log(level, data, logger).catch(gone)
      },
      logLevel: envelope === undefined ? LEGACY_LOG_LEVEL : envelope[LOG_LEVEL_META_KEY] as Level | undefined,
      changed: options.changed,
      clientCapabilities: (envelope?.[CLIENT_CAPABILITIES_META_KEY] ??
        server.getClientCapabilities()) as Record<string, unknown> | undefined,
      answers,
      state
    }
  }

  /**
   * What a handler asks first, as the result that says so.
   *
   * @throws {AppError} CAPABILITY_MISSING where the client of an older revision cannot be asked; of the newer
   *   one the SDK asks
   */
  asked ({ questions, state, abandon }: InputNeeded): object {
    const missing =
      this.#deps.serving.era === 'modern'
        ? undefined
        : missingCapability(questions, this.#deps.server.getClientCapabilities())
    if (missing !== undefined) {
      abandon?.()
      const text = `This asks the client for something (${missing}): it needs a client that declares to answer that, and a session`
      const { method } = this.#ctx.mcpReq
      if (method !== 'tools/call') {
        throw new AppError('CAPABILITY_MISSING', text, { http: 200, data: { requiredCapabilities: { [missing]: {} } } })
      }
      this.message.trace.refuse('CAPABILITY_MISSING', missing)
      return failure(text)
    }
    // The newer revision asks by its answer; in the others answers come while this request is open, or never.
    if (abandon !== undefined && this.#deps.serving.era === 'legacy') this.message.onOver?.(abandon)
    return {
      resultType: 'input_required',
      ...(Object.keys(questions).length === 0 ? {} : { inputRequests: questions as InputRequests }),
      requestState: sealQuestions(this.#deps.options.sealer, this.#repeated(), questions, state)
    }
  }

  /** What came back of an earlier round. */
  get #returned (): Returned {
    const { mcpReq } = this.#ctx
    this.#opened ??= openAnswers(
      this.#deps.options.sealer,
      this.#repeated(),
      mcpReq.requestState(),
      mcpReq.inputResponses
    )
    return this.#opened
  }

  #repeated (): Repeated {
    return { principal: this.message.principal, method: this.#ctx.mcpReq.method, params: this.params }
  }
}

/** What a client must have declared to be asked each kind of question. */
const CAPABILITIES: Readonly<Record<Question['method'], 'elicitation' | 'sampling' | 'roots'>> = {
  'elicitation/create': 'elicitation', 'sampling/createMessage': 'sampling', 'roots/list': 'roots'
}

function missingCapability (
  questions: InputNeeded['questions'],
  declared: Readonly<Record<string, unknown>> = {}
): string | undefined {
  return Object.values(questions)
    .map(({ method }) => CAPABILITIES[method])
    .find(capability => capability !== undefined && declared[capability] === undefined)
}

/** The client went away while it was told something: its request is being cancelled already. */
function gone (): void {}
