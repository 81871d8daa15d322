/**
 * What stays open, of all principals: so much of each, kept alive, judged
 * again while it is open, and ended when the credential that opened it no
 * longer counts.
 */
import type { Caller } from '../../auth/chain.ts'
import { holderOf, type Principal } from '../../core/principal.ts'
import { isRevoked } from '../../core/revocation.ts'
import { AppError } from '../../errors.ts'
import { KEYS_TOPIC } from '../../state/keys.ts'
import type { Ledger } from '../../state/ledgers.ts'
import type { Store } from '../../state/store.ts'

/** What is held open for somebody. */
export interface Open {
  readonly caller: Pick<Caller, 'principal' | 'recheck'>
  /** Called about every ten seconds. */
  tick (): void
  /** Told of the principal as it is now, wherever its permissions changed. */
  changed? (principal: Principal): void
  /** The credential ran out or was revoked, its longest life is over, or the server stops. */
  end (): void
  /** Over at once, whatever its reader has not read. */
  cut (): void
}

export interface Streams {
  readonly size: number
  /**
   * Hold something open. Call what comes back when it is over.
   *
   * @throws {AppError} TOO_MANY_STREAMS, DRAINING
   */
  open (what: Open): () => void
  /** End everything and take nothing more. */
  close (): void
}

const SAMPLE_MS = 250
/** How long a reader may take over the end when the server stops. */
const LAST_WORDS_MS = 500
/** Comments within 15 s, as intermediaries are promised. */
const TICK_MS = 10_000
/** Judged again at least so often. */
const JUDGE_MS = 50_000
/** Longest time without a judgement, where shared state or an authorization server is unreachable. */
const MAX_UNJUDGED_MS = 180_000
/** Judged at once: more would be a burst on shared state. */
const MAX_JUDGING = 32

export interface StreamsOptions {
  revocations: Ledger
  bus: Store['bus']
  /** Of one principal at once, in this process. */
  maxOfPrincipal: number
  /** Longest life of anything that stays open, ms. */
  maxLifeMs: number
  /** How often each is judged again, ms. For tests. */
  judgeMs?: number | undefined
}

interface Entry {
  readonly what: Open
  readonly holder: string
  readonly until: number
  principal: Principal
  /** When it was last found good; monotonic, ms. */
  judged: number
  due: boolean
  judging: boolean
}

export class StreamRegistry implements Streams {
  readonly #options: StreamsOptions
  readonly #judgeMs: number
  readonly #all = new Set<Entry>()
  readonly #counts = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  readonly #stops: ReadonlyArray<() => void>
  #judging = 0
  #closed = false
  #ticked = performance.now()

  constructor (options: StreamsOptions) {
    const { revocations, bus, judgeMs = JUDGE_MS } = options
    this.#options = options
    this.#judgeMs = judgeMs
    this.#timer = setInterval(() => this.#look(), Math.min(SAMPLE_MS, judgeMs)).unref()
    const everything = () => this.#judgeAll()
    this.#stops = [
      revocations.onChange(({ added }) => { if (added.length > 0) this.#endRevoked() }),
      bus.listen(KEYS_TOPIC, everything),
      bus.onGap(everything)
    ]
  }

  get size (): number { return this.#all.size }

  open (what: Open): () => void {
    const { principal } = what.caller
    const { maxOfPrincipal, maxLifeMs, revocations } = this.#options
    if (this.#closed) {
      throw new AppError('DRAINING', 'This replica is about to stop; try again', { headers: { 'retry-after': '1' } })
    }
    const holder = holderOf(principal)
    const count = this.#counts.get(holder) ?? 0
    if (count >= maxOfPrincipal) {
      throw new AppError('TOO_MANY_STREAMS', `No more than ${maxOfPrincipal} streams may be open at once`, {
        headers: { 'retry-after': '10' }, rule: 'MAX_STREAMS_PER_PRINCIPAL'
      })
    }
    const now = performance.now()
    const entry: Entry = { what, holder, until: now + maxLifeMs, principal, judged: now, due: false, judging: false }
    this.#all.add(entry)
    this.#counts.set(holder, count + 1)
    // A revocation that came between the credential's check and now.
    if (isRevoked(principal, revocations.entries())) queueMicrotask(() => what.end())
    return () => this.#release(entry)
  }

  close (): void {
    this.#closed = true
    clearInterval(this.#timer)
    for (const stop of this.#stops) stop()
    for (const { what } of [...this.#all]) what.end()
    setTimeout(() => { for (const { what } of [...this.#all]) what.cut() }, LAST_WORDS_MS)
  }

  #release (entry: Entry): void {
    if (!this.#all.delete(entry)) return
    const left = this.#counts.get(entry.holder)! - 1
    if (left > 0) this.#counts.set(entry.holder, left)
    else this.#counts.delete(entry.holder)
  }

  #look (): void {
    const now = performance.now()
    const date = Date.now()
    const ticks = now - this.#ticked >= TICK_MS
    if (ticks) this.#ticked = now
    for (const entry of [...this.#all]) {
      const { principal: { expiresAt }, what, until, judged } = entry
      if ((expiresAt !== undefined && expiresAt <= date) || until <= now) {
        what.end()
        continue
      }
      if (now - judged >= this.#judgeMs) entry.due = true
      if (entry.due) this.#judge(entry)
      if (ticks) what.tick()
    }
  }

  #endRevoked (): void {
    const entries = this.#options.revocations.entries()
    for (const { principal, what } of [...this.#all]) if (isRevoked(principal, entries)) what.end()
  }

  #judgeAll (): void {
    for (const entry of [...this.#all]) {
      entry.due = true
      this.#judge(entry)
    }
  }

  /** The rest waits for the next look. */
  #judge (entry: Entry): void {
    if (entry.judging || this.#judging >= MAX_JUDGING) return
    entry.due = false
    entry.judging = true
    this.#judging++
    entry.what.caller.recheck()
      .then(principal => this.#judged(entry, principal), () => this.#unjudged(entry))
      .finally(() => {
        entry.judging = false
        this.#judging--
      })
  }

  #judged (entry: Entry, principal: Principal | undefined): void {
    if (!this.#all.has(entry)) return
    if (principal === undefined) return entry.what.end()
    const before = entry.principal
    entry.judged = performance.now()
    entry.principal = principal
    if (before.role !== principal.role || !sameList(before.permissions, principal.permissions)) {
      entry.what.changed?.(principal)
    }
  }

  /** Nobody can say whether it still counts: believed for a while, and asked again soon. */
  #unjudged (entry: Entry): void {
    if (performance.now() - entry.judged >= MAX_UNJUDGED_MS) entry.what.end()
  }
}

function sameList (one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, i) => item === other[i])
}
