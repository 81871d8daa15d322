/**
 * Rows for a terminal: columns as wide as their widest cell, two blanks between. Names come from files and
 * callers, so nothing steers the terminal.
 */
export function table (head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const cells = [head, ...rows].map(row => head.map((_, i) => (row[i] ?? '').replace(/\p{C}/gu, '?')))
  const widths = head.map((_, i) => Math.max(...cells.map(row => row[i]!.length)))
  return cells.map(row => row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ').trimEnd()).join('\n')
}

/** A moment to the second, in UTC. */
export function iso (at: number): string {
  return new Date(at).toISOString().slice(0, 19) + 'Z'
}

/** The end of what may have none. */
export function end (at: number | undefined): string {
  return at === undefined ? 'no end' : iso(at)
}
