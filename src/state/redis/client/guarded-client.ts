/** Asking Redis: within a deadline, through a breaker, every failure the same. Nothing is asked twice. */
import { AppError } from '../../../errors.ts'
import { breaker } from '../../../resilience/breaker.ts'
import type { Client } from './connection.ts'
import { deadlines, TooLate } from '../../../resilience/deadline.ts'

/** @throws {AppError} STATE_UNAVAILABLE when Redis refuses, is gone or does not answer in time; what was asked may still happen */
export type Ask = <T>(command: () => Promise<T>) => Promise<T>

export interface GuardedClient {
  readonly ask: Ask
  /** Redis did not answer, so nothing is asked for now. */
  readonly open: boolean
  /** End the connections: politely while Redis answers, so that what was asked is done first. */
  quit (connections: readonly Client[]): Promise<void>
  close (): void
}

/** @param withinMs how long a decision waits */
export function guardedClient (client: Client, withinMs: number): GuardedClient {
  const limits = deadlines(withinMs)
  const circuit = breaker({ most: 5, pauseMs: 250, probe: () => limits.within(client.ping()) })
  return {
    get open () { return circuit.open },

    async ask (command) {
      if (circuit.open) throw unavailable('redis does not answer')
      const since = performance.now()
      try {
        const asked = command()
        asked.then(circuit.answered, () => {}) // late answers, too, show that it lives
        return await limits.within(asked)
      } catch (error) {
        if (error instanceof TooLate || (error as Error).message === 'Command timed out') circuit.missed(since)
        throw unavailable(error)
      }
    },

    async quit (connections) {
      if (!circuit.open) await Promise.all(connections.map(connection => limits.within(connection.quit()).catch(() => {})))
    },

    close () {
      circuit.close()
      limits.close()
    }
  }
}

/** @param cause for the log only */
export function unavailable (cause: unknown, message = 'State is out of reach; try again'): AppError {
  return new AppError('STATE_UNAVAILABLE', message, { cause, headers: { 'retry-after': '2' } })
}
