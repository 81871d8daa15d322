/**
 * Which tools of an upstream are offered: those whose whole definition an operator has approved. A tool that is new,
 * changed or renamed is another one. Pure: what was approved is an argument.
 */
import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { hasHiddenCharacters } from '../core/visible-text.ts'
import type { UpstreamEntry } from './entry.ts'

/** A definition of a tool as it came. */
export type ToolDefinition = Readonly<Record<string, unknown>>

/**
 * SHA-256 of the canonical form (RFC 8785) of all of it, in hexadecimal; no member is left out, so none can change
 * unseen. Undefined for what has no such form: a number that is not finite, half a character.
 */
export function definitionHash (definition: ToolDefinition): string | undefined {
  const known = hashes.get(definition)
  if (known !== undefined) return known
  try {
    const hash = createHash('sha256').update(canonicalize(definition) ?? '').digest('hex')
    hashes.set(definition, hash)
    return hash
  } catch {
    return undefined
  }
}

/** Lists are judged again with each approval, and 700 definitions take 55 ms. */
const hashes = new WeakMap<ToolDefinition, string>()

/** The entry of the ledger `approvals` that lets a tool be offered. */
export function approvalId (server: string, tool: string, hash: string): string {
  return `${approvalsOf(server)}${tool}:${hash.slice(0, 32)}`
}

/** How the entries of a server begin. */
export function approvalsOf (server: string): string {
  return `tool:${server}:`
}

/** One hash over several tools: what `tools approve --all` repeats. */
export function listHash (tools: readonly JudgedTool[]): string {
  return createHash('sha256').update(tools.map(({ name, hash }) => `${name}\0${hash}\n`).sort().join('')).digest('hex')
}

export interface JudgedTool {
  /** The upstream's own name. */
  readonly name: string
  readonly hash: string
  readonly definition: ToolDefinition
  /** Why it is held, in words that go on from "it"; undefined: it is offered. */
  readonly held: string | undefined
  /** What an operator should look at. Holds nothing back. */
  readonly flags: readonly string[]
}

export interface Judging {
  readonly server: string
  readonly pin: UpstreamEntry['pin']
  readonly approved: { has (id: string): boolean }
}

/** @param tools those with a name; what has no canonical form is held by an empty hash that nobody can approve */
export function judgeTools (tools: readonly ToolDefinition[], { server, pin, approved }: Judging): JudgedTool[] {
  const names = tools.map(({ name }) => String(name))
  return tools.map((definition, i) => {
    const name = names[i]!
    const hash = definitionHash(definition)
    const flags = flagsOf(definition, name, names)
    if (hash === undefined) {
      return { name, hash: '', definition, held: 'has a text or a number that has no one form', flags }
    }
    if (pin === 'off' || approved.has(approvalId(server, name, hash))) {
      return { name, hash, definition, held: undefined, flags }
    }
    const why = suspicious(definition) ?? 'is new or changed, and nobody has approved it'
    return { name, hash, definition, held: why, flags }
  })
}

/** Those of a first list that may be approved unseen. */
export function trustable (tools: readonly JudgedTool[]): JudgedTool[] {
  return tools.filter(({ hash, definition }) => hash !== '' && suspicious(definition) === undefined)
}

/** A Cyrillic or Greek letter in a word of Latin ones: it looks like another name. */
const MIXED =
  /\p{Script=Latin}\p{M}*[\p{Script=Cyrillic}\p{Script=Greek}]|[\p{Script=Cyrillic}\p{Script=Greek}]\p{M}*\p{Script=Latin}/u
/** Letters that are units and constants in Latin text. */
const SYMBOLS = /[µμΩωπΔδαβγλσθεφ]/g
const PRIVATE_USE = /\p{Co}/u

/** Why a definition is held even on first use: a reader would not see what a model reads. */
export function suspicious (definition: ToolDefinition): string | undefined {
  const text = JSON.stringify(definition)
  const decoded = textsIn(definition).join('\n')
  if (hasHiddenCharacters(decoded) || PRIVATE_USE.test(decoded)) return 'has characters that a reader cannot see'
  if (MIXED.test(decoded.replace(SYMBOLS, ''))) return 'mixes letters of two scripts in one word'
  return text === undefined ? 'is no object' : undefined
}

const LONG = 4096

function flagsOf (definition: ToolDefinition, name: string, names: readonly string[]): string[] {
  const texts = textsIn(definition)
  const flags: string[] = []
  const alike = names.find(other => other !== name && likeness(other) === likeness(name))
  if (alike !== undefined) flags.push(`its name is nearly that of "${alike}"`)
  if (texts.some(
    text => /<\s*important\s*>|\bignore\s+(?:all\s+)?(?:the\s+)?previous\b|\bdo not (?:tell|mention)\b/i.test(text)
  )) {
    flags.push('it gives orders to the model')
  }
  if (texts.some(text => /[A-Za-z0-9+/]{200,}/.test(text))) flags.push('it holds encoded text')
  if (typeof definition.description === 'string' && definition.description.length > LONG) {
    flags.push(`its description has over ${LONG} characters`)
  }
  return flags
}

function likeness (name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}

/** Every text in a value, names of members with it. */
function textsIn (root: unknown): string[] {
  const texts: string[] = []
  const stack: unknown[] = [root]
  while (stack.length > 0) {
    const value = stack.pop()
    if (typeof value === 'string') texts.push(value)
    else if (
      typeof value === 'object' && value !== null
    ) stack.push(...(Array.isArray(value) ? value as unknown[] : Object.entries(value).flat()))
  }
  return texts
}

/** A text with each character that cannot be seen as its code point: `<U+200B>`. */
export function spelledOut (text: string): string {
  const seen = (
    character: string
  ): string => `<U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}>`
  return text
    .replace(
      /[^\P{C}\n]|\u034f|\u17b4|\u17b5|[\u180b-\u180f]|[\ufe00-\ufe0f]|[\u115f\u1160\u3164\uffa0\u2028\u2029]/gu,
      seen
    )
    .replace(
      /(?<=\p{Script=Latin})[\p{Script=Cyrillic}\p{Script=Greek}]|[\p{Script=Cyrillic}\p{Script=Greek}](?=\p{Script=Latin})/gu,
      seen
    )
}
