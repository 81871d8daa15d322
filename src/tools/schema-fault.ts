import { resolveReference, subschemas, type SchemaObject } from '../core/subschemas.ts'

const MAX_DEPTH = 12

/** Keywords whose schemas judge the same value as the schema that holds them. */
const IN_PLACE = ['allOf', 'anyOf', 'oneOf'] as const
const IN_PLACE_SINGLE = ['not', 'if', 'then', 'else'] as const

/**
 * What is wrong with a schema that an author wrote, beyond what compiling it
 * would find. Undefined if nothing.
 *
 * References stay within the schema: nothing is fetched (MCP 2026-07-28,
 * server/tools, Security), and each leads somewhere and comes to an end.
 */
export function schemaFault (root: SchemaObject): string | undefined {
  for (const { schema, depth } of subschemas(root)) {
    if (depth > MAX_DEPTH) return `its schema is nested deeper than ${MAX_DEPTH}`
    for (const keyword of ['$ref', '$dynamicRef'] as const) {
      const reference = schema[keyword]
      if (reference === undefined) continue
      if (typeof reference !== 'string') return `${keyword} in its schema must be a text`
      if (!reference.startsWith('#')) {
        return `its schema refers to "${reference}": only references within the schema (#…) are followed`
      }
      if (resolveReference(root, reference) === undefined) {
        return `its schema refers to "${reference}", which is not in it`
      }
    }
    if (endless(root, schema, new Set())) return 'its schema refers to itself without end'
  }
  return undefined
}

/** Whether judging one value would come back to this schema for the same value. */
function endless (root: SchemaObject, schema: unknown, path: Set<unknown>): boolean {
  if (typeof schema !== 'object' || schema === null) return false
  if (path.has(schema)) return true
  path.add(schema)
  const { $ref } = schema as SchemaObject
  const next: unknown[] = typeof $ref === 'string' ? [resolveReference(root, $ref)] : []
  for (const keyword of IN_PLACE) {
    const inner = (schema as SchemaObject)[keyword]
    if (Array.isArray(inner)) next.push(...inner as unknown[])
  }
  for (const keyword of IN_PLACE_SINGLE) next.push((schema as SchemaObject)[keyword])
  const found = next.some(inner => endless(root, inner, path))
  path.delete(schema)
  return found
}

/**
 * A tool's schema as every served revision can list it. The root is an object
 * schema (revision 2025-11-25 and older allow no other), and its properties
 * are object schemas: clients of those revisions refuse the whole list for one
 * that is not.
 *
 * @param example an object schema in the words of the author's library
 */
export function listableSchema (schema: SchemaObject, example: string): { schema: SchemaObject } | { fault: string } {
  const { type, properties, required } = schema
  const root = type === undefined && isUnionOfObjects(schema) ? { ...schema, type: 'object' } : schema
  if (root.type !== 'object') return { fault: `must be a schema of an object: put it into one, such as ${example}` }
  if (required !== undefined && !(Array.isArray(required) && required.every(name => typeof name === 'string'))) {
    return { fault: '"required" must be a list of names' }
  }
  if (properties === undefined) return { schema: root }
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
    return { fault: '"properties" must be an object' }
  }
  const listed: Record<string, unknown> = {}
  for (const [name, property] of Object.entries(properties)) {
    // A boolean schema says the same in two ways; these clients know one.
    const spelled: unknown = property === true ? {} : property === false ? { not: {} } : property
    if (typeof spelled !== 'object' || spelled === null || Array.isArray(spelled)) {
      return { fault: `property "${name}" must be a schema` }
    }
    Object.defineProperty(listed, name, { value: spelled, enumerable: true, configurable: true, writable: true })
  }
  return { schema: { ...root, properties: listed } }
}

function isUnionOfObjects ({ anyOf, oneOf }: SchemaObject): boolean {
  const branches: unknown = anyOf ?? oneOf
  return Array.isArray(branches) && branches.length > 0 &&
    branches.every(branch => (branch as SchemaObject | null)?.type === 'object')
}
