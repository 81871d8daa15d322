/** The ledgers as Redis holds them: a numbered hash each, copied whole into every replica. */
import type { Log } from '../../telemetry/log.ts'
import {
  KEEP_ENDED_MS,
  LEDGERS,
  LedgerCopy,
  live,
  type Ledger,
  type LedgerChange,
  type LedgerEntry,
  type LedgerName
} from '../ledgers.ts'
import type { Client } from './client/connection.ts'
import type { Guard } from './client/guarded-client.ts'
import type { Names } from './names.ts'

export interface RedisLedgersOptions {
  client: Client
  names: Names
  /** Asks Redis; a change is asked in other words, since its failure leaves the outcome open. */
  ask: Guard
  change: Guard
  /** Throws unless what was just read came from state that is whole. */
  assertWhole: () => Promise<void>
  /** Notes that a change was acknowledged. */
  mark: (ledger: LedgerName, number: number) => Promise<void>
  ageMs: () => number
  /** ms since the epoch, by Redis. */
  now: () => number
  log: Log
}

/** Entries written again, or taken out, at once. */
const CHUNK = 1000

export class RedisLedgers {
  readonly #lists: Record<LedgerName, RedisLedger>

  constructor (options: RedisLedgersOptions) {
    this.#lists = {
      blocklist: new RedisLedger('blocklist', options),
      revocations: new RedisLedger('revocations', options),
      approvals: new RedisLedger('approvals', options)
    }
  }

  get blocklist (): Ledger { return this.#lists.blocklist }
  get revocations (): Ledger { return this.#lists.revocations }
  get approvals (): Ledger { return this.#lists.approvals }

  /** The number of each list's last change, as far as this process knows it; -1 before the first look. */
  get numbers (): Readonly<Record<LedgerName, number>> {
    const { blocklist, revocations, approvals } = this.#lists
    return { blocklist: blocklist.number, revocations: revocations.number, approvals: approvals.number }
  }

  /** Read what changed, or everything. */
  async follow (all: boolean): Promise<void> {
    await Promise.all(LEDGERS.map(ledger => this.#lists[ledger].follow(all)))
  }

  /** Take a message from the channel in. */
  hear (message: string): void {
    const { list, number, id, entry } = parsed(message)
    if (
      !LEDGERS.includes(list as LedgerName) ||
      typeof number !== 'number' ||
      typeof id !== 'string' ||
      typeof entry !== 'string'
    ) {
      return
    }
    this.#lists[list as LedgerName].hear(number, id, entry === '' ? undefined : entryOf(entry))
  }
}

class RedisLedger implements Ledger {
  readonly #ledger: LedgerName
  readonly #options: RedisLedgersOptions
  readonly #key: string
  readonly #copy: LedgerCopy
  #number = -1
  #heard = -1
  #reading = false

  constructor (ledger: LedgerName, options: RedisLedgersOptions) {
    this.#ledger = ledger
    this.#options = options
    this.#key = options.names.ledger(ledger)
    this.#copy = new LedgerCopy(options.now)
  }

  get number (): number {
    return this.#number
  }

  entries (): ReadonlyMap<string, LedgerEntry> {
    return this.#copy.entries()
  }

  onChange (listener: (change: LedgerChange) => void): () => void {
    return this.#copy.onChange(listener)
  }

  ageMs (): number {
    return this.#options.ageMs()
  }

  async set (id: string, entry: LedgerEntry): Promise<void> {
    await this.#alter(id, entry)
  }

  async setMany (entries: ReadonlyMap<string, LedgerEntry>): Promise<void> {
    for (const [id, entry] of entries) await this.#alter(id, entry)
  }

  delete (id: string): Promise<boolean> {
    return this.#alter(id, undefined)
  }

  async follow (all: boolean): Promise<void> {
    const number = await this.#options.ask(() => this.#options.client.hget(this.#key, '#'), this.#key)
    if (all || Number(number ?? 0) !== this.#number) await this.#read()
    this.#copy.prune()
  }

  hear (number: number, id: string, entry: LedgerEntry | undefined): void {
    this.#heard = number
    if (!this.#next(number, id, entry)) this.#catchUp()
  }

  async #alter (id: string, entry: LedgerEntry | undefined): Promise<boolean> {
    const { client, change, mark, names } = this.#options
    const text = entry === undefined ? '' : JSON.stringify(entry)
    const number = await change(
      () => client.changeLedger(this.#key, id, text, names.ledgerChannel, this.#ledger),
      this.#key
    )
    if (number > 0) {
      await mark(this.#ledger, number)
      if (!this.#next(number, id, entry)) await this.#read()
    }
    return number > 0
  }

  /** The next change is put in as it is; after a gap the list is read whole. */
  #next (number: number, id: string, entry: LedgerEntry | undefined): boolean {
    if (number <= this.#number) return true
    if (number !== this.#number + 1) return false
    this.#number = number
    this.#copy.put(id, entry)
    return true
  }

  async #read (): Promise<void> {
    const known = this.#number
    const { '#': text = '0', ...fields } = await this.#options.ask(
      () => this.#options.client.hgetall(this.#key),
      this.#key
    )
    // After the read: whatever emptied Redis before it is seen here.
    await this.#options.assertWhole()
    const entries = new Map(Object.entries(fields).map(([id, json]) => [id, entryOf(json)]))
    const number = Number(text)
    if (number < known) return await this.#restore(entries)
    if (number < this.#number) return // what changed while this was read is here already
    this.#number = number
    this.#copy.replace(entries)
    this.#forget(fields, entries)
  }

  /** Blocks and revocations that ended would else fill Redis for ever. Best effort: the next read tries again. */
  #forget (fields: Readonly<Record<string, string>>, entries: Map<string, LedgerEntry>): void {
    const { client, ask, now } = this.#options
    const kept = live(entries, now() - KEEP_ENDED_MS)
    const gone = [...entries.keys()].filter(id => !kept.has(id)).slice(0, CHUNK)
    if (gone.length === 0) return
    ask(() => client.forgetEntries(this.#key, ...gone.flatMap(id => [id, fields[id]!])), this.#key).catch(() => {})
  }

  /** Redis went back in time (an old backup, a replica that lagged): what this process remembers goes back in. */
  async #restore (entries: Map<string, LedgerEntry>): Promise<void> {
    const { client, ask, log, now } = this.#options
    const missing = [...live(this.#copy.entries(), now())].filter(([id]) => !entries.has(id))
    log.error(
      { ledger: this.#ledger, entries: missing.length },
      'redis lost changes of a shared list, written again from memory'
    )
    let number = this.#number
    for (let i = 0; i === 0 || i < missing.length; i += CHUNK) {
      const some = missing.slice(i, i + CHUNK).flatMap(([id, entry]) => [id, JSON.stringify(entry)])
      number = await ask(() => client.restoreLedger(this.#key, this.#number, ...some), this.#key)
    }
    for (const [id, entry] of missing) entries.set(id, entry)
    this.#number = Math.max(number, this.#number)
    this.#copy.replace(entries)
  }

  /** One read at a time and, if something was heard of meanwhile, one more. */
  #catchUp (): void {
    if (this.#reading) return
    this.#reading = true
    this.#read().then(() => this.#number < this.#heard, () => false).then(again => {
      this.#reading = false
      if (again) this.#catchUp()
    })
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
