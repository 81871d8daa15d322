/**
 * `Mcp-Param-*`: headers that repeat arguments of a call, so that what stands
 * between can route by them without reading the body. Somebody trusted the
 * header, so it has to say what the body says (revision 2026-07-28).
 */

/** A property that is annotated with `x-mcp-header`. */
export interface ParamHeader {
  /** In lower case, with its prefix. */
  readonly header: string
  readonly path: readonly string[]
  readonly numeric: boolean
}

type JsonObject = Readonly<Record<string, unknown>>

const ANNOTATION = 'x-mcp-header'
const NAME = /^[A-Za-z0-9-]{1,64}$/
const TYPES = new Set(['string', 'integer', 'boolean'])
const DECIMAL = /^-?\d+(\.\d+)?$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const SENTINEL = /^=\?base64\?(.*)\?=$/s

/** The headers that an input schema declares, or what is wrong with its declarations. */
export function paramHeaders (schema: JsonObject): { headers: readonly ParamHeader[] } | { problem: string } {
  const headers: ParamHeader[] = []
  const seen = new Set<string>()
  const stack: Array<[JsonObject, readonly string[]]> = [[schema, []]]
  while (stack.length > 0) {
    const [node, path] = stack.pop()!
    for (const [name, property] of Object.entries(isObject(node.properties) ? node.properties : {})) {
      if (isObject(property)) stack.push([property, [...path, name]])
    }
    if (path.length === 0 || !(ANNOTATION in node)) continue
    const name = node[ANNOTATION]
    if (typeof name !== 'string' || !NAME.test(name)) {
      return { problem: `${ANNOTATION} must be 1 to 64 characters of A-Z a-z 0-9 -` }
    }
    if (typeof node.type !== 'string' || !TYPES.has(node.type)) {
      return { problem: `${ANNOTATION} may stand only on a string, an integer or a boolean` }
    }
    const header = `mcp-param-${name.toLowerCase()}`
    if (seen.has(header)) return { problem: `${ANNOTATION} "${name}" is declared twice; case does not count` }
    seen.add(header)
    headers.push({ header, path, numeric: node.type === 'integer' })
  }
  // Elsewhere (items, anyOf, $defs …) no client could tell which value is meant.
  return annotations(schema) === headers.length
    ? { headers }
    : { problem: `${ANNOTATION} may stand only on properties, and properties of those` }
}

/** What disagrees, in words without either value; undefined if nothing does. */
export function paramHeaderFault (
  declared: readonly ParamHeader[],
  args: unknown,
  headers: Readonly<Record<string, unknown>>
): { header: string; message: string } | undefined {
  for (const { header, path, numeric } of declared) {
    const value = argumentAt(args, path)
    const sent = headers[header]
    const where = `the argument ${path.join('.')}`
    if (value === undefined || value === null) {
      if (sent !== undefined) return { header, message: `The header ${header} is there, but ${where} is not` }
      continue
    }
    // What is neither text, number nor boolean does not fit the schema, which the call will say.
    if (typeof value === 'object') continue
    if (typeof sent !== 'string') {
      return { header, message: `The body has ${where}, but the header ${header} is missing` }
    }
    const text = decodeHeader(sent)
    if (text === undefined) return { header, message: `The header ${header} is no valid base64` }
    const same =
      numeric && typeof value === 'number' && DECIMAL.test(text) ? Number(text) === value : text === String(value)
    if (!same) return { header, message: `The header ${header} and ${where} differ` }
  }
  return undefined
}

/**
 * The text of a mirroring header: `=?base64?…?=` holds UTF-8, everything else is itself. Undefined for a
 * malformed one.
 */
export function decodeHeader (sent: string): string | undefined {
  const base64 = SENTINEL.exec(sent)?.[1]
  if (base64 === undefined) return sent
  if (!BASE64.test(base64)) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(base64, 'base64'))
  } catch {
    return undefined
  }
}

/** What a header may hold as it is: anything else is encoded, and so is what looks encoded. */
const PLAIN = /^(?!=\?base64\?)[!-~](?:[ -~]*[!-~])?$/

/** The mirroring header that says a text; `decodeHeader` reads it. */
export function encodeHeader (text: string): string {
  return PLAIN.test(text) ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`
}

/** The headers that repeat arguments, for a call that goes out. */
export function paramHeaderValues (declared: readonly ParamHeader[], args: unknown): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const { header, path } of declared) {
    const value = argumentAt(args, path)
    if (value !== undefined && value !== null && typeof value !== 'object') {
      headers[header] = encodeHeader(String(value))
    }
  }
  return headers
}

function argumentAt (args: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (node, name) => (isObject(node) && Object.hasOwn(node, name) ? node[name] : undefined),
    args
  )
}

function annotations (schema: JsonObject): number {
  let count = 0
  const stack: unknown[] = [schema]
  while (stack.length > 0) {
    const node = stack.pop()
    if (typeof node !== 'object' || node === null) continue
    if (Object.hasOwn(node, ANNOTATION)) count++
    stack.push(...Object.values(node))
  }
  return count
}

function isObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
