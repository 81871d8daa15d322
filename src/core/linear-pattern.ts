/**
 * Patterns of schemas that others write, run in time proportional to the text:
 * by RE2, or by the engine of Node where the form of the pattern shows that it
 * cannot backtrack. What neither can do is refused, with the reason.
 */
import { RE2JS } from 're2js'

/** White space as JavaScript means it; RE2 knows ASCII alone. */
const SPACES =
  '\\t\\n\\v\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}'
const ANY_BUT_LINE_END = '[^\\n\\r\\x{2028}\\x{2029}]'

/** An expression that TypeBox takes for a RegExp; only its `test` is ever called. */
class LinearPattern extends RegExp {
  readonly #engine: RE2JS
  readonly #text: string

  constructor (text: string, engine: RE2JS) {
    super('')
    this.#text = text
    this.#engine = engine
  }

  override test (value: string): boolean { return this.#engine.test(value) }
  override get source (): string { return this.#text }
  override toString (): string { return this.#text }
}

/**
 * A pattern as JSON Schema has it (ECMA-262, under the `u` flag; without, where it is wrong under it).
 *
 * @throws {Error} saying what about it cannot be run in time proportional to the text
 */
export function linearPattern (text: string): RegExp {
  const native = nativePattern(text)
  if (cannotBacktrack(text)) return native
  const unfit = /\(\?(<?[=!])/.exec(text)
  if (unfit !== null) {
    throw new Error(
      `the pattern ${shown(text)} looks around (\`(?${unfit[1]!}\`), which takes more than time in proportion to the text; split it into several patterns in allOf`
    )
  }
  if (/\\(?:[1-9]|k<)/.test(text)) {
    throw new Error(
      `the pattern ${shown(text)} refers back to a group, which takes more than time in proportion to the text`
    )
  }
  try {
    return new LinearPattern(text, RE2JS.compile(forRe2(text)))
  } catch (error) {
    throw new Error(
      `the pattern ${shown(text)} cannot be run in time proportional to the text (RE2): ${(error as Error).message}`
    )
  }
}

/**
 * Hold a pattern to a form that cannot backtrack, where only the engine of Node can run it.
 *
 * @throws {Error} naming the form
 */
export function requireNoBacktracking (text: string): void {
  nativePattern(text)
  if (!cannotBacktrack(text)) {
    throw new Error(
      `the pattern ${shown(text)} may take more than time in proportion to the text; begin it with ^ and repeat one thing at most`
    )
  }
}

function nativePattern (text: string): RegExp {
  try {
    return new RegExp(text, 'u')
  } catch (error) {
    try {
      return new RegExp(text)
    } catch {
      throw new Error(`the pattern ${shown(text)} is no regular expression: ${(error as Error).message}`)
    }
  }
}

function shown (text: string): string {
  return `"${text.length > 100 ? text.slice(0, 100) + '…' : text}"`
}

/** Repeated so often, a piece of text is tried from every place of a run. */
const LONG_REPEAT = 64

/**
 * Whether at most one piece is repeated without a small bound, and then only
 * from the beginning of the text: there is one place to begin and one length
 * to try. Groups that are repeated, look-around and back-references are others.
 */
function cannotBacktrack (text: string): boolean {
  let repeats = 0
  let depth = 0
  let alternatives = false
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '\\':
        if (/[1-9k]/.test(text[at + 1] ?? '')) return false
        at++
        break
      case '[':
        for (at++; at < text.length && text[at] !== ']'; at++) if (text[at] === '\\') at++
        break
      case '(':
        if (text[at + 1] === '?' && text[at + 2] !== ':') return false
        depth++
        break
      case ')': {
        depth--
        const next = text[at + 1]
        if (next === '*' || next === '+' || next === '{') return false
        break
      }
      case '|':
        if (depth === 0) alternatives = true
        break
      case '*': case '+':
        repeats++
        break
      case '{': {
        const counts = /^\{(\d+)(,?)(\d*)\}/.exec(text.slice(at, at + 24))
        if (
          counts !== null &&
          (Number(counts[1]) > LONG_REPEAT ||
            (counts[2] === ',' && (counts[3] === '' || Number(counts[3]) > LONG_REPEAT)))
        ) {
          repeats++
        }
      }
    }
  }
  return repeats === 0 || (repeats === 1 && text.startsWith('^') && !alternatives)
}

/** The same pattern in RE2's syntax, with what differs spelled out. */
function forRe2 (text: string): string {
  let out = ''
  let inClass = false
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]!
    if (letter === '\\') {
      const { spelled, length } = escapeForRe2(text, at, inClass)
      out += spelled
      at += length - 1
    } else if (inClass) {
      if (letter === ']') inClass = false
      out += letter === '[' ? '\\[' : letter
    } else if (letter === '[') {
      inClass = true
      const nothing = text.startsWith('[]', at)
      if (nothing || text.startsWith('[^]', at)) {
        out += nothing ? '[^\\x{0}-\\x{10ffff}]' : '[\\x{0}-\\x{10ffff}]'
        at += nothing ? 1 : 2
        inClass = false
      } else {
        out += letter
      }
    } else {
      out += letter === '.' ? ANY_BUT_LINE_END : letter
    }
  }
  return out
}

/** One escape, and how many characters it took. */
function escapeForRe2 (text: string, at: number, inClass: boolean): { spelled: string, length: number } {
  const rest = text.slice(at, at + 24)
  const unit = /^\\u(?:([0-9a-fA-F]{4})|\{([0-9a-fA-F]{1,6})\})/.exec(rest)
  if (unit !== null) {
    const code = Number.parseInt(unit[1] ?? unit[2]!, 16)
    const low =
      code >= 0xd800 && code < 0xdc00
        ? /^\\u([dD][c-fC-F][0-9a-fA-F]{2})/.exec(text.slice(at + unit[0].length, at + unit[0].length + 6))
        : null
    if (low === null) return { spelled: `\\x{${code.toString(16)}}`, length: unit[0].length }
    return {
      spelled: `\\x{${((code - 0xd800) * 0x400 + Number.parseInt(low[1]!, 16) - 0xdc00 + 0x10000).toString(16)}}`,
      length: unit[0].length + low[0].length
    }
  }
  const property = /^\\([pP])\{(?:Script|sc|General_Category|gc)=(\w+)\}/.exec(text.slice(at, at + 64))
  if (property !== null) return { spelled: `\\${property[1]!}{${property[2]!}}`, length: property[0].length }
  const letter = text[at + 1] ?? ''
  switch (letter) {
    case 's':
      return { spelled: inClass ? SPACES : `[${SPACES}]`, length: 2 }
    case 'S':
      return { spelled: inClass ? '\\S' : `[^${SPACES}]`, length: 2 }
    case '0':
      return { spelled: '\\x{0}', length: 2 }
    case 'c':
      return { spelled: `\\x{${((text.charCodeAt(at + 2) || 0) & 31).toString(16)}}`, length: 3 }
    case 'b':
      return { spelled: inClass ? '\\x{8}' : '\\b', length: 2 }
    case 'B':
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 'n':
    case 'r':
    case 't':
    case 'f':
    case 'v':
    case 'x':
    case 'p':
    case 'P':
      return { spelled: `\\${letter}`, length: 2 }
    // Any other letter stands for itself, where the pattern is one without the flag.
    default:
      return { spelled: /[a-zA-Z]/.test(letter) ? letter : `\\${letter}`, length: 2 }
  }
}
