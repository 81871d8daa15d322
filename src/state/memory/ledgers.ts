/** The copy of a shared list that this process holds, and the files that hold one where there is no Redis. */
import { faultsIn, type PlainSchema } from '../../core/plain-schema.ts'
import { UsageError } from '../../errors.ts'
import { jsonOf, readIfThere, watchFile, withLock, writeAtomically } from '../../files.ts'
import { digestOf, type HeldFile, type InUse } from './serving.ts'
import type { Ledger, LedgerEntry } from '../store.ts'

type Listener = Parameters<Ledger['onChange']>[0]

/** Entries in memory, with expiry and change events. Stores put new content in. */
export interface LedgerCopy {
  entries (): ReadonlyMap<string, LedgerEntry>
  onChange (listener: Listener): () => void
  replace (next: Map<string, LedgerEntry>): void
  /** Put one entry in; undefined takes it out. */
  put (id: string, entry: LedgerEntry | undefined): void
  /** Drop what has expired; call now and then. */
  prune (now: number): void
}

export function ledgerCopy (): LedgerCopy {
  let current = new Map<string, LedgerEntry>()
  const listeners = new Set<Listener>()

  const tell = (added: string[], removed: string[]) => {
    if (added.length > 0 || removed.length > 0) for (const listener of listeners) listener({ added, removed })
  }
  const replace = (next: Map<string, LedgerEntry>) => {
    const before = current
    current = next
    // Written again counts as new: it reaches what has come since.
    tell([...next].filter(([id, { since }]) => before.get(id)?.since !== since).map(([id]) => id), [...before.keys()].filter(id => !next.has(id)))
  }
  return {
    entries: () => current,
    replace,
    put (id, entry) {
      const before = current.get(id)
      if (entry !== undefined && (entry.until === undefined || entry.until > Date.now())) {
        current.set(id, entry)
        if (before?.since !== entry.since) tell([id], [])
      } else if (before !== undefined) {
        current.delete(id)
        tell([], [id])
      }
    },
    onChange (listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    prune (now) {
      for (const { until } of current.values()) {
        if (until !== undefined && until <= now) return replace(live(current, now))
      }
    }
  }
}

export function live (entries: ReadonlyMap<string, LedgerEntry>, now: number): Map<string, LedgerEntry> {
  return new Map([...entries].filter(([, { until }]) => until === undefined || until > now))
}

/** Open: what a newer release adds must not stop this one. */
const Entries = {
  type: 'object',
  additionalProperties: {
    type: 'object',
    properties: { since: { type: 'integer', minimum: 0 }, until: { type: 'integer', minimum: 0 }, note: { type: 'string', maxLength: 1024 } },
    required: ['since']
  }
} as const satisfies PlainSchema

/**
 * A ledger in a file, read again when the file changes.
 *
 * @throws {UsageError} if the file is broken at the start
 */
export function fileLedger (path: string, warn: (message: string) => void): Ledger & { readonly held: HeldFile, close (): void } {
  const copy = ledgerCopy()
  let inUse: InUse = { digest: digestOf(undefined) }
  const load = () => {
    const text = readIfThere(path, SETTING)
    copy.replace(live(entriesOf(text, path), Date.now()))
    inUse = { digest: digestOf(text) }
  }
  load()
  const look = () => {
    try {
      load()
    } catch (error) {
      const problem = (error as Error).message
      if (!('problem' in inUse) || inUse.problem !== problem) warn(`${path} changed but is not used: ${problem}`)
      inUse = { problem }
    }
    return inUse
  }
  const stop = watchFile(path, look)
  const timer = setInterval(() => copy.prune(Date.now()), 500)
  timer.unref()

  const change = (edit: (entries: Map<string, LedgerEntry>) => boolean) => withLock(path, () => {
    const entries = live(entriesOf(readIfThere(path, SETTING), path), Date.now())
    const changed = edit(entries)
    if (changed) writeAtomically(path, JSON.stringify(Object.fromEntries(entries), null, 2) + '\n', { setting: SETTING })
    load()
    return changed
  }, SETTING)
  return {
    entries: copy.entries,
    onChange: copy.onChange,
    ageMs: () => 0,
    async set (id, entry) { await change(entries => { entries.set(id, entry); return true }) },
    delete: id => change(entries => entries.delete(id)),
    held: { path, look },
    close () {
      stop()
      clearInterval(timer)
    }
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
