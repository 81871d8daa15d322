/**
 * Walks a JSON Schema (2020-12, and what draft-07 spells otherwise) by the keywords that hold schemas, so
 * that data is never read as one.
 */

const SCHEMA = new Set([
  'additionalItems', 'additionalProperties', 'contains', 'contentSchema', 'else', 'if', 'items', 'not',
  'propertyNames', 'then', 'unevaluatedItems', 'unevaluatedProperties'
])
const LIST = new Set(['allOf', 'anyOf', 'items', 'oneOf', 'prefixItems'])
const MAP = new Set(['$defs', 'definitions', 'dependencies', 'dependentSchemas', 'patternProperties', 'properties'])

export type SchemaObject = Readonly<Record<string, unknown>>

export interface Subschema {
  readonly schema: SchemaObject
  /** Schemas above it; 0 for the root. */
  readonly depth: number
}

/**
 * The schema and every schema in it, without recursion, each object once by
 * its place. Members of `default`, `const`, `enum` and `examples` are data and
 * are passed over, as are unknown keywords. Boolean schemas hold nothing.
 */
export function * subschemas (root: SchemaObject): Generator<Subschema> {
  const stack: Subschema[] = [{ schema: root, depth: 0 }]
  while (stack.length > 0) {
    const next = stack.pop()!
    yield next
    for (const schema of childrenOf(next.schema)) stack.push({ schema, depth: next.depth + 1 })
  }
}

/**
 * A copy of the schema and of every schema in it, each changed in place by
 * `change`; data is shared. What is not enumerable, such as TypeBox's marks,
 * is kept. Booleans and what is no schema stay as they are.
 */
export function mapSchemas (schema: SchemaObject, change: (copy: Record<string, unknown>) => void): SchemaObject {
  const copy = Object.create(Object.getPrototypeOf(schema), Object.getOwnPropertyDescriptors(schema)) as Record<
    string,
    unknown
  >
  const put = (keyword: string, value: unknown) =>
    Object.defineProperty(copy, keyword, { value, enumerable: true, configurable: true, writable: true })
  const mapped = (value: unknown) => isSchema(value) ? mapSchemas(value, change) : value
  for (const [keyword, value] of Object.entries(schema)) {
    if (Array.isArray(value)) {
      if (LIST.has(keyword)) put(keyword, value.map(mapped))
    } else if (isSchema(value)) {
      if (MAP.has(keyword)) {
        put(keyword, Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, mapped(inner)])))
      } else if (SCHEMA.has(keyword)) put(keyword, mapped(value))
    }
  }
  change(copy)
  return copy
}

function * childrenOf (schema: SchemaObject): Generator<SchemaObject> {
  for (const [keyword, value] of Object.entries(schema)) {
    if (!isObject(value)) continue
    if (Array.isArray(value)) {
      if (LIST.has(keyword)) yield * value.filter(isSchema)
    } else if (MAP.has(keyword)) {
      yield * Object.values(value).filter(isSchema)
    } else if (SCHEMA.has(keyword)) {
      yield value as SchemaObject
    }
  }
}

/**
 * The schema that a reference within its document leads to (RFC 6901 pointers,
 * `$anchor`, `$dynamicAnchor`, and `$id` as far as it is a plain name).
 * Undefined where there is none.
 */
export function resolveReference (root: SchemaObject, reference: string): unknown {
  if (reference === '#' || reference === '') return root
  if (reference.startsWith('#/')) return byPointer(root, reference.slice(2))
  const anchor = reference.startsWith('#') ? reference.slice(1) : undefined
  for (const { schema } of subschemas(root)) {
    const { $anchor, $dynamicAnchor, $id } = schema
    if (anchor === undefined ? $id === reference : $anchor === anchor || $dynamicAnchor === anchor) return schema
  }
  return undefined
}

function byPointer (root: unknown, pointer: string): unknown {
  let value = root
  for (const part of pointer.split('/')) {
    const key = decoded(part)?.replaceAll('~1', '/').replaceAll('~0', '~')
    if (key === undefined || !isObject(value) || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return typeof value === 'boolean' || isSchema(value) ? value : undefined
}

function decoded (part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isSchema (value: unknown): value is SchemaObject {
  return isObject(value) && !Array.isArray(value)
}
