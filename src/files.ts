/**
 * Reading files that people write, and writing files so that a crash at any
 * moment leaves the old content or the new, never half of one. Whatever goes
 * wrong is told in words for the operator, with the setting that named the file.
 */
import {
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
  writeSync,
  type Stats
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import { basename, dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeText, parseJson } from './core/text.ts'
import { UsageError } from './errors.ts'

/** A file, and the setting that names it, for messages. */
export interface NamedFile {
  readonly path: string
  readonly setting?: string | undefined
}

/**
 * A file's text without a byte order mark, or undefined if there is no file.
 *
 * @throws {UsageError} for a folder, a file that may not be read, or bytes that are no text
 */
export function readIfThere (path: string, setting?: string): string | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new UsageError(`${nameOf({ path, setting })} cannot be read: ${reasonOf(error)}`)
  }
  const decoded = decodeText(bytes)
  if ('problem' in decoded) throw new UsageError(`${nameOf({ path, setting })} ${decoded.problem}; save it as UTF-8`)
  return decoded.text
}

/**
 * A file's JSON, or undefined if there is no file.
 *
 * @throws {UsageError} as `readIfThere`, and where the text is not JSON: the line, never what stands there
 */
export function readJsonIfThere (path: string, setting?: string): unknown {
  const text = readIfThere(path, setting)
  return text === undefined ? undefined : jsonOf(text, path, setting)
}

/** @throws {UsageError} */
export function jsonOf (text: string, path: string, setting?: string): unknown {
  const parsed = parseJson(text)
  if ('problem' in parsed) {
    throw new UsageError(`${nameOf({ path, setting })} ${parsed.problem}; correct it or move it away`)
  }
  return parsed.value
}

/**
 * Write to a temporary file beside it, sync, rename, sync the folder. What was
 * written is on disk when this returns. Owner, group and mode stay those of the
 * file before, so that a command run by root does not take the file away from
 * the server; a new file belongs to whoever owns its folder. A link is followed.
 *
 * @param mode of a new file; 0600 unless said
 * @throws {UsageError} if it cannot be written, or not without changing its owner; nothing was changed then
 */
export function writeAtomically (
  path: string,
  text: string,
  { mode = 0o600, setting }: { mode?: number; setting?: string | undefined } = {}
): void {
  const file = { path, setting }
  makeFolder(file)
  const target = realPathOf(path)
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const before = statSync(target, { throwIfNoEntry: false })
    if (before?.isDirectory() === true) throw Object.assign(new Error(), { code: 'EISDIR' })
    const handle = openSync(temporary, 'wx', mode)
    try {
      keepOwner(handle, before, statSync(dirname(target)), file)
      writeFileSync(handle, text)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error instanceof UsageError ? error : new UsageError(cannotWrite(file, error))
  }
  syncFolder(dirname(target))
}

/** @throws {UsageError} where the owner cannot be kept, and with it whoever reads the file today */
function keepOwner (handle: number, before: Stats | undefined, folder: Stats, file: NamedFile): void {
  const uid = process.geteuid?.()
  // No owners on this system.
  if (uid === undefined) return
  if (before === undefined) {
    if (uid === 0 && folder.uid !== 0) fchownSync(handle, folder.uid, folder.gid)
    return
  }
  try {
    fchownSync(handle, before.uid, before.gid)
  } catch {
    const groupMatters = (before.mode & 0o070) !== 0
    if (before.uid !== uid || groupMatters) {
      throw new UsageError(
        `${nameOf(file)} belongs to uid ${before.uid}, and a change by uid ${uid} would take it away from the server. ` +
          'Nothing was changed: run this as that user'
      )
    }
  }
  fchmodSync(handle, before.mode & 0o777)
}

/**
 * Make the folder of a file; what root makes belongs to the owner of the folder
 * above. One level at a time: where a file system refuses with ENOENT, as
 * /proc does, node's recursive form never ends.
 */
function makeFolder (file: NamedFile): void {
  const missing: string[] = []
  try {
    for (
      let folder = dirname(resolve(file.path));
      statSync(folder, { throwIfNoEntry: false }) === undefined;
      folder = dirname(folder)
    ) {
      missing.unshift(folder)
    }
    for (const folder of missing) {
      try {
        mkdirSync(folder, 0o700)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue // somebody else was first
        throw error
      }
      if (process.geteuid?.() !== 0) continue
      const { uid, gid } = statSync(dirname(folder))
      if (uid !== 0) chownSync(folder, uid, gid)
    }
  } catch (error) {
    throw new UsageError(cannotWrite(file, error))
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EISDIR: 'it is a folder, not a file',
  ENOTDIR: 'a part of its path is a file, not a folder',
  ENOENT: 'there is no such folder',
  ELOOP: 'its links lead in a circle',
  ENAMETOOLONG: 'the name is too long',
  EMFILE: 'too many files are open'
}

function reasonOf (error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  const reason = REASONS[code] ?? message
  return reason === REASONS.EACCES && process.geteuid !== undefined ? `${reason} for uid ${process.geteuid()}` : reason
}

/** The file as messages name it: after its setting where there is one. */
function nameOf ({ path, setting }: NamedFile): string {
  return setting === undefined ? path : `${setting}: ${path}`
}

function cannotWrite (file: NamedFile, error: unknown): string {
  const remedy =
    file.setting === undefined
      ? ''
      : `; let this user write there, or set ${file.setting} to a file in a folder that it may write`
  return `${nameOf(file)} cannot be written: ${reasonOf(error)}${remedy}`
}

function realPathOf (path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}

/** How old a lock may be before its holder is taken for dead, ms. */
const LOCK_STALE_MS = 10_000

/**
 * Run a change of a file alone, across processes: read, change and write
 * inside, and no update is lost.
 *
 * @throws {UsageError} if nothing may be written there
 * @throws {Error} if the lock cannot be had within ten seconds
 */
export async function withLock<T> (path: string, change: () => T | Promise<T>, setting?: string): Promise<T> {
  const lock = `${path}.lock`
  makeFolder({ path, setting })
  const until = Date.now() + LOCK_STALE_MS + 1000
  let own: string | undefined
  try {
    while ((own = makeLock(lock)) === undefined) {
      if (holderIsGone(lock) && breakLock(lock)) continue
      if (Date.now() > until) throw new Error(`${lock} is held by another process; remove it if none is running`)
      await sleep(5 + Math.random() * 20)
    }
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === undefined
      ? error
      : new UsageError(cannotWrite({ path, setting }, error))
  }
  try {
    return await change()
  } finally {
    // Whoever took this process for dead may have one there by now.
    if (stampOf(lock) === own) rmSync(lock, { force: true })
  }
}

/** @returns the stamp of the lock that was made, or undefined where there is one */
function makeLock (lock: string): string | undefined {
  let file: number
  try {
    file = openSync(lock, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined
    throw error
  }
  try {
    writeSync(file, String(process.pid))
  } catch (error) {
    rmSync(lock, { force: true }) // it would be nobody's
    throw error
  } finally {
    closeSync(file)
  }
  return stampOf(lock)
}

/**
 * Remove the lock of a holder that is gone. One at a time, and judged again then: of two that wait, the later
 * would remove the lock that the other has made meanwhile.
 *
 * @returns whether this process did that
 */
function breakLock (lock: string): boolean {
  const breaking = `${lock}.break`
  if (makeLock(breaking) === undefined) {
    if (holderIsGone(breaking)) rmSync(breaking, { force: true })
    return false
  }
  try {
    const isGone = holderIsGone(lock)
    if (isGone) rmSync(lock, { force: true })
    return isGone
  } finally {
    rmSync(breaking, { force: true })
  }
}

/**
 * Call back after each change of a file, within half a second: the folder's
 * events where the system has them, and a look at the file's stamp in any case.
 *
 * @returns the way to stop
 */
export function watchFile (path: string, changed: () => void): () => void {
  let stamp = stampOf(path)
  const look = () => {
    const now = stampOf(path)
    if (now === stamp) return
    stamp = now
    changed()
  }
  const timer = setInterval(look, 500)
  timer.unref()
  let events: ReturnType<typeof watch> | undefined
  try {
    events = watch(dirname(path), { persistent: false }, (_event, name) => { if (name === basename(path)) look() })
    events.on('error', () => events?.close())
  } catch {
    // No folder yet, or no events here: the timer finds the change.
  }
  return () => {
    clearInterval(timer)
    events?.close()
  }
}

function stampOf (path: string): string {
  try {
    const { mtimeNs, size, ino } = statSync(path, { bigint: true })
    return `${mtimeNs}:${size}:${ino}`
  } catch {
    return 'none'
  }
}

function holderIsGone (lock: string): boolean {
  try {
    if (Date.now() - statSync(lock).mtimeMs > LOCK_STALE_MS) return true
    const holder = Number(readFileSync(lock, 'utf8'))
    if (!Number.isInteger(holder) || holder <= 0) return false // just made, not yet written
    process.kill(holder, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

function syncFolder (folder: string): void {
  try {
    const file = openSync(folder, 'r')
    try { fsyncSync(file) } finally { closeSync(file) }
  } catch {
    // Some systems cannot sync a folder; the rename itself is atomic there too.
  }
}
