/** All MCP servers behind this one: the set follows the file, and the offer follows what they list. */
import { setTimeout as sleep } from 'node:timers/promises'
import { namesIn } from '../core/via.ts'
import type { Log } from '../telemetry/log.ts'
import type { Catalogue } from '../tools/catalogue.ts'
import type { CurrentOffer } from '../tools/offer.ts'
import type { OpenWire } from './connection.ts'
import type { UpstreamEntry } from './entry.ts'
import type { HealthOptions } from './health.ts'
import { NO_LISTS, type UpstreamLists } from './listing.ts'
import { mergeParts, type Overlap } from './merge.ts'
import type { Members } from './messages.ts'
import { namer } from './names.ts'
import { offeredPart, type LeftOut, type UpstreamPart } from './offered.ts'
import type { ParkedCalls } from './parked-calls.ts'
import { Relisting } from './relisting.ts'
import type { SharedCatalogue } from './shared-catalogue.ts'
import { Upstream, type UpstreamState } from './upstream.ts'

/** Counts what happens. Names are those of the file. */
export interface UpstreamCounts {
  called (upstream: string, outcome: string, seconds: number): void
  restarted (upstream: string): void
  /** The file was wrong, and what was read before stays in force. */
  configError (): void
  /** @param ready whether there is a connection; undefined: the file names it no more */
  up (upstream: string, ready: boolean | undefined): void
}

export interface UpstreamSetOptions {
  readonly offer: CurrentOffer
  /** What the set begins with. */
  readonly entries?: readonly UpstreamEntry[]
  readonly log: Log
  readonly open: OpenWire
  /** Changes with the values that an entry names: then it is connected anew. */
  readonly valuesOf?: ((entry: UpstreamEntry) => string) | undefined
  readonly clientInfo: Members
  /** The name of this gateway. */
  readonly gateway: string
  /** Takes out the secrets that were given to upstreams. */
  readonly mask?: ((text: string) => string) | undefined
  readonly counts?: UpstreamCounts | undefined
  /** What was listed before, here and on other replicas, and what of it is approved; absent: nothing is held. */
  readonly shared?: SharedCatalogue | undefined
  /** Calls that wait for answers of their callers; absent: servers of the older revisions ask nobody. */
  readonly parked?: ParkedCalls | undefined
  /** For tests. */
  readonly health?: HealthOptions | undefined
  readonly relisting?: { readonly quietMs?: number, readonly leastMs?: number, readonly everyMs?: number } | undefined
}

/** What an operator is shown of one. */
export interface UpstreamStatus {
  readonly name: string
  readonly state: UpstreamState
  readonly trouble: string | undefined
  readonly revision: string | undefined
  readonly restarts: number
  readonly tools: number
  /** What is not offered, and why. */
  readonly leftOut: readonly LeftOut[]
  /** ms since the epoch; undefined where nothing was listed yet. */
  readonly listedAt: number | undefined
}

interface KeptUpstream {
  readonly upstream: Upstream
  /** What its connection depends on. */
  readonly connects: string
  readonly relisting: Relisting
  lists: UpstreamLists
  listedAt: number | undefined
  /** Gateways that its list came through. */
  via: readonly string[]
  part: UpstreamPart
}

/** A client that lists once and never again would miss what comes later; one that starts must not wait for the dead. */
const FIRST_LISTS_MS = 3000

export class UpstreamSet {
  readonly #options: UpstreamSetOptions
  #own: Catalogue
  readonly #mask: (text: string) => string
  /** In the order of the file. */
  #kept = new Map<string, KeptUpstream>()
  #overlaps: readonly Overlap[] = []
  readonly #stopApprovals: (() => void) | undefined
  readonly #leaving = new Set<Promise<void>>()
  #told = new Set<string>()
  #isClosed = false

  constructor (options: UpstreamSetOptions) {
    this.#options = options
    this.#own = options.offer.current
    this.#stopApprovals = options.shared?.onApprovals(() => this.#approvalsChanged())
    this.#mask = options.mask ?? (text => text)
  }

  /** Connect those of whom nothing is known, and wait for what they list, not for long. */
  async begin (waitMs = FIRST_LISTS_MS): Promise<void> {
    const first = this.reconcile(this.#options.entries ?? [])
    const patience = new AbortController()
    await Promise.race([first, sleep(waitMs, undefined, { signal: patience.signal, ref: false }).catch(() => {})])
    patience.abort()
  }

  /**
   * Follow the file: what is gone leaves the offer first; what is new is
   * connected; what reaches its server otherwise is connected anew before the
   * old connection takes no more calls.
   */
  async reconcile (entries: readonly UpstreamEntry[]): Promise<void> {
    if (entries.some(({ questions }) => questions)) this.#options.parked?.open()
    const listed = new Map(await Promise.all(entries.map(async entry =>
      [entry.name, this.#kept.has(entry.name) ? undefined : await this.#options.shared?.read(entry)] as const)))
    const before = this.#kept
    const next = new Map<string, KeptUpstream>()
    const changed: KeptUpstream[] = []
    const replaced: Array<{ old: KeptUpstream, next: KeptUpstream }> = []
    for (const entry of entries) {
      const old = before.get(entry.name)
      if (old !== undefined && old.connects === this.#connects(entry)) {
        old.upstream.adopt(entry)
        next.set(entry.name, old)
        continue
      }
      const made = this.#keep(entry)
      made.lists = listed.get(entry.name)?.lists ?? NO_LISTS
      made.listedAt = listed.get(entry.name)?.at
      if (old === undefined) next.set(entry.name, made)
      else {
        next.set(entry.name, old) // until the new one is there
        replaced.push({ old, next: made })
      }
      changed.push(made)
    }
    for (const [name, old] of before) {
      if (next.has(name)) continue
      this.#leave(old)
      this.#options.counts?.up(name, undefined)
    }
    this.#kept = next
    this.#rebuild()
    await Promise.all([
      // Nobody waits for one of whom it is known what it lists.
      ...changed.filter(made => next.get(made.upstream.name) === made).map(made => {
        const listing = made.relisting.now()
        return made.listedAt === undefined ? listing : undefined
      }),
      ...replaced.map(pair => this.#replace(pair.old, pair.next))
    ])
  }

  /** Other tools of this server itself. */
  replaceOwn (own: Catalogue): void {
    this.#own = own
    this.#rebuild()
  }

  statuses (): UpstreamStatus[] {
    return [...this.#kept.values()].map(({ upstream, part, listedAt, via }) => ({
      name: upstream.name,
      state: upstream.state,
      trouble: upstream.health.trouble === undefined ? undefined : this.#mask(upstream.health.trouble),
      revision: upstream.agreement?.version,
      restarts: upstream.restarts,
      tools: part.tools.size,
      leftOut: [
        ...(this.#leadsBack(via) ? [{ what: 'everything', why: LEADS_BACK }] : []),
        ...part.leftOut,
        ...this.#overlaps.filter(({ upstream: name }) => name === upstream.name).map(
          ({ what, owner }) => ({ what, why: `${owner} has it already` })
        )
      ],
      listedAt
    }))
  }

  /** Take no more calls, and end every connection when its last call is over, or after `graceMs`. */
  async close (graceMs: number): Promise<void> {
    this.#isClosed = true
    this.#stopApprovals?.()
    this.#options.shared?.close()
    this.#options.parked?.close()
    for (const one of this.#kept.values()) this.#leave(one, graceMs)
    await Promise.all(this.#leaving)
  }

  #keep (entry: UpstreamEntry): KeptUpstream {
    const { log, open, clientInfo, counts, health, relisting, parked } = this.#options
    const upstream = new Upstream({
      entry,
      open,
      log,
      clientInfo,
      health,
      parked,
      mask: this.#mask,
      events: {
        called: (name, outcome, seconds) => counts?.called(name, outcome, seconds),
        restarted: name => counts?.restarted(name),
        listChanged: () => kept.relisting.changed(),
        stateChanged: () => {
          if (this.#kept.get(entry.name) === kept) counts?.up(entry.name, upstream.state === 'ready')
          if (upstream.state === 'ready') kept.relisting.connected()
        }
      }
    })
    const kept: KeptUpstream = {
      upstream,
      connects: this.#connects(entry),
      relisting: new Relisting({ ...relisting, list: () => this.#list(kept) }),
      lists: NO_LISTS,
      listedAt: undefined,
      via: [],
      part: offeredPart({ entry, calls: upstream, log, publicName: name => name }, NO_LISTS)
    }
    return kept
  }

  #connects (entry: UpstreamEntry): string {
    return `${connects(entry)} ${this.#options.valuesOf?.(entry) ?? ''}`
  }

  /** @returns when to ask again, ms: a failing upstream is tried when its pause is over */
  async #list (kept: KeptUpstream): Promise<number | undefined> {
    const { upstream } = kept
    try {
      const { lists, remarks, via } = await upstream.list()
      const leadsBack = this.#leadsBack(via)
      if (leadsBack) this.#tell(upstream.name, `nothing is offered: ${LEADS_BACK}`)
      else await this.#options.shared?.keep(upstream.entry, lists)
      const before = kept.listedAt === undefined ? undefined : JSON.stringify([kept.lists, kept.via])
      const now = leadsBack ? NO_LISTS : lists
      kept.listedAt = Date.now()
      for (const remark of remarks) this.#tell(upstream.name, remark)
      // It may say every second that its list changed: what is the same costs the others nothing.
      if (before === JSON.stringify([now, via])) return undefined
      kept.via = via
      kept.lists = now
      if (this.#kept.get(upstream.name) === kept) this.#rebuild()
      return undefined
    } catch (error) {
      if (upstream.health.trouble === undefined && !this.#isClosed) this.#tell(upstream.name, (error as Error).message)
      return Math.max(RETRY_MS, upstream.health.waitMs)
    }
  }

  async #replace (old: KeptUpstream, next: KeptUpstream): Promise<void> {
    await next.relisting.now()
    if (this.#kept.get(old.upstream.name) !== old) return this.#leave(next) // the file changed again meanwhile
    // Not there yet: what was listed stays, and calls wait for the new connection.
    if (next.listedAt === undefined) next.lists = old.lists
    this.#kept.set(old.upstream.name, next)
    this.#rebuild()
    this.#leave(old)
    if (next.listedAt !== undefined) return
    await Promise.all(this.#leaving)
    await next.relisting.now()
  }

  #leave ({ upstream, relisting }: KeptUpstream, graceMs = upstream.entry.timeoutMs): void {
    relisting.stop()
    const leaving = upstream.close(graceMs)
    this.#leaving.add(leaving)
    leaving.finally(() => this.#leaving.delete(leaving)).catch(() => {})
  }

  #rebuild (): void {
    const { log, offer, shared } = this.#options
    const entries = [...this.#kept.values()].map(({ upstream }) => upstream.entry)
    for (const kept of this.#kept.values()) {
      const { entry } = kept.upstream
      const judged = shared?.judge(entry, kept.lists.tools) ?? []
      const held = new Map(judged.map(({ definition, held }) => [definition, held]))
      kept.part = offeredPart({
        entry, calls: kept.upstream, log, publicName: namer(entry, entries), held: tool => held.get(tool)
      }, kept.lists)
    }
    for (const [name, what] of this.#leftOut()) this.#tell(name, what)
    const { catalogue, overlaps } = mergeParts(this.#own, [...this.#kept.values()].map(({ part }) => part))
    for (const { upstream, what, owner } of overlaps) {
      this.#tell(
        upstream, `${what} is not offered: ${owner} has it already`
      )
    }
    this.#overlaps = overlaps
    offer.replace(entries.length === 0 ? catalogue : { ...catalogue, via: this.#via() })
  }

  /** What is offered from now on and changes again is told again. */
  #approvalsChanged (): void {
    const before = this.#leftOut()
    this.#rebuild()
    const still = new Set(this.#leftOut().map(toldKey))
    for (const one of before) if (!still.has(toldKey(one))) this.#told.delete(toldKey(one))
  }

  #leftOut (): ToldOnce[] {
    return [...this.#kept.values()].flatMap(({ upstream, part }) =>
      part.leftOut.map(({ what, why }): ToldOnce => [upstream.name, `${what} is not offered: ${why}`]))
  }

  /** Those whose lists are refused count as well: else two of a ring would take turns. */
  #via (): string[] {
    return namesIn([this.#options.gateway, ...[...this.#kept.values()].flatMap(({ via }) => via)])
  }

  #leadsBack (via: readonly string[]): boolean {
    return via.includes(this.#options.gateway)
  }

  /** Once, until an approval mends it: lists come again and again. */
  #tell (upstream: string, what: string): void {
    const key = toldKey([upstream, what])
    if (this.#told.has(key)) return
    if (this.#told.size >= MAX_TOLD) this.#told.clear()
    this.#told.add(key)
    this.#options.log.warn({ upstream, what: this.#mask(what).slice(0, 400) }, 'upstream list')
  }
}

/** Of which upstream, and what. */
type ToldOnce = readonly [upstream: string, what: string]

function toldKey ([upstream, what]: ToldOnce): string {
  return `${upstream} ${what}`
}

const RETRY_MS = 1000
const LEADS_BACK = 'it is this server, or has this server behind it; take it out of the file'
const MAX_TOLD = 10_000

/** What of an entry makes its connection; the rest is read anew with each call. */
function connects (
  { target, share, questions, protocol, startTimeoutMs, maxInFlight, maxAnswerBytes, digest }: UpstreamEntry
): string {
  return JSON.stringify([target, share, questions, protocol, startTimeoutMs, maxInFlight, maxAnswerBytes, digest],
    (_key, value: unknown) => value instanceof Map ? [...value as Map<unknown, unknown>] : value)
}
