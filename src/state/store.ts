/**
 * What replicas share, in words of the domain: one interface a kind, each with
 * twins of its name in memory/ (one process, its files) and redis/.
 * test/state/contract/ holds both to the same answers.
 *
 * Every method may reject with {AppError} STATE_UNAVAILABLE, and with nothing
 * else unless it says so. A rejected write may still have happened.
 */
import type { Health } from '../core/health.ts'
import type { Bus } from './bus.ts'
import type { Catalogues } from './catalogues.ts'
import type { StateDiagnosis } from './diagnosis.ts'
import type { Keys } from './keys.ts'
import type { Ledgers } from './ledgers.ts'
import type { TakenUp } from './memory/serving.ts'
import type { Records } from './records.ts'
import type { SessionStore } from './sessions.ts'
import type { Values } from './values.ts'
import type { Windows } from './windows.ts'

export type { Admission } from './keys.ts'
export type { Ledger, LedgerEntry, LedgerName } from './ledgers.ts'
export type { Counting } from './windows.ts'

export interface Store extends Keys, Windows, Ledgers, Values {
  readonly kind: 'memory' | 'redis'
  /**
   * ms since the epoch, by the clock that all replicas agree on: that of Redis
   * where there is one. Every end of a key or an entry is set and judged by it.
   */
  now (): number
  /** How state was when last looked at, at most a second ago. Synchronous. */
  health (): Health
  /** Whether this process may take traffic: not at a short failure, but at a lasting one. */
  available (): boolean
  /**
   * Go on with state that was lost: an operator's decision, never made here.
   *
   * @returns false if nothing was lost
   */
  acceptLoss (): Promise<boolean>

  /** Sessions of the revisions before 2026-07-28. */
  readonly sessions: SessionStore
  readonly bus: Bus
  /** What upstreams offer. */
  readonly catalogues: Catalogues
  /** The newest records of decisions. Undefined where nobody shares state: the folder of the process has them. */
  readonly records: Records | undefined

  /**
   * Wait until the processes that serve from these files use them as they are now. Undefined where state is
   * shared: a change is in force when it is acknowledged.
   */
  takenUp (): Promise<TakenUp | undefined>

  /** Look at the place itself: how it is set, how fast it answers, what time it has. May reject with anything. */
  diagnose (): Promise<StateDiagnosis>

  close (): Promise<void>
}
