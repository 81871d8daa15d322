import { AppError } from '../../errors.ts'
import type { RecordBatch, RecordHead, Records } from '../records.ts'
import { mastersOf, type Client } from './client/connection.ts'
import type { Guard } from './client/guarded-client.ts'
import type { Names } from './names.ts'

/** Some 100,000 records. */
const MAX_BYTES = 50_000_000
/** Of what Redis may use: keys and revocations must find room whatever is recorded. */
const SHARE = 4
/** How often Redis is asked how much it may use, ms. */
const ROOM_MS = 60_000
/** Of the batches, where Redis is full. */
const CUT_SHARE = 0.1

/** A stream of batches, and a hash of heads. State that was lost does not stop it: it is no part of it. */
export class RedisRecords implements Records {
  readonly #client: Client
  readonly #names: Names
  readonly #ask: Guard
  #maxBytes = MAX_BYTES
  #roomAt = -Infinity

  constructor ({ client, names, ask }: { client: Client, names: Names, ask: Guard }) {
    this.#client = client
    this.#names = names
    this.#ask = ask
  }

  async append (chain: string, text: string): Promise<{ cut: boolean }> {
    await this.#lookForRoom()
    const { records } = this.#names
    const add = () => this.#ask(() => this.#client.appendRecords(records, chain, text, this.#maxBytes), records)
    try {
      await add()
      return { cut: false }
    } catch (error) {
      if (!isFull(error)) throw error
      const count = await this.#ask(() => this.#client.xlen(records), records)
      if (count === 0) throw error
      const left = Math.floor(count * (1 - CUT_SHARE))
      await this.#ask(() => this.#client.xtrim(records, 'MAXLEN', left), records)
      await add()
      return { cut: true }
    }
  }

  async after (id: string | undefined, most: number): Promise<RecordBatch[]> {
    const { records } = this.#names
    const from = id === undefined ? '-' : `(${id}`
    return batches(await this.#ask(() => this.#client.xrange(records, from, '+', 'COUNT', most), records))
  }

  async before (id: string | undefined, most: number): Promise<RecordBatch[]> {
    const { records } = this.#names
    const from = id === undefined ? '+' : `(${id}`
    return batches(await this.#ask(() => this.#client.xrevrange(records, from, '-', 'COUNT', most), records))
  }

  async heads (): Promise<ReadonlyMap<string, RecordHead>> {
    const { recordHeads } = this.#names
    const kept = await this.#ask(() => this.#client.hgetall(recordHeads), recordHeads)
    return new Map(Object.entries(kept).map(([chain, text]) => [chain, JSON.parse(text) as RecordHead]))
  }

  async putHead (chain: string, { n, ...more }: RecordHead): Promise<void> {
    const { recordHeads } = this.#names
    await this.#ask(
      () => this.#client.putHead(recordHeads, chain, n, JSON.stringify({ n, ...more })), recordHeads
    )
  }

  async dropHeads (chains: readonly string[]): Promise<void> {
    const { recordHeads } = this.#names
    if (chains.length > 0) await this.#ask(() => this.#client.hdel(recordHeads, ...chains), recordHeads)
  }

  /** How much Redis may use changes with its settings. */
  async #lookForRoom (): Promise<void> {
    if (performance.now() - this.#roomAt < ROOM_MS) return
    this.#roomAt = performance.now()
    const texts = await Promise.all(mastersOf(this.#client).map(redis => redis.info('memory').catch(() => '')))
    const bounds = texts.map(text => Number(/^maxmemory:(\d+)/m.exec(text)?.[1] ?? 0)).filter(bound => bound > 0)
    this.#maxBytes = Math.min(MAX_BYTES, ...bounds.map(bound => Math.floor(bound / SHARE)))
  }
}

function isFull (error: unknown): boolean {
  return error instanceof AppError && /^OOM\b/.test(String((error.cause as Error | undefined)?.message))
}

function batches (entries: Array<[id: string, fields: string[]]>): RecordBatch[] {
  return entries.map(([id, [, , , chain, , text]]) => ({ id, chain: chain!, text: text! }))
}
