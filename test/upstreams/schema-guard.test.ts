import t from 'tap'
import { guardSchema, GuardedCheck, type GuardedSchema } from '../../src/upstreams/schema-guard.ts'

const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more })
const guarded = (schema: object) => guardSchema(schema as Record<string, unknown>) as GuardedSchema
const fits = (schema: object, value: unknown) => new GuardedCheck(guarded(schema).checked).fits(value)

t.test('a schema that could stop a replica is refused by name, at once', async t => {
  const wide = Object.fromEntries(Array.from({ length: 2001 }, (_, i) => [`p${i}`, {}]))
  const doubling = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`d${i}`, { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] }]))
  let deep: object = { type: 'string' }
  for (let i = 0; i < 30; i++) deep = { properties: { a: deep } }
  let deepest: object = {}
  for (let i = 0; i < 200_000; i++) deepest = { a: deepest }
  const wrong: Array<[object, RegExp]> = [
    [{ type: 'string' }, /not the schema of an object/], [{ type: ['object', 'null'] }, /not the schema of an object/],
    [object({ a: { $ref: 'https://evil.example/s.json' } }), /outside of it/], [object({ a: { $ref: 3 } }), /outside of it/],
    [object({ a: { $ref: '#/$defs/none' } }), /no schema is/], [object({ a: { $ref: '#/examples/0' } }, { examples: [{ pattern: '(' }] }), /no schema is/],
    [object({ a: { $ref: '#/properties/a' } }), /without end/], [object({ a: { allOf: [{ $ref: '#/properties/b' }] }, b: { not: { $ref: '#/properties/a' } } }), /without end/],
    [object({}, { $ref: '#' }), /without end/],
    [object({ a: { $ref: '#/$defs/d0' } }, { $defs: { ...doubling, d40: {} } }), /stands for more than/],
    [object(wide), /2000 properties/], [object({ a: { enum: Array.from({ length: 100_000 }, (_, i) => i) } }), /values of enum/],
    [object({ a: { enum: ['x'.repeat(300_000)] } }), /values of enum of more/], [object({ a: { description: 'x'.repeat(70_000) } }), /65536 bytes/],
    [deep, /nested deeper/], [object({}, { 'x-other': deepest }), /nested deeper/], [object({ a: { $id: 'other' } }), /\$id inside/],
    [object({}, { allOf: Array.from({ length: 501 }, () => ({ $ref: '#/$defs/a' })), $defs: { a: {} } }), /500 references/]
  ]
  for (const [schema, fault] of wrong) {
    const begun = performance.now()
    t.match(guardSchema(schema as Record<string, unknown>), { fault })
    t.ok(performance.now() - begun < 30_000)
  }
})

t.test('what is listed is the upstream\'s own text, with the object that goes without saying', async t => {
  const own = object({ a: { type: 'string', format: 'email', pattern: '(a)\\1' } }, { $id: 'urn:x', $schema: 'http://json-schema.org/draft-07/schema#' })
  t.equal(guarded(own).listed, own)
  t.strictSame(guarded({ properties: {} }).listed, { properties: {}, type: 'object' })
  t.match(guarded({ anyOf: [object({})] }), { listed: { anyOf: [{}] }, remarks: ['does not say that it is an object'] })
})

t.test('a pattern takes time in proportion to the text, or is not checked, which is said', async t => {
  const evil = object({ a: { type: 'string', pattern: '^(a+)+$' } })
  const begun = performance.now()
  t.equal(fits(evil, { a: 'a'.repeat(50_000) + '!' }), false)
  t.ok(performance.now() - begun < 30_000)
  t.match(guarded(object({ a: { pattern: '^(?=x)(a+)+$' } })).remarks, [/pattern that is not checked/])
  t.equal(fits(object({ a: { type: 'string', pattern: '^(?=x).*(a+)+$' } }), { a: 'whatever' }), true)
  const names = object({}, { patternProperties: { '^(a+)+$': { type: 'string' } }, additionalProperties: false })
  t.match(guarded(names).remarks, [/names of properties/])
  t.equal(fits(names, { ['a'.repeat(5000) + '!']: 1 }), true)
})

t.test('both dialects and the slips of generators are read as they are meant', async t => {
  t.equal(fits(object({ a: { type: 'string', nullable: true } }), { a: null }), true)
  t.equal(fits(object({ a: { type: 'string', nullable: true, enum: ['x'] } }), { a: null }), true)
  t.equal(fits(object({ a: { type: 'string' } }), { a: null }), false)
  t.equal(fits(object({ a: { type: 'any' } }), { a: 3 }), true)
  t.equal(fits(object({ a: { type: 'number', minimum: 3, exclusiveMinimum: true } }), { a: 3 }), true)
  t.equal(fits(object({ a: { $ref: '#/definitions/d' } }, { definitions: { d: { type: 'integer' } } }), { a: 'x' }), false)
  t.equal(fits(object({ a: { $ref: '#/definitions/d' } }, { definitions: { d: { type: 'integer' } } }), { a: 3 }), true)
  const tree = object({ kids: { type: 'array', items: { $ref: '#' } } }, { additionalProperties: false })
  t.equal(fits(tree, { kids: [{ kids: [] }] }), true)
  t.equal(fits(tree, { kids: [{ kid: [] }] }), false)
})

t.test('what cannot be checked is not called', async t => {
  const check = new GuardedCheck({ type: 'object', properties: { a: { $ref: '#/nowhere' } } })
  t.equal(check.fits({ a: 1 }), false)
  t.ok(check.problems({ a: 1 }).length > 0)
})
