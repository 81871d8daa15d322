/** The document of the management API (OpenAPI 3.1), made of the table of operations. */
import type { Operation } from './operation.ts'

type JsonSchema = Record<string, unknown>

interface Documented {
  readonly title: string
  readonly version: string
}

/** Named schemas stand once, under `components`. */
export function openApi (operations: readonly Operation[], { title, version }: Documented): JsonSchema {
  const schemas: Record<string, JsonSchema> = { Problem: PROBLEM }
  const paths: Record<string, Record<string, JsonSchema>> = {}
  for (const operation of operations) {
    const path = operation.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: described(operation, schemas) }
  }
  return {
    openapi: '3.1.0',
    info: { title, version },
    paths,
    components: {
      schemas,
      securitySchemes: {
        key: {
          type: 'http',
          scheme: 'bearer',
          description: 'An operator key, or a token with a scope `mcp:operator:<pattern>`.'
        }
      }
    },
    security: [{ key: [] }]
  }
}

function described (operation: Operation, schemas: Record<string, JsonSchema>): JsonSchema {
  const { name, summary, needs, method, path, input, output, status = 200, versioned } = operation
  const { properties = {}, required = [] } = plain(input) as InputSchema
  const members = Object.entries(properties).map(([member, schema]) => [member, hoisted(schema, schemas)] as const)
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, member]) => member!)
  const rest = members.filter(([member]) => !inPath.includes(member))
  const inBody = method === 'POST' || method === 'PATCH'
  const parameters = [
    ...members.filter(([member]) => inPath.includes(member))
      .map(([member, schema]) => ({ name: member, in: 'path', required: true, schema })),
    ...(inBody ? [] : rest)
      .map(([member, schema]) => ({ name: member, in: 'query', required: required.includes(member), schema })),
    ...(versioned === true ? [header('If-Match', true, 'The ETag of what is changed, or `*`.')] : []),
    ...(method === 'POST' ? [header('Idempotency-Key', false, 'Repeated with the same body: the same answer.')] : [])
  ]
  const body = {
    type: 'object',
    properties: Object.fromEntries(rest),
    required: required.filter(member => !inPath.includes(member)),
    additionalProperties: false
  }
  return {
    operationId: name,
    summary,
    description: `Needs \`${needs}\`.`,
    parameters,
    ...(inBody && rest.length > 0 ? { requestBody: { required: true, ...content('application/json', body) } } : {}),
    responses: {
      [status]: status === 204
        ? { description: 'Done.' }
        : { description: 'Done.', ...content('application/json', hoisted(plain(output), schemas)) },
      default: {
        description: 'Refused.',
        ...content('application/problem+json', { $ref: '#/components/schemas/Problem' })
      }
    }
  }
}

interface InputSchema {
  readonly properties?: Record<string, JsonSchema>
  readonly required?: string[]
}

function content (type: string, schema: JsonSchema) {
  return { content: { [type]: { schema } } }
}

function header (name: string, required: boolean, description: string): JsonSchema {
  return { name, in: 'header', required, description, schema: { type: 'string' } }
}

/** A schema with those that have a title moved to the components. */
function hoisted (schema: JsonSchema, schemas: Record<string, JsonSchema>): JsonSchema {
  const members = Object.fromEntries(Object.entries(schema).map(([key, value]) => {
    if (!isObject(value)) return [key, value]
    return [key, key === 'properties' ? hoistedMembers(value, schemas) : hoisted(value, schemas)]
  }))
  const { title } = members
  if (typeof title !== 'string') return members
  schemas[title] = members
  return { $ref: `#/components/schemas/${title}` }
}

function hoistedMembers (properties: JsonSchema, schemas: Record<string, JsonSchema>): JsonSchema {
  const members = Object.entries(properties) as Array<[string, JsonSchema]>
  return Object.fromEntries(members.map(([name, schema]) => [name, hoisted(schema, schemas)]))
}

function isObject (value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Without what a library keeps beside it. */
function plain (schema: object): JsonSchema {
  return JSON.parse(JSON.stringify(schema)) as JsonSchema
}

/** RFC 9457, and what every refusal of this service says. */
const PROBLEM: JsonSchema = {
  title: 'Problem',
  type: 'object',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    instance: { type: 'string', description: 'The request id.' },
    error: { type: 'string', description: 'The reason, as docs/errors.md lists it.' },
    requestId: { type: 'string' },
    problems: {
      type: 'array', items: { type: 'object', properties: { path: { type: 'string' }, message: { type: 'string' } } }
    }
  },
  required: ['type', 'title', 'status', 'detail', 'instance', 'error', 'requestId']
}
