/** Keys, their last use and a shared list that no file holds: for a process that leaves nothing behind. */
import type { ApiKeyRecord } from '../../core/api-key.ts'
import type { Catalogues } from '../catalogues.ts'
import { LedgerCopy, type Ledger, type LedgerChange, type LedgerEntry } from '../ledgers.ts'
import type { Kept, KeptKeys } from './kept.ts'
import type { LastUse } from './last-use.ts'

/**
 * @param now ms since the epoch
 * @param onKeys told whenever the keys are others
 */
export function keptHere (now: () => number, onKeys: () => void): Kept {
  return {
    keys: unwrittenKeys(onKeys),
    uses: unwrittenUse(),
    blocklist: new UnwrittenLedger(now),
    revocations: new UnwrittenLedger(now),
    approvals: new UnwrittenLedger(now),
    catalogues: unwrittenCatalogues(),
    takenUp: async () => ({ place: 'this process', serving: 0, refused: [] }),
    close () {}
  }
}

function unwrittenKeys (onChange: () => void): KeptKeys {
  const ids = new Map<string, ApiKeyRecord>()
  const change: KeptKeys['change'] = async (id, edit, absent) => {
    const before = ids.get(id) ?? absent
    if (before === undefined) return undefined
    const after = edit(before)
    ids.set(id, after)
    onChange()
    return after
  }
  return {
    byHash: hash => [...ids.values()].find(record => record.hash === hash || record.previous?.hash === hash),
    byId: id => ids.get(id),
    records: () => [...ids.values()],
    async save (record) { await change(record.id, () => record, record) },
    change
  }
}

function unwrittenUse (): LastUse {
  const uses = new Map<string, number>()
  return {
    of: id => uses.get(id),
    note (id, now) { uses.set(id, now - now % 60_000) },
    write () {}
  }
}

/** Nothing runs out: a process without files does not live for days. */
function unwrittenCatalogues (): Catalogues {
  const kept = new Map<string, string>()
  return {
    get: async id => kept.get(id),
    async put (texts) { for (const [id, text] of texts) kept.set(id, text) }
  }
}

class UnwrittenLedger implements Ledger {
  readonly #copy: LedgerCopy

  /** @param now ms since the epoch */
  constructor (now: () => number) {
    this.#copy = new LedgerCopy(now)
  }

  entries (): ReadonlyMap<string, LedgerEntry> {
    this.#copy.prune()
    return this.#copy.entries()
  }

  onChange (listener: (change: LedgerChange) => void): () => void {
    return this.#copy.onChange(listener)
  }

  ageMs (): number {
    return 0
  }

  async set (id: string, entry: LedgerEntry): Promise<void> {
    this.#copy.put(id, entry)
  }

  async setMany (entries: ReadonlyMap<string, LedgerEntry>): Promise<void> {
    for (const [id, entry] of entries) this.#copy.put(id, entry)
  }

  async delete (id: string): Promise<boolean> {
    const found = this.entries().has(id)
    this.#copy.put(id, undefined)
    return found
  }
}
