/**
 * Whether whoever waits for an answer is gone. An AbortSignal tells the same, and costs a call that waits fifteen
 * microseconds, most of them the garbage collector's: it is made for those alone who hand it on.
 */

/** What listeners need of either. */
export interface Departing {
  readonly aborted: boolean
  addEventListener (type: 'abort', listener: () => void, options: { readonly once: true }): void
  removeEventListener (type: 'abort', listener: () => void): void
}

export class Departure implements Departing {
  #aborted = false
  #listeners: Array<() => void> = []
  #controller: AbortController | undefined

  get aborted (): boolean { return this.#aborted }

  /** The same for functions that want the real one. */
  get signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort()
    }
    return this.#controller.signal
  }

  /** They are gone; told once. */
  leave (): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#controller?.abort()
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  addEventListener (_type: 'abort', listener: () => void): void {
    if (!this.#aborted) this.#listeners.push(listener)
  }

  removeEventListener (_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener)
    if (at >= 0) this.#listeners.splice(at, 1)
  }
}
