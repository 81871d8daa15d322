/**
 * Deadlines for many short waits, from one timer: a decision that takes longer
 * is given up. Before giving up, the event loop gets two turns in which answers
 * that have arrived are read: a busy process must not take its own delay for
 * that of the other side.
 */
export interface Deadlines {
  /** @throws {Error} when `ms` have passed; the work itself goes on */
  within<T> (work: Promise<T>): Promise<T>
  close (): void
}

interface Wait { due: number, settled: boolean, giveUp: () => void }

const TICK_MS = 10

export function deadlines (ms: number): Deadlines {
  let waits: Wait[] = []
  let timer: NodeJS.Timeout | undefined

  const look = () => {
    const now = Date.now()
    let first = 0
    while (first < waits.length && (waits[first]!.settled || waits[first]!.due <= now)) first++
    const late = waits.slice(0, first).filter(wait => !wait.settled)
    waits = waits.slice(first)
    if (waits.length === 0) {
      clearInterval(timer)
      timer = undefined
    }
    if (late.length > 0) setImmediate(() => setImmediate(() => { for (const wait of late) if (!wait.settled) wait.giveUp() }))
  }

  return {
    within: work => new Promise((resolve, reject) => {
      const wait: Wait = { due: Date.now() + ms, settled: false, giveUp: () => reject(new Error(`no answer within ${ms} ms`)) }
      waits.push(wait)
      timer ??= setInterval(look, TICK_MS)
      work.then(
        value => { wait.settled = true; resolve(value) },
        error => { wait.settled = true; reject(error) })
    }),
    close () { clearInterval(timer) }
  }
}
