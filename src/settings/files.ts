/**
 * Settings whose values stand in files of their own, as orchestrators mount secrets:
 * `REDIS_URL_FILE=/run/secrets/redis_url`.
 */
import { statSync } from 'node:fs'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'

type EnvironmentWithFiles = Readonly<Record<string, string | undefined>>

/** No setting is longer; a mount that went wrong can be anything. */
const MAX_BYTES = 65_536

/**
 * The values of every `<NAME>_FILE` in the environment, by NAME. Settings that
 * are paths themselves are left out, and so is CONFIG_ENCRYPTION_KEY: its file
 * is a setting of its own, with rules of its own (src/secrets/keys.ts).
 *
 * @param names of the settings
 * @throws {UsageError} one problem a line: the setting and the path, never a value
 */
export function readSettingFiles (env: EnvironmentWithFiles, names: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {}
  const problems: string[] = []
  for (const name of names) {
    const member = `${name}_FILE`
    const path = env[member]?.trim()
    if (path === undefined || name.endsWith('_FILE') || names.includes(member)) continue
    if (path === '') problems.push(`${member} is empty: name a file, or remove it`)
    else if ((env[name] ?? '').trim() !== '') {
      // Which of the two was meant cannot be known, and one of them may be last year's.
      problems.push(`${name} and ${member} are both set: keep one`)
    } else {
      const read = valueIn(path, member)
      if ('problem' in read) problems.push(read.problem)
      else values[name] = read.value
    }
  }
  if (problems.length > 0) throw new UsageError(['Invalid configuration:', ...problems].join('\n  '))
  return values
}

/** A line's end at the end is the editor's, not the secret's. */
function valueIn (path: string, member: string): { value: string } | { problem: string } {
  try {
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
    if (size > MAX_BYTES) return { problem: `${member}: ${path} has ${size} bytes; a setting has at most ${MAX_BYTES}` }
    const value = readIfThere(path, member)?.trim()
    if (value === undefined) return { problem: `${member}: ${path} does not exist` }
    return value === '' ? { problem: `${member}: ${path} is empty` } : { value }
  } catch (error) {
    return { problem: (error as Error).message }
  }
}
