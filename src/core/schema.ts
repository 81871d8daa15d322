/** One validator for every schema in this service: compiled once, says in plain words what is wrong. */
import { Compile } from 'typebox/compile'
import type { TSchema } from 'typebox'
import { Check as interpret, Errors as errorsOf } from 'typebox/value'
import { linearPattern, requireNoBacktracking } from './linear-pattern.ts'
import { mapSchemas, type SchemaObject } from './subschemas.ts'

export interface Check {
  /** Whether the value fits. Coerces nothing, drops nothing. */
  fits (value: unknown): boolean
  /** What is wrong, one short sentence each, at most `most`; never the value itself. */
  problems (value: unknown, most?: number): string[]
}

/**
 * Patterns run in time proportional to the text, whatever their authors wrote.
 *
 * @throws {Error} if the schema itself cannot be compiled, or one of its patterns cannot be run so
 */
export function compileSchema (schema: TSchema | Record<string, unknown>): Check {
  const { check, errors } = validatorOf(mapSchemas(schema as SchemaObject, withLinearKeywords) as TSchema)
  return {
    fits: check,
    problems (value, most = 10) {
      const found = errors(value)
      const told = found.filter(problem => !repeated(problem))
      // The validator stops after a few: of many extra properties the sentence that names them all is not among those.
      return [...new Set((told.length === 0 ? found : told).map(describe))].slice(0, most)
    }
  }
}

interface Refinement { check (value: unknown): boolean, error (value: unknown): string }

/** What the validator would do in more than linear time, done otherwise. */
function withLinearKeywords (schema: Record<string, unknown>): void {
  if (typeof schema.pattern === 'string') schema.pattern = linearPattern(schema.pattern)
  // Keys are strings: the validator makes expressions of them itself.
  for (const key of Object.keys(schema.patternProperties ?? {})) requireNoBacktracking(key)
  // The validator's own report of doubles copies a list for each.
  if (schema.uniqueItems === true) {
    delete schema.uniqueItems
    schema['~refine'] = [
      ...((schema['~refine'] as readonly Refinement[] | undefined) ?? []),
      { check: hasNoDoubles, error: () => 'must not have duplicate items' }
    ]
  }
}

function hasNoDoubles (value: unknown): boolean {
  return !Array.isArray(value) || new Set(value.map(identityOf)).size === value.length
}

/** Equal for what JSON Schema calls equal: members in whatever order. */
function identityOf (value: unknown): unknown {
  return typeof value === 'object' && value !== null
    ? JSON.stringify(value, inOrder)
    : typeof value === 'string'
      ? `"${value}`
      : value
}

function inOrder (_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
}

/**
 * Compiled; interpreted where the compiled code would be nested too deeply for the stack, as for an enum of
 * thousands of values.
 */
function validatorOf (schema: TSchema): {
  check: (value: unknown) => boolean
  errors: (value: unknown) => readonly Problem[]
} {
  try {
    const compiled = Compile(schema)
    return { check: value => compiled.Check(value), errors: value => compiled.Errors(value) }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { check: value => interpret(schema, value), errors: value => errorsOf(schema, value) }
  }
}

interface Problem { keyword?: string, schemaPath?: string, instancePath?: string, message?: string, params?: unknown }

/**
 * A property that is not allowed is reported twice, by itself and by the object that holds it; the second
 * says it in words.
 */
function repeated ({ keyword, schemaPath = '' }: Problem): boolean {
  return keyword === 'boolean' && schemaPath.endsWith('/additionalProperties')
}

function describe ({ keyword, instancePath = '', message = 'does not fit', params }: Problem): string {
  const where = instancePath.slice(1).replaceAll('/', '.')
  return `${where === '' ? '' : where + ' '}${inWords(keyword, params) ?? message}`
}

/** Where the validator's own words speak to whoever wrote the schema, and not to whoever fills it in. */
function inWords (keyword: string | undefined, params: unknown): string | undefined {
  if (keyword === 'boolean') return 'is not allowed'
  const { additionalProperties: extra } = params as { additionalProperties?: string[] }
  if (keyword !== 'additionalProperties' || extra === undefined) return undefined
  return `must not have the ${extra.length === 1 ? 'property' : 'properties'} ${extra.map(String).join(', ').slice(0, 200)}`
}
