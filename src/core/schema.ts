/** One validator for every schema in this service: compiled once, says in plain words what is wrong. */
import { Compile } from 'typebox/compile'
import type { TSchema } from 'typebox'

export interface Check {
  /** Whether the value fits. Coerces nothing, drops nothing. */
  fits (value: unknown): boolean
  /** What is wrong, one short sentence each, at most `most`; never the value itself. */
  problems (value: unknown, most?: number): string[]
}

/** @throws {Error} if the schema itself cannot be compiled */
export function compileSchema (schema: TSchema | Record<string, unknown>): Check {
  const compiled = Compile(schema as TSchema)
  return {
    fits: value => compiled.Check(value),
    problems (value, most = 10) {
      return [...new Set([...compiled.Errors(value)].map(describe))].slice(0, most)
    }
  }
}

interface Problem { keyword?: string, instancePath?: string, message?: string, params?: unknown }

function describe ({ instancePath = '', message = 'does not fit', params }: Problem): string {
  const where = instancePath.slice(1).replaceAll('/', '.')
  const names = params as { requiredProperties?: string[], additionalProperties?: string[] } | undefined
  const detail = names?.additionalProperties !== undefined ? `: ${names.additionalProperties.map(String).join(', ').slice(0, 200)}` : ''
  return `${where === '' ? '' : where + ' '}${message}${detail}`
}
