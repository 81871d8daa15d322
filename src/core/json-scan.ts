/**
 * One linear look over the raw text of a request before it is parsed. What two
 * parsers could read differently (doubled, wrongly-cased or folded keys,
 * prototypes, batches) and what is made to exhaust one (depth, elements) is
 * refused here, so that what is inspected is what is served. The grammar is
 * left to JSON.parse, which follows.
 */
export interface Fault {
  readonly reason: 'batch' | 'duplicate_key' | 'wrong_case' | 'prototype' | 'too_deep' | 'too_many'
  /** What to mend. */
  readonly message: string
}

export const MAX_DEPTH = 32
export const MAX_ELEMENTS = 10_000

/** How far a text is looked at, and where it ends. */
export interface ScanBounds {
  readonly maxDepth: number
  readonly maxElements: number
  /** Levels in which a key may stand only once. */
  readonly uniqueDepth: number
}

/** Of a request keys are unique in the envelope, in params, and in what params hold. */
const REQUEST: ScanBounds = { maxDepth: MAX_DEPTH, maxElements: MAX_ELEMENTS, uniqueDepth: 3 }
/** The largest that any bounds may have. */
const DEEPEST = 64

/** Keys of the protocol, by their folded form: any other spelling of one is an attempt to be overlooked. */
const ENVELOPE = folded(['jsonrpc', 'id', 'method', 'params', 'result', 'error'])
const PARAMS = folded([
  'name', 'arguments', '_meta', 'uri', 'ref', 'argument', 'context', 'cursor', 'level', 'auth', 'protocolVersion', 'capabilities',
  'clientInfo', 'inputResponses', 'requestState', 'notifications', 'requestId', 'reason', 'progressToken', 'progress', 'total', 'message'
])

/** The keys of one object so far. Past sixty-four a set looks them up. */
interface JsonLevel {
  readonly few: string[]
  many: Set<string> | undefined
}

const MANY = 64

/** Scratch for one scan; a scan never yields, so it is never shared. */
const inObject = new Uint8Array(DEEPEST + 2)
const underConstructor = new Uint8Array(DEEPEST + 2)

export function scanJson (
  text: string, { maxDepth, maxElements, uniqueDepth }: ScanBounds = REQUEST
): Fault | undefined {
  const levels: JsonLevel[] = [newLevel(), newLevel(), newLevel(), newLevel()]
  let depth = 0
  let elements = 0
  let expectKey = false
  let isParams = false
  let lastKeyIsConstructor = false

  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE: {
        const end = closingQuote(text, i)
        if (end < 0) return undefined // JSON.parse says what is wrong
        if (expectKey) {
          expectKey = false
          if (depth <= uniqueDepth || mayBeOfPrototype(text, i + 1, end)) {
            const key = keyAt(text, i + 1, end)
            if (key === undefined) return undefined
            const level = depth > uniqueDepth ? undefined : levels[depth]
            const fault = prototypeFault(key, underConstructor[depth] === 1) ?? uniqueFault(key, level, depth, isParams)
            if (fault !== undefined) return fault
            if (depth === 1) isParams = key === 'params'
            lastKeyIsConstructor = key === 'constructor'
          } else lastKeyIsConstructor = false
        } else if (depth === 0) return undefined
        i = end
        break
      }
      case OPEN_BRACE:
      case OPEN_BRACKET: {
        const object = text.charCodeAt(i) === OPEN_BRACE
        if (depth === 0 && !object) return { reason: 'batch', message: 'Batches are not served: send one message a request' }
        if (++depth > maxDepth) return { reason: 'too_deep', message: `The message is nested deeper than ${maxDepth}` }
        if (++elements > maxElements) return tooMany(maxElements)
        inObject[depth] = object ? 1 : 0
        underConstructor[depth] = object && lastKeyIsConstructor ? 1 : 0
        lastKeyIsConstructor = false
        if (depth <= uniqueDepth) begin(levels[depth]!)
        expectKey = object
        break
      }
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        if (depth > 0) depth--
        expectKey = false
        break
      case COMMA:
        if (++elements > maxElements) return tooMany(maxElements)
        expectKey = inObject[depth] === 1 && depth > 0
        lastKeyIsConstructor = false
        break
    }
  }
  return undefined
}

/** Whether a key could be `__proto__`, `prototype` or `constructor`: by its length, or by an escape that hides it. */
function mayBeOfPrototype (text: string, start: number, end: number): boolean {
  const length = end - start
  return length === 9 || length === 11 || text.charCodeAt(start) === BACKSLASH || hasEscape(text, start, end)
}

/** Names by which a value could reach the prototypes of this process. */
function prototypeFault (key: string, isUnderConstructor: boolean): Fault | undefined {
  return key === '__proto__' || (key === 'prototype' && isUnderConstructor)
    ? { reason: 'prototype', message: 'A key of that name is not served' }
    : undefined
}

/** @param level undefined below the levels in which keys are held to be unique */
function uniqueFault (key: string, level: JsonLevel | undefined, depth: number, isParams: boolean): Fault | undefined {
  if (level === undefined) return undefined
  if (!add(level, key)) return { reason: 'duplicate_key', message: `The key "${shown(key)}" stands twice` }
  const known = depth === 1 ? ENVELOPE : depth === 2 && isParams ? PARAMS : undefined
  const exact = known?.get(fold(key))
  return exact === undefined || exact === key ? undefined : { reason: 'wrong_case', message: `Write "${exact}" exactly so` }
}

function newLevel (): JsonLevel {
  return { few: [], many: undefined }
}

/** Another object of this depth: what the one before it held is forgotten. */
function begin (level: JsonLevel): void {
  level.few.length = 0
  level.many = undefined
}

/** @returns false where the key is there already */
function add (level: JsonLevel, key: string): boolean {
  const { few, many } = level
  if (many === undefined ? few.includes(key) : many.has(key)) return false
  if (many !== undefined) many.add(key)
  else if (few.push(key) === MANY) level.many = new Set(few)
  return true
}

const QUOTE = 34
const BACKSLASH = 92
const COMMA = 44
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93

function tooMany (maxElements: number): Fault {
  return { reason: 'too_many', message: `The message holds more than ${maxElements} elements` }
}

/** The quote that ends the string which begins at `open`: one with an even run of backslashes before it. */
export function closingQuote (text: string, open: number): number {
  let end = text.indexOf('"', open + 1)
  while (end >= 0) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return -1
}

function hasEscape (text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (text.charCodeAt(i) === BACKSLASH) return true
  return false
}

/** The key as JSON.parse will read it; undefined if it will not. */
function keyAt (text: string, from: number, to: number): string | undefined {
  const raw = text.slice(from, to)
  if (!raw.includes('\\')) return raw
  try {
    return JSON.parse(`"${raw}"`) as string
  } catch {
    return undefined
  }
}

function fold (key: string): string {
  // Most keys are plain ASCII, for which normalising is a waste.
  for (let i = 0; i < key.length; i++) if (key.charCodeAt(i) > 127) return key.normalize('NFKC').toLowerCase().normalize('NFKC')
  return key.toLowerCase()
}

function folded (names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.map(name => [name.toLowerCase(), name]))
}

function shown (key: string): string {
  return key.slice(0, 40).replace(/[^\w.-]/g, '?')
}
