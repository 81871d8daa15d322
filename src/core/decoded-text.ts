/**
 * What a text becomes when whoever stands behind a tool decodes it: percent
 * escapes, HTML entities, the escapes of JSON and JavaScript, and characters
 * that normalise to ASCII (full width, mathematical letters, ligatures).
 * One pass, no regular expression: its time is linear in the text, whatever the text is.
 */

/** Character codes of ASCII that the decoder looks for. */
const AMPERSAND = 0x26
const HASH = 0x23
const PERCENT = 0x25
const PLUS = 0x2b
const SEMICOLON = 0x3b
const BACKSLASH = 0x5c
const SPACE = 0x20

/** Whether a text could change at all. */
const CHANGES = /[%&\\+\u0080-\uffff]/

/**
 * HTML entities of the ASCII characters that attacks are made of; the first four count without their
 * semicolon, too.
 */
const ENTITIES: ReadonlyMap<string, number> = new Map(([
  ['lt', '<'], ['gt', '>'], ['amp', '&'], ['quot', '"'], ['apos', "'"], ['colon', ':'], ['sol', '/'], ['bsol', '\\'],
  ['period', '.'], ['comma', ','], ['semi', ';'], ['lpar', '('], ['rpar', ')'], ['lsqb', '['], ['rsqb', ']'],
  ['lcub', '{'], ['rcub', '}'], ['lbrace', '{'], ['rbrace', '}'], ['lbrack', '['], ['rbrack', ']'], ['equals', '='],
  ['num', '#'], ['dollar', '$'], ['percnt', '%'], ['grave', '`'], ['vert', '|'], ['verbar', '|'], ['lowbar', '_'],
  ['excl', '!'], ['plus', '+'], ['ast', '*'], ['commat', '@'], ['hat', '^'], ['newline', '\n'], ['tab', '\t'],
  ['nbsp', ' ']
] as const).map(([name, letter]) => [name, letter.charCodeAt(0)]))
const BARE_ENTITIES: ReadonlySet<string> = new Set(['lt', 'gt', 'amp', 'quot'])

/** Where characters stand that normalise (NFKC) to ASCII; a test holds the list to the whole of Unicode. */
const COMPATIBLE: ReadonlyArray<readonly [first: number, last: number]> = [
  [0xa0, 0x2ff], [0x37e, 0x37e], [0x1d00, 0x1dbf], [0x1fef, 0x1fef], [0x2000, 0x24ff], [0x2a74, 0x2a76],
  [0x2c7c, 0x2c7d], [0x3000, 0x3000], [0x3200, 0x33ff], [0xa7f1, 0xa7f4], [0xfb00, 0xfb29], [0xfe10, 0xfe6f],
  [0xff00, 0xff5e], [0x107a5, 0x107a5], [0x1ccd6, 0x1ccf9], [0x1d400, 0x1d7ff], [0x1f100, 0x1f1ad], [0x1fbf0, 0x1fbf9]
]
/** Characters that are not seen: they part a word for a filter and for nobody else. */
const UNSEEN: ReadonlyArray<readonly [first: number, last: number]> = [
  [0xad, 0xad], [0x34f, 0x34f], [0x61c, 0x61c], [0x180b, 0x180f], [0x200b, 0x200f], [0x202a, 0x202e],
  [0x2060, 0x206f], [0xfe00, 0xfe0f], [0xfeff, 0xfeff], [0xe0000, 0xe0fff]
]

/** Signs that some readers take for an ASCII one: where paths part, where texts end, and the brackets of tags. */
const LOOKALIKES: Readonly<Record<string, number[]>> = {
  '/': [0x2044, 0x2215, 0x29f8],
  '\\': [0x2216, 0x29f5, 0x29f9],
  "'": [0xb4, 0x2b9, 0x2bb, 0x2bc, 0x2bd, 0x2c8, 0x2018, 0x2019, 0x201a, 0x201b, 0x2032],
  '"': [0x2ba, 0x2ee, 0x201c, 0x201d, 0x201e, 0x201f, 0x2033],
  '`': [0x2cb, 0x2035],
  '<': [0x2c2, 0x2039, 0x2329, 0x276e, 0x27e8, 0x3008],
  '>': [0x2c3, 0x203a, 0x232a, 0x276f, 0x27e9, 0x3009]
}

/** By code point; made when the first text asks. The empty text: dropped. */
let folds: ReadonlyMap<number, string> | undefined

function foldTable (): ReadonlyMap<number, string> {
  const table = new Map<number, string>()
  for (const [first, last] of COMPATIBLE) {
    for (let code = first; code <= last; code++) {
      const folded = String.fromCodePoint(code).normalize('NFKC')
      // eslint-disable-next-line no-control-regex
      if (/^[\x00-\x7f]+$/.test(folded)) table.set(code, folded)
    }
  }
  for (const [sign, codes] of Object.entries(LOOKALIKES)) for (const code of codes) table.set(code, sign)
  for (const [first, last] of UNSEEN) for (let code = first; code <= last; code++) table.set(code, '')
  return table
}

/** Characters of a text that are decoded before others have their turn. */
const CHUNK = 262_144

/**
 * Decode a text once.
 *
 * Yields after each quarter of a million characters, so that a long text need not be decoded in one go.
 *
 * @returns the text itself where nothing in it can be decoded
 */
export function * decodeOnce (text: string): Generator<undefined, string> {
  if (!CHANGES.test(text)) return text
  const decoder = new Decoder(text)
  const parts: string[] = []
  for (;;) {
    parts.push(decoder.next(CHUNK))
    if (decoder.done) break
    yield
  }
  return parts.join('')
}

class Decoder {
  readonly #text: string
  /** In a text without spaces a plus stands for one, as forms encode it. */
  readonly #plus: boolean
  #at = 0
  #out: Uint16Array
  #length = 0
  /** All that was written, together: tells whether one byte a character will do. */
  #seen = 0

  constructor (text: string) {
    this.#text = text
    this.#plus = !text.includes(' ')
    this.#out = new Uint16Array(Math.min(text.length, CHUNK) + 64)
  }

  get done (): boolean { return this.#at >= this.#text.length }

  /** Decode about so many characters more; an escape is never cut. */
  next (count: number): string {
    const text = this.#text
    const end = Math.min(text.length, this.#at + count)
    this.#length = 0
    this.#seen = 0
    while (this.#at < end) {
      const code = text.charCodeAt(this.#at)
      if (code >= 0x80) this.#wide()
      else if (code === PERCENT) this.#percent()
      else if (code === AMPERSAND) this.#entity()
      else if (code === BACKSLASH) this.#backslash()
      else {
        this.#write(code === PLUS && this.#plus ? SPACE : code)
        this.#at++
      }
    }
    const units = this.#out.subarray(0, this.#length)
    // One byte a character where that is enough: what searches it is then twice as fast.
    return this.#seen < 0x100
      ? Buffer.from(units).toString('latin1')
      : Buffer.from(units.buffer, 0, units.byteLength).toString('utf16le')
  }

  #write (unit: number): void {
    if (this.#length === this.#out.length) {
      const wider = new Uint16Array(this.#out.length * 2)
      wider.set(this.#out)
      this.#out = wider
    }
    this.#out[this.#length++] = unit
    this.#seen |= unit
  }

  /** A character by its code point, as what it normalises to. */
  #emit (code: number): void {
    if (code < 0x80) return this.#write(code)
    folds ??= foldTable()
    const folded = folds.get(code)
    if (folded !== undefined) {
      for (let i = 0; i < folded.length; i++) this.#write(folded.charCodeAt(i))
    } else if (code > 0xffff) {
      this.#write(0xd800 + ((code - 0x10000) >> 10))
      this.#write(0xdc00 + ((code - 0x10000) & 0x3ff))
    } else {
      this.#write(code)
    }
  }

  #wide (): void {
    const code = this.#text.codePointAt(this.#at)!
    this.#at += code > 0xffff ? 2 : 1
    this.#emit(code)
  }

  /** `%2e`, `%u002e`, and UTF-8 in several escapes, an overlong form as what it means. */
  #percent (): void {
    const unit = (this.#text.charCodeAt(this.#at + 1) | 0x20) === 0x75 ? this.#hex(this.#at + 2, 4) : -1
    if (unit >= 0) {
      this.#at += 6
      return this.#emit(unit)
    }
    const lead = this.#hex(this.#at + 1, 2)
    if (lead < 0) {
      this.#at++
      return this.#write(PERCENT)
    }
    this.#at += 3
    if (lead < 0x80) return this.#write(lead)
    if (lead === 0xc0 || lead === 0xc1) return this.#overlong(lead)
    const more =
      lead >= 0xfe
        ? 0
        : lead >= 0xfc
          ? 5
          : lead >= 0xf8
            ? 4
            : lead >= 0xf0
              ? 3
              : lead >= 0xe0
                ? 2
                : lead >= 0xc0
                  ? 1
                  : 0
    // The space of Latin-1, which databases take for one.
    if (lead === 0xa0) return this.#write(SPACE)
    // A byte that begins nothing is dropped, as lenient readers do.
    if (more === 0) return
    let code = lead & (0x3f >> more)
    for (let i = 0; i < more; i++) {
      const next = this.#byte(this.#at + i * 3)
      if (next < 0 || (next & 0xc0) !== 0x80) return
      code = (code << 6) | (next & 0x3f)
    }
    this.#at += more * 3
    if (code <= 0x10ffff) this.#emit(code)
  }

  /** A byte that begins no character in correct UTF-8; readers have taken what follows for ASCII in three ways. */
  #overlong (lead: number): void {
    const next = this.#byte(this.#at)
    if (next < 0) return
    this.#at += 3
    this.#write(next >= 0x20 && next < 0x80 ? next : ((lead & 1) << 6) | (next & 0x3f))
  }

  #byte (at: number): number {
    return this.#text.charCodeAt(at) === PERCENT ? this.#hex(at + 1, 2) : -1
  }

  /** `&lt;`, `&#60;`, `&#x3c;`: numbers with any number of zeros before, and without their semicolon. */
  #entity (): void {
    const text = this.#text
    let at = this.#at + 1
    if (text.charCodeAt(at) === HASH) {
      const hex = (text.charCodeAt(++at) | 0x20) === 0x78
      const base = hex ? 16 : 10
      if (hex) at++
      let code = 0
      let digits = 0
      for (let digit; (digit = digitOf(text.charCodeAt(at))) >= 0 && digit < base; at++, digits++) {
        code = Math.min(code * base + digit, 0x110000)
      }
      if (digits > 0) {
        this.#at = text.charCodeAt(at) === SEMICOLON ? at + 1 : at
        return code <= 0x10ffff ? this.#emit(code) : undefined
      }
    } else {
      while (at - this.#at <= 8 && isLetter(text.charCodeAt(at))) at++
      const name = text.slice(this.#at + 1, at).toLowerCase()
      const code = ENTITIES.get(name)
      const closed = text.charCodeAt(at) === SEMICOLON
      if (code !== undefined && (closed || BARE_ENTITIES.has(name))) {
        this.#at = closed ? at + 1 : at
        return this.#write(code)
      }
    }
    this.#at++
    this.#write(AMPERSAND)
  }

  /**
   * `\u003c`, `\u{3c}`, `\x3c`, `\74`, `\n`, `\/`, `\"`, behind one backslash or several:
   * JSON in a string in JSON doubles them. Control characters other than white
   * space stay escaped: code is full of them.
   */
  #backslash (): void {
    const text = this.#text
    let at = this.#at + 1
    while (text.charCodeAt(at) === BACKSLASH) at++
    this.#at = at
    switch (text[at]) {
      case 'u':
        return text[at + 1] === '{'
          ? this.#escaped(this.#braced(at + 2))
          : this.#escaped({ code: this.#hex(at + 1, 4), end: at + 5 })
      case 'x':
        return this.#escaped({ code: this.#hex(at + 1, 2), end: at + 3 })
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'v':
        return this.#escaped({ code: SPACE, end: at + 1 })
      case '/':
      case '"':
      case "'":
      case '`':
        return this.#escaped({ code: text.charCodeAt(at), end: at + 1 })
      default:
        return this.#escaped(this.#octal(at))
    }
  }

  /** What an escape stands for, or its backslash where it is none: what comes behind is then read as it stands. */
  #escaped ({ code, end }: { code: number, end: number }): void {
    const space = code >= 0x09 && code <= 0x0d
    if (code < 0x20 && !space) return this.#write(BACKSLASH)
    this.#at = end
    this.#emit(space ? SPACE : code)
  }

  /** The number of `\u{…}` and where it ends. */
  #braced (at: number): { code: number, end: number } {
    const start = at
    let code = 0
    for (let digit; (digit = digitOf(this.#text.charCodeAt(at))) >= 0; at++) {
      code = Math.min(code * 16 + digit, 0x110000)
    }
    return { code: at > start && this.#text[at] === '}' && code <= 0x10ffff ? code : -1, end: at + 1 }
  }

  /** Two or three octal digits that stand for a sign that is seen; fewer are mostly references of an expression. */
  #octal (at: number): { code: number, end: number } {
    const end = at + (/^(?:[01][0-7]{2}|[4-7][0-7])/.exec(this.#text.slice(at, at + 3))?.[0].length ?? 0)
    const code = end === at ? -1 : parseInt(this.#text.slice(at, end), 8)
    return { code: code > 0x20 && code < 0x7f ? code : -1, end }
  }

  /** A number of exactly so many hexadecimal digits, or -1. */
  #hex (at: number, count: number): number {
    let value = 0
    for (let i = 0; i < count; i++) {
      const digit = digitOf(this.#text.charCodeAt(at + i))
      if (digit < 0) return -1
      value = value * 16 + digit
    }
    return value
  }
}

function digitOf (code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function isLetter (code: number): boolean {
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x7a
}
