/**
 * The name of everything in Redis, spelled here alone. Names never change
 * meaning: the release before and the one after use the same Redis. Keys that
 * meet in one script share what stands in braces, and so a slot of a Cluster.
 */
import type { LedgerName } from '../ledgers.ts'
import { slotOf, tagOf } from './client/slots.ts'

export class Names {
  readonly #prefix: string

  /** What the state is called; beside it, in the same slot, what was acknowledged (see client/epoch.ts). */
  readonly epoch: string
  readonly marks: string
  /** Key id → hash. */
  readonly keyIndex: string
  /** Key id → when it was last used. */
  readonly keyUses: string
  /** All sessions by the moment when each is gone. */
  readonly sessions: string
  readonly ledgerChannel: string
  /** The newest records of decisions, and how far each chain of them went. */
  readonly records: string
  readonly recordHeads: string

  constructor (prefix: string) {
    this.#prefix = prefix
    this.epoch = `${prefix}epoch`
    this.marks = `${prefix}epoch:{${tagOf(slotOf(this.epoch))}}:marks`
    this.keyIndex = `${prefix}index:keys`
    this.keyUses = `${prefix}index:used`
    this.sessions = `${prefix}sessions`
    this.ledgerChannel = this.channel('ledger')
    this.records = `${prefix}audit`
    this.recordHeads = `${prefix}audit:heads`
  }

  ledger (ledger: LedgerName): string { return this.#prefix + ledger }
  record (hash: string): string { return `${this.#prefix}{key:${hash}}:record` }

  /** The window of `key:<hash>`, of `sub:<principal>`, of `failures:<address group>`; of one of its tools. */
  window (subject: string, tool?: string): string {
    return `${this.#prefix}{${subject}}:window${tool === undefined ? '' : `:${tool}`}`
  }

  /** Of an owner, and one of them. */
  ownedSessions (owner: string): string { return `${this.#prefix}session:{${owner}}` }
  session (owner: string, id: string): string { return `${this.#prefix}session:{${owner}}:${id}` }

  /** Of a holder, whatever owners it has: sessions by the moment when each is gone. */
  heldSessions (holder: string): string { return `${this.#prefix}sessions:${holder}` }

  value (key: string): string { return this.#prefix + key }
  channel (topic: string): string { return `${this.#prefix}bus:${topic}` }
  /** What says that a slot still holds what was in it. */
  canary (tag: string): string { return `${this.#prefix}epoch:{${tag}}` }
}
