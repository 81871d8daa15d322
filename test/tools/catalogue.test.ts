/** What is wrong with an offer is said at the start, with the file and the fault, and nothing is served. */
import { ListToolsResultSchema } from '@modelcontextprotocol/sdk/types.js'
import t from 'tap'
import { buildCatalogue } from '../../src/tools/catalogue.ts'
import { definePrompt, defineResource, defineTool, Type } from '../../src/tools/index.ts'
import type { Definition } from '../../src/tools/tool.ts'

const patterns = new Set(['sql-union'])
const fine = { name: 'fine', description: 'Does well.', input: Type.Object({}), run: () => 'done' }
const offer = (...definitions: Definition[]) => buildCatalogue(definitions.map((definition, i) => ({ from: `tools/${i}.mjs`, definition })), patterns)
const tool = (more: object): Definition => defineTool({ ...fine, ...more } as never)
const resource = (more: object): Definition => defineResource({ uri: 'note://one', name: 'one', read: () => 'text', ...more } as never)
const prompt = (more: object): Definition => definePrompt({ name: 'one', get: () => 'text', ...more } as never)

const deep = (depth: number): object => depth === 0 ? { type: 'string' } : { type: 'object', properties: { a: deep(depth - 1) } }

t.test('each fault is refused with its file and what to mend', async t => {
  const faults: Array<[Definition, RegExp]> = [
    ...['', 'a b', '../x', 'ünï', 'x'.repeat(65), 'a\n', 7].map(name => [tool({ name }), /name must be 1 to 64 characters/] as [Definition, RegExp]),
    [tool({ description: ' ' }), /needs a description/],
    [tool({ run: undefined }), /needs a run function/],
    [tool({ input: Type.String() }), /input must be a schema of an object/],
    [tool({ cost: 0 }), /cost must be/],
    [tool({ cost: 1.5 }), /cost must be/],
    [tool({ timeoutMs: 0 }), /timeoutMs must be/],
    [tool({ rate: { limit: 1, windowMs: 10 } }), /rate must be/],
    [tool({ exempt: { 'no-such': 'reason' } }), /no inspection pattern "no-such"/],
    [tool({ exempt: { 'sql-union': ' ' } }), /needs a reason/],
    [tool({ input: { type: 'object', properties: { a: { $ref: 'https://evil.example/schema.json' } } } }), /only references within the schema/],
    [tool({ input: { type: 'object', properties: { a: { $ref: 'file:///etc/passwd' } } } }), /only references within the schema/],
    [tool({ input: deep(20) }), /nested deeper/],
    [resource({ uri: 'no-scheme' }), /absolute URI/],
    [resource({ uri: 'note://{a}{b}' }), /simple \{variables\} only/],
    [resource({ name: '' }), /needs a name/],
    [resource({ read: 1 }), /needs a read function/],
    [prompt({ name: 'a/b' }), /name must be 1 to 64 characters/],
    [prompt({ get: undefined }), /needs a get function/],
    [{ kind: 'other' } as unknown as Definition, /must export what defineTool/]
  ]
  for (const [definition, fault] of faults) {
    t.throws(() => offer(tool({}), definition), { message: new RegExp(`^tools/1\\.mjs: .*${fault.source}`, 's') }, fault.source)
  }
})

t.test('text that a model reads and a reviewer cannot see is refused, wherever it stands', async t => {
  for (const hidden of ['\u200b', '\u202e', '\u2066', '\ufeff', '\u00ad', '\u{e0041}']) {
    const text = `Tells${hidden} the time.`
    const places = [
      tool({ description: text }), tool({ title: text }), tool({ input: Type.Object({ a: Type.String({ description: text }) }) }),
      tool({ output: Type.Object({ [`a${hidden}`]: Type.String() }) }),
      resource({ description: text }), resource({ name: text }), prompt({ description: text }), prompt({ arguments: [{ name: 'a', description: text }] })
    ]
    for (const place of places) t.throws(() => offer(place), /invisible characters/)
  }
  t.doesNotThrow(() => offer(tool({ description: 'Sagt die Zeit, auch auf 日本語 und عربي.' })), 'languages are not hidden text')
})

t.test('a name is given once, and both files are named', async t => {
  for (const make of [tool, resource, prompt]) t.throws(() => offer(make({}), make({})), { message: /tools\/1\.mjs: .* already defined in tools\/0\.mjs/ })
  t.doesNotThrow(() => offer(tool({ name: 'one' }), prompt({ name: 'one' })), 'a tool and a prompt may share one')
})

t.test('what is offered comes in the order of the names, whatever the order of the files', async t => {
  const names = (...given: string[]) => [...offer(...given.map(name => tool({ name }))).tools.keys()]
  t.strictSame(names('b', 'a', 'C'), names('C', 'b', 'a'))
})

t.test('a schema that some client could not list is refused, with what to write instead', async t => {
  const wrap = /output must be a schema of an object: put it into one, such as Type\.Object\(\{ result: … \}\)/
  for (const output of [Type.Array(Type.String()), Type.String(), Type.Union([Type.String(), Type.Null()]), { anyOf: [{ type: 'object' }, { type: 'string' }] }, {}, Type.Null()]) {
    t.throws(() => offer(tool({ output })), wrap, JSON.stringify(output))
  }
  for (const input of [null, [], 'object', 7]) t.throws(() => offer(tool({ input })), /input must be a schema of an object/)
  t.throws(() => offer(tool({ input: { type: 'object', properties: [] } })), /"properties" must be an object/)
  t.throws(() => offer(tool({ input: { type: 'object', properties: { a: 'string' } } })), /property "a" must be a schema/)
  t.throws(() => offer(tool({ input: { type: 'object', required: 'a' } })), /"required" must be a list/)
  t.throws(() => offer(tool({ title: 7 })), /title must be a text/)
  t.throws(() => offer(tool({ annotations: { readOnlyHint: 'yes' } })), /annotations\.readOnlyHint must be true or false/)
  t.throws(() => offer(resource({ mimeType: 7 })), /mimeType must be a text/)
  t.throws(() => offer(prompt({ arguments: [{ name: 7 }] })), /each argument needs a name/)
  t.throws(() => offer(prompt({ arguments: [{ name: 'a' }, { name: 'a' }] })), /defined twice/)
})

t.test('what is listed is what the oldest client reads', async t => {
  const { tools } = offer(
    tool({ name: 'union', output: Type.Union([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() })]) }),
    tool({ name: 'booleans', input: { type: 'object', properties: { any: true, none: false, __proto__: null } } }),
    tool({ name: 'data', input: { type: 'object', properties: { a: { type: 'object', default: { $ref: 'x' }, examples: [{ $ref: 'y' }] }, $ref: { type: 'string' } } } })
  )
  const listed = JSON.parse(JSON.stringify([...tools.values()].map(({ listed }) => listed))) as unknown
  t.ok(ListToolsResultSchema.safeParse({ tools: listed }).success)
  t.match(tools.get('union')!.listed, { outputSchema: { type: 'object', anyOf: [{}, {}] } })
  t.match(tools.get('booleans')!.listed, { inputSchema: { properties: { any: {}, none: { not: {} } } } })
})

t.test('a reference leads somewhere within the schema and comes to an end', async t => {
  const fine = [
    { $defs: { a: { type: 'string' } }, properties: { x: { $ref: '#/$defs/a' } } }, { $defs: { 'a b/c': { type: 'string' } }, properties: { x: { $ref: '#/$defs/a%20b~1c' } } },
    { $defs: { a: { $anchor: 'here' } }, properties: { x: { $ref: '#here' } } }, { properties: { x: { $ref: '#' } } }, { properties: { children: { type: 'array', items: { $ref: '#' } } } }
  ]
  for (const schema of fine) t.doesNotThrow(() => offer(tool({ input: { type: 'object', ...schema } })), JSON.stringify(schema))
  const faulty: Array<[object, RegExp]> = [
    [{ properties: { x: { $ref: '#/$defs/none' } } }, /refers to "#\/\$defs\/none", which is not in it/], [{ properties: { x: { $ref: '#nowhere' } } }, /not in it/],
    [{ properties: { x: { $ref: 7 } } }, /must be a text/], [{ properties: { x: { $ref: '#/properties/x' } } }, /without end/],
    [{ $ref: '#' }, /without end/], [{ allOf: [{ $ref: '#' }] }, /without end/], [{ $defs: { a: { $ref: '#/$defs/b' }, b: { anyOf: [{ $ref: '#/$defs/a' }] } } }, /without end/],
    [{ properties: { x: { $ref: '#/properties/constructor' } } }, /not in it/], [{ properties: { x: { $ref: '#/%E0%A4%A' } } }, /not in it/]
  ]
  for (const [schema, fault] of faulty) t.throws(() => offer(tool({ input: { type: 'object', ...schema } })), fault, JSON.stringify(schema))
})

t.test('thousands of values, properties or branches are offered and judged', async t => {
  const values = Array.from({ length: 5000 }, (_, i) => `v${i}`)
  const schemas = [
    { properties: { a: { enum: values } } }, { properties: { a: { anyOf: values.map(value => ({ const: value })) } } },
    { properties: Object.fromEntries([['a', { pattern: '^v' }], ...values.map(value => [value, { type: 'string' }])]), additionalProperties: false },
    { properties: { a: { pattern: '^v' } }, dependentRequired: { b: values } }
  ]
  for (const schema of schemas) {
    const { check } = offer(tool({ input: { type: 'object', ...schema } })).tools.get('fine')!.input
    t.ok(check?.fits({ a: 'v4999' }))
    t.notOk(check?.fits({ a: 'x' }))
    t.ok(check!.problems({ a: 'x' }).length > 0)
  }
})
