/**
 * One MCP server behind this one: what is asked of it, and what an answer
 * says of its health. Its connections are in connection-lines.ts; what it
 * lists is kept in upstreams.ts, so that it stays listed while it is out of
 * reach.
 */
import type { ParamHeader } from '../core/param-headers.ts'
import { CallContext } from '../tools/context.ts'
import { InputNeeded, UpstreamError, type Context, type Level } from '../tools/tool.ts'
import type { AskingCall } from './asking-call.ts'
import { ConnectionLines, type ConnectionLine, type UpstreamOptions } from './connection-lines.ts'
import type { UpstreamConnection } from './connection.ts'
import type { UpstreamEntry } from './entry.ts'
import { dress, type Agreement, type OnBehalf } from './handshake.ts'
import { UpstreamHealth } from './health.ts'
import { listAll, type UpstreamListing } from './listing.ts'
import { membersIn, PeerTrouble, UpstreamFault, type Members } from './messages.ts'
import { parkIn } from './parked-calls.ts'
import { Patience } from './patience.ts'
import { ALL_QUESTIONS, answerable } from './questions.ts'
import { isFailure, toldOf } from './trouble.ts'
import type { Leave } from './turns.ts'

export type UpstreamState = 'idle' | 'starting' | 'ready' | 'failing' | 'draining'

export class Upstream {
  readonly health: UpstreamHealth
  #options: UpstreamOptions
  readonly #lines: ConnectionLines

  constructor (options: UpstreamOptions) {
    this.#options = options
    this.health = new UpstreamHealth(options.health)
    this.#lines = new ConnectionLines(options, this.health)
  }

  get entry (): UpstreamEntry { return this.#options.entry }
  get name (): string { return this.entry.name }
  /** What was agreed on last. */
  get agreement (): Agreement | undefined { return this.#lines.agreement }
  /** Starts after the first. */
  get restarts (): number { return this.#lines.restarts }

  get state (): UpstreamState {
    if (this.#lines.isDraining) return 'draining'
    return this.health.trouble === undefined ? this.#lines.state : 'failing'
  }

  /** Take over options that change no connection: bounds, filters, prices. */
  adopt (entry: UpstreamEntry): void {
    this.#options = { ...this.#options, entry }
    this.#lines.adopt(this.#options)
  }

  /**
   * Everything that it lists, asked over the connection that everyone shares.
   *
   * @throws {PeerTrouble}
   */
  async list (): Promise<UpstreamListing> {
    const { maxTools, timeoutMs: deadlineMs } = this.entry
    const line = this.#lines.of()
    const { peer, agreement } = await this.#lines.connect(line)
    return await listAll({ peer, agreement, behalf: this.#behalf(line.declared), bounds: { maxTools, deadlineMs } })
  }

  /**
   * Ask it something for a caller.
   *
   * @param declared arguments that headers repeat
   * @returns its result, or what it asks first
   * @throws {UpstreamError} naming the upstream, {AppError} for an error that it answered with
   */
  async call (
    method: string, params: Members, context: Context, declared: readonly ParamHeader[] = []
  ): Promise<Members | InputNeeded> {
    const { events, mask } = this.#options
    const began = performance.now()
    let outcome = 'served'
    try {
      const result = await this.#answer({ method, params, context, declared, began })
      if (result instanceof InputNeeded) outcome = 'asked'
      return result
    } catch (error) {
      const told = toldOf(error, this.name, mask)
      outcome = told instanceof UpstreamError ? told.reason : told instanceof PeerTrouble ? 'cancelled' : 'error'
      throw told
    } finally {
      events.called(this.name, outcome, (performance.now() - began) / 1000)
    }
  }

  /** Hear of changes of a resource, while it is connected. @returns the way to stop */
  readonly watch = (uri: string, changed: () => void): () => void => this.#lines.watch(uri, changed)

  /** Connect, if it is time to. @returns whether there is a connection */
  async probe (): Promise<boolean> {
    if (this.#lines.isDraining || this.health.waitMs > 0) return false
    try {
      await this.#lines.connect(this.#lines.of())
      return true
    } catch {
      return false // told where it failed
    }
  }

  /** Take no more calls; end what is left when the last is over, or after `graceMs`. */
  close (graceMs: number): Promise<void> {
    return this.#lines.close(graceMs)
  }

  async #answer (one: UpstreamCall): Promise<Members | InputNeeded> {
    const { context } = one
    const { parked, mask } = this.#options
    const waits = parkIn(context.state)
    if (parked === undefined || (waits === undefined && !this.#mayAsk(context))) return await this.#call(one)
    if (waits !== undefined) return await parked.goOn(waits, this.name, context)
    return await parked.begin(this.name, context, async asking => {
      try {
        return await this.#call({ ...one, asking })
      } catch (error) {
        throw toldOf(error, this.name, mask) // here, where its secrets are known: another replica may wait for it
      }
    })
  }

  /** Whether a call may ask on its way: a server of revision 2026-07-28 asks by its result. */
  #mayAsk (context: Context): boolean {
    return this.entry.questions && this.agreement?.era !== 'modern' &&
      Object.keys(answerable(context.clientCapabilities)).length > 0
  }

  /** The connection that is everyone's, or the caller's own: to that its own capabilities are declared. */
  #lineOf ({ caller, clientCapabilities }: Context): ConnectionLine {
    const { share, questions } = this.entry
    return share === 'all'
      ? this.#lines.of()
      : this.#lines.of(caller.id, questions ? answerable(clientCapabilities) : {})
  }

  async #call (one: UpstreamCall): Promise<Members> {
    const line = this.#lineOf(one.context)
    const leave = await this.#turn(line, one)
    // Who thinks holds no place; but on a line of single calls a question is told by what is under way.
    if (one.asking !== undefined && line.turns.max > 1) one.asking.onParked = leave
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
    const { method, params, context, declared, began, asking } = one
    const connection = line.connection ?? await this.#connectedFor(line, one)
    const { peer, agreement } = connection
    const host = CallContext.hostOf(context)
    const since = performance.now()
    const dressed = dress(
      agreement, method, params, { ...this.#behalf(context.clientCapabilities), logLevel: host.logLevel, declared }
    )
    const over = connection.begin()
    line.usedAt = since
    try {
      const result = await peer.ask(method, dressed.params, {
        headers: dressed.headers,
        deadlineMs: this.#leftMs(began),
        signal: asking?.signal ?? host.departure?.() ?? context.signal,
        caller: host.onward?.(),
        onLog: said => relayLog(asking ?? context, said),
        onProgress: host.progress === undefined ? undefined : (asking ?? context).progress,
        onQuestion: asking?.question,
        takesStrays: this.entry.share === 'caller'
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
    if (error instanceof PeerTrouble && error.kind === 'session_lost') this.#lines.leave(line, connection)
    if (connection.isOver || !isFailure(error, since, connection.peer.heardAt)) return
    if (this.health.failed((this.#inFull(error) as Error).message)) {
      // Whatever is wrong with it, the next attempt begins anew.
      this.#lines.leave(line, connection)
      this.#lines.tellTrouble()
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
      return await Promise.race([this.#lines.connect(line), patience.over])
    } finally {
      patience.stop()
    }
  }

  /** Fires when the time of a call is over, or its caller is gone. */
  #patience ({ context, began }: UpstreamCall): Patience {
    return new Patience(this.#leftMs(began), context.signal, () => this.#late())
  }

  #behalf (declared: Readonly<Record<string, unknown>>): OnBehalf {
    const capabilities = { ...membersIn({ declared }, 'declared') }
    if (!this.entry.questions) for (const name of Object.keys(ALL_QUESTIONS)) delete capabilities[name]
    return { clientInfo: this.#options.clientInfo, capabilities }
  }
}

/** A log message that came on the exchange of a call: its client is told, if it wants to be. */
function relayLog (context: Pick<Context, 'message'>, { level, data, logger }: Members): void {
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
  /** Present where it may ask its caller. */
  readonly asking?: AskingCall
}

const NEVER = new AbortController().signal
