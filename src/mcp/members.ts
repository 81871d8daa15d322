/**
 * How the members of a message are read. Where the meaning is clear it is
 * taken: languages without a difference between an empty list and an empty
 * object (PHP) write `[]` for `{}`, and `null` for what is absent. Members that
 * the protocol does not know are left out. Anything else is refused by one
 * sentence that names the member. A value that needs no change is not copied.
 */
import { inexactNumberIn } from '../core/exact-numbers.ts'
import { redact } from '../telemetry/redact.ts'

export type Json = Readonly<Record<string, unknown>>

/** What is said of a number that JavaScript holds as another one. */
export const INEXACT = 'be a number that is exact (whole numbers end at 2^53 - 1): send it as text'

/** Reads one member. @throws {Misread} */
export type Read = (value: unknown, path: string) => unknown

/** A member is not what it must be. */
export class Misread extends Error {
  readonly path: string

  /** @param what completes "<path> must …", such as "be text" */
  constructor (path: string, what: string) {
    super(`${path} must ${what}`)
    this.path = path
  }
}

export const text: Read = (value, path) => {
  if (typeof value !== 'string') throw new Misread(path, 'be text')
  return value
}

export const flag: Read = (value, path) => {
  if (typeof value !== 'boolean') throw new Misread(path, 'be true or false')
  return value
}

export const integer: Read = (value, path) => {
  if (!Number.isSafeInteger(value)) throw new Misread(path, 'be a whole number')
  return value
}

/** A token of the client's choosing, which comes back to it: text, or a whole number that JavaScript holds exactly. */
export const token: Read = (value, path) => {
  if (typeof value === 'string' || Number.isSafeInteger(value)) return value
  throw new Misread(path, typeof value === 'number' ? INEXACT : 'be text or a whole number')
}

/** What is left out wherever it has the wrong form, because nothing depends on it. */
export const hint: Read = value => typeof value === 'string' ? value : undefined

/** An object that is handed on as it came: no number in it may have become another. */
export const answerObject: Read = (value, path) => {
  const read = anyObject(value, path)
  const inexact = inexactNumberIn(read)
  if (inexact !== undefined) throw new Misread(`${path}.${redact(inexact.path.join('.'), 100)}`, INEXACT)
  return read
}

/** An object whose members are somebody else's to judge. */
export const anyObject: Read = (value, path) => {
  if (isObject(value)) return value
  if (Array.isArray(value) && value.length === 0) return {}
  throw new Misread(path, 'be an object')
}

export function oneOf (...words: readonly string[]): Read {
  return (value, path) => {
    if (typeof value !== 'string' || !words.includes(value)) throw new Misread(path, `be one of ${words.join(', ')}`)
    return value
  }
}

export function listOf (read: Read, maxItems: number): Read {
  return (value, path) => {
    if (!Array.isArray(value) || value.length > maxItems) throw new Misread(path, `be a list of at most ${maxItems}`)
    for (let i = 0; i < value.length; i++) read(value[i], `${path}[${i}]`)
    return value
  }
}

/** Names of the client's choosing, all with values of one kind; those that are null are left out. */
export function record (read: Read): Read {
  return (value, path) => readEach(anyObject(value, path) as Json, () => read, name => below(path, redact(name, 64)))
}

/** @param members by name; one whose name ends with `!` must be given */
export function object (members: Readonly<Record<string, Read>>): Read {
  const reads: ReadonlyMap<string, Read> = new Map(
    Object.entries(members).map(([name, read]) => [name.replace(/!$/, ''), read])
  )
  const required = Object.keys(members).filter(name => name.endsWith('!')).map(name => name.slice(0, -1))
  return (value, path) => {
    const read = readEach(anyObject(value, path) as Json, name => reads.get(name), name => below(path, name))
    for (const name of required) if (read[name] === undefined) throw new Misread(below(path, name), 'be given')
    return read
  }
}

function readEach (value: Json, readOf: (name: string) => Read | undefined, pathOf: (name: string) => string): Json {
  let copy: Record<string, unknown> | undefined
  for (const name in value) {
    const given = value[name]
    const read = given === null || given === undefined ? undefined : readOf(name)?.(given, pathOf(name))
    if (read === given) continue
    copy ??= { ...value }
    if (read === undefined) delete copy[name]
    else copy[name] = read
  }
  return copy ?? value
}

export function isObject (value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function below (path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
