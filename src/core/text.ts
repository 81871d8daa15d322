/**
 * Text and JSON out of bytes that people and editors write: byte order marks, other encodings, and where a
 * fault stands.
 */

import { doubledNameAt } from './doubled-names.ts'

/** Bytes as text, or in words why they are none. */
export type Decoded = { readonly text: string } | { readonly problem: string }

/**
 * Decode UTF-8 with or without a byte order mark, or UTF-16 with one, as
 * Notepad and PowerShell write. The mark is not part of the text.
 */
export function decodeText (bytes: Uint8Array): Decoded {
  const [a, b] = bytes
  const encoding = a === 0xff && b === 0xfe ? 'utf-16le' : a === 0xfe && b === 0xff ? 'utf-16be' : 'utf-8'
  try {
    return { text: new TextDecoder(encoding, { fatal: true }).decode(bytes) }
  } catch {
    return { problem: `is not ${encoding.toUpperCase()} text` }
  }
}

/** JSON as a value, or in words why it is none; never with a word of the text, which may hold secrets. */
export type Parsed = { readonly value: unknown } | { readonly problem: string }

export function parseJson (text: string): Parsed {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    if (text.trim() === '') return { problem: 'is empty' }
    return { problem: `is not JSON (${placeOf(text)})` }
  }
  const doubled = doubledNameAt(text)
  return doubled === undefined
    ? { value }
    : { problem: `has a name that stands twice in one object (${lineAndColumn(text, doubled)}): leave one of them out` }
}

function lineAndColumn (text: string, offset: number): string {
  const before = text.slice(0, offset).split('\n')
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`
}

/** Where JSON stops being JSON: the longest beginning that could still go on, found by halving. */
function placeOf (text: string): string {
  let good = 0
  let bad = text.length + 1
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (couldGoOn(text.slice(0, middle))) good = middle
    else bad = middle
  }
  if (good >= text.trimEnd().length) return 'it ends too early'
  return lineAndColumn(text, good)
}

function couldGoOn (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (error) {
    const { message } = error as Error
    return /end of JSON|^Unterminated/.test(message) || Number(/position (\d+)/.exec(message)?.[1]) === text.length
  }
}
