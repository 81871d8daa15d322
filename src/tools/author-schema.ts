/** A schema of an author, in TypeBox, JSON Schema or another library: as clients see it, and as it reads values. */
import { compileSchema } from '../core/schema.ts'
import {
  builtInReader, isStandardSchema, jsonSchemaOf, objectFunctionOf, remedyFor, standardReader,
  type Reader, type StandardSchema
} from '../core/standard-schema.ts'
import type { SchemaObject } from '../core/subschemas.ts'
import { listableSchema, schemaFault } from './schema-fault.ts'

export interface AuthorSchema {
  /** As it is listed. */
  readonly listed: SchemaObject
  readonly reader: Reader
}

const TYPEBOX = 'Type.Object'

/**
 * Check and compile a schema of an object.
 *
 * @param side `input`: values are sent to it, `output`: clients get what it gives
 * @throws {Error} the fault and its remedy, for the author
 */
export function authorSchema (given: unknown, side: 'input' | 'output'): AuthorSchema {
  if (!isSchema(given)) throw new Error(`${side} must be a schema of an object, such as ${TYPEBOX}({})`)
  const written = writtenSchema(given, side)
  const fault = schemaFault(written)
  if (fault !== undefined) throw new Error(`${fault} (${side})`)
  const listable = listableSchema(written, `${objectFunction(given)}({ result: … })`)
  if ('fault' in listable) throw new Error(`${side} ${listable.fault}`)
  return { listed: listable.schema, reader: readerOf(given) }
}

/** What values are read by. @throws {Error} for a schema that cannot be compiled */
export function readerOf (given: object): Reader {
  if (isStandardSchema(given)) return standardReader(given)
  try {
    return builtInReader(compileSchema(given))
  } catch (error) {
    throw new Error(`its schema cannot be compiled: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function isSchema (given: unknown): given is SchemaObject | StandardSchema {
  return isStandardSchema(given) || (typeof given === 'object' && given !== null && !Array.isArray(given))
}

/** As plain JSON: what another library writes, or the schema without TypeBox's hidden members. @throws {Error} */
function writtenSchema (given: SchemaObject | StandardSchema, side: 'input' | 'output'): SchemaObject {
  if (isStandardSchema(given)) return jsonSchemaOf(given, side)
  const member = Object.values(given).find(isStandardSchema)
  if (member !== undefined) {
    throw new Error(`${side} holds schemas and is none itself: wrap it in ${objectFunction(member)}({…})`)
  }
  if ('_def' in given) throw new Error(`${side} is a schema that cannot be listed: ${remedyFor('zod')}`)
  return JSON.parse(JSON.stringify(given))
}

function objectFunction (given: unknown): string {
  return (isStandardSchema(given) ? objectFunctionOf(given) : undefined) ?? TYPEBOX
}
