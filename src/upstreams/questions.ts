/**
 * Questions of an upstream to a client and its user (MCP, elicitation, sampling, roots): which of them are put to
 * whom, and in which words. What an upstream writes here is shown to a person: see docs/threat-model.md.
 */
import { compileSchema } from '../core/schema.ts'
import { hasHiddenCharacters } from '../core/visible-text.ts'
import type { Question } from '../tools/tool.ts'
import { isMembers, member, membersIn, type Members } from './messages.ts'
import { guardSchema } from './schema-guard.ts'

/** Why a question is not put to anybody, in words that go on from "it". */
export interface QuestionRefusal {
  readonly refused: string
}

/** Of a text that a person reads, characters. */
const MAX_MESSAGE = 4096
const MAX_URL = 2048
/** Of a form, as the protocol has it: flat. */
const MAX_FIELDS = 100
const FIELD: ReadonlySet<string> = new Set([
  'type', 'title', 'description', 'default', 'minLength', 'maxLength', 'format', 'pattern', 'minimum', 'maximum',
  'enum', 'enumNames', 'oneOf', 'anyOf', 'items', 'minItems', 'maxItems'
])
/** What a form must not ask for (MCP 2025-11-25, client/elicitation, security considerations). */
const CREDENTIAL =
  /\b(pass ?(word|wd|phrase|code)|secrets?|credentials?|(api|access|private|secret|auth|bearer) ?(key|token)|cvv|cvc|card number|otp)\b/i

/** Every question that a client may answer: what is declared where it is not known yet who will call. */
export const ALL_QUESTIONS: Members = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} }

/** What of a client's capabilities says which questions it answers. */
export function answerable (capabilities: Readonly<Record<string, unknown>>): Members {
  return Object.fromEntries(Object.keys(ALL_QUESTIONS)
    .filter(name => isMembers(member(capabilities, name)))
    .map(name => [name, capabilities[name]]))
}

/** Whether a client that declared this answers a question. An empty `elicitation` means forms, as before 2025-11-25. */
export function mayAnswer ({ method, params = {} }: Question, capabilities: Members): boolean {
  const declared = (name: string) => isMembers(member(capabilities, name))
  switch (method) {
    case 'roots/list': return declared('roots')
    case 'sampling/createMessage':
      return declared('sampling') && (params.tools === undefined || 'tools' in membersIn(capabilities, 'sampling'))
    case 'elicitation/create': {
      if (!declared('elicitation')) return false
      const modes = membersIn(capabilities, 'elicitation')
      return params.mode === 'url' ? 'url' in modes : 'form' in modes || !('url' in modes)
    }
  }
}

/** A question of an upstream as it goes on to a client. @param from name of the upstream */
export function questionOf (method: unknown, params: Members, from: string): Question | QuestionRefusal {
  switch (method) {
    case 'roots/list': return { method, params: {} }
    case 'sampling/createMessage': return sampling(params)
    case 'elicitation/create': return params.mode === 'url' ? visit(params, from) : form(params, from)
    default: return { refused: 'asks something that is not known here' }
  }
}

/** What its client holds of this server is of other upstreams, too: none of it goes to the one that asks. */
function sampling ({ includeContext: _context, _meta, task: _task, ...params }: Members): Question | QuestionRefusal {
  const asks = Array.isArray(params.messages) && typeof params.maxTokens === 'number'
  return asks ? { method: 'sampling/createMessage', params } : { refused: 'asks a model without messages or maxTokens' }
}

function visit (params: Members, from: string): Question | QuestionRefusal {
  const { url, elicitationId } = params
  const message = shown(params.message, from)
  if (typeof message !== 'string') return message
  if (typeof url !== 'string' || url.length > MAX_URL || !URL.canParse(url)) return { refused: 'asks to open no URL' }
  const { protocol, username, password } = new URL(url)
  if (protocol !== 'https:') return { refused: 'asks to open a URL that is not https' }
  if (username !== '' || password !== '') return { refused: 'asks to open a URL with a name or password in it' }
  const id = typeof elicitationId === 'string' ? { elicitationId } : {}
  return { method: 'elicitation/create', params: { mode: 'url', message, url, ...id } }
}

function form (params: Members, from: string): Question | QuestionRefusal {
  const message = shown(params.message, from)
  if (typeof message !== 'string') return message
  const asked = member(params, 'requestedSchema')
  const guarded = isMembers(asked) ? guardSchema(asked) : { fault: 'is no object' }
  if ('fault' in guarded) return { refused: `asks with a form that ${guarded.fault}` }
  const fields = Object.entries(membersIn(guarded.listed, 'properties'))
  if (fields.length > MAX_FIELDS) return { refused: `asks for more than ${MAX_FIELDS} values` }
  const properties: Record<string, Members> = {}
  for (const [name, field] of fields) {
    if (!isMembers(field) || field.type === 'object') return { refused: 'asks with a form that is not flat' }
    if (asksForCredential(name, field, String(params.message))) {
      return { refused: `asks for ${JSON.stringify(name.slice(0, 64))}, which looks like a password or a key` }
    }
    properties[name] = checkable(Object.fromEntries(Object.entries(field).filter(([member]) => FIELD.has(member))))
  }
  const required = guarded.listed.required
  const requestedSchema = { type: 'object', properties, ...(Array.isArray(required) ? { required } : {}) }
  if (!compiles(requestedSchema)) return { refused: 'asks with a form that cannot be checked' }
  return { method: 'elicitation/create', params: { mode: 'form', message, requestedSchema } }
}

/** Whose question it is stands before it: a person must be able to tell. */
function shown (message: unknown, from: string): string | QuestionRefusal {
  if (typeof message !== 'string' || message === '') return { refused: 'asks without a message' }
  if (message.length > MAX_MESSAGE) return { refused: `asks with a message of over ${MAX_MESSAGE} characters` }
  return hasHiddenCharacters(message) ? { refused: 'asks in characters that nobody sees' } : `[${from}] ${message}`
}

function asksForCredential (name: string, field: Members, message: string): boolean {
  if (field.type !== 'string' || field.enum !== undefined || field.oneOf !== undefined) return false
  if (field.format === 'password') return true
  const title = typeof field.title === 'string' ? field.title : ''
  return [wordsOf(name), title, message].some(text => CREDENTIAL.test(text))
}

/** `apiKey` and `api_key` are two words. */
function wordsOf (name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/[_.-]+/g, ' ')
}

/** A pattern that cannot be run in linear time is the client's to check. */
function checkable (field: Members): Members {
  if (field.pattern === undefined || compiles({ type: 'string', pattern: field.pattern })) return field
  const { pattern: _pattern, ...others } = field
  return others
}

function compiles (schema: Record<string, unknown>): boolean {
  try {
    compileSchema(schema)
    return true
  } catch {
    return false
  }
}
