/** One validator for every schema in this service: compiled once, says in plain words what is wrong. */
import { Compile } from 'typebox/compile'
import type { TSchema } from 'typebox'
import { Check as interpret, Errors as errorsOf } from 'typebox/value'

export interface Check {
  /** Whether the value fits. Coerces nothing, drops nothing. */
  fits (value: unknown): boolean
  /** What is wrong, one short sentence each, at most `most`; never the value itself. */
  problems (value: unknown, most?: number): string[]
}

/** @throws {Error} if the schema itself cannot be compiled */
export function compileSchema (schema: TSchema | Record<string, unknown>): Check {
  const { check, errors } = validatorOf(schema as TSchema)
  return {
    fits: check,
    problems (value, most = 10) {
      return [...new Set(errors(value).filter(problem => !repeated(problem)).map(describe))].slice(0, most)
    }
  }
}

/** Compiled; interpreted where the compiled code would be nested too deeply for the stack, as for an enum of thousands of values. */
function validatorOf (schema: TSchema): { check: (value: unknown) => boolean, errors: (value: unknown) => readonly Problem[] } {
  try {
    const compiled = Compile(schema)
    return { check: value => compiled.Check(value), errors: value => compiled.Errors(value) }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { check: value => interpret(schema, value), errors: value => errorsOf(schema, value) }
  }
}

interface Problem { keyword?: string, schemaPath?: string, instancePath?: string, message?: string, params?: unknown }

/** A property that is not allowed is reported twice, by itself and by the object that holds it; the second says it in words. */
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
