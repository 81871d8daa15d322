/** What every command is: one file each, found by src/cli/run.ts. */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { UsageError } from '../errors.ts'
import { redact } from '../telemetry/redact.ts'

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

/**
 * node:util parseArgs, with bad usage as one line that says how to mend it.
 * What looks like a credential is refused wherever it stands.
 *
 * @param most words that may stand beside the options
 */
export function parse<T extends NonNullable<ParseArgsConfig['options']>> (args: string[], options: T, most = Infinity): ReturnType<typeof parseArgs<{ args: string[], options: T, allowPositionals: true, strict: true }>> {
  if (args.some(arg => redact(arg) !== arg)) {
    throw new UsageError('An argument looks like a secret, and other users of this machine see arguments. Name keys and tokens by their id; values go to standard input')
  }
  let parsed
  try {
    parsed = parseArgs<{ args: string[], options: T, allowPositionals: true, strict: true }>({ args, options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(`${firstSentence((error as Error).message)}. See --help`)
  }
  if (parsed.positionals.length > most) throw new UsageError(`"${parsed.positionals[most]!.slice(0, 64)}" is one word too many. See --help`)
  return parsed
}

function firstSentence (text: string): string {
  const line = text.split('\n', 1)[0]!.trim().split('. ', 1)[0]!
  return line.endsWith('.') ? line.slice(0, -1) : line
}
