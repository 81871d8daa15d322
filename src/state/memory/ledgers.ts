/** A shared list in a file, for one process and the commands beside it. */
import { faultsIn, type PlainSchema } from '../../core/plain-schema.ts'
import { UsageError } from '../../errors.ts'
import { jsonOf, readIfThere, watchFile, withLock, writeAtomically } from '../../files.ts'
import { KEEP_ENDED_MS, LedgerCopy, live, type Ledger, type LedgerChange, type LedgerEntry } from '../ledgers.ts'
import { digestOf, type HeldFile, type InUse } from './serving.ts'

/** Open: what a newer release adds must not stop this one. */
const Entries = {
  type: 'object',
  additionalProperties: {
    type: 'object',
    properties: {
      since: { type: 'integer', minimum: 0 },
      until: { type: 'integer', minimum: 0 },
      note: { type: 'string', maxLength: 1024 }
    },
    required: ['since']
  }
} as const satisfies PlainSchema

/** A clock that differs from the time that passed by more than this was set, ms. */
const STEP_MS = 1000

export interface FileLedgerOptions {
  path: string
  warn: (message: string) => void
  /** ms since the epoch. */
  now: () => number
}

/** Read again when the file changes, and when the clock was set: what had run out by a wrong clock has not. */
export class FileLedger implements Ledger {
  readonly #path: string
  readonly #warn: (message: string) => void
  readonly #now: () => number
  readonly #copy: LedgerCopy
  readonly #stop: () => void
  readonly #timer: NodeJS.Timeout
  readonly held: HeldFile
  #inUse: InUse = { digest: digestOf(undefined) }
  /** What the clock showed when this process was as old as `performance.now` says now, ms. */
  #clock: number

  /** @throws {UsageError} if the file is broken at the start */
  constructor ({ path, warn, now }: FileLedgerOptions) {
    this.#path = path
    this.#warn = warn
    this.#now = now
    this.#copy = new LedgerCopy(now)
    this.#clock = now() - performance.now()
    this.held = { path, look: () => this.#read() }
    this.#load()
    this.#stop = watchFile(path, () => { this.#read() })
    this.#timer = setInterval(() => this.#look(), 500)
    this.#timer.unref()
  }

  entries (): ReadonlyMap<string, LedgerEntry> {
    return this.#copy.entries()
  }

  onChange (listener: (change: LedgerChange) => void): () => void {
    return this.#copy.onChange(listener)
  }

  ageMs (): number {
    return 0
  }

  async set (id: string, entry: LedgerEntry): Promise<void> {
    await this.#change(entries => { entries.set(id, entry); return true })
  }

  async setMany (added: ReadonlyMap<string, LedgerEntry>): Promise<void> {
    await this.#change(entries => {
      for (const [id, entry] of added) entries.set(id, entry)
      return added.size > 0
    })
  }

  delete (id: string): Promise<boolean> {
    return this.#change((entries, now) => {
      const found = live(entries, now).has(id)
      entries.delete(id)
      return found
    })
  }

  close (): void {
    this.#stop()
    clearInterval(this.#timer)
  }

  /** @throws {UsageError} if the file is broken */
  #load (): void {
    const text = readIfThere(this.#path, SETTING)
    this.#copy.replace(entriesOf(text, this.#path))
    this.#inUse = { digest: digestOf(text) }
  }

  /** A file that is broken later keeps the last good state. */
  #read (): InUse {
    try {
      this.#load()
    } catch (error) {
      const problem = (error as Error).message
      if (!('problem' in this.#inUse) || this.#inUse.problem !== problem) {
        this.#warn(`${this.#path} changed but is not used: ${problem}`)
      }
      this.#inUse = { problem }
    }
    return this.#inUse
  }

  #look (): void {
    const clock = this.#now() - performance.now()
    const stepped = Math.abs(clock - this.#clock) > STEP_MS
    this.#clock = clock
    if (stepped) this.#read()
    else this.#copy.prune()
  }

  #change (edit: (entries: Map<string, LedgerEntry>, now: number) => boolean): Promise<boolean> {
    return withLock(this.#path, () => {
      const entries = live(entriesOf(readIfThere(this.#path, SETTING), this.#path), this.#now() - KEEP_ENDED_MS)
      const changed = edit(entries, this.#now())
      if (changed) {
        writeAtomically(this.#path, JSON.stringify(Object.fromEntries(entries), null, 2) + '\n', { setting: SETTING })
      }
      this.#load()
      return changed
    }, SETTING)
  }
}

/** The ledgers are in the folder of the key file, so its setting moves them. */
const SETTING = 'API_KEYS_FILE'

function entriesOf (text: string | undefined, path: string): Map<string, LedgerEntry> {
  if (text === undefined) return new Map()
  const value = jsonOf(text, path)
  const faults = faultsIn(Entries, value)
  if (faults.length > 0) throw new UsageError(`${path}: ${faults.join('; ')}`)
  return new Map(Object.entries(value as Record<string, LedgerEntry>))
}
