/** Arguments of a prompt from the schema of its `input`. The protocol knows texts alone. */
import type { Reader } from '../core/standard-schema.ts'
import { authorSchema, type AuthorSchema } from './author-schema.ts'
import type { Prompt, PromptArgument } from './tool.ts'

/** Ends the start with what is wrong with a definition. */
export type Fail = (fault: string) => never

export interface PromptInput {
  /** Undefined where the arguments are any texts. */
  readonly input: Reader | undefined
  /** Undefined where none are declared. */
  readonly args: readonly PromptArgument[] | undefined
}

export function promptInput (prompt: Prompt, fail: Fail): PromptInput {
  const what = `prompt "${prompt.name}"`
  if (prompt.arguments !== undefined) fail(`${what} has input and arguments: keep input`)
  const { listed, reader } = schemaOf(prompt, what, fail)
  const properties: Array<[string, TextSchema]> = Object.entries(listed.properties ?? {})
  const required = new Set<unknown>(Array.isArray(listed.required) ? listed.required : [])
  const complete = new Map(Object.entries(prompt.complete ?? {}))
  const args = properties.map(([name, schema]) => {
    if (!isOfTexts(schema)) fail(`${what}: argument "${name}" must be a schema of a text: nothing else is ever sent`)
    const { title, description } = schema
    const isRequired = required.has(name) ? true : undefined
    const members = { title, description, required: isRequired, complete: complete.get(name) }
    complete.delete(name)
    return { name, ...Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) }
  })
  for (const name of complete.keys()) fail(`${what}: complete names "${name}", which input does not have`)
  return { input: reader, args }
}

function schemaOf ({ input }: Prompt, what: string, fail: Fail): AuthorSchema {
  try {
    return authorSchema(input, 'input')
  } catch (error) {
    return fail(`${what}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

interface TextSchema {
  readonly type?: unknown
  readonly title?: string
  readonly description?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly TextSchema[]
  readonly oneOf?: readonly TextSchema[]
}

function isOfTexts ({ type, enum: values, const: value, anyOf, oneOf }: TextSchema): boolean {
  if (type !== undefined) return type === 'string'
  const branches = anyOf ?? oneOf
  if (branches !== undefined) return branches.every(isOfTexts)
  return values?.every(value => typeof value === 'string') ?? typeof value === 'string'
}
