/**
 * Numbers that JSON.parse would read as others: JavaScript holds whole numbers
 * exactly up to 2^53 - 1 only, so 725653563933458433 becomes 725653563933458400
 * in silence. Identifiers are such numbers; they belong into text.
 */
import { closingQuote } from './json-scan.ts'

/** A number that was read inexactly: where it is, below what it was asked of. */
export interface InexactNumber {
  /** Keys and indices that lead to it. */
  readonly path: ReadonlyArray<string | number>
}

/** Whether a text may hold such a number at all. Most texts end here. */
const SUSPECT = /[\d.]{16}|\d[eE][+-]?\d{3}/
const TOKEN = /-?\d[\d.eE+-]*/y

/** Of each object that came with such a number, where the first one is. */
const found = new WeakMap<object, InexactNumber>()

/** Members whose value comes back to who sent it: they are the number that was written, or none. */
const ECHOED: ReadonlySet<string> = new Set([['id'], ['params', 'requestId'], ['params', 'progressToken'],
  ['params', '_meta', 'progressToken']].map(path => JSON.stringify(path)))

/**
 * Remember of the objects along its path that the first inexact number of this text is below them. Where it
 * would be echoed as another number, NaN takes its place: whoever reads it refuses that.
 */
export function markInexactNumbers (value: unknown, text: string): void {
  if (!SUSPECT.test(text)) return
  for (const path of inexactNumbers(text)) {
    let inner = value
    for (let depth = 0; depth < path.length; depth++) {
      if (typeof inner !== 'object' || inner === null) break
      if (!found.has(inner)) found.set(inner, { path: path.slice(depth) })
      const members = inner as Record<string | number, unknown>
      if (depth === path.length - 1 && isEchoed(path)) members[path[depth]!] = NaN
      inner = members[path[depth]!]
    }
  }
}

function isEchoed (path: ReadonlyArray<string | number>): boolean {
  return path.length <= 3 && ECHOED.has(JSON.stringify(path))
}

/** The first number below an object that was read inexactly. */
export function inexactNumberIn (value: unknown): InexactNumber | undefined {
  return typeof value === 'object' && value !== null ? found.get(value) : undefined
}

/** Where inexact numbers are in a text that JSON.parse takes: the first one below each pair of outer keys. */
export function inexactNumbers (text: string): Array<Array<string | number>> {
  const paths = new Map<string, Array<string | number>>()
  const at: Array<string | number> = []
  let key = '""'
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '"': {
        const end = closingQuote(text, i)
        if (end < 0) return [...paths.values()]
        key = text.slice(i, end + 1)
        i = end
        break
      }
      case ':':
        at[at.length - 1] = JSON.parse(key) as string
        break
      case '{':
      case '[':
        at.push(text[i] === '[' ? 0 : '')
        break
      case '}':
      case ']':
        at.pop()
        break
      case ',':
        if (typeof at.at(-1) === 'number') at[at.length - 1] = at.at(-1) as number + 1
        break
      default: {
        TOKEN.lastIndex = i
        const token = TOKEN.exec(text)?.[0]
        if (token === undefined) break
        i += token.length - 1
        const echoed = isEchoed(at)
        if (!isInexact(token, echoed)) break
        const area = JSON.stringify(echoed ? at : at.slice(0, 2))
        if (!paths.has(area)) paths.set(area, [...at])
      }
    }
  }
  return [...paths.values()]
}

/**
 * Whether a number, as it is written, is not what it is read as. Written with an exponent it is an
 * approximation anyway, which no echo may be.
 */
function isInexact (token: string, echoed: boolean): boolean {
  const value = Number(token)
  if (!Number.isFinite(value)) return true
  if (/e/i.test(token)) return echoed
  return Number.isInteger(value) && String(value) !== wholeOf(token)
}

/** A whole number as JavaScript writes it; anything else as it stands. */
function wholeOf (token: string): string {
  const whole = /^(-?\d+)\.0*$/.exec(token)?.[1] ?? token
  return whole === '-0' ? '0' : whole
}
