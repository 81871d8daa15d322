/**
 * Answers of the client to what a handler asked. What was asked goes to the
 * client sealed, beside the handler's own state, and comes back with the
 * answers: so they are held to it on any replica, and what nobody asked for is
 * no answer.
 *
 * On the wire the two parts are joined by `=`, at which releases before this
 * one stop reading: they find the state and nothing else.
 */
import { createHash } from 'node:crypto'
import { compileSchema, type Check } from '../../core/schema.ts'
import type { Sealer } from '../../core/seal.ts'
import { AppError } from '../../errors.ts'
import type { Principal } from '../../core/principal.ts'
import type { Question } from '../../tools/tool.ts'
import { anyObject, isObject, listOf, Misread, object, oneOf, text, type Json, type Read } from '../members.ts'

/** What a request repeats when it comes again with answers. */
export interface Repeated {
  readonly principal: Principal
  readonly method: string
  readonly params: { readonly name?: unknown, readonly uri?: unknown, readonly arguments?: unknown }
}

/** What came back. */
export interface Returned {
  /** What the handler gave to keep; undefined if it gave nothing. */
  readonly state: unknown
  readonly answers: Json
}

/** One question as it is sealed. */
interface AskedQuestion { readonly method: string, readonly schema?: Json | undefined }

const STATE_TTL_MS = 3_600_000
const JOINT = '='
const NOTHING: Returned = { state: undefined, answers: {} }

/** Seal what is asked, and the state that comes back with the answers. */
export function sealQuestions (
  sealer: Sealer,
  repeated: Repeated,
  questions: Readonly<Record<string, Question>>,
  state: unknown
): string {
  const binding = bindingOf(repeated)
  const expires = Date.now() + STATE_TTL_MS
  const asked = Object.fromEntries(
    Object.entries(questions).map(([key, { method, params }]) => [key, { method, schema: requestedSchema(params) }])
  )
  const first = sealer.seal(state, binding, expires)
  return `${first}${JOINT}${sealer.seal({ asked, hasState: state !== undefined }, [...binding, first], expires)}`
}

/**
 * Open what came back, and hold the answers to what was asked.
 *
 * @param sealed undefined where the request comes for the first time
 * @throws {AppError} INVALID_PARAMS for what this server did not seal for this very request, or an answer
 *   that does not fit
 */
export function openAnswers (sealer: Sealer, repeated: Repeated, sealed: unknown, given: unknown): Returned {
  if (sealed === undefined) return NOTHING
  const [first = '', second] = String(sealed).split(JOINT, 2)
  const binding = bindingOf(repeated)
  const now = Date.now()
  const state = sealer.open(first, binding, now)
  const questions = second === undefined ? { value: {} } : sealer.open(second, [...binding, first], now)
  if (state === undefined || questions === undefined) {
    throw new AppError('INVALID_PARAMS', 'Invalid or expired requestState', {
      data: { reason: 'invalid_request_state' }
    })
  }
  // Of a release before this one: what was asked is unknown, so it has to be asked again.
  const { asked = {}, hasState = true } = questions.value as {
    asked?: Record<string, AskedQuestion>
    hasState?: boolean
  }
  return { state: hasState ? state.value : undefined, answers: isObject(given) ? heldTo(asked, given) : {} }
}

/** The answers to what was asked, without what was not. */
function heldTo (asked: Readonly<Record<string, AskedQuestion>>, given: Json): Json {
  const answers: Record<string, unknown> = {}
  for (const [key, question] of Object.entries(asked)) {
    if (!Object.hasOwn(given, key)) continue
    try {
      answers[key] = readAnswer(question, given[key])
    } catch (error) {
      if (!(error instanceof Misread)) throw error
      throw new AppError(
        'INVALID_PARAMS',
        `Invalid params: the answer "${key}" does not fit what was asked: ${error.message}`
      )
    }
  }
  return answers
}

const READS: ReadonlyMap<string, Read> = new Map([
  ['elicitation/create', object({ 'action!': oneOf('accept', 'decline', 'cancel'), content: anyObject })],
  [
    'sampling/createMessage',
    object({ 'role!': oneOf('user', 'assistant'), 'content!': content, model: text, stopReason: text })
  ],
  ['roots/list', object({ 'roots!': listOf(object({ 'uri!': text, name: text }), 10_000) })]
])

/**
 * Hold one answer to its question, in the form that the client gave.
 *
 * @throws {Misread}
 */
export function readAnswer ({ method, schema }: AskedQuestion, given: unknown): unknown {
  const answer = (READS.get(method) ?? anyObject)(given, '') as Json
  if (method !== 'elicitation/create') return answer
  const { action, content = {} } = answer as { action: string, content?: Json }
  // What was typed before somebody declined is nobody's.
  if (action !== 'accept' || schema === undefined) return { action }
  const fields = isObject(schema.properties) ? schema.properties : {}
  const known = Object.fromEntries(
    Object.entries(content).filter(([name, value]) => Object.hasOwn(fields, name) && value !== null)
  )
  const check = checkOf(schema)
  if (!check.fits(known)) throw new Misread('content', `fit the form: ${check.problems(known, 3).join('; ')}`)
  return { action, content: known }
}

export function requestedSchema (params: unknown): Json | undefined {
  const schema = isObject(params) ? params.requestedSchema : undefined
  return isObject(schema) ? JSON.parse(JSON.stringify(schema)) as Json : undefined
}

function content (value: unknown, path: string): unknown {
  if (typeof value !== 'object') throw new Misread(path, 'be content')
  return value
}

/** Forms that were compiled, by their text: a handler asks the same few again and again. */
const checks = new Map<string, Check>()
const MAX_CHECKS = 200

function checkOf (schema: Json): Check {
  const key = JSON.stringify(schema)
  let check = checks.get(key)
  if (check === undefined) {
    if (checks.size >= MAX_CHECKS) checks.clear()
    check = compileSchema(schema)
    checks.set(key, check)
  }
  return check
}

/** The same request asked again has the same name and arguments; ids and answers differ. */
function bindingOf ({ principal, method, params: { name, uri, arguments: args } }: Repeated): readonly string[] {
  const digest = createHash('sha256').update(JSON.stringify([name ?? uri ?? null, args ?? null])).digest('base64url')
  return [principal.id, method, digest]
}
