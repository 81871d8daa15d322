/** Small shared lists that every replica holds whole, and the copy of one that a process holds. */

/** An entry of a shared list. */
export interface LedgerEntry {
  /** ms since the epoch by the store's clock (`Store.now`); the entry is gone then. Absent: for ever. */
  readonly until?: number | undefined
  /** ms since the epoch. */
  readonly since: number
  readonly note?: string | undefined
}

/**
 * An entry stays where it is kept for this long after its end, ms: a clock that was wrong meanwhile must not have
 * thrown it away.
 */
export const KEEP_ENDED_MS = 86_400_000

export const LEDGERS = ['blocklist', 'revocations', 'approvals'] as const
export type LedgerName = typeof LEDGERS[number]

export interface LedgerChange {
  /** Ids that are new, or written again. */
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/**
 * Read at start, pushed on change and polled once a second, so reading is
 * synchronous and survives an outage with its last state.
 */
export interface Ledger {
  /** The entries now, expired ones left out. Do not change it. */
  entries (): ReadonlyMap<string, LedgerEntry>
  set (id: string, entry: LedgerEntry): Promise<void>
  /** The same for many, as one change where that is cheaper. */
  setMany (entries: ReadonlyMap<string, LedgerEntry>): Promise<void>
  /** @returns whether there was such an entry */
  delete (id: string): Promise<boolean>
  /** Called after every change. @returns the way to stop */
  onChange (listener: (change: LedgerChange) => void): () => void
  /** ms since this copy was last known to be whole. 0 in memory. */
  ageMs (): number
}

export interface Ledgers {
  readonly blocklist: Ledger
  readonly revocations: Ledger
  readonly approvals: Ledger
}

/** Entries in memory, with expiry and change events. Stores put new content in. */
export class LedgerCopy {
  readonly #now: () => number
  readonly #listeners = new Set<(change: LedgerChange) => void>()
  #current = new Map<string, LedgerEntry>()

  /** @param now ms since the epoch */
  constructor (now: () => number) {
    this.#now = now
  }

  entries (): ReadonlyMap<string, LedgerEntry> {
    return this.#current
  }

  onChange (listener: (change: LedgerChange) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  /** Take this content instead, less what has expired. */
  replace (entries: ReadonlyMap<string, LedgerEntry>): void {
    const before = this.#current
    this.#current = live(entries, this.#now())
    // Written again counts as new: it reaches what has come since.
    this.#tell(
      [...this.#current].filter(([id, { since }]) => before.get(id)?.since !== since).map(([id]) => id),
      [...before.keys()].filter(id => !this.#current.has(id)))
  }

  /** Put one entry in; undefined takes it out. */
  put (id: string, entry: LedgerEntry | undefined): void {
    const before = this.#current.get(id)
    if (entry !== undefined && (entry.until === undefined || entry.until > this.#now())) {
      this.#current.set(id, entry)
      if (before?.since !== entry.since) this.#tell([id], [])
    } else if (before !== undefined) {
      this.#current.delete(id)
      this.#tell([], [id])
    }
  }

  /** Drop what has expired; call now and then. */
  prune (): void {
    const now = this.#now()
    for (const { until } of this.#current.values()) {
      if (until !== undefined && until <= now) return this.replace(this.#current)
    }
  }

  #tell (added: string[], removed: string[]): void {
    if (added.length > 0 || removed.length > 0) for (const listener of this.#listeners) listener({ added, removed })
  }
}

export function live (entries: ReadonlyMap<string, LedgerEntry>, now: number): Map<string, LedgerEntry> {
  return new Map([...entries].filter(([, { until }]) => until === undefined || until > now))
}
