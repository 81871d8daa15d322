/** Everything that is offered, checked once at start and precompiled, so that a call compiles nothing. */
import type { Principal } from '../core/principal.ts'
import { mayUse } from '../core/permissions.ts'
import { paramHeaders, type ParamHeader } from '../core/param-headers.ts'
import type { Reader } from '../core/standard-schema.ts'
import { hasHiddenCharacters } from '../core/visible-text.ts'
import { UsageError } from '../errors.ts'
import { authorSchema, type AuthorSchema } from './author-schema.ts'
import { promptInput, type Fail, type PromptInput } from './prompt-input.ts'
import type { Definition, ListedExtras, Prompt, PromptArgument, Resource, Tool } from './tool.ts'
import { uriTemplate, type UriTemplate } from './uri-template.ts'

/** A definition and the file that it came from, for messages. */
export interface Source {
  readonly from: string
  readonly definition: Definition
}

export interface OfferedTool {
  readonly tool: Tool
  readonly input: Reader
  readonly output: Reader | undefined
  /** Arguments that headers repeat. */
  readonly headers: readonly ParamHeader[]
  /** As it stands in `tools/list`. */
  readonly listed: Readonly<Record<string, unknown>>
  readonly exempt: ReadonlySet<string>
  readonly cost: number
  readonly timeoutMs: number
  /** The MCP server behind this one that it belongs to. */
  readonly upstream?: string | undefined
}

export interface OfferedResource {
  readonly resource: Resource
  /** Undefined for a fixed URI. */
  readonly template: UriTemplate | undefined
  /** Of a server behind this one: hear of its changes there. @returns the way to stop */
  readonly watch?: ((uri: string, changed: () => void) => () => void) | undefined
  readonly listed: Readonly<Record<string, unknown>>
  readonly exempt: ReadonlySet<string>
}

/** A resource that a URI names, and the values of its template's variables. */
export interface FoundResource {
  readonly offered: OfferedResource
  readonly variables: Record<string, string>
}

export interface OfferedPrompt {
  readonly prompt: Prompt
  /** Absent where its arguments are any texts. */
  readonly input: Reader | undefined
  /** As it declares them, or as its `input` does. */
  readonly arguments: readonly PromptArgument[]
  readonly listed: Readonly<Record<string, unknown>>
  readonly exempt: ReadonlySet<string>
}

/** What is offered, by name, in the order of the names. */
export interface Catalogue {
  readonly tools: ReadonlyMap<string, OfferedTool>
  readonly resources: ReadonlyMap<string, OfferedResource>
  readonly templates: ReadonlyMap<string, OfferedResource>
  readonly prompts: ReadonlyMap<string, OfferedPrompt>
  /** Names of this gateway and of those behind it, where there are servers behind it. */
  readonly via?: readonly string[]
}

/** Names of the inspection's patterns. */
type Patterns = { has (name: string): boolean }

const NAME = /^[A-Za-z0-9_.-]{1,64}$/
/**
 * Check and compile what is offered.
 *
 * @param patterns names that an exemption may name
 * @throws {UsageError} naming the file and the fault
 */
export function buildCatalogue (sources: readonly Source[], patterns: Patterns): Catalogue {
  const tools = new Map<string, OfferedTool>()
  const resources = new Map<string, OfferedResource>()
  const templates = new Map<string, OfferedResource>()
  const prompts = new Map<string, OfferedPrompt>()
  const origins = new Map<string, string>()

  for (const { from, definition } of sources) {
    const fail = (fault: string): never => { throw new UsageError(`${from}: ${fault}`) }
    switch (definition.kind) {
      case 'tool': {
        const offered = offerTool(definition.tool, patterns, fail)
        claim('tool', offered.tool.name, from)
        tools.set(offered.tool.name, offered)
        break
      }
      case 'resource': {
        const offered = offerResource(definition.resource, patterns, fail)
        claim('resource', offered.resource.uri, from);
        (offered.template === undefined ? resources : templates).set(offered.resource.uri, offered)
        break
      }
      case 'prompt': {
        const offered = offerPrompt(definition.prompt, patterns, fail)
        claim('prompt', offered.prompt.name, from)
        prompts.set(offered.prompt.name, offered)
        break
      }
      default:
        fail('must export what defineTool, defineResource or definePrompt returned')
    }
  }
  return { tools: byName(tools), resources: byName(resources), templates: byName(templates), prompts: byName(prompts) }

  function claim (kind: string, name: string, from: string): void {
    const key = `${kind} ${name}`
    const first = origins.get(key)
    if (first !== undefined) throw new UsageError(`${from}: ${kind} "${name}" is already defined in ${first}`)
    origins.set(key, from)
  }
}

/** What a principal may see, which is what it may use. In the order of the names. */
export function visible<T> (
  offered: ReadonlyMap<string, T>,
  kind: 'tool' | 'resource' | 'prompt',
  principal: Principal
): T[] {
  const seen: T[] = []
  for (const [name, one] of offered) if (mayUse(principal, kind, name)) seen.push(one)
  return seen
}

/**
 * The resource that a URI names, and the values of its template's variables. Permission for the URI itself is
 * asked apart.
 */
export function resourceAt (
  { resources, templates }: Catalogue,
  principal: Principal,
  uri: string
): FoundResource | undefined {
  const fixed = resources.get(uri)
  if (fixed !== undefined) return { offered: fixed, variables: {} }
  for (const offered of visible(templates, 'resource', principal)) {
    const variables = offered.template!.match(uri)
    if (variables !== undefined) return { offered, variables }
  }
  return undefined
}

function offerTool (tool: Tool, patterns: Patterns, fail: Fail): OfferedTool {
  if (typeof tool?.name !== 'string' || !NAME.test(tool.name)) {
    fail("a tool's name must be 1 to 64 characters of A-Z a-z 0-9 _ - .")
  }
  if (typeof tool.description !== 'string' || tool.description.trim() === '') {
    fail(`tool "${tool.name}" needs a description: the model chooses by it`)
  }
  if (typeof tool.run !== 'function') fail(`tool "${tool.name}" needs a run function`)
  if (tool.cost !== undefined && !(Number.isInteger(tool.cost) && tool.cost >= 1 && tool.cost <= 10_000)) {
    fail(`tool "${tool.name}": cost must be a whole number from 1 to 10000`)
  }
  if (tool.timeoutMs !== undefined && !(Number.isInteger(tool.timeoutMs) && tool.timeoutMs >= 1)) {
    fail(`tool "${tool.name}": timeoutMs must be a whole number of milliseconds`)
  }
  if (
    tool.rate !== undefined &&
    !(
      Number.isInteger(tool.rate.limit) &&
      tool.rate.limit >= 1 &&
      Number.isInteger(tool.rate.windowMs) &&
      tool.rate.windowMs >= 1000
    )
  ) {
    fail(`tool "${tool.name}": rate must be { limit, windowMs } in whole numbers, windowMs at least 1000`)
  }
  const input = offerSchema(`tool "${tool.name}"`, tool.input, 'input', fail)
  const output = tool.output === undefined ? undefined : offerSchema(`tool "${tool.name}"`, tool.output, 'output', fail)
  const declared = paramHeaders(input.listed)
  if ('problem' in declared) return fail(`tool "${tool.name}": ${declared.problem}`)

  checkListed(`tool "${tool.name}"`, { ...tool }, fail)

  const listed = {
    name: tool.name,
    ...optional({ title: tool.title }),
    description: tool.description,
    inputSchema: input.listed,
    ...optional({ outputSchema: output?.listed }),
    ...optional({ annotations: tool.annotations }),
    ...listing(tool)
  }
  requireVisible(listed, `tool "${tool.name}"`, fail)
  return {
    tool,
    input: input.reader,
    output: output?.reader,
    headers: declared.headers,
    listed,
    exempt: exemptions(`tool "${tool.name}"`, tool.exempt, patterns, fail),
    cost: tool.cost ?? 1,
    timeoutMs: tool.timeoutMs ?? 60_000
  }
}

function offerResource (resource: Resource, patterns: Patterns, fail: Fail): OfferedResource {
  if (typeof resource?.uri !== 'string' || !/^[a-z][a-z0-9+.-]*:[^\s]{1,2000}$/i.test(resource.uri)) {
    fail("a resource's uri must be an absolute URI")
  }
  if (typeof resource.name !== 'string' || resource.name === '') fail(`resource "${resource.uri}" needs a name`)
  if (typeof resource.read !== 'function') fail(`resource "${resource.uri}" needs a read function`)
  checkListed(`resource "${resource.uri}"`, { ...resource }, fail)
  const template = resource.uri.includes('{') ? uriTemplate(resource.uri) : undefined
  if (template === null) {
    fail(`resource "${resource.uri}": a template may hold simple {variables} only, with text between them`)
  }
  const listed = {
    ...(template === undefined ? { uri: resource.uri } : { uriTemplate: resource.uri }),
    name: resource.name,
    ...optional({ title: resource.title, description: resource.description, mimeType: resource.mimeType }),
    ...listing(resource)
  }
  requireVisible(listed, `resource "${resource.uri}"`, fail)
  return {
    resource,
    template: template ?? undefined,
    listed,
    exempt: exemptions(`resource "${resource.uri}"`, resource.exempt, patterns, fail)
  }
}

function offerPrompt (prompt: Prompt, patterns: Patterns, fail: Fail): OfferedPrompt {
  if (typeof prompt?.name !== 'string' || !NAME.test(prompt.name)) {
    fail("a prompt's name must be 1 to 64 characters of A-Z a-z 0-9 _ - .")
  }
  if (typeof prompt.get !== 'function') fail(`prompt "${prompt.name}" needs a get function`)
  checkListed(`prompt "${prompt.name}"`, { ...prompt }, fail)
  const { input, args } = prompt.input === undefined ? declaredArguments(prompt, fail) : promptInput(prompt, fail)
  const listed = {
    name: prompt.name,
    ...optional({ title: prompt.title, description: prompt.description }),
    ...listing(prompt),
    ...optional({
      arguments: args?.map(({ name, title, description, required }) => ({
        name, ...optional({ title, description, required })
      }))
    })
  }
  requireVisible(listed, `prompt "${prompt.name}"`, fail)
  return {
    prompt,
    input,
    arguments: args ?? [],
    listed,
    exempt: exemptions(`prompt "${prompt.name}"`, prompt.exempt, patterns, fail)
  }
}

/** Names of the patterns that do not apply, each with the author's reason. */
function exemptions (
  what: string,
  exempt: Readonly<Record<string, string>> | undefined,
  patterns: Patterns,
  fail: Fail
): ReadonlySet<string> {
  for (const [pattern, reason] of Object.entries(exempt ?? {})) {
    if (!patterns.has(pattern)) fail(`${what}: there is no inspection pattern "${pattern}"`)
    if (typeof reason !== 'string' || reason.trim() === '') {
      fail(`${what}: the exemption from "${pattern}" needs a reason`)
    }
  }
  return new Set(Object.keys(exempt ?? {}))
}

/** Text that a model reads must be text that a reviewer can see. */
function requireVisible (listed: object, what: string, fail: Fail): void {
  if (hasHiddenCharacters(JSON.stringify(listed))) {
    fail(`${what} has invisible characters in its name, description or schema`)
  }
}

function offerSchema (what: string, given: unknown, side: 'input' | 'output', fail: Fail): AuthorSchema {
  if (given === undefined) {
    fail(`${what} needs an ${side}: a schema of an object, such as Type.Object({}) or z.object({})`)
  }
  try {
    return authorSchema(given, side)
  } catch (error) {
    return fail(`${what}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** One member of the wrong type makes clients refuse the whole list. */
function checkListed (what: string, members: Record<string, unknown>, fail: Fail): void {
  for (const name of ['name', 'title', 'description', 'mimeType']) {
    if (members[name] !== undefined && typeof members[name] !== 'string') fail(`${what}: ${name} must be a text`)
  }
  const { annotations, icons, meta } = members
  if (meta !== undefined && !isObject(meta)) fail(`${what}: meta must be an object`)
  if (icons !== undefined && !(Array.isArray(icons) && icons.every(isIcon))) {
    fail(`${what}: icons must be a list of { src, mimeType }, each src an https or data:image URL`)
  }
  if (annotations === undefined) return
  if (typeof annotations !== 'object' || annotations === null || Array.isArray(annotations)) {
    fail(`${what}: annotations must be an object`)
  }
  for (const [name, value] of Object.entries(annotations as object)) {
    if (name === 'title' ? typeof value !== 'string' : name.endsWith('Hint') && typeof value !== 'boolean') {
      fail(`${what}: annotations.${name} must be ${name === 'title' ? 'a text' : 'true or false'}`)
    }
  }
}

function declaredArguments ({ name, arguments: args, complete }: Prompt, fail: Fail): PromptInput {
  if (complete !== undefined) fail(`prompt "${name}": complete belongs to input; with arguments each has its own`)
  if (args === undefined) return { input: undefined, args }
  if (!Array.isArray(args)) fail(`prompt "${name}": arguments must be a list`)
  const seen = new Set<string>()
  for (const argument of args) {
    if (typeof argument?.name !== 'string' || argument.name === '') fail(`prompt "${name}": each argument needs a name`)
    if (seen.has(argument.name)) fail(`prompt "${name}": argument "${argument.name}" is defined twice`)
    seen.add(argument.name)
    checkListed(`prompt "${name}", argument "${argument.name}"`, { ...argument }, fail)
    if (argument.required !== undefined && typeof argument.required !== 'boolean') {
      fail(`prompt "${name}", argument "${argument.name}": required must be true or false`)
    }
  }
  return { input: undefined, args }
}

function listing ({ meta, icons }: ListedExtras): object {
  return optional({ icons, _meta: meta })
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isIcon (icon: unknown): boolean {
  const { src, mimeType }: { src?: unknown, mimeType?: unknown } = isObject(icon) ? icon : {}
  return typeof src === 'string' && /^(https:\/\/|data:image\/)\S+$/.test(src) &&
    (mimeType === undefined || typeof mimeType === 'string')
}

function optional (members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}

function byName<T> (map: Map<string, T>): ReadonlyMap<string, T> {
  return new Map([...map].sort(([a], [b]) => a < b ? -1 : 1))
}
