/** What every command is: one file each, found by src/cli/main.ts. */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { UsageError } from '../errors.ts'

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

/** node:util parseArgs, with bad usage as one line that says how to mend it. */
export function parse<T extends NonNullable<ParseArgsConfig['options']>> (args: string[], options: T): ReturnType<typeof parseArgs<{ args: string[], options: T, allowPositionals: true, strict: true }>> {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]!}. See --help`)
  }
}
