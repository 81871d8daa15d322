/**
 * Schemas of other libraries (zod, valibot, arktype), by the interface that
 * they share: https://standardschema.dev, version 1, with its part for JSON
 * Schema. Its types are copied here, as the specification allows.
 */
import type { Check } from './schema.ts'
import type { SchemaObject } from './subschemas.ts'

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Validation<Output> | Promise<Validation<Output>>
    readonly jsonSchema?: JsonSchemaWriter | undefined
    readonly types?: { readonly input: Input, readonly output: Output } | undefined
  }
}

interface JsonSchemaWriter {
  readonly input: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>
  readonly output: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>
}

type Validation<Output> =
  | { readonly value: Output, readonly issues?: undefined }
  | { readonly issues: readonly Issue[] }

interface Issue {
  readonly message: string
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined
}

/** What a value is read by, whoever wrote the schema. */
export interface Reader {
  /** Of the built-in kind alone: one yes-or-no question, and the value is used as it came. */
  readonly check?: Check | undefined
  /** What the schema makes of a value: defaults, transforms, members taken off. What its library throws is thrown. */
  read (value: unknown): ReadValue | Promise<ReadValue>
}

/** The value, or what is wrong with it: a sentence each, which may hold parts of the value. */
export type ReadValue = { readonly value: unknown } | { readonly problems: readonly string[] }

const MAX_PROBLEMS = 10

export function isStandardSchema (value: unknown): value is StandardSchema {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  const { '~standard': standard } = value as Partial<StandardSchema>
  return typeof standard?.validate === 'function'
}

export function standardReader ({ '~standard': standard }: StandardSchema): Reader {
  return {
    read (value) {
      const validation = standard.validate(value)
      return validation instanceof Promise ? validation.then(readValue) : readValue(validation)
    }
  }
}

export function builtInReader (check: Check): Reader {
  return { check, read: value => check.fits(value) ? { value } : { problems: check.problems(value, MAX_PROBLEMS) } }
}

/** What authors write in each library where this service cannot take what they wrote. */
const LIBRARIES: ReadonlyMap<string, { readonly object: string, readonly remedy: string }> = new Map([
  ['zod', { object: 'z.object', remedy: 'use zod 4.2 or later, and not zod/mini' }],
  ['valibot', { object: 'v.object', remedy: 'wrap it in toStandardJsonSchema(…) of @valibot/to-json-schema' }],
  ['arktype', { object: 'type', remedy: 'use arktype 2.1.28 or later' }]
])

/** How the schema's library spells a schema of an object; undefined for a library that is not known here. */
export function objectFunctionOf ({ '~standard': { vendor } }: StandardSchema): string | undefined {
  return LIBRARIES.get(vendor)?.object
}

/**
 * The schema in JSON Schema 2020-12, the dialect of MCP, and so without `$schema`.
 *
 * @param side what is sent to it, or what it gives
 * @throws {Error} for the author: the library writes none, or none for this schema
 */
export function jsonSchemaOf (schema: StandardSchema, side: 'input' | 'output'): SchemaObject {
  const { vendor, jsonSchema } = schema['~standard']
  if (typeof jsonSchema?.[side] !== 'function') {
    throw new Error(`${side} is a schema of ${vendor} that cannot be listed: ${remedyFor(vendor)}`)
  }
  const { $schema, ...written } = JSON.parse(JSON.stringify(writtenBy(jsonSchema, side, vendor)))
  return written
}

function writtenBy (writer: JsonSchemaWriter, side: 'input' | 'output', vendor: string): object {
  try {
    return writer[side]({ target: 'draft-2020-12' })
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    const said = words.split('\n', 1)[0]!.slice(0, 300)
    throw new Error(`${side} cannot be written as JSON Schema; ${vendor} says: ${said}`)
  }
}

/** How schemas of this library come to write JSON Schema. */
export function remedyFor (vendor: string): string {
  return LIBRARIES.get(vendor)?.remedy ?? 'use a release of that library which implements Standard JSON Schema'
}

function readValue (validation: Validation<unknown>): ReadValue {
  if (validation.issues === undefined) return { value: validation.value }
  return { problems: validation.issues.slice(0, MAX_PROBLEMS).map(sentence) }
}

/** `path: message`, or the message alone where it names the path itself. */
function sentence ({ message, path = [] }: Issue): string {
  const where = path.map(part => String(typeof part === 'object' ? part.key : part)).join('.')
  return where === '' || message.startsWith(where) ? message : `${where}: ${message}`
}
