/**
 * When each key was last used, to the minute, in a file of its own: writing it
 * into the key file would rewrite every key once a minute, and have the file
 * that people edit change under their hands.
 */
import { fits } from '../../core/plain-schema.ts'
import { readJsonIfThere, writeAtomically } from '../../files.ts'

export interface LastUse {
  /** ms since the epoch. */
  of (id: string): number | undefined
  note (id: string, now: number): void
  /** Put on disk what is new; a failure costs notes of use, nothing else. */
  write (): void
}

const Uses = { type: 'object', additionalProperties: { type: 'integer', minimum: 0 } } as const

/** A file that is broken counts as none, and is written anew. */
export function fileLastUse (path: string, warn: (message: string) => void): LastUse {
  const uses = new Map(Object.entries(read(path, warn)))
  let isNew = false

  return {
    of: id => uses.get(id),
    note (id, now) {
      const minute = now - now % 60_000
      if (uses.get(id) === minute) return
      uses.set(id, minute)
      isNew = true
    },
    write () {
      if (!isNew) return
      isNew = false
      try {
        writeAtomically(path, JSON.stringify(Object.fromEntries(uses)) + '\n')
      } catch (error) {
        warn(`last use was not written: ${(error as Error).message}`)
      }
    }
  }
}

function read (path: string, warn: (message: string) => void): Record<string, number> {
  try {
    const value: unknown = readJsonIfThere(path) ?? {}
    if (fits(Uses, value)) return value as Record<string, number>
  } catch {
    // Not JSON, or not to be read: warned of below.
  }
  warn(`${path} cannot be read; when keys were last used is not known`)
  return {}
}
