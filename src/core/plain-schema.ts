/**
 * JSON Schema as settings and stored records use it, and its check. The
 * validator of tools can do all of JSON Schema; loading it takes 20 MB and a
 * fifth of a second, which a command in a full container does not have
 * (docs/decisions/0072-commands-load-little.md).
 */
export interface PlainSchema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean'
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, PlainSchema>>
  readonly required?: readonly string[]
  /** Of members that `properties` does not name; true unless said. */
  readonly additionalProperties?: boolean | PlainSchema
  readonly items?: PlainSchema
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
}

/** What is wrong with a value, at most ten sentences; never the value itself. */
export function faultsIn (schema: PlainSchema, value: unknown): string[] {
  const faults: string[] = []
  look(schema, value, '', faults)
  return faults.slice(0, 10)
}

export function fits (schema: PlainSchema, value: unknown): boolean {
  return faultsIn(schema, value).length === 0
}

function look (schema: PlainSchema, value: unknown, at: string, faults: string[]): void {
  const wrong = (what: string) => { faults.push(`${at === '' ? '' : `${at} `}${what}`) }
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    return wrong(
      `must be ${schema.enum
        .map(String)
        .join(', ')
        .replace(/, (?=[^,]*$)/, ' or ')}`
    )
  }
  switch (schema.type) {
    case 'integer':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) wrong('must be a whole number')
      else if (value < (schema.minimum ?? -Infinity) || value > (schema.maximum ?? Infinity)) {
        wrong(`must be from ${schema.minimum ?? 'any'} to ${schema.maximum ?? 'any'}`)
      }
      return
    case 'boolean':
      if (typeof value !== 'boolean') wrong('must be true or false')
      return
    case 'string': return lookAtText(schema, value, wrong)
    case 'array':
      if (!Array.isArray(value)) return wrong('must be a list')
      if (value.length > (schema.maxItems ?? Infinity)) wrong(`must have at most ${schema.maxItems} items`)
      if (schema.items !== undefined) {
        for (const [i, item] of value.entries()) look(schema.items, item, inside(at, String(i)), faults)
      }
      return
    case 'object': return lookAtObject(schema, value, at, faults)
  }
}

function lookAtText (
  { minLength = 0, maxLength = Infinity, pattern }: PlainSchema,
  value: unknown,
  wrong: (what: string) => void
): void {
  if (typeof value !== 'string') wrong('must be a text')
  else if (value.length < minLength || value.length > maxLength) {
    wrong(`must have ${minLength} to ${maxLength} characters`)
  } else if (pattern !== undefined && !expressionOf(pattern).test(value)) wrong('has a form that is not allowed')
}

function lookAtObject (
  { properties = {}, required = [], additionalProperties: others = true }: PlainSchema,
  value: unknown,
  at: string,
  faults: string[]
): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    faults.push(`${at === '' ? '' : `${at} `}must be an object`)
    return
  }
  for (const name of required) if (!Object.hasOwn(value, name)) faults.push(`${inside(at, name)} is missing`)
  for (const [name, inner] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name]! : others
    // An absent member may be spelled so in this process; JSON has no such value.
    if (known === true || inner === undefined) continue
    if (known === false) faults.push(`${inside(at, name)} is not allowed`)
    else look(known, inner, inside(at, name), faults)
  }
}

const inside = (at: string, name: string) => at === '' ? name.slice(0, 64) : `${at}.${name.slice(0, 64)}`

/** Patterns come from the source, so there are few. */
const expressions = new Map<string, RegExp>()

function expressionOf (pattern: string): RegExp {
  const known = expressions.get(pattern) ?? new RegExp(pattern, 'u')
  expressions.set(pattern, known)
  return known
}
