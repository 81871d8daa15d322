import { Inspector } from '../core/inspection.ts'
import { readPatterns, type PatternSource } from '../core/patterns.ts'
import { UsageError } from '../errors.ts'
import { readJsonIfThere } from '../files.ts'
import type { Config } from './schema.ts'

const SETTING = 'INSPECTION_PATTERNS_FILE'
/** What a message may unfold to, in lengths of the longest message; for short ones this many characters. */
const UNFOLDED = 8
const LEAST_CHARACTERS = UNFOLDED * 1_048_576

/**
 * What is suspicious, by the settings.
 *
 * @throws {UsageError} for a file of patterns that is absent or wrong
 */
export function inspectorFromSettings ({
  INSPECTION_LEVEL: level, INSPECTION_PATTERNS_FILE: file, MAX_REQUEST_BYTES: bytes
}: Pick<Config, 'INSPECTION_LEVEL' | 'INSPECTION_PATTERNS_FILE' | 'MAX_REQUEST_BYTES'>): Inspector {
  const maxCharacters = Math.max(LEAST_CHARACTERS, UNFOLDED * bytes)
  return new Inspector({ level, own: file === undefined ? [] : patternsOf(file), maxCharacters })
}

function patternsOf (file: string): PatternSource[] {
  const value = readJsonIfThere(file, SETTING)
  if (value === undefined) throw new UsageError(`${SETTING}: there is no file ${file}`)
  try {
    return readPatterns(value)
  } catch (error) {
    throw new UsageError(`${SETTING} ${file}: ${(error as Error).message}`)
  }
}
