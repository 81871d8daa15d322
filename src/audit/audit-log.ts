/**
 * The one place that writes records: all answers of a turn by one write, into
 * a local file before they leave, and the same text to the log.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { addressGroup } from '../core/address.ts'
import type { Trace } from '../decision/trace.ts'
import type { Records } from '../state/records.ts'
import { AppError } from '../errors.ts'
import { isoNow } from '../telemetry/iso-now.ts'
import type { AuditGauges } from '../telemetry/metrics.ts'
import { redact } from '../telemetry/redact.ts'
import { BEGINNING, link, type Head } from './chain.ts'
import {
  keyedDigest, textOf, VERSION, type ChainRecord, type OperationDone, type Privacy, type RequestRecord
} from './record.ts'
import { digestKey, sealed, type SealKey } from './seal.ts'
import { MemorySpool } from './memory-spool.ts'
import { Shipper } from './shipper.ts'
import { FileSpool, type Spool, type SpoolOptions } from './spool.ts'

export interface AuditLogOptions {
  /** Takes each text as it is written: whole lines. */
  readonly out: (text: string) => void
  /** Absent: the log alone. */
  readonly keep?: Keeping | undefined
}

export interface Keeping extends Omit<SpoolOptions, 'chain' | 'folder'> {
  /** Absent: records wait in memory until they were sent on. */
  readonly folder: string | undefined
  /** Where records are sent on to; absent: nowhere. */
  readonly records?: Records | undefined
  /** Told why they cannot be sent on, and when they are again. */
  readonly onUnshipped?: ((why: string | undefined) => void) | undefined
  /** Who writes, in the name of the chain; the name of the machine if absent. */
  readonly writer?: string | undefined
  /** The first seals. */
  readonly keys: readonly [SealKey, ...SealKey[]]
  /** What digests of arguments are keyed with. */
  readonly secret: string | Buffer
  readonly privacy: 'plain' | 'keyed'
  /** What happens where nothing can be written. */
  readonly whenFull: 'open' | 'closed'
  readonly version: string
  readonly settings?: string | undefined
  readonly before?: ChainRecord['before']
  /** Told when the disk takes no more, and when it does again. */
  readonly onTrouble?: ((why: string | undefined) => void) | undefined
}

interface Pending {
  readonly text: string
  /** Not answered without its record, where the policy says so. */
  readonly must: boolean
  /** Refused because no record can be kept: counted, since none of them may push out the record of a call that ran. */
  readonly isRefusal?: boolean
  readonly done: (error?: Error) => void
}

/** Records that wait in memory for room on the disk. */
const MAX_HELD = 10_000
const RETRY_MS = 1000
/** Of them, written at once: a little room is enough to begin. */
const RETRY_LINES = 500
const SEAL_MS = 10_000
const END_MS = 2000
const SEAL_EVERY = 10_000
/** Microtasks without news after which what is gathered is written. */
const HOPS = 12
/** Records of callers without a principal that are written of one reason in a second; more are folded. */
const MAX_STRANGERS = 50

export class AuditLog {
  /** Id of the chain; undefined where the log alone is written. */
  readonly chain: string | undefined
  readonly #out: (text: string) => void
  readonly #keep: Keeping | undefined
  readonly #privacy: Privacy
  readonly #spool: Spool | undefined
  readonly #shipper: Shipper | undefined
  readonly #timers: NodeJS.Timeout[] = []
  #head: Head = BEGINNING
  #sealedAt = 0
  #sealedTime = performance.now()
  #pending: Pending[] = []
  #seen = 0
  #hops = 0
  #isHopping = false
  #isTurning = false
  /** Waiting for room. */
  #held: string[] = []
  #lost = 0
  #refused = 0
  #trouble: string | undefined
  #troubleSince = ''
  #strangers = new Map<string, number>()
  #folded = new Map<string, { trace: Trace, count: number }>()
  /** Records that nothing kept, since the start. */
  lostTotal = 0

  /** @throws {NodeJS.ErrnoException} where the folder cannot be written */
  constructor ({ out, keep }: AuditLogOptions) {
    this.#out = out
    this.#keep = keep
    if (keep === undefined) {
      // A digest that nobody can make again says nothing; so does its key.
      this.#privacy = { digest: keyedDigest(randomBytes(32).toString('hex')), keyed: false }
      return
    }
    this.#privacy = { digest: keyedDigest(digestKey(keep.secret)), keyed: keep.privacy === 'keyed' }
    const writer = (keep.writer ?? hostname()).replace(/[^A-Za-z0-9.@_-]/g, '').slice(0, 80)
    this.chain = `${writer}-${randomBytes(8).toString('hex')}`
    const { folder, records, retentionMs, onUnshipped: onTrouble = () => {} } = keep
    this.#spool = folder === undefined ? new MemorySpool() : new FileSpool({ ...keep, folder, chain: this.chain })
    if (records !== undefined) {
      this.#shipper = new Shipper({ records, spool: this.#spool, chain: this.chain, folder, retentionMs, onTrouble })
    }
    const { version, settings, keys: [{ kid }], before } = keep
    this.#write([own('chain', { chain: this.chain, version, settings, kid, before })])
    this.#timers.push(
      setInterval(() => this.#seal(), SEAL_MS).unref(),
      setInterval(() => this.#retry(), RETRY_MS).unref(),
      setInterval(() => this.#unfold(), 1000).unref()
    )
  }

  /** False where nothing may be served without its record, and none can be kept. */
  get available (): boolean {
    return this.#trouble === undefined || this.#keep?.whenFull === 'open'
  }

  /** For metrics and for operators. */
  figures (): AuditGauges {
    const isSealed = this.#head.n === this.#sealedAt
    return {
      records: this.#head.n,
      lost: this.lostTotal,
      spoolBytes: this.#spool?.bytes ?? 0,
      unsealedMs: this.#spool === undefined || isSealed ? 0 : performance.now() - this.#sealedTime,
      shipLagMs: this.#shipper?.lagMs ?? 0,
      cuts: this.#shipper?.cuts ?? 0
    }
  }

  /**
   * The record of a request, written at the end of the turn or as soon as no
   * more come.
   *
   * @param done told when it is written; with an error where it must not be answered
   */
  add (trace: Trace, msg: RequestRecord['msg'], inTurn: boolean, done: (error?: Error) => void): void {
    if (this.#isFolded(trace)) return done()
    const isRefusal = trace.reason === 'AUDIT_UNAVAILABLE'
    this.#pending.push({ text: textOf(trace, msg, this.#privacy), must: !trace.ran && !isRefusal, isRefusal, done })
    if (inTurn) {
      if (this.#isTurning) return
      this.#isTurning = true
      setImmediate(this.#turned)
    } else if (!this.#isHopping) {
      this.#isHopping = true
      this.#hops = 0
      queueMicrotask(this.#hop)
    }
  }

  /**
   * The same at once: before work that may change something, and where there is no turn to wait for.
   *
   * @throws {AppError} AUDIT_UNAVAILABLE
   */
  addNow (trace: Trace, msg: RequestRecord['msg'], { must = true }: { must?: boolean } = {}): void {
    // The log alone has one line a request.
    if (this.#isFolded(trace) || (this.#spool === undefined && msg !== 'request')) return
    let failed: Error | undefined
    const done = (error?: Error) => { failed = error }
    const isRefusal = trace.reason === 'AUDIT_UNAVAILABLE'
    const text = textOf(trace, msg, this.#privacy)
    this.#pending.push({ text, must: must && !trace.ran && !isRefusal, isRefusal, done })
    this.#flush()
    if (failed !== undefined) throw failed
  }

  /** What an operator did: written at once. It is done, so it is never refused for want of room. */
  operation (done: OperationDone): void {
    this.#pending.push({ text: redact(own('operation', { ...done, decision: 'served' })), must: false, done: () => {} })
    this.#flush()
  }

  /** @returns whether all was sent on within so many ms */
  async sendOn (withinMs: number): Promise<boolean> {
    return await this.#shipper?.end(withinMs) ?? true
  }

  /** End the chain, and send on what was not sent yet, within so many ms. */
  async end (withinMs = END_MS): Promise<void> {
    this.close()
    await this.#shipper?.end(withinMs)
  }

  /** Flush, seal and end the chain. */
  close (): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#flush()
    this.#unfold()
    if (this.#spool === undefined) return
    this.#retry()
    this.#seal()
    // What waited to the last is in the log alone, which is told so.
    if (this.#trouble !== undefined) this.#out(this.#gap(this.#held.length) + '\n')
    else this.#write([own('closed', { chain: this.chain })])
    this.#spool.close()
  }

  readonly #turned = (): void => {
    this.#isTurning = false
    this.#flush()
  }

  /**
   * A microtask that asks again until a dozen hops brought nothing new: what one answer of Redis lets go is
   * written together.
   */
  readonly #hop = (): void => {
    if (this.#pending.length !== this.#seen) {
      this.#seen = this.#pending.length
      this.#hops = 0
    }
    if (++this.#hops <= HOPS) return queueMicrotask(this.#hop)
    this.#isHopping = false
    this.#flush()
  }

  #flush (): void {
    const pending = this.#pending
    if (pending.length === 0) return
    this.#pending = []
    this.#seen = 0
    const isLogged = this.#trouble !== undefined
    if (this.#write(pending.map(({ text }) => text))) {
      for (const { done } of pending) done()
      return
    }
    for (const { text, must, isRefusal, done } of pending) {
      const isRefused = must && this.#keep!.whenFull === 'closed'
      if (isRefusal === true) this.#refused++
      else if (!isRefused) this.#hold([text], isLogged)
      done(isRefused ? unavailable() : undefined)
    }
  }

  /** @returns whether they are kept; without a file there is nothing to keep */
  #write (lines: readonly string[]): boolean {
    if (this.#spool === undefined) {
      this.#out(lines.join('\n') + '\n')
      return true
    }
    if (this.#trouble !== undefined) {
      this.#out(lines.join('\n') + '\n')
      return false
    }
    return this.#append(lines)
  }

  #append (lines: readonly string[], mayTurn = true): boolean {
    const spool = this.#spool!
    try {
      if (mayTurn && spool.isFull) {
        spool.turn(this.#head.n + 1)
        lines = [own('segment', { chain: this.chain, after: this.#head }), ...lines]
      }
      const { text, n, z } = link(this.#head, lines)
      spool.append(text)
      this.#head = { n, z }
      this.#out(text)
      this.#becomes(undefined)
      this.#tellDropped()
      if (n - this.#sealedAt >= SEAL_EVERY) this.#seal()
      return true
    } catch (error) {
      this.#becomes((error as NodeJS.ErrnoException).code ?? String(error))
      return false
    }
  }

  /** A chain that lacks its beginning is whole where a chain says that it was let go. */
  #tellDropped (): void {
    const dropped = this.#spool!.takeDropped()
    if (dropped.length > 0) this.#append(dropped.map(one => own('dropped', { of: one })), false)
  }

  #becomes (trouble: string | undefined): void {
    if (this.#trouble === trouble) return
    if (this.#trouble === undefined) this.#troubleSince = isoNow()
    this.#trouble = trouble
    this.#keep!.onTrouble?.(trouble)
  }

  /** @param isLogged false for the first that find no room: the log alone may have them in the end */
  #hold (lines: readonly string[], isLogged: boolean): void {
    if (!isLogged) this.#out(lines.join('\n') + '\n')
    this.#held.push(...lines)
    const over = this.#held.length - MAX_HELD
    if (over <= 0) return
    this.#held.splice(0, over)
    this.#lost += over
    this.lostTotal += over
  }

  /** Whether there is room again: what waited is written, after a line that says what did not, and since when. */
  #retry (): void {
    if (this.#trouble === undefined) return
    if (!this.#append([this.#gap(), ...this.#held.slice(0, RETRY_LINES)])) return
    this.#held.splice(0, RETRY_LINES)
    this.#lost = 0
    this.#refused = 0
    while (this.#held.length > 0 && this.#append(this.#held.slice(0, RETRY_LINES))) this.#held.splice(0, RETRY_LINES)
  }

  #gap (more = 0): string {
    const refused = this.#refused === 0 ? {} : { refused: this.#refused }
    return own('gap', { lost: this.#lost + more, ...refused, since: this.#troubleSince, why: this.#trouble })
  }

  #seal (): void {
    if (this.#trouble !== undefined) return
    this.#sealedTime = performance.now()
    if (this.#head.n === this.#sealedAt) return
    const { n, z } = this.#head
    this.#sealedAt = n + 1
    // The log has it, too: a witness of the chain up to here that whoever holds the file does not hold.
    this.#append([sealed(members('seal', { chain: this.chain, of: z }), n + 1, this.#keep!.keys[0])], false)
  }

  /** A stranger must not fill the disk; what a caller with a name does is never folded. */
  #isFolded (trace: Trace): boolean {
    if (this.#spool === undefined || trace.principal !== undefined || trace.reason === undefined) return false
    const seen = (this.#strangers.get(trace.reason) ?? 0) + 1
    this.#strangers.set(trace.reason, seen)
    if (seen <= MAX_STRANGERS) return false
    // The line `gap` says how many they were, whoever asked.
    if (trace.reason === 'AUDIT_UNAVAILABLE' && this.#trouble !== undefined) {
      this.#refused++
      return true
    }
    const group = `${trace.reason} ${addressGroup(trace.address)}`
    const folded = this.#folded.get(group)
    if (folded === undefined) this.#folded.set(group, { trace, count: 1 })
    else folded.count++
    return true
  }

  #unfold (): void {
    this.#strangers.clear()
    if (this.#folded.size === 0) return
    const lines = [...this.#folded.values()].map(
      ({ trace, count }) => `${textOf(trace, 'request', this.#privacy).slice(0, -1)},"count":${count}}`
    )
    this.#folded.clear()
    const isLogged = this.#trouble !== undefined
    if (!this.#write(lines)) this.#hold(lines, isLogged)
  }
}

function members (msg: string, more: object): object {
  return { v: VERSION, level: 'info', time: isoNow(), msg, ...more }
}

/** A line of the chain about itself. */
function own (msg: string, more: object): string {
  return JSON.stringify(members(msg, more))
}

function unavailable (): AppError {
  return new AppError('AUDIT_UNAVAILABLE', 'The record of this call cannot be kept; retry later', {
    headers: { 'retry-after': '5' }
  })
}
