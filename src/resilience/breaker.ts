/**
 * Stops asking what does not answer: everything then fails at once, until an
 * answer comes, be it a late one, or a probe succeeds.
 */
export interface Breaker {
  readonly open: boolean
  /** A question asked at `since` (of `performance.now`) went without an answer. */
  missed (since: number): void
  answered (): void
  close (): void
}

/**
 * One miss is enough if nothing at all was heard since the question was asked;
 * where other answers came in between, it takes `most` misses in a row.
 */
export function breaker ({
  most, pauseMs, probe
}: {
  most: number
  pauseMs: number
  probe: () => Promise<unknown>
}): Breaker {
  let misses = 0
  let heard = -Infinity
  let timer: NodeJS.Timeout | undefined

  const answered = () => {
    heard = performance.now()
    misses = 0
    clearTimeout(timer)
    timer = undefined
  }
  const tryAgain = () => {
    const mine = (timer = setTimeout(() => {
      probe().then(answered, () => {
        if (timer === mine) tryAgain()
      })
    }, pauseMs))
    timer.unref()
  }
  return {
    get open () {
      return timer !== undefined
    },
    missed (since) {
      if (timer === undefined && (heard < since || ++misses >= most)) tryAgain()
    },
    answered,
    close () {
      clearTimeout(timer)
    }
  }
}
