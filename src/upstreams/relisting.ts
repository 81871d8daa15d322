/**
 * When an upstream is asked again for what it lists: soon after it says that it changed, now and then, and when it is
 * back.
 */

export interface RelistingOptions {
  /** Asks. @returns how long until it is worth asking again, ms, where the usual time is not right */
  readonly list: () => Promise<number | undefined>
  /** Quiet after the last change, ms. */
  readonly quietMs?: number
  /** The least time between two, ms. */
  readonly leastMs?: number
  /** How often without any change, ms; a fifth more or less. */
  readonly everyMs?: number
}

const DEFAULTS = { quietMs: 250, leastMs: 1000, everyMs: 300_000 } as const
const SPREAD = 0.2

export class Relisting {
  readonly #options: Required<RelistingOptions>
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #again = false
  #lastAt = -Infinity
  #stopped = false

  constructor (options: RelistingOptions) {
    this.#options = { ...DEFAULTS, ...options }
  }

  /** List now. Resolves when that is done, however it went. */
  now (): Promise<void> {
    this.#running ??= this.#list().finally(() => { this.#running = undefined })
    return this.#running
  }

  /** It says that something changed: once more, however often it says so meanwhile. */
  changed (): void {
    if (this.#running !== undefined) this.#again = true
    else this.#schedule(Math.max(this.#options.quietMs, this.#lastAt + this.#options.leastMs - performance.now()))
  }

  /** There is a new connection: what is behind it may list otherwise, unless it is being asked just now. */
  connected (): void {
    if (this.#running === undefined) this.changed()
  }

  stop (): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #list (): Promise<void> {
    const { list, everyMs, quietMs, leastMs } = this.#options
    clearTimeout(this.#timer)
    this.#again = false
    this.#lastAt = performance.now()
    const wanted = await list().catch(() => undefined)
    this.#schedule(
      this.#again ? Math.max(quietMs, leastMs) : wanted ?? everyMs * (1 + SPREAD * (2 * Math.random() - 1))
    )
  }

  #schedule (ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(() => { this.now().catch(() => {}) }, ms).unref()
  }
}
