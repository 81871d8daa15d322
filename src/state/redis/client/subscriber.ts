/**
 * The connection that hears. Whatever interrupts it, a node that dies or one
 * that says nothing any more, it goes on elsewhere and tells that something
 * may have been missed. The client's own subscriber of a Cluster changes its
 * node without a word.
 */
import { Cluster, Redis } from 'ioredis'
import { connect, backoff, nodeOptions, type Client, type RedisAddress } from './connection.ts'

/** How often the connection is tried, ms. */
const PING_MS = 1000
/** An answer may take this long, ms: a Redis that is slow is not one that is gone. */
const ANSWER_MS = 2000

export class Subscriber {
  onMessage: (channel: string, text: string) => void = () => {}
  /** From now on nothing is missed; something that came before may have been. */
  onGap: () => void = () => {}

  readonly #address: RedisAddress
  readonly #client: Client
  readonly #onError: (error: Error) => void
  readonly #channels = new Set<string>()
  readonly #timer: NodeJS.Timeout
  #redis: Redis | undefined
  #heard = false
  #closed = false

  /** @param client of the same Redis: it knows the nodes of a Cluster */
  constructor (address: RedisAddress, client: Client, onError: (error: Error) => void) {
    this.#address = address
    this.#client = client
    this.#onError = onError
    this.#timer = setInterval(() => this.#look(), PING_MS)
    this.#timer.unref()
    if (client instanceof Cluster) client.on('ready', () => this.#begin())
    this.#begin()
  }

  /** Hear a channel, or no longer. */
  want (channel: string, wanted: boolean): void {
    if (wanted) this.#channels.add(channel)
    else this.#channels.delete(channel)
    if (this.#redis?.status !== 'ready') return // subscribed to when it is
    (wanted ? this.#redis.subscribe(channel) : this.#redis.unsubscribe(channel)).catch(this.#onError)
  }

  close (): void {
    this.#closed = true
    clearInterval(this.#timer)
    this.#redis?.disconnect()
  }

  #begin (): void {
    if (this.#closed || this.#redis !== undefined) return
    const redis = this.#redis = this.#open()
    if (redis === undefined) return // the next look tries again
    redis.on('error', this.#onError)
    redis.on('ready', () => this.#subscribe(redis))
    redis.on('message', (channel: string, text: string) => this.onMessage(channel, text))
    redis.on('end', () => {
      if (this.#redis === redis) this.#redis = undefined
      setTimeout(() => this.#begin(), backoff(0)).unref()
    })
  }

  /** One node of a Cluster, whichever is connected: what is published at one is heard at all. */
  #open (): Redis | undefined {
    if (!(this.#client instanceof Cluster)) return connect(this.#address, ANSWER_MS) as Redis
    const nodes = this.#client.nodes('all')
    const near = nodes.filter(({ status }) => status === 'ready')
    const chosen = (near.length > 0 ? near : nodes)[Math.floor(Math.random() * (near.length > 0 ? near : nodes).length)]
    if (chosen === undefined) return undefined
    const { host, port } = chosen.options
    return new Redis({ ...nodeOptions(this.#address, ANSWER_MS), host: host!, port: port!, retryStrategy: () => null })
  }

  async #subscribe (redis: Redis): Promise<void> {
    try {
      await redis.subscribe(...this.#channels)
      if (this.#heard) this.onGap()
      this.#heard = true
    } catch (error) {
      this.#onError(error as Error)
    }
  }

  /** A connection that nothing comes over says nothing of how the other side is. */
  #look (): void {
    const redis = this.#redis
    if (redis === undefined) return this.#begin()
    if (redis.status !== 'ready') return
    redis.ping().catch(() => { if (this.#redis === redis && redis.status === 'ready') redis.disconnect(true) })
  }
}
