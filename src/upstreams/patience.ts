import { PeerTrouble } from './messages.ts'

/** How long a caller waits for a place or a connection. */
export class Patience {
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
