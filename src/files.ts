/** Writing files so that a crash at any moment leaves the old content or the new, never half of one. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, watch, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Write to a temporary file beside it, sync, rename, sync the folder. What was
 * written is on disk when this returns.
 *
 * @param mode of the new file; 0600 unless said
 */
export function writeAtomically (path: string, text: string, mode = 0o600): void {
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const file = openSync(temporary, 'wx', mode)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncFolder(folder)
}

/** How old a lock may be before its holder is taken for dead, ms. */
const LOCK_STALE_MS = 10_000

/**
 * Run a change of a file alone, across processes: read, change and write
 * inside, and no update is lost.
 *
 * @throws {Error} if the lock cannot be had within ten seconds
 */
export async function withLock<T> (path: string, change: () => T | Promise<T>): Promise<T> {
  const lock = `${path}.lock`
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const until = Date.now() + LOCK_STALE_MS + 1000
  for (;;) {
    try {
      const file = openSync(lock, 'wx', 0o600)
      writeSync(file, String(process.pid))
      closeSync(file)
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (holderIsGone(lock)) rmSync(lock, { force: true })
      else if (Date.now() > until) throw new Error(`${lock} is held by another process; remove it if none is running`)
      else await sleep(5 + Math.random() * 20)
    }
  }
  try {
    return await change()
  } finally {
    rmSync(lock, { force: true })
  }
}

/** A file's text, or undefined if there is none. */
export function readIfThere (path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
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
