/**
 * Sends records on to where all replicas' are: whole writes, in order, some
 * 64 kB at once. What it sends is read from the spool, so a Redis that is gone
 * costs nothing but the room that the records take there anyway.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import type { RecordHead, Records } from '../state/records.ts'
import { Follower } from './follower.ts'
import { segmentsIn, type SegmentFile, type Spool } from './spool.ts'

export interface ShipperOptions {
  readonly records: Records
  readonly spool: Spool
  /** Id of the chain that the spool holds. */
  readonly chain: string
  /** Where earlier lives may have left something; absent: nowhere. */
  readonly folder?: string | undefined
  /** Heads of chains that are older are forgotten. */
  readonly retentionMs: number
  /** Told why nothing can be sent, and when it goes on. */
  readonly onTrouble: (why: string | undefined) => void
}

const SHIP_MS = 100
/** Between two batches where many wait: others ask Redis, too. */
const BREATH_MS = 5
const RETRY_MS = 1000
/** Of what earlier lives left: more would only push the records of others out. */
const MAX_LEFT_BYTES = 50_000_000
/** A chain that was not ended may go on, unless nothing was written for so long. */
const STILL_MS = 86_400_000

export class Shipper {
  readonly #options: ShipperOptions
  readonly #timer: NodeJS.Timeout
  #left: Array<{ chain: string, segments: SegmentFile[] }> | undefined
  #shipped = 0
  #busy: Promise<void> | undefined
  #notBefore = 0
  #caughtUpAt = performance.now()
  #trouble: string | undefined
  /** How often Redis was full, and older records went early. */
  cuts = 0

  constructor (options: ShipperOptions) {
    this.#options = options
    this.#timer = setInterval(() => { this.#turn() }, SHIP_MS).unref()
  }

  /** How old the oldest record is that was not sent, ms. */
  get lagMs (): number {
    return this.#isBehind ? performance.now() - this.#caughtUpAt : 0
  }

  get #isBehind (): boolean {
    return this.#shipped < this.#options.spool.appended
  }

  /** Send the rest, but do not wait longer than so many ms. @returns whether nothing is left */
  async end (withinMs: number): Promise<boolean> {
    clearInterval(this.#timer)
    const until = performance.now() + withinMs
    while ((this.#isBehind || this.#busy !== undefined) && performance.now() < until) {
      await Promise.race([this.#turn(), sleep(until - performance.now(), undefined, { ref: false })])
      if (this.#isBehind) await sleep(BREATH_MS)
    }
    return !this.#isBehind
  }

  async #turn (): Promise<void> {
    if (this.#busy !== undefined) return await this.#busy
    if (performance.now() < this.#notBefore) return
    if (this.#left?.length === 0 && !this.#isBehind) {
      this.#caughtUpAt = performance.now()
      return
    }
    this.#busy = this.#ship()
    await this.#busy
    this.#busy = undefined
  }

  async #ship (): Promise<void> {
    try {
      await this.#shipLeft()
      await this.#shipOwn()
      this.#becomes(undefined)
    } catch (error) {
      this.#notBefore = performance.now() + RETRY_MS
      this.#becomes(whyNot(error))
    }
  }

  async #shipOwn (): Promise<void> {
    const { spool, chain } = this.#options
    for (;;) {
      const since = performance.now()
      const text = await spool.next()
      if (text === undefined) return
      await this.#send(chain, text)
      spool.done()
      this.#shipped += Buffer.byteLength(text)
      if (!this.#isBehind) return
      this.#caughtUpAt = since
      await sleep(BREATH_MS, undefined, { ref: false })
    }
  }

  async #send (chain: string, text: string): Promise<void> {
    const { records } = this.#options
    const { cut } = await records.append(chain, text)
    if (cut) this.cuts++
    const head = lastSeal(text)
    if (head !== undefined) await records.putHead(chain, head)
  }

  /** First what earlier lives left, each under its own chain. */
  async #shipLeft (): Promise<void> {
    const { folder, chain: own, records, retentionMs } = this.#options
    if (this.#left?.length === 0) return
    const heads = await records.heads()
    if (this.#left === undefined) {
      await records.dropHeads(
        [...heads].filter(([, { time }]) => Date.now() - Date.parse(time) > retentionMs).map(([chain]) => chain)
      )
      this.#left = folder === undefined ? [] : leftIn(folder, own)
    }
    for (let one = this.#left[0]; one !== undefined; one = this.#left[0]) {
      await this.#shipChain(one.chain, one.segments, heads.get(one.chain)?.n ?? 0)
      this.#left.shift()
    }
  }

  async #shipChain (chain: string, segments: readonly SegmentFile[], known: number): Promise<void> {
    const { records, spool } = this.#options
    const paths = segments.map(({ path }) => path)
    const follower = new Follower(() => paths)
    let last: string | undefined
    try {
      for (let text = await follower.next(); text !== undefined; text = await follower.next()) {
        follower.done()
        last = text
        if (numberOf(lastLine(text)) <= known) continue
        await this.#send(chain, text)
        await sleep(BREATH_MS, undefined, { ref: false })
      }
    } finally {
      await follower.close()
    }
    if (last === undefined) return
    const line = lastLine(last)
    const { n, z, time, msg } = JSON.parse(line) as RecordHead & { msg: string }
    if (n > known) await records.putHead(chain, { n, z, time })
    // Another process may still write the last one.
    const isOver = msg === 'closed' || Date.now() - segments.at(-1)!.changedMs > STILL_MS
    spool.keptElsewhere(isOver ? paths : paths.slice(0, -1))
  }

  #becomes (why: string | undefined): void {
    if ((why === undefined) === (this.#trouble === undefined)) return
    this.#trouble = why
    this.#options.onTrouble(why)
  }
}

/** The newest segments of other chains, by chain, the oldest first. */
function leftIn (folder: string, own: string): Array<{ chain: string, segments: SegmentFile[] }> {
  const chains = new Map<string, SegmentFile[]>()
  let bytes = 0
  for (const segment of segmentsIn(folder).reverse()) {
    bytes += segment.bytes
    if (segment.chain === own || bytes > MAX_LEFT_BYTES) continue
    chains.set(segment.chain, [segment, ...chains.get(segment.chain) ?? []])
  }
  const inOrder = (segments: SegmentFile[]) => segments.sort((a, b) => a.first - b.first)
  return [...chains].map(([chain, segments]) => ({ chain, segments: inOrder(segments) })).reverse()
}

/** The last line in a text that says how far its chain went. */
function lastSeal (text: string): RecordHead | undefined {
  const at = Math.max(text.lastIndexOf('"msg":"seal"'), text.lastIndexOf('"msg":"closed"'))
  if (at < 0) return undefined
  const line = text.slice(text.lastIndexOf('\n', at) + 1, text.indexOf('\n', at))
  const { n, z, time, kid, mac } = JSON.parse(line) as RecordHead
  return { n, z, time, ...(kid === undefined ? {} : { kid }), ...(mac === undefined ? {} : { mac }) }
}

function lastLine (text: string): string {
  return text.slice(text.lastIndexOf('\n', text.length - 2) + 1, -1)
}

function numberOf (line: string): number {
  return Number(/^{"n":(\d+),/.exec(line)?.[1] ?? 0)
}

function whyNot (error: unknown): string {
  const cause = error instanceof AppError ? error.cause : error
  return String((cause as Error | undefined)?.message ?? cause)
}
