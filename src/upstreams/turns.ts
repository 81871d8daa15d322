/**
 * Places for calls to one upstream, and a queue before them: served in turn over principals, so that a flood of one
 * delays that one.
 */

/** Gives the place back; calling it twice does nothing more. */
export type Leave = () => void

interface Queued {
  begin (leave: Leave): void
}

export class Turns {
  readonly max: number
  readonly #maxQueued: number
  #taken = 0
  #queued = 0
  /** By principal, in the order of whose turn it is. */
  readonly #queues = new Map<string, Queued[]>()

  /** @param max calls at once; twice as many may wait */
  constructor (max: number) {
    this.max = max
    this.#maxQueued = 2 * max
  }

  get taken (): number { return this.#taken }
  get queued (): number { return this.#queued }

  /**
   * A place, at once where there is one.
   *
   * @param signal ends the waiting
   * @returns undefined where too many wait already
   */
  take (principal: string, signal: AbortSignal): Leave | Promise<Leave> | undefined {
    if (this.#taken < this.max) return this.#enter()
    if (this.#queued >= this.#maxQueued) return undefined
    return new Promise((resolve, reject) => {
      const one: Queued = {
        begin (leave) {
          signal.removeEventListener('abort', onAbort)
          resolve(leave)
        }
      }
      const onAbort = () => {
        this.#forget(principal, one)
        reject(reasonOf(signal))
      }
      if (signal.aborted) return reject(reasonOf(signal))
      signal.addEventListener('abort', onAbort, { once: true })
      this.#queued++
      const queue = this.#queues.get(principal)
      if (queue === undefined) this.#queues.set(principal, [one])
      else queue.push(one)
    })
  }

  #enter (): Leave {
    this.#taken++
    let left = false
    return () => {
      if (left) return
      left = true
      this.#taken--
      this.#next()
    }
  }

  /** The one in front of the queue of whoever waited longest for a turn. */
  #next (): void {
    const [first] = this.#queues
    if (first === undefined || this.#taken >= this.max) return
    const [principal, queue] = first
    const one = queue.shift()!
    this.#queued--
    this.#queues.delete(principal)
    if (queue.length > 0) this.#queues.set(principal, queue) // behind the others
    one.begin(this.#enter())
  }

  #forget (principal: string, one: Queued): void {
    const queue = this.#queues.get(principal)
    const at = queue?.indexOf(one) ?? -1
    if (queue === undefined || at < 0) return
    queue.splice(at, 1)
    this.#queued--
    if (queue.length === 0) this.#queues.delete(principal)
  }
}

function reasonOf ({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
