/** What commands share: the settings, the state that they name, and the word of the running server. */
import type { OperationDone } from '../audit/record.ts'
import type { Log } from '../telemetry/log.ts'
import { readSettings } from '../settings/read.ts'
import type { Config } from '../settings/schema.ts'
import { openStore } from '../state/open.ts'
import type { Store } from '../state/store.ts'
import type { Io } from './command.ts'

/** A command is no request: it may wait for a slow Redis, ms. */
export const PATIENCE_MS = 8000

/** Commands say what happened themselves. */
export const QUIET: Log = { debug () {}, info () {}, warn () {}, error () {} }

/**
 * Run a command on the state that the settings name.
 *
 * @throws {Error} if state cannot be asked: an empty answer would be taken for a fact
 */
export async function withStore (io: Io, work: (store: Store, config: Config) => Promise<number>): Promise<number> {
  return await withAnyStore(io, async (store, config) => {
    refuseUnlessWhole(store)
    return await work(store, config)
  })
}

/** Says what a command changed, for the record. */
export type NoteOperation = (done: Omit<OperationDone, 'principal'>) => void

/** The same for a command that changes something, which is put on record. */
export async function withChange (
  io: Io, work: (store: Store, config: Config, note: NoteOperation) => Promise<number>
): Promise<number> {
  return await withStore(io, async (store, config) => await onRecord(io, store, config, work))
}

/** @throws {Error} where no record can be kept, and nothing may be changed without one */
export async function onRecord (
  io: Io, store: Store, config: Config,
  work: (store: Store, config: Config, note: NoteOperation) => Promise<number>
): Promise<number> {
  const { operationRecords } = await import('../operate/operation-records.ts')
  const records = await operationRecords(config, store, io.err)
  try {
    return await work(store, config, done => records.note(done))
  } finally {
    await records.end()
  }
}

/** The same whatever condition state is in. */
export async function withAnyStore (io: Io, work: (store: Store, config: Config) => Promise<number>): Promise<number> {
  const config = readSettings(io.env, { warn: warning => io.err(`Warning: ${warning}`) })
  const store = await openStore(config, QUIET, { patienceMs: PATIENCE_MS })
  try {
    return await work(store, config)
  } finally {
    await store.close()
  }
}

/** @throws {Error} if nothing can be read, or what is read cannot be believed */
export function refuseUnlessWhole (store: Store): void {
  const health = store.health()
  if (health === 'unreachable') {
    throw new Error(
      'Redis is unreachable, so nothing is known and nothing was changed. Check REDIS_URL and the network, then try again'
    )
  }
  if (health === 'lost') {
    throw new Error(
      'Redis lost what it held, so nothing is known and nothing was changed. Restore it, or see: state accept-loss --help'
    )
  }
}
