/** What goes wrong with Redis, told to the operator: its cause in a sentence, and one line when its state changes. */
import { Cluster, type Redis } from 'ioredis'
import type { Health } from '../../../core/health.ts'
import type { Log } from '../../../telemetry/log.ts'
import { announcedUnreachable, causeOf, type Cause } from './causes.ts'
import type { Client, RedisAddress } from './connection.ts'

/** A run of errors is one line this often, ms. */
const LINE_MS = 5000

export class Troubles {
  readonly #address: RedisAddress
  readonly #log: Log
  #linedAt = -Infinity
  #lasting: string | undefined
  #last: string | undefined
  #health: Health = 'ok'
  /** Of `performance.now`. */
  #changedAt = performance.now()
  #unwritableSince: number | undefined

  constructor (address: RedisAddress, log: Log) {
    this.#address = address
    this.#log = log
  }

  /** What waiting does not mend. */
  get lasting (): string | undefined {
    return this.#lasting
  }

  /** The last thing that went wrong, in words. */
  get last (): string | undefined {
    return this.#last
  }

  /** Note every error of a connection, and of the nodes of a Cluster, which it tells apart. */
  watch (client: Client): void {
    client.on('error', (error: Error) => this.note(error))
    if (client instanceof Cluster) {
      client.on('node error', (error: Error, node: string) => this.note(error, node))
      return
    }
    // Sentinels name a master: where that cannot be reached it is not they who are wrong.
    if (this.#address.sentinels !== undefined) {
      client.on('error', (error: Error & { port?: number; address?: string }) =>
        this.#unreachable(error, masterOf(client, error))
      )
    }
  }

  note (error: unknown, node?: string): void {
    if (!(error instanceof Error)) return
    const cause = this.remember(error)
    if (cause === undefined && node !== undefined && this.#unreachable(error, node)) return
    this.#line(cause?.text ?? 'redis connection error', error)
  }

  /** Note an error without a line: of a look that is tried again. */
  remember (error: unknown): Cause | undefined {
    const cause = causeOf(error, this.#address)
    if (cause?.lasting === true) this.#lasting ??= cause.text
    if (cause !== undefined || this.#last === undefined) {
      this.#last = cause?.text ?? (error as Error | undefined)?.message
    }
    return cause
  }

  /** Redis refused something that was asked: told where it means that a setting is wrong. */
  refused (error: unknown): void {
    if (causeOf(error, this.#address)?.lasting === true) this.note(error)
  }

  /** The state at the start, which is told there. */
  begin (health: Health): void {
    this.#health = health
    this.#changedAt = performance.now()
  }

  /** One line when it changes, with how long it was otherwise. */
  became (health: Health): void {
    if (health === this.#health) return
    const [before, forMs] = [this.#health, Math.round(performance.now() - this.#changedAt)]
    this.begin(health)
    if (health === 'unreachable') this.#log.warn({ why: this.#last ?? 'no answer' }, 'redis is out of reach')
    // A loss has its own line, which says what to do.
    if (health === 'ok') this.#log.warn({ before, forMs }, 'redis is ok again')
  }

  /** @param whyNot Redis' word for why it cannot write, or undefined where it did */
  wrote (whyNot: string | undefined): void {
    if (whyNot !== undefined && this.#unwritableSince === undefined) {
      this.#unwritableSince = performance.now()
      this.#log.warn({ why: WHY[whyNot] ?? whyNot }, 'redis takes no writes: limits are counted by each replica alone')
    }
    if (whyNot === undefined && this.#unwritableSince !== undefined) {
      this.#log.warn({ forMs: Math.round(performance.now() - this.#unwritableSince) }, 'redis takes writes again')
      this.#unwritableSince = undefined
    }
  }

  #unreachable (error: Error, node: string | undefined): boolean {
    const text =
      node === undefined || !UNREACHABLE.test(`${error.message} ${(error as { code?: string }).code ?? ''}`)
        ? undefined
        : announcedUnreachable(node, this.#address)
    if (text === undefined) return false
    this.#last = text
    this.#line(text, error)
    return true
  }

  /** One line for a run of errors, not one for each attempt. */
  #line (text: string, err: Error): void {
    const now = performance.now()
    if (now - this.#linedAt < LINE_MS) return
    this.#linedAt = now
    this.#log.warn({ err }, text)
  }
}

const UNREACHABLE = /ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|Connection is closed/

const WHY: Readonly<Record<string, string>> = {
  OOM: 'its memory is full (maxmemory)',
  MISCONF: 'it cannot write to its disk (MISCONF)',
  NOREPLICAS: 'it has too few replicas (min-replicas-to-write)'
}

/** The address that the connection tried last. */
function masterOf (client: Redis, { address, port }: { address?: string, port?: number }): string | undefined {
  if (address !== undefined && port !== undefined) return `${address}:${port}`
  return client.status === 'ready' ? undefined : 'an address'
}
