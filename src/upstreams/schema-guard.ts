/**
 * A schema that a stranger wrote, before it is compiled: held to bounds, so that no schema stops a replica, and
 * rewritten for the check. What is listed stays the stranger's own text.
 */
import { compileSchema, type Check } from '../core/schema.ts'
import { linearPattern, requireNoBacktracking } from '../core/linear-pattern.ts'
import { mapSchemas, resolveReference, subschemas, type SchemaObject } from '../core/subschemas.ts'

/** Beyond these a compiler takes seconds: 100,000 values of enum or 20,000 properties are enough. */
const MAX_BYTES = 65_536
const MAX_DEPTH = 24
const MAX_PROPERTIES = 2000
const MAX_ENUM_VALUES = 1000
const MAX_ENUM_BYTES = 262_144
const MAX_REFERENCES = 500
const MAX_EXPANDED = 10_000

export interface GuardedSchema {
  /** As it is listed: `type: "object"` is added where it goes without saying. */
  readonly listed: SchemaObject
  /** For the check. */
  readonly checked: SchemaObject
  /** What is not checked, or odd, in words that go on from "its inputSchema". */
  readonly remarks: readonly string[]
}

/** Why a schema cannot be used, in words that go on from "its inputSchema". */
export interface SchemaRefusal {
  readonly fault: string
}

export function guardSchema (schema: SchemaObject): GuardedSchema | SchemaRefusal {
  if (schema.type !== undefined && schema.type !== 'object') return { fault: 'is not the schema of an object' }
  const root = withRootType(schema)
  const fault = sizeFault(root) ?? referenceFault(root)
  if (fault !== undefined) return { fault }
  const remarks = new Set<string>()
  if (root.type === undefined) remarks.add('does not say that it is an object')
  const checked = mapSchemas(root, copy => rewrite(copy, remarks))
  return { listed: root, checked, remarks: [...remarks] }
}

/** Compiled when it is first needed: 700 tools cost nothing at the start. What cannot be checked fits nothing. */
export class GuardedCheck implements Check {
  readonly #schema: SchemaObject
  #check: Check | undefined

  constructor (schema: SchemaObject) {
    this.#schema = schema
  }

  fits (value: unknown): boolean {
    try {
      return this.#compiled.fits(value)
    } catch {
      this.#check = UNCHECKABLE
      return false
    }
  }

  problems (value: unknown, most?: number): string[] {
    try {
      return this.#compiled.problems(value, most)
    } catch {
      this.#check = UNCHECKABLE
      return UNCHECKABLE.problems(value)
    }
  }

  get #compiled (): Check {
    this.#check ??= compileSchema(this.#schema)
    return this.#check
  }
}

const UNCHECKABLE: Check = {
  fits: () => false, problems: () => ['its schema cannot be checked here, so it is not called']
}

/** Clients of revisions before 2026-07-28 refuse a whole list for one schema that is not of an object. */
function withRootType (schema: SchemaObject): SchemaObject {
  if (schema.type !== undefined) return schema
  return [
    'anyOf', 'oneOf', 'allOf', '$ref'
  ].some(name => Object.hasOwn(schema, name))
    ? schema
    : { ...schema, type: 'object' }
}

function sizeFault (root: SchemaObject): string | undefined {
  if (isNestedOver(root, 2 * MAX_DEPTH + 16)) return `is nested deeper than ${MAX_DEPTH} schemas`
  let properties = 0
  let enumValues = 0
  let enumBytes = 0
  let references = 0
  for (const { schema, depth } of subschemas(root)) {
    if (depth > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} schemas`
    for (const keyword of ['properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions']) {
      properties += Object.keys((schema[keyword] ?? {}) as object).length
    }
    if (properties > MAX_PROPERTIES) return `has more than ${MAX_PROPERTIES} properties`
    if (Array.isArray(schema.enum)) {
      enumValues += schema.enum.length
      if (enumValues > MAX_ENUM_VALUES) return `has more than ${MAX_ENUM_VALUES} values of enum`
      enumBytes += bytesOf(schema.enum)
    }
    if (enumBytes > MAX_ENUM_BYTES) return `has values of enum of more than ${MAX_ENUM_BYTES} bytes`
    if (schema.$ref !== undefined || schema.$dynamicRef !== undefined) references++
    if (references > MAX_REFERENCES) return `has more than ${MAX_REFERENCES} references`
    if (schema !== root && schema.$id !== undefined) return 'has an $id inside, which changes what its references mean'
  }
  return bytesOf(root) - enumBytes > MAX_BYTES ? `has more than ${MAX_BYTES} bytes` : undefined
}

function bytesOf (value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? '')
}

/** Without recursion, which such a value would overflow. */
function isNestedOver (root: unknown, most: number): boolean {
  let level: unknown[] = [root]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return true
    level = level.flatMap(value => typeof value === 'object' && value !== null ? Object.values(value) : [])
  }
  return false
}

/** What a schema leads to: `same` judges the same value, `other` a value inside. */
interface Edges {
  readonly same: readonly SchemaObject[]
  readonly other: readonly SchemaObject[]
}

const SAME = new Set(['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas'])

/** References that leave the schema, lead nowhere, come to no end, or multiply. */
function referenceFault (root: SchemaObject): string | undefined {
  const known = new Set<unknown>([...subschemas(root)].map(({ schema }) => schema))
  const edges = new Map<SchemaObject, Edges>()
  for (const schema of known as Set<SchemaObject>) {
    const targets: SchemaObject[] = []
    for (const keyword of ['$ref', '$dynamicRef', '$recursiveRef']) {
      const reference = schema[keyword]
      if (reference === undefined) continue
      if (typeof reference !== 'string' || !reference.startsWith('#')) {
        return `refers to something outside of it (${keyword})`
      }
      const target = resolveReference(root, reference)
      if (typeof target === 'boolean') continue
      if (target === undefined || !known.has(target)) return 'refers to a place in it where no schema is'
      targets.push(target as SchemaObject)
    }
    edges.set(schema, edgesOf(schema, targets))
  }
  if (hasEndlessPath(edges)) return 'refers to itself without end'
  return expandedSize(
    root, edges, new Map()
  ) > MAX_EXPANDED
    ? `stands for more than ${MAX_EXPANDED} schemas when its references are followed`
    : undefined
}

function edgesOf (schema: SchemaObject, targets: readonly SchemaObject[]): Edges {
  const same: SchemaObject[] = [...targets]
  const other: SchemaObject[] = []
  for (const [keyword, value] of Object.entries(schema)) {
    // Definitions are entered by reference only.
    if (keyword === '$defs' || keyword === 'definitions') continue
    const inner = [...subschemas({ [keyword]: value })].filter(({ depth }) => depth === 1).map(({ schema }) => schema)
    if (SAME.has(keyword)) same.push(...inner)
    else other.push(...inner)
  }
  return { same, other }
}

/** Whether judging one value comes back to the same schema for the same value. */
function hasEndlessPath (edges: ReadonlyMap<SchemaObject, Edges>): boolean {
  const states = new Map<SchemaObject, 'open' | 'done'>()
  const comesBack = (schema: SchemaObject): boolean => {
    const state = states.get(schema)
    if (state !== undefined) return state === 'open'
    states.set(schema, 'open')
    const found = (edges.get(schema)?.same ?? []).some(comesBack)
    states.set(schema, 'done')
    return found
  }
  return [...edges.keys()].some(comesBack)
}

/** Schemas on all paths, each reference counted as what it leads to; a way back to one that is open counts once. */
function expandedSize (
  schema: SchemaObject, edges: ReadonlyMap<SchemaObject, Edges>, sizes: Map<SchemaObject, number>
): number {
  const known = sizes.get(schema)
  if (known !== undefined) return known
  sizes.set(schema, 1)
  const { same, other } = edges.get(schema) ?? { same: [], other: [] }
  let size = 1
  for (const next of [...same, ...other]) size = Math.min(MAX_EXPANDED + 1, size + expandedSize(next, edges, sizes))
  sizes.set(schema, size)
  return size
}

const TYPES: ReadonlySet<unknown> = new Set(['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'])
const NUMERIC = [
  'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'minLength', 'maxLength', 'minItems',
  'maxItems', 'minProperties', 'maxProperties', 'minContains', 'maxContains'
]

/** One schema as the check reads it. */
function rewrite (schema: Record<string, unknown>, remarks: Set<string>): void {
  // Formats are hints; identifiers would change what references mean.
  for (const keyword of ['format', '$id', '$schema', 'id']) delete schema[keyword]
  // Revisions before draft-06 had switches there.
  for (
    const keyword of NUMERIC
  ) if (schema[keyword] !== undefined && typeof schema[keyword] !== 'number') delete schema[keyword]
  rewriteType(schema, remarks)
  if (schema.pattern !== undefined && !runs(() => linearPattern(String(schema.pattern)))) {
    delete schema.pattern
    remarks.add('has a pattern that is not checked here, since it may take more than time in proportion to the text')
  }
  const keys = Object.keys((schema.patternProperties ?? {}) as object)
  if (!keys.every(key => runs(() => requireNoBacktracking(key)))) {
    for (const keyword of ['patternProperties', 'additionalProperties', 'unevaluatedProperties']) delete schema[keyword]
    remarks.add('has names of properties by a pattern, which are not checked here')
  }
}

function rewriteType (schema: Record<string, unknown>, remarks: Set<string>): void {
  const { type, nullable } = schema
  delete schema.nullable
  if (type === undefined) return
  const types = (Array.isArray(type) ? type as unknown[] : [type])
  if (!types.every(one => TYPES.has(one))) {
    delete schema.type
    remarks.add('names a type that JSON Schema does not know, which is not checked')
  } else if (nullable === true && !types.includes('null')) {
    schema.type = [...types, 'null']
    if (Array.isArray(schema.enum)) schema.enum = [...schema.enum as unknown[], null]
  }
}

function runs (work: () => unknown): boolean {
  try {
    work()
    return true
  } catch {
    return false
  }
}
