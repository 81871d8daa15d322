/** What a handler returned, as the result that the protocol has for it. */
import type { Reader, ReadValue } from '../core/standard-schema.ts'
import type { Content } from './tool.ts'

/** A `tools/call` result as it goes on the wire, apart from what each era adds. */
export interface ToolResult {
  content: readonly Content[]
  structuredContent?: unknown
  isError?: boolean
}

/** What is wrong with what a handler returned, for its author. */
export interface ResultFault {
  readonly fault: string
  /** A sentence each; they may hold parts of the value. */
  readonly problems?: readonly string[] | undefined
}

/** Members that each kind of content needs, all of them texts (MCP 2025-11-25, server/tools, Tool Result). */
const CONTENT: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['text', ['text']], ['image', ['data', 'mimeType']], ['audio', ['data', 'mimeType']], ['resource', []],
  ['resource_link', ['uri', 'name']]
])

/**
 * Every JavaScript value has one result: nothing is no content, a scalar or a
 * list is text, an object is text and structured content, `{ content: […] }`
 * is taken as it is. What has no form in JSON is a fault.
 *
 * @param fits whether a structured result keeps to the tool's output schema; absent where it has none
 * @returns the result, or what is wrong with the value, for the author
 */
export function resultOf (outcome: unknown, fits?: (value: unknown) => boolean): ToolResult | ResultFault {
  if (fits === undefined) {
    if (typeof outcome === 'string') return { content: [{ type: 'text', text: outcome }] }
    if (outcome === undefined) return { content: [] }
  }
  if (isContentResult(outcome) && fits?.(outcome) !== true) {
    const fault = contentFault(outcome)
    if (fault !== undefined) return { fault }
    if (fits === undefined || outcome.isError === true) return outcome
    return fits(outcome.structuredContent) ? outcome : { fault: 'its structuredContent does not fit its output schema' }
  }
  const json = jsonOf(outcome)
  if ('fault' in json) return json
  const { value, text } = json
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (fits !== undefined && !(isObject && fits(value))) return { fault: MISFIT }
  return isObject
    ? { content: [{ type: 'text', text }], structuredContent: value }
    : { content: [{ type: 'text', text }] }
}

/**
 * The same where another library's schema reads the result: what is sent is
 * what the schema makes of it, which is what the listed schema describes.
 */
export function resultRead (outcome: unknown, output: Reader): ResultOrFault | Promise<ResultOrFault> {
  if (!isContentResult(outcome) || (outcome.structuredContent === undefined && outcome.isError !== true)) {
    return afterReading(output.read(outcome), structured)
  }
  const fault = contentFault(outcome)
  if (fault !== undefined) return { fault }
  if (outcome.isError === true) return outcome
  return afterReading(output.read(outcome.structuredContent), value => {
    const result = structured(value)
    return 'fault' in result ? result : { ...outcome, structuredContent: result.structuredContent }
  })
}

type ResultOrFault = ToolResult | ResultFault

function afterReading (
  read: ReadValue | Promise<ReadValue>, judge: (value: unknown) => ResultOrFault
): ResultOrFault | Promise<ResultOrFault> {
  if (read instanceof Promise) return read.then(read => afterReading(read, judge))
  return 'value' in read ? judge(read.value) : { fault: MISFIT, problems: read.problems }
}

function structured (given: unknown): ResultOrFault {
  const json = jsonOf(given)
  if ('fault' in json) return json
  const { value, text } = json
  return isPlainObject(value) ? { content: [{ type: 'text', text }], structuredContent: value } : { fault: MISFIT }
}

const MISFIT = 'what it returned does not fit its output schema'

/** An object whose `content` is a list of what looks like content; any other object is a structured result. */
function isContentResult (outcome: unknown): outcome is ToolResult {
  if (typeof outcome !== 'object' || outcome === null) return false
  const { content, structuredContent, isError } = outcome as Partial<ToolResult>
  if (!Array.isArray(content)) return false
  if (content.length === 0) {
    return structuredContent !== undefined || isError !== undefined || Object.keys(outcome).length === 1
  }
  return content.every(part => typeof (part as { type?: unknown } | null)?.type === 'string')
}

function contentFault ({
  content, structuredContent, isError, ...rest
}: ToolResult & { _meta?: unknown }): string | undefined {
  for (const part of content) {
    const needed = CONTENT.get(part.type)
    if (needed === undefined) return `there is no content of type "${part.type.slice(0, 32)}"`
    const missing = needed.find(member => typeof (part as unknown as Record<string, unknown>)[member] !== 'string')
    if (missing !== undefined) return `content of type "${part.type}" needs the text "${missing}"`
    if (part.type === 'resource' && !isResourceContents(part.resource)) {
      return 'content of type "resource" needs a resource with uri, and text or blob'
    }
  }
  if (structuredContent !== undefined && !isPlainObject(structuredContent)) return 'structuredContent must be an object'
  if (isError !== undefined && typeof isError !== 'boolean') return 'isError must be true or false'
  if (rest._meta !== undefined && !isPlainObject(rest._meta)) return '_meta must be an object'
  if (structuredContent === undefined && rest._meta === undefined && content.every(isFlat)) return undefined
  // The answer is written later, where a value without a form in JSON would be nobody's fault.
  const json = jsonOf({ content, structuredContent, ...rest })
  return 'fault' in json ? json.fault : undefined
}

function isFlat (part: Content): boolean {
  return Object.values(part).every(value => typeof value === 'string')
}

function isResourceContents (value: unknown): boolean {
  if (!isPlainObject(value)) return false
  const { uri, text, blob } = value
  return typeof uri === 'string' && (typeof text === 'string' || typeof blob === 'string')
}

function isPlainObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Types of objects that JSON would write as `{}`, in silence. */
const EMPTY_IN_JSON = [Map, Set, WeakMap, WeakSet, Error, RegExp, ArrayBuffer]

/** The value as JSON says it, and its text. What is an object as it stands is not copied. */
function jsonOf (outcome: unknown): { value: unknown, text: string } | { fault: string } {
  if (EMPTY_IN_JSON.some(type => outcome instanceof type) || ArrayBuffer.isView(outcome)) {
    return { fault: `it returned a ${(outcome as object).constructor.name}, which has no form in JSON` }
  }
  let text: string | undefined
  try {
    text =
      typeof outcome === 'bigint' || typeof outcome === 'number' || outcome === undefined
        ? String(outcome ?? null)
        : JSON.stringify(outcome)
  } catch (error) {
    return { fault: `it returned what has no form in JSON: ${(error as Error).message.split('\n', 1)[0]}` }
  }
  if (text === undefined) return { fault: `it returned a ${typeof outcome}` }
  const asItStands = Array.isArray(outcome) || Object.getPrototypeOf(outcome ?? {}) === Object.prototype
  return { value: asItStands || typeof outcome !== 'object' ? outcome : JSON.parse(text), text }
}
