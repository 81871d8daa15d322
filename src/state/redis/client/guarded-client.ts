/** Asking Redis: within a deadline, through a breaker, every failure the same. Nothing is asked twice. */
import { Cluster, type Redis } from 'ioredis'
import { AppError } from '../../../errors.ts'
import { breaker, type Breaker } from '../../../resilience/breaker.ts'
import { deadlines, TooLate, type Deadlines } from '../../../resilience/deadline.ts'
import type { Client } from './connection.ts'
import { slotOf } from './slots.ts'

/**
 * @param key what the command is about: in a Cluster its node is asked, and what other nodes do does not matter
 * @throws {AppError} STATE_UNAVAILABLE when Redis refuses, is gone or does not answer in time; what was asked
 *   may still happen
 */
export type Guard = <T>(command: () => Promise<T>, key?: string) => Promise<T>

/** Misses in a row after which a node that answers others is not asked for a while. */
const MAX_MISSES = 5
const PAUSE_MS = 250

export class GuardedClient {
  readonly #client: Client
  readonly #onRefused: (error: unknown) => void
  readonly #limits: Deadlines
  /** By node, `host:port`; of the one Redis there is, under ''. */
  readonly #circuits = new Map<string, Breaker>()
  readonly #nodes = new Map<string, Redis>()

  /**
   * @param withinMs how long a decision waits
   * @param onRefused told of each refusal by Redis
   */
  constructor (client: Client, withinMs: number, onRefused: (error: unknown) => void) {
    this.#client = client
    this.#onRefused = onRefused
    this.#limits = deadlines(withinMs)
    if (client instanceof Cluster) {
      client.on('+node', (redis: Redis) => {
        this.#forget(keyOf(redis))
        this.#nodes.set(keyOf(redis), redis)
        redis.on('ready', () => this.#circuits.get(keyOf(redis))?.answered())
      })
      client.on('-node', (redis: Redis) => { if (this.#nodes.get(keyOf(redis)) === redis) this.#forget(keyOf(redis)) })
    } else {
      // A new connection has had answers by then, after a failover those of another master:
      // no need to wait for a probe.
      client.on('ready', () => this.#circuits.get('')?.answered())
    }
  }

  /** Redis did not answer, in a Cluster no node of it, so nothing is asked for now. */
  get open (): boolean {
    const circuits = [...this.#circuits.values()]
    return circuits.length > 0 && circuits.every(circuit => circuit.open)
  }

  ask: Guard = async (command, key) => {
    const circuit = this.#circuitOf(key)
    if (circuit?.open === true) throw unavailable('redis does not answer')
    const since = performance.now()
    try {
      const asked = command()
      asked.then(circuit?.answered, () => {}) // late answers, too, show that it lives
      return await this.#limits.within(asked)
    } catch (error) {
      if (error instanceof TooLate || (error as Error).message === 'Command timed out') circuit?.missed(since)
      // A refusal, of whatever, is an answer.
      else if (isReply(error)) {
        circuit?.answered()
        this.#onRefused(error)
      }
      throw unavailable(error)
    }
  }

  /** End the connections: politely while Redis answers, so that what was asked is done first. */
  async quit (connections: readonly Client[]): Promise<void> {
    if (!this.open) {
      await Promise.all(connections.map(connection => this.#limits.within(connection.quit()).catch(() => {})))
    }
  }

  close (): void {
    for (const circuit of this.#circuits.values()) circuit.close()
    this.#limits.close()
  }

  /** Undefined where the node is not connected: any other then says where to go. */
  #circuitOf (key: string | undefined): Breaker | undefined {
    if (!(this.#client instanceof Cluster)) return this.#circuit('', this.#client)
    const node = key === undefined ? undefined : this.#client.slots[slotOf(key)]?.[0]
    const redis = node === undefined ? undefined : this.#nodes.get(node)
    return redis === undefined ? undefined : this.#circuit(node!, redis)
  }

  #circuit (node: string, redis: Redis): Breaker {
    const known = this.#circuits.get(node)
    if (known !== undefined) return known
    const made = breaker({ most: MAX_MISSES, pauseMs: PAUSE_MS, probe: () => this.#limits.within(redis.ping()) })
    this.#circuits.set(node, made)
    return made
  }

  #forget (node: string): void {
    this.#nodes.delete(node)
    this.#circuits.get(node)?.close()
    this.#circuits.delete(node)
  }
}

function keyOf ({ options: { host, port } }: Redis): string {
  return `${host}:${port}`
}

/** The client says of a command that was sent from node to node too often what the last one answered. */
function isReply (error: unknown): boolean {
  const { name, message } = error as Error
  return name === 'ReplyError' || message.startsWith('Too many Cluster redirections')
}

/** @param cause for the log only */
export function unavailable (cause: unknown, message = 'State is out of reach; try again'): AppError {
  return new AppError('STATE_UNAVAILABLE', message, { cause, headers: { 'retry-after': '2' } })
}
