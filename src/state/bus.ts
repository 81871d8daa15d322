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
export interface BusListeners extends Omit<Bus, 'publish'> {
  hear (topic: string, text: string): boolean
  missed (): void
  readonly topics: Iterable<string>
}

/** @param onTopic told of each topic that gets its first listener or loses its last */
export function busListeners (onTopic: (topic: string, wanted: boolean) => void = () => {}): BusListeners {
  const topics = new Map<string, Set<Listener>>()
  const gaps = new Set<() => void>()
  return {
    get topics () { return topics.keys() },

    listen (topic, listener) {
      const listeners = topics.get(topic) ?? new Set()
      listeners.add(listener)
      if (listeners.size === 1 && !topics.has(topic)) {
        topics.set(topic, listeners)
        onTopic(topic, true)
      }
      return () => {
        if (!listeners.delete(listener) || listeners.size > 0) return
        topics.delete(topic)
        onTopic(topic, false)
      }
    },

    onGap (listener) {
      gaps.add(listener)
      return () => { gaps.delete(listener) }
    },

    hear (topic, text) {
      const listeners = topics.get(topic)
      if (listeners === undefined) return false
      for (const listener of [...listeners]) listener(text)
      return true
    },

    missed () { for (const listener of [...gaps]) listener() }
  }
}

/** Where one process is all there is. */
export function localBus (): Bus {
  const listeners = busListeners()
  return {
    ...listeners,
    publish: async (topic, text) => listeners.hear(topic, text) ? 1 : 0
  }
}
