/** Answers of the person at the terminal to what a tool asks. */
import { createInterface, type Interface } from 'node:readline'
import type { ClientQuestion } from '../testing/index.ts'

/** A field of a form that is asked for. */
interface Field {
  readonly type?: string
  readonly title?: string
  readonly description?: string
  readonly enum?: readonly string[]
}

/** What is typed, read from the first question on. */
export class TypedLines {
  readonly #input: NodeJS.ReadableStream
  #reading: Interface | undefined
  #lines: AsyncIterator<string> | undefined

  constructor (input: NodeJS.ReadableStream) {
    this.#input = input
  }

  /** @returns undefined where there is no more */
  async next (): Promise<string | undefined> {
    this.#reading ??= createInterface({ input: this.#input })
    this.#lines ??= this.#reading[Symbol.asyncIterator]()
    return (await this.#lines.next()).value?.trim()
  }

  close (): void {
    this.#reading?.close()
  }
}

/** @param say where the questions go */
export function terminalAnswers (lines: TypedLines, say: (line: string) => void) {
  const next = () => lines.next()
  return async ({ method, params }: ClientQuestion): Promise<unknown> => {
    if (method === 'roots/list') return { roots: [] }
    if (method === 'sampling/createMessage') {
      say(`The tool asks a model: ${JSON.stringify(params.messages)}\nIts answer:`)
      return await next() ?? ''
    }
    say(`${String(params.message)} (an empty line declines)`)
    return await filledIn(Object(params.requestedSchema).properties ?? {}, next, say)
  }
}

async function filledIn (
  fields: Readonly<Record<string, Field>>, next: () => Promise<string | undefined>, say: (line: string) => void
): Promise<object> {
  const content: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    const { title = name, description, type = 'text', enum: choices } = field
    say(`${title} (${choices?.join(', ') ?? type})${description === undefined ? '' : `, ${description}`}:`)
    const line = await next()
    if (line === undefined || line === '') return { action: 'decline' }
    content[name] = valueOf(line, field)
  }
  return { action: 'accept', content }
}

function valueOf (line: string, { type }: Field): unknown {
  if (type === 'boolean') return /^(y|yes|true|on|1)$/i.test(line)
  return type === 'number' || type === 'integer' ? Number(line) : line
}
