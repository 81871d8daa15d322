/**
 * One MCP server behind this one: its connections, who waits for them, and
 * when it is asked again after it failed. What it lists is kept elsewhere
 * (upstreams.ts), so that it stays listed while it is out of reach.
 */
import type { ParamHeader } from '../core/param-headers.ts'
import { UsageError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import { CallContext } from '../tools/context.ts'
import { UpstreamError, type Context, type Level } from '../tools/tool.ts'
import { notAsked, UpstreamConnection, type OpenWire } from './connection.ts'
import type { UpstreamEntry } from './entry.ts'
import { dress, type Agreement, type OnBehalf } from './handshake.ts'
import { UpstreamHealth, type HealthOptions } from './health.ts'
import { listAll, type UpstreamListing } from './listing.ts'
import { membersIn, PeerTrouble, UpstreamFault, type Members } from './messages.ts'
import { isFailure, toldOf } from './trouble.ts'
import { Turns, type Leave } from './turns.ts'

export type UpstreamState = 'idle' | 'starting' | 'ready' | 'failing' | 'draining'

/** Told of what happens, for counting and for the set. */
export interface UpstreamEvents {
  /** A call is over. @param outcome `served`, or why not */
  called (name: string, outcome: string, seconds: number): void
  /** It is started again after it was lost. */
  restarted (name: string): void
  /** It says that a list changed. */
  listChanged (): void
  /** A connection is there, or the last one went. */
  stateChanged (): void
}

export interface UpstreamOptions {
  readonly entry: UpstreamEntry
  readonly open: OpenWire
  readonly log: Log
  readonly clientInfo: Members
  /** Takes out the secrets that were given to it. */
  readonly mask: (text: string) => string
  readonly events: UpstreamEvents
  readonly health?: HealthOptions | undefined
  /** After so long without a call a connection of one caller ends, ms. For tests. */
  readonly idleMs?: number | undefined
}

/** Connections of `share: caller`. */
const MAX_CALLERS = 16
const IDLE_MS = 300_000
/** A child that ends sooner did not start. */
const STEADY_MS = 10_000
/** For the connection that everyone shares. */
const EVERYONE = ''

/** Whose connection it is, and who waits for it. */
interface ConnectionLine {
  readonly key: string
  readonly turns: Turns
  connection: UpstreamConnection | undefined
  starting: Promise<UpstreamConnection> | undefined
  usedAt: number
}

export class Upstream {
  readonly health: UpstreamHealth
  #options: UpstreamOptions
  readonly #lines = new Map<string, ConnectionLine>()
  readonly #retiring = new Set<Promise<void>>()
  #agreement: Agreement | undefined
  #isDraining = false
  #starts = 0
  #steady: NodeJS.Timeout | undefined

  constructor (options: UpstreamOptions) {
    this.#options = options
    this.health = new UpstreamHealth(options.health)
  }

  get entry (): UpstreamEntry { return this.#options.entry }
  get name (): string { return this.entry.name }
  /** What was agreed on last. */
  get agreement (): Agreement | undefined { return this.#agreement }
  /** Starts after the first. */
  get restarts (): number { return Math.max(0, this.#starts - 1) }

  get state (): UpstreamState {
    if (this.#isDraining) return 'draining'
    if (this.health.trouble !== undefined) return 'failing'
    const lines = [...this.#lines.values()]
    if (lines.some(({ connection }) => connection !== undefined)) return 'ready'
    return lines.some(({ starting }) => starting !== undefined) ? 'starting' : 'idle'
  }

  /** Take over options that change no connection: bounds, filters, prices. */
  adopt (entry: UpstreamEntry): void {
    this.#options = { ...this.#options, entry }
  }

  /**
   * Everything that it lists, asked over the connection that everyone shares.
   *
   * @throws {PeerTrouble}
   */
  async list (): Promise<UpstreamListing> {
    const { maxTools, timeoutMs: deadlineMs } = this.entry
    const { peer, agreement } = await this.#connect(this.#line(EVERYONE))
    return await listAll({ peer, agreement, behalf: this.#behalf({}), bounds: { maxTools, deadlineMs } })
  }

  /**
   * Ask it something for a caller.
   *
   * @param declared arguments that headers repeat
   * @throws {UpstreamError} naming the upstream, {AppError} for an error that it answered with
   */
  async call (
    method: string, params: Members, context: Context, declared: readonly ParamHeader[] = []
  ): Promise<Members> {
    const { events, mask } = this.#options
    const began = performance.now()
    let outcome = 'served'
    try {
      return await this.#call({ method, params, context, declared, began })
    } catch (error) {
      const told = toldOf(error, this.name, mask)
      outcome = told instanceof UpstreamError ? told.reason : told instanceof PeerTrouble ? 'cancelled' : 'error'
      throw told
    } finally {
      events.called(this.name, outcome, (performance.now() - began) / 1000)
    }
  }

  /** Connect, if it is time to. @returns whether there is a connection */
  async probe (): Promise<boolean> {
    if (this.#isDraining || this.health.waitMs > 0) return false
    try {
      await this.#connect(this.#line(EVERYONE))
      return true
    } catch {
      return false // told where it failed
    }
  }

  /** Take no more calls; end what is left when the last is over, or after `graceMs`. */
  async close (graceMs: number): Promise<void> {
    this.#isDraining = true
    clearTimeout(this.#steady)
    for (const line of this.#lines.values()) {
      line.starting?.catch(() => {})
      this.#retire(line, graceMs)
    }
    await Promise.all(this.#retiring)
  }

  async #call (one: UpstreamCall): Promise<Members> {
    const line = this.#lineFor(one.context)
    const leave = await this.#turn(line, one)
    try {
      try {
        return await this.#ask(line, one)
      } catch (error) {
        // Nothing of an answer came: the session was unknown before the call was looked at.
        if (!(error instanceof PeerTrouble) || error.kind !== 'session_lost') throw error
        return await this.#ask(line, one)
      }
    } finally {
      leave()
    }
  }

  #turn (line: ConnectionLine, one: UpstreamCall): Leave | Promise<Leave> {
    const waiting = line.turns.taken < line.turns.max ? undefined : this.#patience(one)
    const leave = line.turns.take(one.context.caller.id, waiting?.signal ?? NEVER)
    if (leave === undefined) {
      waiting?.stop()
      throw new UpstreamError('UPSTREAM_BUSY', `Upstream "${this.name}" is busy: too many calls wait for it`)
    }
    return leave instanceof Promise ? leave.finally(() => waiting?.stop()) : leave
  }

  async #ask (line: ConnectionLine, one: UpstreamCall): Promise<Members> {
    const { method, params, context, declared, began } = one
    const connection = line.connection ?? await this.#connectedFor(line, one)
    const { peer, agreement } = connection
    const host = CallContext.hostOf(context)
    const since = performance.now()
    const dressed = dress(agreement, method, params, { ...this.#behalf(context.clientCapabilities), declared })
    const over = connection.begin()
    line.usedAt = since
    try {
      const result = await peer.ask(method, dressed.params, {
        headers: dressed.headers,
        deadlineMs: this.#leftMs(began),
        signal: context.signal,
        caller: host.onward?.(),
        onLog: said => relayLog(context, said),
        onProgress: host.progress === undefined ? undefined : context.progress
      })
      this.health.answered()
      return result
    } catch (error) {
      this.#judge(error, line, connection, since)
      throw this.#inFull(error)
    } finally {
      over()
    }
  }

  /** What an end of a call says of the connection, and of the upstream. */
  #judge (error: unknown, line: ConnectionLine, connection: UpstreamConnection, since: number): void {
    if (error instanceof UpstreamFault) this.health.answered()
    if (error instanceof PeerTrouble && error.kind === 'session_lost') this.#leaveConnection(line, connection)
    if (connection.isOver || !isFailure(error, since, connection.peer.heardAt)) return
    if (this.health.failed((error as Error).message)) {
      // Whatever is wrong with it, the next attempt begins anew.
      this.#leaveConnection(line, connection)
      this.#tellTrouble()
    }
  }

  /** A deadline is told whole, whatever of it was left. */
  #inFull (error: unknown): unknown {
    return error instanceof PeerTrouble && error.kind === 'late' ? this.#late() : error
  }

  #late (): PeerTrouble {
    return new PeerTrouble('late', `did not answer within ${this.entry.timeoutMs} ms`)
  }

  #leftMs (began: number): number {
    return Math.max(1, this.entry.timeoutMs - (performance.now() - began))
  }

  /** The connection, for a caller who waits no longer than the call may last. */
  async #connectedFor (line: ConnectionLine, one: UpstreamCall): Promise<UpstreamConnection> {
    const patience = this.#patience(one)
    try {
      return await Promise.race([this.#connect(line), patience.over])
    } finally {
      patience.stop()
    }
  }

  /** Fires when the time of a call is over, or its caller is gone. */
  #patience ({ context, began }: UpstreamCall): Patience {
    return new Patience(this.#leftMs(began), context.signal, () => this.#late())
  }

  #lineFor (context: Context): ConnectionLine {
    if (this.entry.share === 'all') return this.#line(EVERYONE)
    return this.#line(context.caller.id)
  }

  /** @throws {UpstreamError} UPSTREAM_BUSY where every connection is in use */
  #line (key: string): ConnectionLine {
    const found = this.#lines.get(key)
    if (found !== undefined) return found
    if (key !== EVERYONE) this.#makeRoom()
    const line: ConnectionLine = {
      key,
      turns: new Turns(this.entry.maxInFlight),
      connection: undefined,
      starting: undefined,
      usedAt: performance.now()
    }
    this.#lines.set(key, line)
    return line
  }

  /** Connections of callers are bounded: the idle one that was used longest ago ends first. */
  #makeRoom (): void {
    const lines = [...this.#lines.values()].filter(({ key }) => key !== EVERYONE)
    const idle = lines.filter(({ turns }) => turns.taken === 0).sort((a, b) => a.usedAt - b.usedAt)
    const idleMs = this.#options.idleMs ?? IDLE_MS
    const over = idle.filter(({ usedAt }) => performance.now() - usedAt > idleMs)
    if (lines.length >= MAX_CALLERS && over.length === 0) {
      if (idle.length === 0) {
        throw new UpstreamError(
          'UPSTREAM_BUSY', `Upstream "${this.name}" is busy: ${MAX_CALLERS} callers use it, each with a connection`
        )
      }
      over.push(idle[0]!)
    }
    for (const line of over) {
      this.#lines.delete(line.key)
      this.#retire(line, 0)
    }
  }

  /** The connection of a line: the one that is there, the one that is being made, or a new one. */
  #connect (line: ConnectionLine): Promise<UpstreamConnection> {
    if (line.connection !== undefined) return Promise.resolve(line.connection)
    if (line.starting !== undefined) return line.starting
    const { trouble, waitMs } = this.health
    if (trouble !== undefined && waitMs > 0) {
      return Promise.reject(new PeerTrouble(
        'unreachable', `${trouble}; it is tried again in ${Math.ceil(waitMs / 1000)} s`, { sent: false }
      ))
    }
    const starting = this.#start(line)
    line.starting = starting
    const done = () => { line.starting = undefined }
    starting.then(done, done)
    return starting
  }

  async #start (line: ConnectionLine): Promise<UpstreamConnection> {
    const { events, log } = this.#options
    if (this.#starts++ > 0) events.restarted(this.name)
    try {
      const connection = await UpstreamConnection.open({
        ...this.#options,
        declared: {},
        onNotification: (method, params) => this.#notified(method, params),
        onQuestion: async method => this.#questioned(method),
        onClose: (why, closed) => this.#closed(line, closed, why)
      })
      this.#agreement = connection.agreement
      line.connection = connection
      line.usedAt = performance.now()
      this.health.answered()
      clearTimeout(this.#steady)
      this.#steady = setTimeout(() => this.health.steady(), STEADY_MS).unref()
      const { version, serverInfo } = connection.agreement
      log.info({ upstream: this.name, revision: version, server: serverInfo.name }, 'upstream connected')
      if (this.#isDraining) this.#retire(line, 0)
      events.stateChanged()
      return connection
    } catch (error) {
      const told = startTrouble(error)
      this.health.notStarted(told.message)
      this.#tellTrouble()
      events.stateChanged()
      throw told
    }
  }

  #closed (line: ConnectionLine, connection: UpstreamConnection, why: string): void {
    if (line.connection !== connection) return
    line.connection = undefined
    clearTimeout(this.#steady)
    if (performance.now() - connection.openedAt < STEADY_MS) this.health.notStarted(why)
    this.#options.log.warn({ upstream: this.name, why: this.#options.mask(why) }, 'upstream is gone')
    this.#options.events.stateChanged()
  }

  #leaveConnection (line: ConnectionLine, connection: UpstreamConnection): void {
    if (line.connection === connection) this.#retire(line, this.entry.timeoutMs)
  }

  #retire (line: ConnectionLine, graceMs: number): void {
    const { connection } = line
    if (connection === undefined) return
    line.connection = undefined
    const retiring = connection.retire(graceMs).catch(
      error => { this.#options.log.error({ err: error as Error, upstream: this.name }, 'closing an upstream failed') }
    )
    this.#retiring.add(retiring)
    retiring.finally(() => this.#retiring.delete(retiring)).catch(() => {})
  }

  #notified (method: string, params: Members): void {
    const { events, log } = this.#options
    switch (method) {
      case 'notifications/tools/list_changed':
      case 'notifications/prompts/list_changed':
      case 'notifications/resources/list_changed':
        return events.listChanged()
      case 'notifications/message':
        log.debug(
          { upstream: this.name, said: this.#options.mask(JSON.stringify(params).slice(0, 1024)) }, 'upstream says'
        )
    }
  }

  /** A question that belongs to no call. */
  #questioned (method: string): Members {
    if (method === 'roots/list') return { roots: [] }
    throw notAsked(method)
  }

  #behalf (capabilities: Readonly<Record<string, unknown>>): OnBehalf {
    return { clientInfo: this.#options.clientInfo, capabilities: membersIn({ capabilities }, 'capabilities') }
  }

  #tellTrouble (): void {
    const { trouble, waitMs } = this.health
    this.#options.log.warn(
      { upstream: this.name, why: this.#options.mask(trouble ?? ''), againMs: Math.round(waitMs) }, 'upstream fails'
    )
  }
}

/** A log message that came on the exchange of a call: its client is told, if it wants to be. */
function relayLog (context: Context, { level, data, logger }: Members): void {
  if (LEVELS.has(level)) context.message(level as Level, data, typeof logger === 'string' ? logger : undefined)
}

const LEVELS: ReadonlySet<unknown> = new Set([
  'debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'
])

/** One call under way. */
interface UpstreamCall {
  readonly method: string
  readonly params: Members
  readonly context: Context
  readonly declared: readonly ParamHeader[]
  /** ms of `performance.now()`; its time runs from here, waiting included. */
  readonly began: number
}

const NEVER = new AbortController().signal

/** How long a caller waits for a place or a connection. */
class Patience {
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal
  #timer: NodeJS.Timeout | undefined
  #onGone: () => void = () => {}
  /** Rejects when it is over. */
  readonly over: Promise<never>

  constructor (ms: number, caller: AbortSignal, late: () => PeerTrouble) {
    this.#caller = caller
    this.over = new Promise((_resolve, reject) => {
      const end = (trouble: PeerTrouble) => {
        this.#controller.abort(trouble)
        reject(trouble)
      }
      this.#timer = setTimeout(() => end(late()), ms)
      this.#onGone = () => end(new PeerTrouble('cancelled', 'was not asked: the call was cancelled', { sent: false }))
    })
    this.over.catch(() => {}) // told only to whoever races it
    if (caller.aborted) this.#onGone()
    else caller.addEventListener('abort', this.#onGone, { once: true })
  }

  get signal (): AbortSignal { return this.#controller.signal }

  stop (): void {
    clearTimeout(this.#timer)
    this.#caller.removeEventListener('abort', this.#onGone)
  }
}

/** Why it could not be started, in words that go on from "Upstream x". */
function startTrouble (error: unknown): PeerTrouble {
  if (error instanceof PeerTrouble) {
    return error.kind === 'late'
      ? new PeerTrouble(
        'unreachable', `did not finish its start: it ${error.message}`, { sent: false }
      )
      : error
  }
  if (error instanceof UpstreamFault) {
    return new PeerTrouble('unreachable', `refused the handshake: ${error.message.slice(0, 200)}`)
  }
  if (error instanceof UsageError) {
    return new PeerTrouble('unreachable', `cannot be started: ${error.message}`, { sent: false })
  }
  return new PeerTrouble('unreachable', `cannot be started: ${(error as Error).message}`, { sent: false })
}
