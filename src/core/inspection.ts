/**
 * Looks for suspicious patterns in what a caller sends, in decoded strings and
 * keys, with an engine whose time is linear in the text (RE2).
 *
 * It finds what is plainly an attack on whatever stands behind a tool. It is
 * no proof that the rest is harmless: a tool checks what it builds from text.
 */
import { RE2JS } from 're2js'
import { decodeOnce } from './decoded-text.ts'
import { FLAGS, PATTERNS, type InspectionLevel, type Pattern, type PatternSource } from './patterns.ts'

export interface Finding {
  /** The pattern's public name. */
  readonly pattern: string
  /** Where, as `a.b.0`; `(key)` where the name of a member is meant. */
  readonly path: string
}

export interface InspectorOptions {
  level?: InspectionLevel
  /** Patterns beside those that ship. */
  own?: readonly PatternSource[]
  /** Characters, decoded ones included, that one value may make the inspector look at; more is a finding itself. */
  maxCharacters?: number
}

/** What is found where a value unfolds to more text than is looked at. */
export const TOO_MUCH_TEXT: Pattern = {
  name: 'too_much_text', description: 'More text than inspection looks at, escapes unfolded.'
}

/** How often a text is decoded: a reader behind the tool may decode again what the one before it decoded. */
const ROUNDS = 3
/** Characters looked at before others have their turn. */
const SLICE = 262_144
/** Characters that are matched in one go. Longer text is cut, after it was decoded, into pieces that overlap. */
const PIECE = 393_216
const OVERLAP = 65_536
/** A piece so long that others have their turn after each pattern. */
const LONG = 32_768
/** What a string costs beside its characters. */
const PER_STRING = 32
const MAX_CHARACTERS = 8 * 1_048_576

/** A pattern that is compiled when a text is first suspected of it. */
class LazyPattern {
  readonly name: string
  readonly #needs: RegExp | undefined
  readonly #source: string
  readonly #unless: string | undefined
  #engine: RE2JS | undefined
  #exception: RE2JS | undefined

  constructor ({ name, sources, needs, unless, strict }: PatternSource, level: InspectionLevel) {
    this.name = name
    this.#needs = needs
    this.#source = [...sources, ...(strict === undefined || level !== 'strict' ? [] : [strict])]
      .map(source => `(?:${source})`)
      .join('|')
    this.#unless = level === 'strict' ? undefined : unless
  }

  compile (): void {
    this.#engine ??= RE2JS.compile(this.#source, FLAGS)
    if (this.#unless !== undefined) this.#exception ??= RE2JS.compile(this.#unless, FLAGS)
  }

  matches (text: string): boolean {
    if (this.#needs?.test(text) === false) return false
    if (this.#engine === undefined) this.compile()
    return this.#engine!.test(text) && this.#exception?.test(text) !== true
  }
}

/** Those that ship, once in a process. One automaton each: together their states would multiply. */
const SHIPPED: Readonly<Record<InspectionLevel, readonly LazyPattern[]>> = {
  default: PATTERNS.map(pattern => new LazyPattern(pattern, 'default')),
  strict: PATTERNS.map(pattern => new LazyPattern(pattern, 'strict'))
}

/** Looks for the patterns of a level. */
export class Inspector {
  /** By public name, for exemptions, answers and documents. */
  readonly patterns: ReadonlyMap<string, Pattern>
  readonly #asked: readonly LazyPattern[]
  readonly #maxCharacters: number

  constructor ({ level = 'default', own = [], maxCharacters = MAX_CHARACTERS }: InspectorOptions = {}) {
    this.patterns = new Map(
      [...PATTERNS, ...own, TOO_MUCH_TEXT].map(({ name, description }) => [name, { name, description }])
    )
    this.#asked = [...SHIPPED[level], ...own.map(pattern => new LazyPattern(pattern, level))]
    this.#maxCharacters = maxCharacters
  }

  /**
   * Look through a value, strings and keys, in document order.
   *
   * Long text is looked at in slices between which other requests are served;
   * then, and only then, the answer is a promise.
   *
   * @param exempt names of patterns that do not apply here
   * @returns the first finding, or undefined
   */
  inspect (value: unknown, exempt: ReadonlySet<string> = NONE): Finding | undefined | Promise<Finding | undefined> {
    const search = this.#search(value, exempt)
    const first = search.next()
    return first.done === true ? first.value : inTurns(search)
  }

  /** Compile what is compiled on first use otherwise: at start a tenth of a second disturbs nobody. */
  prepare (): void {
    for (const pattern of this.#asked) {
      pattern.compile()
      pattern.matches(SAMPLE)
    }
  }

  /** The same in one go, however long it takes: for commands and tests. */
  inspectNow (value: unknown, exempt: ReadonlySet<string> = NONE): Finding | undefined {
    const search = this.#search(value, exempt)
    for (;;) {
      const step = search.next()
      if (step.done === true) return step.value
    }
  }

  * #search (value: unknown, exempt: ReadonlySet<string>): Search {
    const work: Work = { left: this.#maxCharacters, sinceTurn: 0, exempt }
    const stack: Place[] = [{ value, key: '', above: undefined }]
    while (stack.length > 0) {
      const place = stack.pop()!
      const { value } = place
      if (typeof value === 'string') {
        const pattern = yield * this.#inText(value, work)
        if (pattern !== undefined) return { pattern, path: pathOf(place) }
      } else if (Array.isArray(value)) {
        for (let i = value.length - 1; i >= 0; i--) {
          if (holdsText(value[i])) stack.push({ value: value[i], key: String(i), above: place })
        }
      } else if (typeof value === 'object' && value !== null) {
        const keys = Object.keys(value)
        for (const key of keys) {
          const pattern = yield * this.#inText(key, work)
          if (pattern !== undefined) return { pattern, path: pathOf({ value, key: '(key)', above: place }) }
        }
        for (let i = keys.length - 1; i >= 0; i--) {
          const inner = (value as Record<string, unknown>)[keys[i]!]
          if (holdsText(inner)) stack.push({ value: inner, key: keys[i]!, above: place })
        }
      }
    }
    return undefined
  }

  /** The name of the first pattern in a text and in what it becomes when decoded. */
  * #inText (text: string, work: Work): Generator<undefined, string | undefined> {
    let form = text
    for (let round = 0; ; round++) {
      work.left -= form.length
      if (work.left < 0 && !work.exempt.has(TOO_MUCH_TEXT.name)) return TOO_MUCH_TEXT.name
      for (let at = 0; at === 0 || at + OVERLAP < form.length; at += PIECE - OVERLAP) {
        const piece = form.length <= PIECE ? form : form.slice(at, at + PIECE)
        const pattern = yield * this.#inPiece(piece, work)
        if (pattern !== undefined) return pattern
      }
      if (round === ROUNDS) return undefined
      const next = yield * decodeOnce(form)
      if (next === form) return undefined
      form = next
    }
  }

  * #inPiece (text: string, work: Work): Generator<undefined, string | undefined> {
    work.sinceTurn += text.length + PER_STRING
    if (work.sinceTurn > SLICE) {
      work.sinceTurn = text.length
      yield
    }
    for (const pattern of this.#asked) {
      if (work.exempt.has(pattern.name)) continue
      if (pattern.matches(text)) return pattern.name
      if (text.length > LONG) yield
    }
    return undefined
  }
}

type Search = Generator<undefined, Finding | undefined>
interface Work { left: number, sinceTurn: number, readonly exempt: ReadonlySet<string> }
interface Place { readonly value: unknown, readonly key: string, readonly above: Place | undefined }

/** Some of everything that filters look for. */
const SAMPLE = '<a x="y">; ../ {{ ${ <! union (1) `b`'
const NONE: ReadonlySet<string> = new Set()

function holdsText (value: unknown): boolean {
  return typeof value === 'string' || (typeof value === 'object' && value !== null)
}

/** A place in words, at most 200 characters. */
function pathOf (place: Place): string {
  const keys: string[] = []
  for (let at: Place | undefined = place; at?.above !== undefined; at = at.above) keys.push(at.key.slice(0, 200))
  return keys.reverse().join('.').slice(0, 200)
}

interface Waiting { search: Search, resolve: (finding: Finding | undefined) => void, reject: (error: unknown) => void }

/** Long searches, one slice of one of them a turn of the event loop, however many there are. */
const waiting: Waiting[] = []

function inTurns (search: Search): Promise<Finding | undefined> {
  return new Promise((resolve, reject) => {
    waiting.push({ search, resolve, reject })
    if (waiting.length === 1) setImmediate(turn)
  })
}

function turn (): void {
  const { search, resolve, reject } = waiting[0]!
  let ended = true
  try {
    const step = search.next()
    if (step.done === true) resolve(step.value)
    else ended = false
  } catch (error) {
    reject(error)
  }
  const first = waiting.shift()!
  if (!ended) waiting.push(first)
  if (waiting.length > 0) setImmediate(turn)
}
