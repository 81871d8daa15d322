/** What every Store must do, kind by kind. Called for memory and for Redis in each of its forms. */
import type { Test } from 'tap'
import type { Store } from '../../../src/state/store.ts'
import { busContract } from './bus.ts'
import { cataloguesContract } from './catalogues.ts'
import { keysContract } from './keys.ts'
import { ledgersContract } from './ledgers.ts'
import { sessionsContract } from './sessions.ts'
import { valuesContract } from './values.ts'
import { windowsContract } from './windows.ts'

/** The time of a test, ms since the epoch. */
export interface TestClock { now: number }

/** A store of its own, by the clock of the test where one is given; closed by whoever opened it. */
export type Open = (clock?: TestClock) => Promise<Store>

export const T0 = 1_800_000_000_000

export async function storeContract (t: Test, open: Open): Promise<void> {
  for (const [kind, contract] of Object.entries({ windowsContract, keysContract, ledgersContract, sessionsContract, busContract, valuesContract, cataloguesContract })) {
    await t.test(kind.replace('Contract', ''), t => contract(t, open))
  }
}
