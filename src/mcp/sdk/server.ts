/**
 * The catalogue as the SDK serves it: one low-level server object a request,
 * holding only what this principal may use. Both eras and stdio come here; what
 * the fast lane answers never does.
 */
import { createHash } from 'node:crypto'
import { CLIENT_CAPABILITIES_META_KEY, ResourceNotFoundError, Server, type InputRequests, type ServerContext } from '@modelcontextprotocol/server'
import { toAnswer } from '../../core/answer.ts'
import { mayUse, mayUseSome } from '../../core/permissions.ts'
import type { Principal } from '../../core/principal.ts'
import type { Sealer } from '../../core/seal.ts'
import type { Allowance, Decision } from '../../decision/decide.ts'
import type { Trace } from '../../decision/trace.ts'
import { AppError } from '../../errors.ts'
import { runTool } from '../../tools/call.ts'
import { visible, type FoundResource, type OfferedPrompt, type OfferedResource, type OfferedTool } from '../../tools/catalogue.ts'
import { CallContext, type Host } from '../../tools/context.ts'
import type { Log } from '../../telemetry/log.ts'
import type { Offer } from '../../tools/offer.ts'
import { InputNeeded, type Change, type Context, type PromptMessage, type ResourceContents } from '../../tools/tool.ts'
import type { PendingCall } from '../fast/lane.ts'
import { emptyListMeta } from '../empty-list.ts'
import { CAPABILITIES, LIST_TTL_MS, SERVER_INFO } from '../identity.ts'
import { resultOf, settle } from '../refusals.ts'

export interface ServingOptions {
  offer: Offer
  /** Seals what `ask` was given as state. */
  sealer: Sealer
  /** Publishes a change to subscribers on every replica. */
  changed: (what: Change) => void
  /** What `experimental.authentication` says. */
  authentication: { required: boolean, types: readonly string[] }
}

export interface Serving {
  /** These four are asked for each message: over stdio they differ. */
  readonly principal: Principal
  /** What was decided of the message. */
  readonly decision: Decision
  readonly trace: Trace
  readonly log: Log
  era: 'legacy' | 'modern'
  /** Legacy with a session: requests and notifications reach the client later, too. */
  session?: SessionNotes | undefined
  /** A call that runs already; the first that is asked for is this one. */
  begun?: PendingCall | undefined
}

/** What a session remembers beyond one request. */
export interface SessionNotes {
  subscribe (uri: string): Promise<void>
  unsubscribe (uri: string): Promise<void>
}

const STATE_TTL_MS = 3_600_000
const PRIVATE = { ttlMs: LIST_TTL_MS, cacheScope: 'private' } as const

export function sdkServer (options: ServingOptions, serving: Serving): Server {
  const { offer, sealer } = options
  const { era, session } = serving
  let { begun } = serving
  const server = new Server(SERVER_INFO, {
    capabilities: CAPABILITIES(options.authentication, era === 'modern' || session !== undefined),
    cacheHints: {
      'tools/list': PRIVATE,
      'prompts/list': PRIVATE,
      'resources/list': PRIVATE,
      'resources/templates/list': PRIVATE,
      'resources/read': { ttlMs: 0, cacheScope: 'private' },
      'server/discover': PRIVATE
    }
  })

  /** Register a method; failures leave in the words of core/answer.ts. */
  const on = (method: string, answer: (params: Params, ctx: ServerContext) => unknown): void => {
    server.setRequestHandler(method as 'tools/call', async (request, ctx) => {
      try {
        return await answer((request.params ?? {}) as Params, ctx) as never
      } catch (error) {
        throw wireError(error, serving)
      }
    })
  }

  const contextOf = (ctx: ServerContext, params: Params): Context => new CallContext(hostOf(ctx, params))

  const hostOf = ({ mcpReq }: ServerContext, params: Params): Host => {
    const token = mcpReq._meta?.progressToken
    return {
      principal: serving.principal,
      log: serving.log,
      signal: () => mcpReq.signal,
      progress: token === undefined
        ? undefined
        : (progress, total, message) => {
            mcpReq.notify({ method: 'notifications/progress', params: { progressToken: token, progress, ...(total === undefined ? {} : { total }), ...(message === undefined ? {} : { message }) } }).catch(gone)
          },
      message: (level, data, logger) => { mcpReq.log(level, data, logger).catch(gone) },
      changed: options.changed,
      clientCapabilities: ((mcpReq.envelope as Record<string, unknown> | undefined)?.[CLIENT_CAPABILITIES_META_KEY] ?? server.getClientCapabilities()) as Record<string, unknown> | undefined,
      answers: mcpReq.inputResponses,
      state: opened(mcpReq.requestState(), mcpReq.method, params)
    } as Host
  }

  /** State comes back from the client, so it is believed only if this server sealed it for this very question. */
  const opened = (text: unknown, method: string, params: Params): unknown => {
    if (text === undefined) return undefined
    const found = typeof text === 'string' ? sealer.open(text, stateBinding(serving.principal, method, params), Date.now()) : undefined
    if (found === undefined) throw new AppError('INVALID_PARAMS', 'Invalid or expired requestState', { data: { reason: 'invalid_request_state' } })
    return found.value
  }

  const asked = ({ questions, state }: InputNeeded, params: Params, method: string) => ({
    resultType: 'input_required',
    ...(Object.keys(questions).length === 0 ? {} : { inputRequests: questions as unknown as InputRequests }),
    ...(state === undefined ? {} : { requestState: sealer.seal(state, stateBinding(serving.principal, method, params), Date.now() + STATE_TTL_MS) })
  })

  on('tools/list', () => {
    const tools = visible(offer.current.tools, 'tool', serving.principal).map(({ listed }) => listed)
    const meta = tools.length === 0 ? emptyListMeta(serving.principal, serving.log) : undefined
    return { tools, ...(meta === undefined ? {} : { _meta: meta }) }
  })

  on('tools/call', async (params, ctx) => {
    const { decision, trace } = serving
    if (decision.outcome === 'refuse') return resultOf(decision, trace)
    const running = begun?.resume(hostOf(ctx, params)) ?? runTool(decision.offered as OfferedTool, decision.input, contextOf(ctx, params))
    begun = undefined
    const result = settle(await running, trace)
    return result instanceof InputNeeded ? asked(result, params, 'tools/call') : result
  })

  on('prompts/list', () => ({ prompts: visible(offer.current.prompts, 'prompt', serving.principal).map(({ listed }) => listed) }))

  on('prompts/get', async (params, ctx) => {
    const offered = allowed().offered as OfferedPrompt
    const values = params.arguments ?? {}
    const missing = offered.prompt.arguments?.filter(arg => arg.required === true && typeof values[arg.name] !== 'string').map(arg => arg.name) ?? []
    if (missing.length > 0) throw new AppError('INVALID_PARAMS', `Missing arguments: ${missing.join(', ')}`)
    const got = await offered.prompt.get(values as Record<string, string>, contextOf(ctx, params))
    if (got instanceof InputNeeded) return asked(got, params, 'prompts/get')
    const messages: readonly PromptMessage[] = typeof got === 'string' ? [{ role: 'user', content: { type: 'text', text: got } }] : got
    return { ...(offered.prompt.description === undefined ? {} : { description: offered.prompt.description }), messages }
  })

  on('resources/list', () => ({ resources: visible(offer.current.resources, 'resource', serving.principal).map(({ listed }) => listed) }))

  on('resources/templates/list', () => ({ resourceTemplates: visible(offer.current.templates, 'resource', serving.principal).map(({ listed }) => listed) }))

  on('resources/read', async (params, ctx) => {
    const uri = String(params.uri)
    const { offered: { resource }, variables } = allowed().offered as FoundResource
    const read = await resource.read({ uri, variables }, contextOf(ctx, params))
    if (read instanceof InputNeeded) return asked(read, params, 'resources/read')
    return { contents: contentsOf(read, uri, resource.mimeType) }
  })

  on('completion/complete', async (params, ctx) => {
    const { argument, context } = params
    const { offered } = allowed()
    const typed = String(argument?.value ?? '')
    const others = (context?.arguments ?? {}) as Record<string, string>
    const name = String(argument?.name)
    const complete = offered === undefined
      ? undefined
      : 'prompt' in offered
        ? offered.prompt.arguments?.find(arg => arg.name === name)?.complete
        : own((offered as OfferedResource).resource.complete, name)
    const found = complete === undefined ? [] : [...await complete(typed, others, contextOf(ctx, params))]
    const values = offered !== undefined && 'template' in offered ? usable(offered, serving.principal, { name, others }, found) : found
    return { completion: { values: values.slice(0, 100), total: values.length, hasMore: values.length > 100 } }
  })

  if (era === 'legacy') {
    on('resources/subscribe', async ({ uri }) => {
      allowed()
      await session?.subscribe(String(uri))
      return {}
    })
    on('resources/unsubscribe', async ({ uri }) => {
      allowed()
      await session?.unsubscribe(String(uri))
      return {}
    })
  }
  return server

  /** What was decided, where it lets through; what was refused is answered by an error of the protocol. */
  function allowed (): Allowance {
    const { decision, trace } = serving
    if (decision.outcome === 'allow') return decision
    const { reason, target, rule } = decision
    if (reason === 'INVALID_PARAMS' && target?.kind === 'resource') {
      trace.refuse(reason, rule)
      throw new ResourceNotFoundError(target.name)
    }
    resultOf(decision, trace)
    throw new AppError(reason, 'Security validation failed', { rule })
  }
}

interface Completing { readonly name: string, readonly others: Readonly<Record<string, string>> }

/** Values that lead to something the principal may use: what it may not read is not told by its name, either. */
function usable ({ template }: OfferedResource, principal: Principal, { name, others }: Completing, values: readonly string[]): string[] {
  return values.filter(value => {
    const expanded = template!.expand({ ...others, [name]: value })
    if (expanded === undefined) return false
    return expanded.whole ? mayUse(principal, 'resource', expanded.uri) : mayUseSome(principal, 'resource', expanded.uri)
  })
}

interface Params {
  name?: unknown
  uri?: unknown
  arguments?: Record<string, unknown>
  ref?: { type?: unknown, name?: unknown, uri?: unknown }
  argument?: { name?: unknown, value?: unknown }
  context?: { arguments?: unknown }
}

/** The same question asked again has the same name and arguments; ids and answers differ. */
export function stateBinding (principal: Principal, method: string, { name, uri, arguments: args }: Params): readonly string[] {
  const digest = createHash('sha256').update(JSON.stringify([name ?? uri ?? null, args ?? null])).digest('base64url')
  return [principal.id, method, digest]
}

/** An error as the SDK puts it on the wire: numeric code, data, and a text that may be shown. */
function wireError (thrown: unknown, { trace, log }: Serving): Error {
  if (!(thrown instanceof AppError)) {
    if (typeof (thrown as { code?: unknown })?.code === 'number') return thrown as Error
    log.error({ err: thrown }, 'handler failed')
  }
  const { rpc, reason, message, data, rule } = toAnswer(thrown)
  trace.refuse(reason, rule)
  return Object.assign(new Error(message), { code: rpc, ...(rpc > 0 ? { data: { reason, ...data } } : Object.keys(data).length > 0 ? { data } : {}) })
}

function contentsOf (read: string | Uint8Array | readonly ResourceContents[], uri: string, mimeType: string | undefined): readonly ResourceContents[] {
  const type = mimeType === undefined ? {} : { mimeType }
  if (typeof read === 'string') return [{ uri, ...type, text: read }]
  if (read instanceof Uint8Array) return [{ uri, ...type, blob: Buffer.from(read).toString('base64') }]
  return read
}

function own<T> (record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined
}

/** The client went away while it was told something: its request is being cancelled already. */
function gone (): void {}
