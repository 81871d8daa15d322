/** The records as the settings want them kept. */
import { closeSync, openSync, readSync } from 'node:fs'
import { UsageError } from '../errors.ts'
import { readKeys, readOrMakeKeys } from '../secrets/keys.ts'
import { settingsDigest } from '../settings/digest.ts'
import { PRODUCT } from '../settings/identity.ts'
import type { Config } from '../settings/schema.ts'
import type { Log } from '../telemetry/log.ts'
import type { Records } from '../state/records.ts'
import { AuditLog, type Keeping } from './audit-log.ts'
import type { ChainRecord } from './record.ts'
import { sealKeys } from './seal.ts'
import { segmentsIn } from './spool.ts'

const DAY_MS = 86_400_000

/** A log that takes whole lines as they are, beside its own. */
export interface LineLog extends Log {
  readonly line?: (text: string) => void
}

/** Where the log takes no lines as they are, it makes them again of their members. */
export function linesInto (log: LineLog): (text: string) => void {
  const { line } = log
  if (line !== undefined) return text => line(text)
  return text => {
    for (const one of text.trimEnd().split('\n')) {
      const {
        level: _level, time: _time, msg, ...more
      } = JSON.parse(one) as { level: string; time: string; msg: string }
      log.info(more, msg)
    }
  }
}

/**
 * Keep records, or go on with the log alone where there is no folder and the
 * policy is open.
 *
 * @throws {UsageError} where records cannot be kept and nothing may be served without
 */
export function openAudit (config: Config, log: LineLog, records?: Records): AuditLog {
  const out = linesInto(log)
  if (!config.AUDIT) return new AuditLog({ out })
  const { AUDIT_DIR: folder, AUDIT_WHEN_FULL: whenFull } = config
  try {
    return new AuditLog({ out, keep: keeping(config, log, { folder, records }) })
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    if (whenFull === 'closed') {
      throw new UsageError(
        `AUDIT_DIR: no record can be kept in ${folder} (${why}), and AUDIT_WHEN_FULL=closed serves nothing without one: let this user write there, or name another folder`
      )
    }
    if (records !== undefined) {
      log.warn({ why, folder }, 'records wait in memory until Redis has them: let this user write AUDIT_DIR')
      return new AuditLog({ out, keep: keeping(config, log, { folder: undefined, records }) })
    }
    log.warn({ why, folder }, 'records are kept by the log alone: let this user write AUDIT_DIR, or set AUDIT=off')
    return new AuditLog({ out })
  }
}

/** @throws {UsageError} where there is no secret and no key can be kept */
export function keeping (
  config: Config, log: Log, { folder, records }: { folder: string | undefined, records: Records | undefined }
): Keeping {
  const secrets = auditSecrets(config)
  const { AUDIT_WHEN_FULL: whenFull } = config
  return {
    folder,
    records,
    maxBytes: config.AUDIT_MAX_BYTES,
    retentionMs: config.AUDIT_RETENTION_DAYS * DAY_MS,
    keys: sealKeys(secrets) as [ReturnType<typeof sealKeys>[number]],
    secret: secrets[0]!,
    privacy: config.AUDIT_PRIVACY,
    whenFull,
    version: PRODUCT.version,
    settings: settingsDigest(config),
    before: folder === undefined ? undefined : lastIn(folder),
    onTrouble: why => {
      if (why === undefined) log.warn({}, 'records are written again')
      else {
        log.error(
          { why, policy: whenFull },
          'records cannot be written: make room on the disk of AUDIT_DIR, or raise AUDIT_MAX_BYTES'
        )
      }
    },
    onUnshipped: why => {
      if (why === undefined) log.warn({}, 'records are sent to redis again')
      else log.warn({ why }, 'records wait in AUDIT_DIR: redis does not take them')
    }
  }
}

/**
 * What seals are made and verified with, the first of them first.
 *
 * @throws {UsageError} where there is no secret and no key can be kept
 */
export function auditSecrets (config: Config): Array<string | Buffer> {
  return secretsOf(config, readOrMakeKeys)
}

/** The same for whoever only reads, who makes no key: none where there is none. @throws {UsageError} */
export function knownAuditSecrets (config: Config): Array<string | Buffer> {
  return secretsOf(config, readKeys)
}

function secretsOf (
  { AUDIT_KEY, STATE_SECRET, CONFIG_ENCRYPTION_KEY: keys, CONFIG_ENCRYPTION_KEY_FILE: keyFile }: Config,
  keysIn: typeof readKeys
): Array<string | Buffer> {
  if (AUDIT_KEY.length > 0) return [...AUDIT_KEY]
  return STATE_SECRET.length > 0 ? [...STATE_SECRET] : keysIn({ keys, keyFile }).map(({ bytes }) => bytes)
}

/** So much of a file's end holds its last whole write. */
const TAIL_BYTES = 1_048_576

/** Where the last chain in a folder ended, and what a crash left after that. */
export function lastIn (folder: string): ChainRecord['before'] {
  const last = segmentsIn(folder).at(-1)
  if (last === undefined || last.bytes === 0) return undefined
  const length = Math.min(last.bytes, TAIL_BYTES)
  const bytes = Buffer.alloc(length)
  const file = openSync(last.path, 'r')
  try {
    readSync(file, bytes, 0, length, last.bytes - length)
  } finally {
    closeSync(file)
  }
  const lines = bytes.toString('utf8').split('\n')
  const torn = Buffer.byteLength(lines.pop()!)
  for (let i = lines.length - 1; i >= 0; i--) {
    const [, z] = /,"z":"([0-9a-f]{64})"}$/.exec(lines[i]!) ?? []
    const [, n] = /^{"n":(\d+),/.exec(lines[i]!) ?? []
    if (z === undefined || n === undefined) continue
    const tail = lines.length - 1 - i
    return { chain: last.chain, n: Number(n), z, ...(tail === 0 ? {} : { tail }), ...(torn === 0 ? {} : { torn }) }
  }
  return undefined
}
