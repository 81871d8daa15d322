/** Settings whose values stand in files of their own, as orchestrators mount secrets: `REDIS_URL_FILE=/run/secrets/redis_url`. */
import { readFileSync, statSync } from 'node:fs'
import { UsageError } from '../errors.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** No setting is longer; a mount that went wrong can be anything. */
const MOST_BYTES = 65_536

/**
 * The values of every `<NAME>_FILE` in the environment, by NAME. Settings that
 * are paths themselves are left out, and so is CONFIG_ENCRYPTION_KEY: its file
 * is a setting of its own, with rules of its own (src/secrets/keys.ts).
 *
 * @param names of the settings
 * @throws {UsageError} one problem a line: the setting and the path, never a value
 */
export function readSettingFiles (env: Environment, names: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {}
  const problems: string[] = []
  for (const name of names) {
    const member = `${name}_FILE`
    const path = env[member]?.trim()
    if (path === undefined || path === '' || name.endsWith('_FILE') || names.includes(member)) continue
    if ((env[name] ?? '').trim() !== '') {
      // Which of the two was meant cannot be known, and one of them may be last year's.
      problems.push(`${name} and ${member} are both set: keep one`)
      continue
    }
    const value = contentOf(path)
    if (value === '') problems.push(`${member}: ${path} cannot be read, is empty, or is no file of at most ${MOST_BYTES} bytes`)
    else values[name] = value
  }
  if (problems.length > 0) throw new UsageError(['Invalid configuration:', ...problems].join('\n  '))
  return values
}

/** Empty for whatever cannot be a value. A line's end at the end is the editor's, not the secret's. */
function contentOf (path: string): string {
  try {
    const found = statSync(path)
    return found.isFile() && found.size <= MOST_BYTES ? readFileSync(path, 'utf8').trim() : ''
  } catch {
    return ''
  }
}
