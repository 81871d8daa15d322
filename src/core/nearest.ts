/** The name that was probably meant. */

/**
 * The known name that differs least from a misspelt one, if it is near enough
 * to have been meant: one letter in `share` may be wrong, missing, too many, or
 * in the wrong order. Case and the marks between words do not count.
 */
export function nearest (name: string, known: Iterable<string>, share = 3): string | undefined {
  const plain = plainOf(name)
  let best: string | undefined
  let least = Infinity
  for (const candidate of known) {
    const other = plainOf(candidate)
    const most = Math.floor(other.length / share)
    if (Math.abs(other.length - plain.length) > most) continue
    const wrong = distance(plain, other)
    if (wrong <= most && wrong < least) {
      best = candidate
      least = wrong
    }
  }
  return best
}

function plainOf (name: string): string {
  return name.slice(0, 128).toLowerCase().replace(/[^\p{L}\p{N}]/gu, '')
}

/** Letters changed, put in, left out, or exchanged with their neighbour. */
function distance (a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j]!, beforeLast[j - 2]! + 1)
      }
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
