import type { Principal } from '../core/principal.ts'
import type { Log } from '../telemetry/log.ts'
import type { CallerInfo, Change, Context, Level } from './tool.ts'

/** What a way of serving (HTTP, stdio) lends to one call. */
export interface Host {
  principal: Principal
  log: Log
  /** Made on first use: most tools never look at it. */
  signal: () => AbortSignal
  progress?: ((done: number, total?: number, message?: string) => void) | undefined
  message?: ((level: Level, data: unknown, logger?: string) => void) | undefined
  changed?: ((what: Change) => void) | undefined
  clientCapabilities?: Readonly<Record<string, unknown>> | undefined
  answers?: Readonly<Record<string, unknown>>
  state?: unknown
  /** Told when the call waits for somebody else, perhaps for long. */
  waits?: (() => void) | undefined
}

const NOTHING = Object.freeze({})

/** The context that handlers see, over what a host lends. */
export class CallContext implements Context {
  readonly #host: Host

  constructor (host: Host) {
    this.#host = host
  }

  /** What is lent beyond what handlers see: for calls that go on to an upstream. */
  static hostOf (context: Context): Host {
    if (!(context instanceof CallContext)) throw new TypeError('not a context of this server')
    return context.#host
  }

  get caller (): CallerInfo {
    const { id, name, authType } = this.#host.principal
    return { id, name, authType }
  }

  get signal (): AbortSignal { return this.#host.signal() }
  get log (): Log { return this.#host.log }
  get clientCapabilities () { return this.#host.clientCapabilities ?? NOTHING }
  get answers () { return this.#host.answers ?? NOTHING }
  get state (): unknown { return this.#host.state }

  // Functions of their own, because handlers take them apart: `({ progress }) => …`.
  readonly progress = (done: number, total?: number, message?: string): void => { this.#host.progress?.(done, total, message) }
  readonly message = (level: Level, data: unknown, logger?: string): void => { this.#host.message?.(level, data, logger) }
  readonly changed = (what: Change): void => { this.#host.changed?.(what) }
}
