/** The record of what a command changes: to the stream where there is Redis, else to the folder. */
import { hostname, userInfo } from 'node:os'
import { AuditLog } from '../audit/audit-log.ts'
import { keeping } from '../audit/from-settings.ts'
import type { OperationDone } from '../audit/record.ts'
import type { Config } from '../settings/schema.ts'
import type { Store } from '../state/store.ts'
import type { Log } from '../telemetry/log.ts'

export interface OperationRecords {
  note (done: Omit<OperationDone, 'principal'>): void
  end (): Promise<void>
}

/** How long a command waits until Redis has what it wrote, ms. */
const WITHIN_MS = 8000
const QUIET: Log = { debug () {}, info () {}, warn () {}, error () {} }

/**
 * A chain of the command's own, so that it waits for nobody. Its beginning is written before anything is changed.
 *
 * @param warn where the change goes on without a record
 * @throws {Error} where no record can be kept and AUDIT_WHEN_FULL=closed: nothing was changed
 */
export async function operationRecords (
  config: Config, { records }: Store, warn: (text: string) => void
): Promise<OperationRecords> {
  if (!config.AUDIT) return { note () {}, async end () {} }
  try {
    const folder = records === undefined ? config.AUDIT_DIR : undefined
    const keep = { ...keeping(config, QUIET, { folder, records }), writer: `cli@${hostname()}` }
    const log = new AuditLog({ out () {}, keep })
    if (!await log.sendOn(WITHIN_MS)) throw new Error('Redis does not take it')
    return {
      note: done => log.operation({ principal: `cli:${userName()}`, ...done }),
      async end () {
        await log.end(WITHIN_MS)
        if (log.figures().shipLagMs > 0 || !log.available) warn('Changed, but not all of it is on record')
      }
    }
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    const text = `This change cannot be put on record (${why}): see AUDIT_DIR`
    if (config.AUDIT_WHEN_FULL === 'closed') throw new Error(`${text}. Nothing was changed`)
    warn(text)
    return { note () {}, async end () {} }
  }
}

/** In a container the number may have no name. */
function userName (): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? '')
  }
}
