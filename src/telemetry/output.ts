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
  return new LossyOutput(fd, dropped, most)
}

class LossyOutput implements Output {
  readonly #fd: number
  readonly #dropped: (lines: number) => void
  readonly #most: number
  readonly #timer: NodeJS.Timeout
  #gathered = ''
  /** Being written; its first bytes may be out already. */
  #under: Buffer | undefined
  #lost = 0
  #ended = false
  #emptied = (): void => {}

  constructor (fd: number, dropped: (lines: number) => void, most: number) {
    this.#fd = fd
    this.#dropped = dropped
    this.#most = most
    this.#timer = setInterval(() => this.#flush(), GATHER_MS)
    this.#timer.unref()
  }

  write (line: string): void {
    if (this.#ended) return
    if (this.#gathered.length + line.length > this.#most) {
      this.#lost++
      return
    }
    this.#gathered += line
    if (this.#gathered.length >= ENOUGH) this.#flush()
  }

  async end (ms: number): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.#flush()
    if (this.#under !== undefined) {
      let patience: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        this.#emptied = resolve
        patience = setTimeout(resolve, ms)
      })
      clearTimeout(patience)
    }
    this.#close()
  }

  endNow (): void {
    const rest = this.#under === undefined ? this.#gathered : ''
    this.#close()
    try {
      // While an earlier write is under way its reader is stuck, and this would be, too.
      if (rest !== '') writeSync(this.#fd, rest)
    } catch {
      // Full, or nobody there.
    }
  }

  #flush (): void {
    if (this.#under !== undefined || this.#gathered === '') return
    this.#under = Buffer.from(this.#gathered)
    this.#gathered = ''
    this.#send()
  }

  #send (): void {
    write(this.#fd, this.#under!, (error, written) => {
      if (error !== null) {
        if (busy(error)) setTimeout(() => this.#send(), AGAIN_MS).unref()
        // Anything else is for good: nobody will ever read this.
        else this.#close()
        return
      }
      this.#under = written < this.#under!.length ? this.#under!.subarray(written) : undefined
      if (this.#under !== undefined) return this.#send()
      this.#tellLost()
      if (this.#gathered.length >= ENOUGH || this.#ended) this.#flush()
      if (this.#under === undefined) this.#emptied()
    })
  }

  #tellLost (): void {
    if (this.#lost === 0 || this.#ended) return
    const lines = this.#lost
    this.#lost = 0
    this.#dropped(lines)
  }

  #close (): void {
    this.#ended = true
    this.#gathered = ''
    this.#under = undefined
    clearInterval(this.#timer)
    this.#emptied()
  }
}

function busy (error: NodeJS.ErrnoException): boolean {
  return error.code === 'EAGAIN' || error.code === 'EBUSY'
}
