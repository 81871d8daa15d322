/** The bus over Redis pub/sub: what is published comes back to this process the way it reaches the others. */
import { busListeners, type Bus } from '../bus.ts'
import { Cluster } from 'ioredis'
import type { Client } from './client/connection.ts'

export interface SharedBusOptions {
  client: Client
  /** The connection that hears. */
  listener: Client
  /** A channel's full name. */
  name: (topic: string) => string
  /** A channel that is heard besides, whoever listens to it. */
  besides: { channel: string, hear: (text: string) => void }
  /** Asks Redis. */
  ask: <T>(command: () => Promise<T>) => Promise<T>
  complain: (error: Error) => void
}

export function sharedBus ({ client, listener, name, besides, ask, complain }: SharedBusOptions): Bus {
  const channels = new Map<string, string>()
  const listeners = busListeners((topic, wanted) => {
    const channel = name(topic)
    if (wanted) channels.set(channel, topic)
    else channels.delete(channel)
    if (listener.status !== 'ready') return // subscribed to when it is
    (wanted ? listener.subscribe(channel) : listener.unsubscribe(channel)).catch(complain)
  })

  let heard = false
  listener.on('ready', () => {
    listener.subscribe(besides.channel, ...channels.keys()).then(() => {
      // From now on nothing is missed; what came while the connection was away was.
      if (heard) listeners.missed()
      heard = true
    }, complain)
  })
  listener.on('message', (channel: string, text: string) => {
    if (channel === besides.channel) return besides.hear(text)
    const topic = channels.get(channel)
    if (topic !== undefined) listeners.hear(topic, text)
  })

  return {
    listen: listeners.listen,
    onGap: listeners.onGap,
    async publish (topic, text) {
      const told = await ask(() => client.publish(name(topic), text))
      // A cluster counts only the listeners at one of its nodes.
      return client instanceof Cluster ? Math.max(1, told) : told
    }
  }
}
