/** What every command is: one file each, found by src/cli/run.ts. */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { UsageError } from '../errors.ts'
import { redact } from '../telemetry/redact.ts'

/** How a person without an installed copy starts a command: whatever is printed to be typed begins so. */
export const COMMAND = 'npx secure-mcp-server'

/** Every command that prints data can print it for scripts. */
export const JSON_OPTION = { json: { type: 'boolean', default: false } } as const

export interface Io {
  stdin: NodeJS.ReadableStream
  out: (line: string) => void
  err: (line: string) => void
  env: Record<string, string | undefined>
}

export interface Command {
  /** One line for the overview. */
  summary: string
  /** Usage, options and an example. */
  help: string
  /** @returns the exit code; a UsageError becomes one line and 2 */
  run (args: string[], io: Io): Promise<number>
}

type Options = NonNullable<ParseArgsConfig['options']>
type ParsedArguments<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; allowPositionals: true; strict: true }>
>

/**
 * node:util parseArgs, held to what the command can use: a word too many, or an
 * option given twice where one counts, is wrong use and never dropped. What
 * looks like a credential is refused wherever it stands.
 *
 * @param most words that may stand beside the options
 * @throws {UsageError} one line that says how to correct it
 */
export function parse<T extends Options> (args: string[], options: T, most = 0): ParsedArguments<T> {
  if (args.some(arg => redact(arg) !== arg)) {
    throw new UsageError(
      'An argument looks like a secret, and other users of this machine see arguments. Name keys and tokens by their id; values go to standard input'
    )
  }
  let parsed
  try {
    parsed = parseArgs<{ args: string[], options: T, allowPositionals: true, strict: true, tokens: true }>({
      args, options, allowPositionals: true, strict: true, tokens: true
    })
  } catch (error) {
    throw new UsageError(`${firstSentence((error as Error).message)}. See --help`)
  }
  if (parsed.positionals.length > most) {
    throw new UsageError(`Unexpected argument "${parsed.positionals[most]!.slice(0, 64)}". See --help`)
  }
  const seen = new Set<string>()
  for (const token of parsed.tokens) {
    if (token.kind !== 'option' || options[token.name]?.multiple === true) continue
    if (seen.has(token.name)) throw new UsageError(`${token.rawName} is given twice: only one would count. See --help`)
    seen.add(token.name)
  }
  return parsed as unknown as ParsedArguments<T>
}

/** The verb of a command such as `keys list`. */
export function verbOf<T> (verbs: Readonly<Record<string, T>>, command: string, verb: string | undefined): T {
  if (verb !== undefined && Object.hasOwn(verbs, verb)) return verbs[verb]!
  throw new UsageError(`Say what to do: ${command} ${Object.keys(verbs).join('|')}. See --help`)
}

function firstSentence (text: string): string {
  const line = text.split('\n', 1)[0]!.trim().split('. ', 1)[0]!
  return line.endsWith('.') ? line.slice(0, -1) : line
}
