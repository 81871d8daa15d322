/** A file beside the keys: what upstreams list outlives the process, and commands read it. */
import { readJsonIfThere, withLock, writeAtomically } from '../../files.ts'
import type { Catalogues } from '../catalogues.ts'

interface KeptText { readonly text: string, readonly until: number }

export class FileCatalogues implements Catalogues {
  readonly #path: string
  readonly #now: () => number

  /** @param now ms since the epoch */
  constructor (path: string, now: () => number) {
    this.#path = path
    this.#now = now
  }

  async get (id: string): Promise<string | undefined> {
    return this.#read().get(id)?.text
  }

  async put (texts: ReadonlyMap<string, string>, ttlMs: number): Promise<void> {
    await withLock(this.#path, () => {
      const kept = this.#read()
      for (const [id, text] of texts) kept.set(id, { text, until: this.#now() + ttlMs })
      writeAtomically(this.#path, JSON.stringify(Object.fromEntries(kept)) + '\n', { setting: SETTING })
    }, SETTING)
  }

  /** A file that is broken is as one that is not there: upstreams list again. */
  #read (): Map<string, KeptText> {
    let value: unknown
    try {
      value = readJsonIfThere(this.#path, SETTING)
    } catch {
      return new Map()
    }
    if (typeof value !== 'object' || value === null) return new Map()
    return new Map(Object.entries(value).filter((entry): entry is [string, KeptText] => {
      const { text, until } = (entry[1] ?? {}) as Partial<KeptText>
      return typeof text === 'string' && typeof until === 'number' && until > this.#now()
    }))
  }
}

/** The file is in the folder of the key file, so its setting moves it. */
const SETTING = 'API_KEYS_FILE'
