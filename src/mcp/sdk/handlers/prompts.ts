import type { Reader } from '../../../core/standard-schema.ts'
import { AppError } from '../../../errors.ts'
import { toldProblems } from '../../../tools/call.ts'
import { visible, type OfferedPrompt } from '../../../tools/catalogue.ts'
import { Relayed } from '../../../tools/relayed.ts'
import { InputNeeded, type PromptMessage } from '../../../tools/tool.ts'
import type { HandledRequest } from '../host.ts'

export function listPrompts ({ catalogue, message: { principal } }: HandledRequest): object {
  return { prompts: visible(catalogue.prompts, 'prompt', principal).map(({ listed }) => listed) }
}

/** @throws {AppError} FORBIDDEN, INVALID_PARAMS */
export async function getPrompt (request: HandledRequest): Promise<object> {
  const { prompt, input, arguments: args } = request.allowed().offered as OfferedPrompt
  const given = (request.params.arguments ?? {}) as Readonly<Record<string, string>>
  const missing = args.filter(arg => arg.required === true && !Object.hasOwn(given, arg.name)).map(arg => arg.name)
  if (missing.length > 0) throw new AppError('INVALID_PARAMS', `Missing arguments: ${missing.join(', ')}`)
  const values = input === undefined ? given : await valuesOf(given, input)
  const got = await prompt.get(values, await request.context())
  if (got instanceof InputNeeded) return request.asked(got)
  if (got instanceof Relayed) return got.result
  const messages: readonly PromptMessage[] =
    typeof got === 'string' ? [{ role: 'user', content: { type: 'text', text: got } }] : got
  return { ...(prompt.description === undefined ? {} : { description: prompt.description }), messages }
}

/** @throws {AppError} INVALID_PARAMS */
async function valuesOf (given: Readonly<Record<string, string>>, input: Reader): Promise<unknown> {
  const read = await input.read(given)
  if ('value' in read) return read.value
  throw new AppError('INVALID_PARAMS', `Invalid arguments: ${toldProblems(read.problems)}`, { rule: 'input schema' })
}
