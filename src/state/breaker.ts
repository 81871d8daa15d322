/**
 * Stops asking what does not answer: after `most` misses in a row everything
 * fails at once, until one probe after `pauseMs` succeeds.
 */
export interface Breaker {
  readonly open: boolean
  missed (): void
  answered (): void
  close (): void
}

export function breaker ({ most, pauseMs, probe }: { most: number, pauseMs: number, probe: () => Promise<unknown> }): Breaker {
  let misses = 0
  let timer: NodeJS.Timeout | undefined

  const tryAgain = () => {
    timer = setTimeout(() => {
      probe().then(() => {
        misses = 0
        timer = undefined
      }, tryAgain)
    }, pauseMs)
    timer.unref()
  }
  return {
    get open () { return timer !== undefined },
    missed () { if (++misses >= most && timer === undefined) tryAgain() },
    answered () { misses = 0 },
    close () { clearTimeout(timer) }
  }
}
