/**
 * Deadlines for many short waits, from one timer: a decision that takes longer
 * is given up. A busy process must not take its own delay for that of the
 * other side, so time in which the event loop did not turn counts only in
 * part, and before giving up the loop gets two turns in which answers that
 * have arrived are read.
 */
export interface Deadlines {
  /** @throws {TooLate} when `ms` have passed; the work itself goes on */
  within<T> (work: Promise<T>): Promise<T>
  close (): void
}

/** The other side did not answer in time. What was asked may still happen. */
export class TooLate extends Error {
  override readonly name = 'TooLate'
}

interface Wait { due: number, settled: boolean, giveUp: () => void }

const TICK_MS = 10
/** The most that one turn of the loop counts, ms; what is over was this process's own delay. */
const TURN_MS = 3 * TICK_MS

export function deadlines (ms: number): Deadlines {
  let waits: Wait[] = []
  let timer: NodeJS.Timeout | undefined
  let seen = performance.now()
  /** ms that this process was awake; it stands still while nothing waits. */
  let awake = 0

  const advance = () => {
    const now = performance.now()
    awake += Math.min(now - seen, TURN_MS)
    seen = now
    return awake
  }
  const look = () => {
    const now = advance()
    let first = 0
    while (first < waits.length && (waits[first]!.settled || waits[first]!.due <= now)) first++
    const late = waits.slice(0, first).filter(wait => !wait.settled)
    waits = waits.slice(first)
    if (waits.length === 0) {
      clearInterval(timer)
      timer = undefined
    }
    if (late.length > 0) {
      setImmediate(() =>
        setImmediate(() => {
          for (const wait of late) if (!wait.settled) wait.giveUp()
        })
      )
    }
  }

  return {
    within: work => new Promise((resolve, reject) => {
      const wait: Wait = {
        due: advance() + ms, settled: false, giveUp: () => reject(new TooLate(`no answer within ${ms} ms`))
      }
      waits.push(wait)
      timer ??= setInterval(look, TICK_MS)
      work.then(
        value => { wait.settled = true; resolve(value) },
        error => { wait.settled = true; reject(error) })
    }),
    close () {
      clearInterval(timer)
      for (const wait of waits) if (!wait.settled) wait.giveUp()
      waits = []
    }
  }
}
