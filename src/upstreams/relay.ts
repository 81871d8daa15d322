/**
 * What an upstream answered, as it goes on: the shape held to the protocol, what belongs to the hop taken out, the
 * rest as it is.
 */
import type { Check } from '../core/schema.ts'
import type { ToolResult } from '../tools/result.ts'
import type { Completed } from '../tools/tool.ts'
import { isMembers, member, type Members } from './messages.ts'

/** What an answer breaks, in words that go on from "Upstream x". */
export interface AnswerFault {
  readonly fault: string
}

/** Members that each kind of content needs, all of them texts (MCP 2025-11-25, server/tools, Tool Result). */
const CONTENT: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['text', ['text']], ['image', ['data', 'mimeType']], ['audio', ['data', 'mimeType']], ['resource', []], [
    'resource_link', ['uri', 'name']
  ]
])
/** Of revision 2026-07-28, about the hop: made anew for each client. */
const OF_THE_HOP: ReadonlySet<string> = new Set(['resultType', 'ttlMs', 'cacheScope', 'requestState', 'inputRequests'])
const PROTOCOL_META = 'io.modelcontextprotocol/'

/** A result without what belongs to the hop. */
export function passedOn (result: Members): Record<string, unknown> {
  const own: Record<string, unknown> = {}
  for (const name of Object.keys(result)) {
    if (OF_THE_HOP.has(name)) continue
    const value = name === '_meta' ? withoutProtocol(result._meta) : result[name]
    if (value !== undefined) own[name] = value
  }
  return own
}

/** `_meta` without members of the protocol; undefined where nothing is left, or it is no object. */
function withoutProtocol (meta: unknown): Members | undefined {
  if (!isMembers(meta)) return undefined
  const own = Object.entries(meta).filter(([name]) => !name.startsWith(PROTOCOL_META))
  return own.length === 0 ? undefined : Object.fromEntries(own)
}

/**
 * The result of `tools/call`.
 *
 * @param output check of the tool's output schema, where it has one
 * @param remark told of a structured result that breaks its schema; absent: that is a fault
 */
export function toolResultOf (
  result: Members, output: Check | undefined, remark?: (fault: string) => void
): ToolResult | AnswerFault {
  const content = member(result, 'content') ?? []
  const isError = member(result, 'isError')
  const structured = member(result, 'structuredContent')
  if (!Array.isArray(content)) return { fault: 'gave a result whose content is no list' }
  if (isError !== undefined && typeof isError !== 'boolean') {
    return { fault: 'gave a result whose isError is neither true nor false' }
  }
  const broken = contentFault(content) ?? (
    isError === true || output === undefined ? undefined : outputFault(structured, output, remark)
  )
  if (broken !== undefined) return { fault: broken }
  const { structuredContent: _any, ...others } = passedOn(result)
  // Revision 2026-07-28 takes any value; clients of the older ones refuse the whole result for one that is no object.
  return { ...others, content, ...(isMembers(structured) ? { structuredContent: structured } : {}) }
}

function contentFault (content: readonly unknown[]): string | undefined {
  for (const part of content) {
    if (!isMembers(part)) return 'gave a result with content that is no object'
    const needed = CONTENT.get(part.type)
    if (needed === undefined) {
      return `gave a result with content of a type that is not known here (${JSON.stringify(part.type)?.slice(0, 40) ?? 'none'})`
    }
    const missing = needed.find(name => typeof member(part, name) !== 'string')
    if (missing !== undefined) {
      return `gave a result with content of type "${String(part.type)}" without the text "${missing}"`
    }
    if (part.type === 'resource' && !isContents(part.resource)) {
      return 'gave a result with a resource that has no uri, or neither text nor blob'
    }
  }
  return undefined
}

function outputFault (
  structured: unknown, output: Check, remark: ((fault: string) => void) | undefined
): string | undefined {
  if (structured !== undefined && output.fits(structured)) return undefined
  const problems = structured === undefined
    ? 'there is no structuredContent'
    : output.problems(
      structured, 3
    ).join('; ')
  if (remark === undefined) return 'broke its output schema'
  remark(problems)
  return undefined
}

function isContents (value: unknown): boolean {
  return isMembers(value) && typeof member(value, 'uri') === 'string' &&
    (typeof member(value, 'text') === 'string' || typeof member(value, 'blob') === 'string')
}

/** The result of `resources/read`. Which URIs it speaks of is passed on, not believed. */
export function readResultOf (result: Members): Record<string, unknown> | AnswerFault {
  const contents = member(result, 'contents')
  return Array.isArray(contents) && contents.every(isContents)
    ? passedOn(result)
    : {
        fault: 'gave contents that are none of a resource'
      }
}

const ROLES: ReadonlySet<unknown> = new Set(['user', 'assistant'])

/** The result of `prompts/get`. */
export function promptResultOf (result: Members): Record<string, unknown> | AnswerFault {
  const messages = member(result, 'messages')
  if (!Array.isArray(messages)) return { fault: 'gave a prompt without messages' }
  for (const message of messages as unknown[]) {
    if (!isMembers(message) || !ROLES.has(message.role)) return { fault: 'gave a prompt with a message of nobody' }
    const broken = contentFault([message.content])
    if (broken !== undefined) return { fault: broken }
  }
  return passedOn(result)
}

const MAX_VALUES = 100

/** The result of `completion/complete`. */
export function completionOf (result: Members): Completed | AnswerFault {
  const completion = member(result, 'completion')
  const values = isMembers(completion) ? member(completion, 'values') : undefined
  if (!isMembers(completion) || !Array.isArray(values) || !values.every(value => typeof value === 'string')) {
    return { fault: 'gave a completion without values' }
  }
  const { total, hasMore } = completion
  return {
    values: values.slice(0, MAX_VALUES),
    ...(typeof total === 'number' ? { total } : {}),
    ...(typeof hasMore === 'boolean' ? { hasMore } : {})
  }
}
