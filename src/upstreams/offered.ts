/**
 * What an upstream lists, as entries of the catalogue: like own tools, so that
 * permission, limit, inspection and checks of arguments hold for them. What
 * stands in a list is the upstream's own text, its name apart.
 */
import { allows } from '../core/permissions.ts'
import { paramHeaders, type ParamHeader } from '../core/param-headers.ts'
import type { Check } from '../core/schema.ts'
import { builtInReader } from '../core/standard-schema.ts'
import type { Log } from '../telemetry/log.ts'
import type { OfferedPrompt, OfferedResource, OfferedTool } from '../tools/catalogue.ts'
import { Relayed } from '../tools/relayed.ts'
import type { ToolResult } from '../tools/result.ts'
import { ask, InputNeeded, UpstreamError, type Complete, type Context, type Question } from '../tools/tool.ts'
import { foreignTemplate } from '../tools/uri-template.ts'
import { forTool, type UpstreamEntry } from './entry.ts'
import type { UpstreamLists } from './listing.ts'
import { isMembers, member, membersIn, type Members } from './messages.ts'
import { questionOf } from './questions.ts'
import { guardSchema, GuardedCheck } from './schema-guard.ts'
import { completionOf, promptResultOf, readResultOf, toolResultOf, type AnswerFault } from './relay.ts'

/** The way to an upstream: see Upstream. */
export interface UpstreamCalls {
  readonly name: string
  /** @returns its result, or what it asks first */
  call (
    method: string, params: Members, context: Context, declared?: readonly ParamHeader[]
  ): Promise<Members | InputNeeded>
  /** Hear of changes of a resource. @returns the way to stop */
  watch (uri: string, changed: () => void): () => void
}

/** What is not offered, and why. */
export interface LeftOut {
  /** By its own name. */
  readonly what: string
  readonly why: string
}

/** What one upstream adds to the catalogue. */
export interface UpstreamPart {
  readonly name: string
  readonly tools: ReadonlyMap<string, OfferedTool>
  readonly prompts: ReadonlyMap<string, OfferedPrompt>
  /** By URI, and templates by their text. */
  readonly resources: ReadonlyMap<string, OfferedResource>
  readonly templates: ReadonlyMap<string, OfferedResource>
  readonly leftOut: readonly LeftOut[]
}

export interface OfferedDeps {
  readonly entry: UpstreamEntry
  readonly calls: UpstreamCalls
  readonly log: Log
  /** Public name of a tool or a prompt, or why it has none. */
  readonly publicName: (name: string) => string | { readonly why: string }
  /** Why a tool waits for an operator, in words that go on from "it"; undefined: it does not. */
  readonly held?: ((tool: Members) => string | undefined) | undefined
}

/** So that the words of the upstream win over those of the one who runs tools, ms. */
const GRACE_MS = 1000

export function offeredPart (deps: OfferedDeps, lists: UpstreamLists): UpstreamPart {
  const leftOut: LeftOut[] = []
  return {
    name: deps.entry.name,
    tools: collect(lists.tools, { kind: 'tool', named: 'name', leftOut }, tool => offerTool(deps, tool)),
    prompts: collect(lists.prompts, { kind: 'prompt', named: 'name', leftOut }, prompt => offerPrompt(deps, prompt)),
    resources: collect(lists.resources, { kind: 'resource', named: 'uri', leftOut }, one => offerResource(deps, one)),
    templates: collect(
      lists.templates, { kind: 'template', named: 'uriTemplate', leftOut }, one => offerTemplate(deps, one)
    ),
    leftOut
  }
}

interface Collected {
  readonly kind: string
  /** The member that names one. */
  readonly named: string
  readonly leftOut: LeftOut[]
}

/** @param offer its public name and entry, or why it has none */
function collect<T> (
  all: readonly Members[], { kind, named, leftOut }: Collected, offer: (one: Members) => readonly [string, T] | string
): Map<string, T> {
  const found = new Map<string, T>()
  for (const one of all) {
    const offered = offer(one)
    const name = member(one, named)
    const what = `${kind} ${typeof name === 'string' ? JSON.stringify(name.slice(0, 120)) : 'without a name'}`
    if (typeof offered === 'string') leftOut.push({ what, why: offered })
    else if (found.has(offered[0])) leftOut.push({ what, why: `another ${kind} of it has the name "${offered[0]}"` })
    else found.set(...offered)
  }
  return found
}

function offerTool (deps: OfferedDeps, tool: Members): readonly [string, OfferedTool] | string {
  const { entry } = deps
  const { name, inputSchema, outputSchema, description, annotations } = tool
  if (typeof name !== 'string' || name === '') return 'it has no name'
  const { allow, deny } = entry.tools
  if ((allow !== undefined && !allows(allow, name)) || allows(deny, name)) return 'the file leaves it out'
  if (membersIn(tool, 'execution').taskSupport === 'required') return 'it can be called as a task only'
  if (!isMembers(inputSchema)) return 'its inputSchema is no object'
  if (outputSchema !== undefined && !isMembers(outputSchema)) return 'its outputSchema is no object'
  const inputs = guardSchema(inputSchema)
  if ('fault' in inputs) return `its inputSchema ${inputs.fault}`
  const outputs = outputSchema === undefined ? undefined : guardSchema(outputSchema)
  if (outputs !== undefined && 'fault' in outputs) return `its outputSchema ${outputs.fault}`
  const held = deps.held?.(tool)
  if (held !== undefined) return `it ${held}`
  const named = deps.publicName(name)
  if (typeof named !== 'string') return named.why
  const declared = paramHeaders(inputSchema)
  const headers = 'problem' in declared ? [] : declared.headers
  const output = outputs === undefined ? undefined : new GuardedCheck(outputs.checked)
  const { execution: _task, ...others } = tool
  const listed = {
    ...others,
    name: named,
    inputSchema: inputs.listed,
    ...(outputs === undefined ? {} : { outputSchema: outputs.listed })
  }
  const rate = forTool(entry.rate, name)
  const cost = forTool(entry.cost, name) ?? 1
  const run = (input: unknown, context: Context): Promise<Relayed<ToolResult> | InputNeeded> => runTool(
    deps, { name, headers, output }, input, context
  )
  return [named, {
    tool: {
      name: named,
      description: typeof description === 'string' ? description : '',
      input: inputSchema,
      ...(isMembers(annotations) ? { annotations } : {}),
      ...(rate === undefined ? {} : { rate }),
      cost,
      run
    },
    input: builtInReader(new GuardedCheck(inputs.checked)),
    output: output === undefined ? undefined : builtInReader(output),
    headers,
    listed,
    exempt: new Set(Object.keys(forTool(entry.exempt, name) ?? {})),
    cost,
    timeoutMs: entry.timeoutMs + GRACE_MS,
    upstream: entry.name
  }]
}

interface CalledTool {
  readonly name: string
  readonly headers: readonly ParamHeader[]
  readonly output: Check | undefined
}

async function runTool (
  { entry, calls, log }: OfferedDeps, { name, headers, output }: CalledTool, input: unknown, context: Context
): Promise<Relayed<ToolResult> | InputNeeded> {
  const params = { name, arguments: input, ...repeated(context) }
  const result = await calls.call('tools/call', params, context, headers)
  if (result instanceof InputNeeded) return result
  const needed = inputNeeded(result, entry, log)
  if (needed !== undefined) return needed
  const remark = entry.output === 'refuse'
    ? undefined
    : (fault: string) => log.warn(
        { upstream: entry.name, tool: name, fault }, 'an upstream broke its output schema'
      )
  return new Relayed(sound(toolResultOf(result, output, remark), { entry, name, log }))
}

/** @throws {UpstreamError} UPSTREAM_BROKEN */
function sound<T extends object> (
  result: T | AnswerFault, { entry, name, log }: { entry: UpstreamEntry, name: string, log: Log }
): T {
  if (!('fault' in result)) return result
  log.warn({ upstream: entry.name, of: name, fault: result.fault }, 'an upstream gave an answer that cannot be used')
  throw new UpstreamError('UPSTREAM_BROKEN', `Upstream "${entry.name}" ${String(result.fault)}`)
}

/**
 * What an upstream of revision 2026-07-28 asks first, as a question of this server in the client's own revision.
 *
 * @throws {UpstreamError} UPSTREAM_BROKEN for what is put to nobody
 */
function inputNeeded (result: Members, { name, questions: mayAsk }: UpstreamEntry, log: Log): InputNeeded | undefined {
  if (result.resultType !== 'input_required') return undefined
  if (!mayAsk) throw notPut(name, 'asks a question, which the file does not let it')
  const questions: Record<string, Question> = {}
  for (const [key, asked] of Object.entries(membersIn(result, 'inputRequests'))) {
    const { method } = isMembers(asked) ? asked : {}
    const question = questionOf(method, isMembers(asked) ? membersIn(asked, 'params') : {}, name)
    if ('refused' in question) {
      log.warn({ upstream: name, method, why: question.refused }, 'a question of an upstream is put to nobody')
      throw notPut(name, question.refused)
    }
    questions[key] = question
  }
  return ask(questions, { upstream: member(result, 'requestState') })
}

function notPut (name: string, why: string): UpstreamError {
  return new UpstreamError('UPSTREAM_BROKEN', `Upstream "${name}" ${why}`)
}

/** What such an upstream is told when the call comes again with answers. */
function repeated ({ answers, state }: Context): Members {
  if (!isMembers(state) || !Object.hasOwn(state, 'upstream')) return {}
  return {
    inputResponses: answers,
    ...(
      state.upstream === undefined || state.upstream === null ? {} : { requestState: state.upstream }
    )
  }
}

function offerPrompt (deps: OfferedDeps, prompt: Members): readonly [string, OfferedPrompt] | string {
  const { calls } = deps
  const { name } = prompt
  if (typeof name !== 'string' || name === '') return 'it has no name'
  const named = deps.publicName(name)
  if (typeof named !== 'string') return named.why
  const args = Array.isArray(prompt.arguments)
    ? prompt.arguments.filter(isMembers).filter(
      one => typeof one.name === 'string'
    )
    : []
  const ref = { type: 'ref/prompt', name }
  const completed = args.map(one => ({ name: one.name as string, complete: completer(deps, ref, one.name as string) }))
  return [named, {
    prompt: {
      name: named,
      arguments: completed,
      async get (values, context) {
        const result = await calls.call('prompts/get', { name, arguments: values, ...repeated(context) }, context)
        if (result instanceof InputNeeded) return result
        return inputNeeded(result, deps.entry, deps.log) ??
          new Relayed(sound(promptResultOf(result), { ...deps, name }))
      }
    },
    input: undefined,
    arguments: completed,
    listed: { ...prompt, name: named },
    exempt: NO_EXEMPTIONS
  }]
}

const NO_EXEMPTIONS: ReadonlySet<string> = new Set()
const URI = /^[a-z][a-z0-9+.-]*:[^\s]{1,2000}$/i

function offerResource (deps: OfferedDeps, resource: Members): readonly [string, OfferedResource] | string {
  const { uri } = resource
  if (typeof uri !== 'string' || !URI.test(uri)) return 'its uri is no absolute URI'
  if (typeof resource.name !== 'string') return 'it has no name'
  if (deps.entry.uris !== undefined && !allows(deps.entry.uris, uri)) return 'the file gives it no such URI'
  return [uri, {
    resource: {
      uri, name: resource.name, read: reader(deps)
    },
    template: undefined,
    watch: deps.calls.watch,
    listed: resource,
    exempt: NO_EXEMPTIONS
  }]
}

function offerTemplate (deps: OfferedDeps, listed: Members): readonly [string, OfferedResource] | string {
  const { uriTemplate: text, name } = listed
  if (typeof text !== 'string') return 'it has no uriTemplate'
  if (typeof name !== 'string') return 'it has no name'
  const template = foreignTemplate(text)
  if (template === undefined) return 'its uriTemplate begins with a variable, or is none'
  const { uris } = deps.entry
  if (uris !== undefined && !allows(uris, text)) return 'the file gives it no such URI'
  const ref = { type: 'ref/resource', uri: text }
  const complete = Object.fromEntries(template.variables.map(variable => [variable, completer(deps, ref, variable)]))
  return [
    text, {
      resource: { uri: text, name, complete, read: reader(deps) },
      template,
      watch: deps.calls.watch,
      listed,
      exempt: NO_EXEMPTIONS
    }
  ]
}

function reader (deps: OfferedDeps): OfferedResource['resource']['read'] {
  return async ({ uri }, context) => {
    const { entry, calls } = deps
    if (entry.uris !== undefined && !allows(entry.uris, uri)) {
      throw new UpstreamError('UPSTREAM_BROKEN', `Upstream "${entry.name}" may not own this URI`)
    }
    const result = await calls.call('resources/read', { uri, ...repeated(context) }, context)
    if (result instanceof InputNeeded) return result
    return inputNeeded(result, entry, deps.log) ?? new Relayed(sound(readResultOf(result), { ...deps, name: uri }))
  }
}

function completer (deps: OfferedDeps, ref: Members, name: string): Complete {
  return async (value, others, context) => {
    const params = {
      ref, argument: { name, value }, ...(Object.keys(others).length === 0 ? {} : { context: { arguments: others } })
    }
    const result = await deps.calls.call('completion/complete', params, context)
    // The protocol has no way to ask before it completes.
    if (result instanceof InputNeeded) {
      result.abandon?.()
      throw notPut(deps.entry.name, 'asks a question before it completes, which nobody can be asked')
    }
    return new Relayed(sound(completionOf(result), { ...deps, name }))
  }
}
