/**
 * Whether what Redis holds is still what this process knew: its state has a
 * name, the epoch, and another name means that it was emptied or exchanged.
 * See docs/decisions/0015-lost-state-closes.md.
 */
import { randomUUID } from 'node:crypto'
import type { Log } from '../../../telemetry/log.ts'
import type { Client } from './connection.ts'
import { unavailable, type Ask } from './guarded-client.ts'

export interface Epoch {
  /** State was seen whole once. */
  readonly begun: boolean
  readonly lost: boolean
  /** What Redis says now; null for nothing. */
  read (): Promise<string | null>
  /**
   * Compare what was read with what is known.
   *
   * @returns whether state is whole
   */
  judge (seen: string | null): Promise<boolean>
  /** @throws {AppError} STATE_UNAVAILABLE unless state is whole now */
  assertWhole (): Promise<void>
  /** Go on with what is left. */
  accept (): Promise<void>
}

/** The epoch that replaces one that is gone, so that replicas which start later see it, too. */
const LOST = 'lost:'
/** At the end of an epoch that an operator set to go on after a loss. */
const ACCEPTED = ':accepted'

const GONE = 'redis lost its data: keys and revocations may be gone, so everything is refused; restore it, or go on without: secure-mcp state accept-loss'

export interface EpochOptions {
  client: Client
  /** A key's full name. */
  name: (key: string) => string
  ask: Ask
  log: Log
}

export function epochOf ({ client, name, ask, log }: EpochOptions): Epoch {
  const key = name('epoch')
  /** What Redis called its state when this process first saw it whole. */
  let known: string | undefined
  let lost = false

  const read = () => ask(() => client.get(key))

  function lose (): void {
    if (!lost) log.error({ key }, GONE)
    lost = true
  }

  /** The first look. Where nothing ever was, an epoch begins. */
  async function begin (seen: string | null): Promise<void> {
    if (seen === null) {
      await ask(() => client.set(key, randomUUID(), 'NX'))
      seen = await read()
    }
    if (seen?.startsWith(LOST)) lose()
    known = seen?.startsWith(LOST) ? seen.slice(LOST.length) : seen ?? undefined
  }

  /**
   * Another epoch than the one known: what Redis held is gone, unless an
   * operator said to go on. A replica that starts now could not tell, so the
   * loss is written down, but never over state that others may use.
   */
  async function follow (seen: string | null): Promise<void> {
    if (seen?.endsWith(ACCEPTED) && !seen.startsWith(LOST)) {
      known = seen
      lost = false
      log.warn({}, 'going on after a loss of state, as an operator said')
      return
    }
    lose()
    if (seen === null) await ask(() => client.set(key, LOST + known, 'NX')).catch(() => {})
    else if (!seen.startsWith(LOST) && await ask(() => client.exists(name('index:keys'))) === 0) await ask(() => client.set(key, LOST + known)).catch(() => {})
  }

  return {
    get begun () { return known !== undefined },
    get lost () { return lost },
    read,

    async judge (seen) {
      if (known === undefined) {
        await begin(seen)
        return known !== undefined && !lost
      }
      if (seen !== known) {
        await follow(seen)
        return !lost
      }
      if (lost) {
        lost = false
        log.warn({}, 'what redis had lost is there again')
      }
      return true
    },

    async assertWhole () {
      const seen = await read()
      if (known === undefined || seen !== known) throw unavailable('the epoch is not the one that was seen')
    },

    async accept () { await ask(() => client.set(key, randomUUID() + ACCEPTED)) }
  }
}
