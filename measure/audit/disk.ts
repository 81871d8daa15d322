/** A disk that fills at a word: a small file system where this user may mount one, else a limit on the size of a file. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { segmentsIn } from '../../src/audit/spool.ts'

const MB = 1_048_576
const DISK_MB = 96

export interface Disk {
  readonly how: string
  readonly auditDir: string
  /** Settings of the process that writes there. */
  readonly env: Readonly<Record<string, string>>
  /** @param pid of that process */
  fill (pid: number): void
  free (pid: number): void
  end (): void
}

export function openDisk (path: string): Disk {
  mkdirSync(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return limitOn(path)
  }
  const filler = join(path, 'filler')
  const umount = () => { execFileSync('umount', ['--lazy', path]) }
  process.once('exit', umount)
  return {
    how: `a file system of ${DISK_MB} MB, filled`,
    auditDir: join(path, 'records'),
    env: {},
    fill () {
      for (let bytes = MB; bytes >= 4096; bytes /= 16) {
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(bytes), { flag: 'a' })
        } catch {}
      }
    },
    free () { rmSync(filler) },
    end () {
      process.off('exit', umount)
      umount()
    }
  }
}

function limitOn (path: string): Disk {
  const limit = (pid: number, bytes: string) => { execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]) }
  return {
    how: 'a limit on the size of its files',
    auditDir: path,
    // Without somebody who listens for it, the signal that says so ends a process.
    env: { NODE_OPTIONS: `--import=data:text/javascript,process.on(${encodeURIComponent('"SIGXFSZ"')},()=>{})` },
    fill (pid) { limit(pid, String(statSync(segmentsIn(path).at(-1)!.path).size + 1000)) },
    free (pid) { limit(pid, 'unlimited') },
    end () {}
  }
}
