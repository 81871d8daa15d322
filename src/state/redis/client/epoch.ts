/**
 * Whether what Redis holds is still what it acknowledged. Its state has a name,
 * the epoch: another name means that it was emptied or exchanged. Beside the
 * epoch stand marks, written after each change was acknowledged: a list whose
 * number is below its mark went backwards. In a Cluster each slot has a canary,
 * since one node of many can lose its data. See docs/decisions/0015-lost-state-closes.md.
 */
import { randomUUID } from 'node:crypto'
import { Cluster } from 'ioredis'
import type { Log } from '../../../telemetry/log.ts'
import { LEDGERS, type LedgerName } from '../../ledgers.ts'
import type { Names } from '../names.ts'
import type { Client } from './connection.ts'
import { unavailable, type Guard } from './guarded-client.ts'
import { allTags, slotOf } from './slots.ts'

/** The epoch that replaces one that is gone, so that replicas which start later see it, too. */
const LOST = 'lost:'
/** At the end of an epoch that an operator set to go on after a loss. */
const ACCEPTED = ':accepted'

const GO_ON =
  'keys and revocations may be gone, so everything is refused; restore it, or go on without: npx secure-mcp-server state accept-loss'

/** Canaries looked at for each node of a Cluster, each time. */
const LOOKED_AT = 8
/** Canaries written at once. */
const CHUNK = 256

/** What Redis says of its state, read in one go. */
export interface Seen {
  /** null for nothing. */
  epoch: string | null
  marks: Readonly<Record<string, string>>
  /** As TIME answers. */
  time: readonly (string | number)[]
}

export interface EpochOptions {
  client: Client
  names: Names
  ask: Guard
  log: Log
}

export class Epoch {
  readonly #client: Client
  readonly #names: Names
  readonly #ask: Guard
  readonly #log: Log
  /** What Redis called its state when this process first saw it whole. */
  #known: string | undefined
  /** Emptied or exchanged, and a part of it lost. */
  #replaced = false
  #damaged = false
  /** Hash tag of each slot, once canaries are laid there; of a Cluster only. */
  #tags: string[] | undefined
  #laying: Promise<void> | undefined
  /** Slots whose canary was not there when last looked. */
  #dead = new Set<number>()

  constructor ({ client, names, ask, log }: EpochOptions) {
    this.#client = client
    this.#names = names
    this.#ask = ask
    this.#log = log
  }

  /** State was seen whole once. */
  get begun (): boolean {
    return this.#known !== undefined
  }

  get lost (): boolean {
    return this.#replaced || this.#damaged
  }

  async look (): Promise<Seen> {
    const { epoch, marks } = this.#names
    const [seen, found, time] = await Promise.all([
      this.#ask(() => this.#client.get(epoch), epoch),
      this.#ask(() => this.#client.hgetall(marks), marks),
      this.#ask(() => this.#client.time())
    ])
    return { epoch: seen, marks: found, time }
  }

  /**
   * Compare what was read with what is known.
   *
   * @returns whether it is the state that was known
   */
  async judge ({ epoch }: Seen): Promise<boolean> {
    if (this.#known === undefined) await this.#begin(epoch)
    else if (epoch !== this.#known) await this.#follow(epoch)
    else if (this.#replaced) {
      this.#replaced = false
      this.#log.warn({}, 'redis state restored')
    }
    return this.#known !== undefined && !this.#replaced
  }

  /**
   * Look for what is missing of a state that has its right name.
   *
   * @param held the number of each list's last change, as far as this process or Redis knows it
   */
  async examine ({ marks }: Seen, held: Readonly<Record<LedgerName, number>>): Promise<boolean> {
    const backwards: string[] = LEDGERS.filter(ledger => held[ledger] < Number(marks[ledger] ?? 0))
    if (Number(marks.scripted ?? 0) < Number(marks.changes ?? 0)) backwards.push('keys')
    const dead = await this.#deadSlots(marks)
    const damaged = backwards.length > 0 || dead > 0
    if (damaged && !this.#damaged) {
      this.#log.error({ backwards, slots: dead }, `redis lost a part of its data: ${GO_ON}`)
    }
    if (!damaged && this.#damaged) this.#log.warn({}, 'redis state restored')
    this.#damaged = damaged
    return !damaged
  }

  /**
   * "No such key" is a fact only where what might hold it is whole.
   *
   * @param key in whose slot nothing was found
   * @throws {AppError} STATE_UNAVAILABLE unless state is whole now
   */
  async assertWhole (key?: string): Promise<void> {
    const { epoch } = this.#names
    const slot = key === undefined || this.#tags === undefined ? undefined : slotOf(key)
    const [seen, alive] = await Promise.all([
      this.#ask(() => this.#client.get(epoch), epoch),
      slot === undefined ? true : this.#isAlive(slot)
    ])
    if (this.#known === undefined || seen !== this.#known) throw unavailable('the epoch is not the one that was seen')
    if (alive) return
    this.#dead.add(slot!)
    throw unavailable('the slot lost its data')
  }

  /** Note that a change was acknowledged, so that its loss is noticed by who never saw it. Best effort. */
  async mark (ledger?: LedgerName, number?: number): Promise<void> {
    const { marks } = this.#names
    try {
      const changes = await this.#ask(() => this.#client.noteChange(marks), marks)
      const fields = { changes, ...(ledger === undefined ? {} : { [ledger]: number! }) }
      await this.#ask(() => this.#client.hset(marks, fields), marks)
    } catch {
      // A mark that is missing notices less; it accuses nobody.
    }
  }

  /** Go on with what is left. */
  async accept (): Promise<void> {
    const { epoch, marks } = this.#names
    await this.#ask(() => this.#client.hdel(marks, 'changes', 'scripted', ...LEDGERS), marks)
    if (this.#client instanceof Cluster) await this.#lay()
    this.#dead.clear()
    await this.#ask(() => this.#client.set(epoch, randomUUID() + ACCEPTED), epoch)
  }

  /** The first look. Where nothing ever was, an epoch begins. */
  async #begin (seen: string | null): Promise<void> {
    const { epoch } = this.#names
    if (seen === null) {
      await this.#ask(() => this.#client.set(epoch, randomUUID(), 'NX'), epoch)
      seen = await this.#ask(() => this.#client.get(epoch), epoch)
    }
    if (seen?.startsWith(LOST)) this.#lose()
    this.#known = seen?.startsWith(LOST) ? seen.slice(LOST.length) : seen ?? undefined
  }

  /**
   * Another epoch than the one known: what Redis held is gone, unless an
   * operator said to go on. A replica that starts now could not tell, so the
   * loss is written down, but never over state that others may use.
   */
  async #follow (seen: string | null): Promise<void> {
    if (seen?.endsWith(ACCEPTED) && !seen.startsWith(LOST)) {
      this.#known = seen
      this.#replaced = this.#damaged = false
      this.#log.warn({}, 'going on after a loss of state, as an operator said')
      return
    }
    this.#lose()
    const { epoch, keyIndex } = this.#names
    const lost = LOST + this.#known!
    if (seen === null) await this.#ask(() => this.#client.set(epoch, lost, 'NX'), epoch).catch(() => {})
    else if (!seen.startsWith(LOST) && await this.#ask(() => this.#client.exists(keyIndex), keyIndex) === 0) {
      await this.#ask(() => this.#client.set(epoch, lost), epoch).catch(() => {})
    }
  }

  #lose (): void {
    if (!this.#replaced) this.#log.error({ key: this.#names.epoch }, `redis lost its data: ${GO_ON}`)
    this.#replaced = true
  }

  /**
   * How many slots are known to have lost their data: those that had, and a few more of each node, each time
   * others.
   */
  async #deadSlots (marks: Readonly<Record<string, string>>): Promise<number> {
    if (!(this.#client instanceof Cluster)) return 0
    if (marks.slots === undefined) {
      // Canaries are laid once in the life of a state, when nobody misses anything.
      this.#laying ??= this.#lay().catch(() => {}).finally(() => { this.#laying = undefined })
      return 0
    }
    this.#tags ??= allTags()
    await Promise.all([...this.#dead, ...fewOfEach(this.#client.slots)].map(async slot => {
      // A node that does not answer has not lost anything yet.
      const alive = await this.#isAlive(slot).catch(() => undefined)
      if (alive === true) this.#dead.delete(slot)
      if (alive === false) this.#dead.add(slot)
    }))
    return this.#dead.size
  }

  async #isAlive (slot: number): Promise<boolean> {
    const canary = this.#names.canary(this.#tags![slot]!)
    return await this.#ask(() => this.#client.exists(canary), canary) === 1
  }

  async #lay (): Promise<void> {
    const tags = this.#tags ?? allTags()
    for (let i = 0; i < tags.length; i += CHUNK) {
      await Promise.all(tags.slice(i, i + CHUNK).map(tag => {
        const canary = this.#names.canary(tag)
        return this.#ask(() => this.#client.set(canary, '1'), canary)
      }))
    }
    const { marks } = this.#names
    await this.#ask(() => this.#client.hset(marks, 'slots', '1'), marks)
    this.#tags = tags
  }
}

/** A few slots of each node of a Cluster, at random. */
function fewOfEach (slots: ReadonlyArray<readonly string[] | undefined>): number[] {
  const byNode = new Map<string, number[]>()
  for (const [slot, nodes] of slots.entries()) {
    const node = nodes?.[0]
    if (node === undefined) continue
    const own = byNode.get(node)
    if (own === undefined) byNode.set(node, [slot])
    else own.push(slot)
  }
  return [...byNode.values()].flatMap(own =>
    Array.from({ length: LOOKED_AT }, () => own[Math.floor(Math.random() * own.length)]!)
  )
}
