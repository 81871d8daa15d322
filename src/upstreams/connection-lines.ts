/**
 * The connections to one upstream: one for everyone or one for each caller,
 * made when somebody needs it, and left when it failed, was idle or is over.
 */
import type { Log } from '../telemetry/log.ts'
import { UpstreamError } from '../tools/tool.ts'
import { notAsked, UpstreamConnection, type OpenWire } from './connection.ts'
import type { UpstreamEntry } from './entry.ts'
import type { Agreement } from './handshake.ts'
import type { HealthOptions, UpstreamHealth } from './health.ts'
import { PeerTrouble, type Members } from './messages.ts'
import type { ParkedCalls } from './parked-calls.ts'
import { ALL_QUESTIONS } from './questions.ts'
import { ServerStream } from './server-stream.ts'
import { startTrouble } from './trouble.ts'
import { Turns } from './turns.ts'

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
  /** Calls that wait for answers of their callers. Absent: nobody is asked for a server of the older revisions. */
  readonly parked?: ParkedCalls | undefined
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
export interface ConnectionLine {
  readonly key: string
  /** What is declared to a server of the older revisions: it may ask that. */
  readonly declared: Members
  readonly turns: Turns
  connection: UpstreamConnection | undefined
  starting: Promise<UpstreamConnection> | undefined
  usedAt: number
}

export class ConnectionLines {
  #options: UpstreamOptions
  readonly #health: UpstreamHealth
  readonly #lines = new Map<string, ConnectionLine>()
  readonly #retiring = new Set<Promise<void>>()
  /** By URI, who hears of its changes. */
  readonly #watched = new Map<string, () => void>()
  #stream: ServerStream | undefined
  #agreement: Agreement | undefined
  #isDraining = false
  #starts = 0
  #steady: NodeJS.Timeout | undefined

  constructor (options: UpstreamOptions, health: UpstreamHealth) {
    this.#options = options
    this.#health = health
  }

  /** What was agreed on last. */
  get agreement (): Agreement | undefined { return this.#agreement }
  get isDraining (): boolean { return this.#isDraining }
  /** Starts after the first. */
  get restarts (): number { return Math.max(0, this.#starts - 1) }

  get state (): 'idle' | 'starting' | 'ready' {
    const lines = [...this.#lines.values()]
    if (lines.some(({ connection }) => connection !== undefined)) return 'ready'
    return lines.some(({ starting }) => starting !== undefined) ? 'starting' : 'idle'
  }

  adopt (options: UpstreamOptions): void {
    this.#options = options
  }

  /**
   * The line of a caller who answers what it declared, or that of everyone.
   *
   * @throws {UpstreamError} UPSTREAM_BUSY where every connection is in use
   */
  of (caller?: string, declared: Members = this.#options.entry.questions ? ALL_QUESTIONS : {}): ConnectionLine {
    const key = caller === undefined ? EVERYONE : `${caller} ${JSON.stringify(declared)}`
    const found = this.#lines.get(key)
    if (found !== undefined) return found
    if (key !== EVERYONE) this.#makeRoom()
    const { maxInFlight, target } = this.#options.entry
    // Over stdio a question names no call: one at a time, so that it is known whose it is.
    const single = key !== EVERYONE && target.kind === 'stdio' && Object.keys(declared).length > 0
    const line: ConnectionLine = {
      key,
      declared,
      turns: new Turns(single ? 1 : maxInFlight),
      connection: undefined,
      starting: undefined,
      usedAt: performance.now()
    }
    this.#lines.set(key, line)
    return line
  }

  /** Hear of changes of a resource over the connection of everyone, now and after each new start. */
  watch (uri: string, changed: () => void): () => void {
    this.#watched.set(uri, changed)
    this.#stream?.watch(uri)
    this.connect(this.of()).catch(() => {}) // told where it failed; what is watched is kept for the next start
    return () => {
      this.#watched.delete(uri)
      this.#stream?.unwatch(uri)
    }
  }

  /** The connection of a line: the one that is there, the one that is being made, or a new one. */
  connect (line: ConnectionLine): Promise<UpstreamConnection> {
    if (line.connection !== undefined) return Promise.resolve(line.connection)
    if (line.starting !== undefined) return line.starting
    const { trouble, waitMs } = this.#health
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

  /** Take no more calls over a connection; those on their way may end. */
  leave (line: ConnectionLine, connection: UpstreamConnection): void {
    if (line.connection === connection) this.#retire(line, this.#options.entry.timeoutMs)
  }

  /** Say that the upstream fails, and when it is tried again. */
  tellTrouble (): void {
    const { trouble, waitMs } = this.#health
    const { log, entry, mask } = this.#options
    log.warn({ upstream: entry.name, why: mask(trouble ?? ''), againMs: Math.round(waitMs) }, 'upstream fails')
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

  /** Connections of callers are bounded: the idle one that was used longest ago ends first. */
  #makeRoom (): void {
    const lines = [...this.#lines.values()].filter(({ key }) => key !== EVERYONE)
    const isIdle = ({ turns, connection }: ConnectionLine) => turns.taken === 0 && (connection?.calls ?? 0) === 0
    const idle = lines.filter(isIdle).sort((a, b) => a.usedAt - b.usedAt)
    const { entry, idleMs = IDLE_MS } = this.#options
    const over = idle.filter(({ usedAt }) => performance.now() - usedAt > idleMs)
    if (lines.length >= MAX_CALLERS && over.length === 0) {
      if (idle.length === 0) {
        throw new UpstreamError(
          'UPSTREAM_BUSY', `Upstream "${entry.name}" is busy: ${MAX_CALLERS} callers use it, each with a connection`
        )
      }
      over.push(idle[0]!)
    }
    for (const line of over) {
      this.#lines.delete(line.key)
      this.#retire(line, 0)
    }
  }

  async #start (line: ConnectionLine): Promise<UpstreamConnection> {
    const { events, log, entry: { name } } = this.#options
    if (this.#starts++ > 0) events.restarted(name)
    try {
      const connection = await UpstreamConnection.open({
        ...this.#options,
        declared: line.declared,
        onNotification: (method, params) => this.#notified(method, params),
        onQuestion: async method => questioned(method),
        onClose: (why, closed) => this.#closed(line, closed, why)
      })
      this.#agreement = connection.agreement
      this.#listen(line, connection)
      line.connection = connection
      line.usedAt = performance.now()
      this.#health.answered()
      clearTimeout(this.#steady)
      this.#steady = setTimeout(() => this.#health.steady(), STEADY_MS).unref()
      const { version, serverInfo } = connection.agreement
      log.info({ upstream: name, revision: version, server: serverInfo.name }, 'upstream connected')
      if (this.#isDraining) this.#retire(line, 0)
      events.stateChanged()
      return connection
    } catch (error) {
      const told = startTrouble(error)
      this.#health.notStarted(told.message)
      this.tellTrouble()
      events.stateChanged()
      throw told
    }
  }

  /** Hear what it says by itself. */
  #listen ({ key, declared }: ConnectionLine, connection: UpstreamConnection): void {
    const stream = new ServerStream(connection, { clientInfo: this.#options.clientInfo, capabilities: declared })
    if (key === EVERYONE) this.#stream = stream
    if (key !== EVERYONE && connection.agreement.era === 'modern') return
    stream.open(key === EVERYONE ? this.#watched.keys() : [])
  }

  #closed (line: ConnectionLine, connection: UpstreamConnection, why: string): void {
    if (line.connection !== connection) return
    line.connection = undefined
    clearTimeout(this.#steady)
    if (performance.now() - connection.openedAt < STEADY_MS) this.#health.notStarted(why)
    const { log, entry, mask, events } = this.#options
    log.warn({ upstream: entry.name, why: mask(why) }, 'upstream is gone')
    events.stateChanged()
  }

  #retire (line: ConnectionLine, graceMs: number): void {
    const { connection } = line
    if (connection === undefined) return
    line.connection = undefined
    const { log, entry } = this.#options
    const retiring = connection.retire(graceMs).catch(
      error => { log.error({ err: error as Error, upstream: entry.name }, 'closing an upstream failed') }
    )
    this.#retiring.add(retiring)
    retiring.finally(() => this.#retiring.delete(retiring)).catch(() => {})
  }

  #notified (method: string, params: Members): void {
    const { events, log, entry, mask } = this.#options
    switch (method) {
      case 'notifications/tools/list_changed':
      case 'notifications/prompts/list_changed':
      case 'notifications/resources/list_changed':
        return events.listChanged()
      case 'notifications/resources/updated': return this.#watched.get(String(params.uri))?.()
      case 'notifications/message':
        log.debug({ upstream: entry.name, said: mask(JSON.stringify(params).slice(0, 1024)) }, 'upstream says')
    }
  }
}

/** A question that belongs to no call. */
function questioned (method: string): Members {
  if (method === 'roots/list') return { roots: [] }
  throw notAsked(method)
}
