/**
 * Standard output as a place for the log: gathered, written in the background,
 * and never waited for without end. Whoever reads it may be slow, stuck or
 * gone; that costs lines, and nothing else.
 */
import { write, writeSync } from 'node:fs'

export interface Output {
  write (line: string): void
  /** Write out what is gathered, for at most `ms`; what comes later is dropped. */
  end (ms: number): Promise<void>
  /** The same from where nothing can be waited for, as far as the reader takes it at once. */
  endNow (): void
}

/** Written at once, characters: under load a system call for a few lines would cost more than the lines. */
const ENOUGH = 16_000
/** A line waits no longer than this, ms. */
const GATHER_MS = 500
const MOST = 8 * 2 ** 20
/** How often a pipe that is full is tried again, ms. */
const AGAIN_MS = 50

/**
 * @param dropped told how many lines were lost, once lines are taken again
 * @param most characters that wait for a reader that is stuck; later lines are lost
 */
export function output (fd: number, dropped: (lines: number) => void, most = MOST): Output {
  let gathered = ''
  /** Being written; its first bytes may be out already. */
  let under: Buffer | undefined
  let lost = 0
  let ended = false
  let emptied = () => {}

  const timer = setInterval(flush, GATHER_MS)
  timer.unref()

  function flush (): void {
    if (under !== undefined || gathered === '') return
    under = Buffer.from(gathered)
    gathered = ''
    send()
  }

  function send (): void {
    write(fd, under!, (error, written) => {
      if (error !== null) {
        if (busy(error)) setTimeout(send, AGAIN_MS).unref()
        // Anything else is for good: nobody will ever read this.
        else close()
        return
      }
      under = written < under!.length ? under!.subarray(written) : undefined
      if (under !== undefined) return send()
      tellLost()
      if (gathered.length >= ENOUGH || ended) flush()
      if (under === undefined) emptied()
    })
  }

  function tellLost (): void {
    if (lost === 0 || ended) return
    const lines = lost
    lost = 0
    dropped(lines)
  }

  function close (): void {
    ended = true
    gathered = ''
    under = undefined
    clearInterval(timer)
    emptied()
  }

  return {
    write (line) {
      if (ended) return
      if (gathered.length + line.length > most) {
        lost++
        return
      }
      gathered += line
      if (gathered.length >= ENOUGH) flush()
    },
    async end (ms) {
      if (ended) return
      ended = true
      flush()
      if (under !== undefined) {
        let patience: NodeJS.Timeout | undefined
        await new Promise<void>(resolve => {
          emptied = resolve
          patience = setTimeout(resolve, ms)
        })
        clearTimeout(patience)
      }
      close()
    },
    endNow () {
      const rest = under === undefined ? gathered : ''
      close()
      try {
        // While an earlier write is under way its reader is stuck, and this would be, too.
        if (rest !== '') writeSync(fd, rest)
      } catch {
        // Full, or nobody there.
      }
    }
  }
}

function busy (error: NodeJS.ErrnoException): boolean {
  return error.code === 'EAGAIN' || error.code === 'EBUSY'
}
