/** What replicas tell each other as it happens. Nobody keeps it: who is away misses it, and is told that it did. */

type Listener = (text: string) => void

export interface Bus {
  /**
   * Tell everyone who listens to a topic, on every replica, this one included.
   *
   * @returns how many replicas were told, as far as that can be known
   */
  publish (topic: string, text: string): Promise<number>
  /** @returns the way to stop */
  listen (topic: string, listener: Listener): () => void
  /** Called when something may have been missed. @returns the way to stop */
  onGap (listener: () => void): () => void
}

/** Listeners of this process. */
export class BusListeners {
  readonly #onTopic: (topic: string, wanted: boolean) => void
  readonly #topics = new Map<string, Set<Listener>>()
  readonly #gaps = new Set<() => void>()

  /** @param onTopic told of each topic that gets its first listener or loses its last */
  constructor (onTopic: (topic: string, wanted: boolean) => void = () => {}) {
    this.#onTopic = onTopic
  }

  listen (topic: string, listener: Listener): () => void {
    const listeners = this.#topics.get(topic) ?? new Set()
    listeners.add(listener)
    if (!this.#topics.has(topic)) {
      this.#topics.set(topic, listeners)
      this.#onTopic(topic, true)
    }
    return () => {
      if (!listeners.delete(listener) || listeners.size > 0) return
      this.#topics.delete(topic)
      this.#onTopic(topic, false)
    }
  }

  onGap (listener: () => void): () => void {
    this.#gaps.add(listener)
    return () => { this.#gaps.delete(listener) }
  }

  /** @returns whether anyone listens to the topic */
  hear (topic: string, text: string): boolean {
    const listeners = this.#topics.get(topic)
    if (listeners === undefined) return false
    for (const listener of [...listeners]) listener(text)
    return true
  }

  missed (): void {
    for (const listener of [...this.#gaps]) listener()
  }
}
