/** The bus over Redis pub/sub: what is published comes back to this process the way it reaches the others. */
import { Cluster } from 'ioredis'
import { BusListeners, type Bus } from '../bus.ts'
import type { Client } from './client/connection.ts'
import type { Guard } from './client/guarded-client.ts'
import type { Subscriber } from './client/subscriber.ts'
import type { Names } from './names.ts'

export interface RedisBusOptions {
  client: Client
  subscriber: Subscriber
  names: Names
  ask: Guard
  /** Hears of changes of ledgers, on their channel. */
  onLedger: (text: string) => void
}

export class RedisBus implements Bus {
  readonly #client: Client
  readonly #names: Names
  readonly #ask: Guard
  readonly #listeners: BusListeners

  constructor ({ client, subscriber, names, ask, onLedger }: RedisBusOptions) {
    this.#client = client
    this.#names = names
    this.#ask = ask
    const topics = new Map<string, string>()
    this.#listeners = new BusListeners((topic, wanted) => {
      const channel = names.channel(topic)
      if (wanted) topics.set(channel, topic)
      else topics.delete(channel)
      subscriber.want(channel, wanted)
    })
    subscriber.want(names.ledgerChannel, true)
    subscriber.onMessage = (channel, text) => {
      if (channel === names.ledgerChannel) return onLedger(text)
      const topic = topics.get(channel)
      if (topic !== undefined) this.#listeners.hear(topic, text)
    }
    subscriber.onGap = () => this.#listeners.missed()
  }

  listen (topic: string, listener: (text: string) => void): () => void {
    return this.#listeners.listen(topic, listener)
  }

  onGap (listener: () => void): () => void {
    return this.#listeners.onGap(listener)
  }

  async publish (topic: string, text: string): Promise<number> {
    const told = await this.#ask(() => this.#client.publish(this.#names.channel(topic), text))
    // A cluster counts only the listeners at one of its nodes.
    return this.#client instanceof Cluster ? Math.max(1, told) : told
  }
}
