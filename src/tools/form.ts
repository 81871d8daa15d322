/** A form that a client shows to its user, from an author's schema. */
import { isStandardSchema, jsonSchemaOf } from '../core/standard-schema.ts'

/**
 * What clients know of a form is a flat object (MCP 2025-11-25, client/elicitation, Requested Schema). Other
 * libraries write more than that, such as the expression that finds an email address: the form leaves it out,
 * and `context.answer` checks it.
 *
 * @throws {Error} for a schema that its library cannot write
 */
export function formOf (schema: object): object {
  if (!isStandardSchema(schema)) return schema
  const { type, properties, required } = jsonSchemaOf(schema, 'input')
  const fields = Object.entries(properties ?? {}).map(([name, { pattern, ...field }]) => [name, field])
  return { type, properties: Object.fromEntries(fields), ...(required === undefined ? {} : { required }) }
}
