/** How far long work is, for a person: on a terminal, and nowhere else. */

export interface ProgressLine {
  /** @param of absent: how much there is in all is not known */
  at (done: number, of?: number): void
  /** Take the line away: what is printed next begins at its start. */
  end (): void
}

interface Terminal {
  readonly isTTY?: boolean
  write (text: string): unknown
}

export const NO_PROGRESS: ProgressLine = { at () {}, end () {} }

/** @param what is counted, as in `5000 records` */
export function progressOn (what: string, terminal: Terminal = process.stderr): ProgressLine {
  if (terminal.isTTY !== true) return NO_PROGRESS
  return {
    at: (done, of) => { terminal.write(`\r\x1b[K${done}${of === undefined ? '' : ` of ${of}`} ${what}`) },
    end: () => { terminal.write('\r\x1b[K') }
  }
}
