/** What a test answers where a tool, a resource or a prompt asks its client. */
import type { JsonMembers } from './connection.ts'

export interface ClientQuestion {
  /** As `ask` was given it; the revisions before 2026-07-28 do not send it. */
  readonly name?: string
  readonly method: string
  readonly params: JsonMembers
}

/** By the question's name, or by its method such as `elicitation/create`: a value, or a function of the question. */
export type Answers = Readonly<Record<string, unknown>> | ((question: ClientQuestion) => unknown)

/** Thrown where something was asked that the test has no answer to. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered'
}

/**
 * The answer in the form of the protocol. Of a form anything but an object with `action` is what was filled in;
 * a text is what a model said.
 *
 * @throws {Unanswered}
 */
export async function answerTo (question: ClientQuestion, answers: Answers): Promise<unknown> {
  const given = await valueFor(question, answers)
  const { method } = question
  if (method === 'elicitation/create') {
    return isObject(given) && 'action' in given ? given : { action: 'accept', content: given }
  }
  if (method === 'sampling/createMessage' && typeof given === 'string') {
    return { role: 'assistant', model: 'test', stopReason: 'endTurn', content: { type: 'text', text: given } }
  }
  return given
}

async function valueFor (question: ClientQuestion, answers: Answers): Promise<unknown> {
  const { name, method, params } = question
  if (typeof answers === 'function') return await answers(question)
  const key = name !== undefined && Object.hasOwn(answers, name) ? name : method
  if (!Object.hasOwn(answers, key)) {
    const what = typeof params.message === 'string' ? `: ${params.message}` : ''
    const names = name === undefined ? `"${method}"` : `"${name}" or "${method}"`
    throw new Unanswered(`The test was asked (${method})${what}. Give testTools answers with ${names}`)
  }
  const value = answers[key]
  return typeof value === 'function' ? await value(question) : value
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
