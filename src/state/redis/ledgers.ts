/** The ledgers as Redis holds them: a numbered hash each, copied whole into every replica. */
import type { Log } from '../../telemetry/log.ts'
import type { Client } from './client/connection.ts'
import { ledgerCopy, live, type LedgerCopy } from '../memory/ledgers.ts'
import type { Ledger, LedgerEntry, LedgerName } from '../store.ts'

export interface SharedListsOptions {
  client: Client
  /** A key's full name. */
  name: (key: string) => string
  channel: string
  /** Asks Redis; a change is asked in other words, since its failure leaves the outcome open. */
  ask: <T>(command: () => Promise<T>) => Promise<T>
  change: <T>(command: () => Promise<T>) => Promise<T>
  /** Throws unless what was just read came from state that is whole. */
  assertWhole: () => Promise<void>
  ageMs: () => number
  log: Log
}

export interface SharedLists {
  readonly ledgers: Readonly<Record<LedgerName, Ledger>>
  /** The number of each list's last change, as Redis has it. */
  numbers (): Promise<Array<string | null>>
  /** Read again what differs from these numbers, or everything. */
  follow (numbers: ReadonlyArray<string | null>, all: boolean): Promise<void>
  /** Take a message from the channel in. */
  hear (message: string): void
}

const LEDGERS: readonly LedgerName[] = ['blocklist', 'revocations', 'approvals']

export function sharedLists ({ client, name, channel, ask, change, assertWhole, ageMs, log }: SharedListsOptions): SharedLists {
  const copies = Object.fromEntries(LEDGERS.map(ledger => [ledger, ledgerCopy()])) as Record<LedgerName, LedgerCopy>
  const held: Record<LedgerName, number> = { blocklist: -1, revocations: -1, approvals: -1 }
  const heard: Record<LedgerName, number> = { ...held }
  const reading: Partial<Record<LedgerName, Promise<void>>> = {}

  async function read (ledger: LedgerName): Promise<void> {
    const known = held[ledger]
    const { '#': text = '0', ...fields } = await ask(() => client.hgetall(name(ledger)))
    // After the read: whatever emptied Redis before it is seen here.
    await assertWhole()
    const entries = live(new Map(Object.entries(fields).map(([id, json]) => [id, entryOf(json)])), Date.now())
    const number = Number(text)
    if (number < known) await restore(ledger, entries)
    else if (number < held[ledger]) return // what changed while this was read is here already
    held[ledger] = number
    copies[ledger].replace(entries)
  }

  /** Redis went back in time (an old backup, a replica that lagged): what this process remembers goes back in. */
  async function restore (ledger: LedgerName, entries: Map<string, LedgerEntry>): Promise<void> {
    const missing = [...live(copies[ledger].entries(), Date.now())].filter(([id]) => !entries.has(id))
    log.error({ ledger, entries: missing.length }, 'redis lost changes of a shared list, written again from memory')
    for (const [id, entry] of missing) {
      entries.set(id, entry)
      await ask(() => client.changeLedger(name(ledger), id, JSON.stringify(entry), channel, ledger))
    }
  }

  /** One read at a time and, if something was heard of meanwhile, one more. */
  function catchUp (ledger: LedgerName): void {
    reading[ledger] ??= read(ledger).then(() => held[ledger] < heard[ledger], () => false).then(again => {
      delete reading[ledger]
      if (again) catchUp(ledger)
    })
  }

  /** The next change is put in as it is; after a gap the list is read whole. */
  function next (ledger: LedgerName, number: number, id: string, entry: LedgerEntry | undefined): boolean {
    if (number <= held[ledger]) return true
    if (number !== held[ledger] + 1) return false
    held[ledger] = number
    copies[ledger].put(id, entry)
    return true
  }

  const shared = (ledger: LedgerName): Ledger => {
    const alter = async (id: string, entry: LedgerEntry | undefined) => {
      const text = entry === undefined ? '' : JSON.stringify(entry)
      const number = await change(() => client.changeLedger(name(ledger), id, text, channel, ledger))
      if (number > 0 && !next(ledger, number, id, entry)) await read(ledger)
      return number > 0
    }
    return {
      entries: copies[ledger].entries,
      onChange: copies[ledger].onChange,
      ageMs,
      async set (id, entry) { await alter(id, entry) },
      delete: id => alter(id, undefined)
    }
  }

  return {
    ledgers: { blocklist: shared('blocklist'), revocations: shared('revocations'), approvals: shared('approvals') },

    numbers: () => Promise.all(LEDGERS.map(ledger => client.hget(name(ledger), '#'))),

    async follow (numbers, all) {
      for (const [i, ledger] of LEDGERS.entries()) {
        if (all || Number(numbers[i] ?? 0) !== held[ledger]) await read(ledger)
        copies[ledger].prune(Date.now())
      }
    },

    hear (message) {
      const { list, number, id, entry } = parsed(message)
      if (!LEDGERS.includes(list as LedgerName) || typeof number !== 'number' || typeof id !== 'string' || typeof entry !== 'string') return
      const ledger = list as LedgerName
      heard[ledger] = number
      if (!next(ledger, number, id, entry === '' ? undefined : entryOf(entry))) catchUp(ledger)
    }
  }
}

/** An entry that cannot be read still blocks or revokes: for ever. */
function entryOf (json: string): LedgerEntry {
  const { since, until, note } = parsed(json)
  return {
    since: typeof since === 'number' ? since : 0,
    ...(typeof until === 'number' ? { until } : {}),
    ...(typeof note === 'string' ? { note } : {})
  }
}

function parsed (json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {}
  } catch {
    return {}
  }
}
