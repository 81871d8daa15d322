/** One tool, one prompt and one form in each library: the same list entry but for wording, the same values, the same refusals. */
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import t from 'tap'
import * as v from 'valibot'
import { z } from 'zod'
import * as mini from 'zod/mini'
import { buildCatalogue } from '../../src/tools/catalogue.ts'
import { ask, definePrompt, defineTool, elicit, ToolError, Type, type Definition, type Schema } from '../../src/tools/index.ts'
import { build, messageOf, modern, META } from '../support/app.ts'

const NUMBER = '^[0-9]{1,10}$'
const OPEN = { MCP_AUTH_ENABLED: 'false', RATE_LIMIT_DEFAULT: '100000' }

const libraries: Record<string, { input: Schema, output: Schema, form: Schema, words: Schema, fillsIn: boolean }> = {
  TypeBox: {
    input: Type.Object({ number: Type.String({ pattern: NUMBER }), limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 50, default: 10 })) }, { additionalProperties: false }),
    output: Type.Object({ state: Type.Union([Type.Literal('open'), Type.Literal('shipped')]), limit: Type.Optional(Type.Number()) }, { additionalProperties: false }),
    form: Type.Object({ sure: Type.Boolean() }),
    words: Type.Object({ number: Type.String({ pattern: NUMBER, description: 'Of the order.' }), style: Type.Optional(Type.String()) }),
    fillsIn: false
  },
  'JSON Schema': {
    input: { type: 'object', properties: { number: { type: 'string', pattern: NUMBER }, limit: { type: 'integer', minimum: 1, maximum: 50, default: 10 } }, required: ['number'], additionalProperties: false },
    output: { type: 'object', properties: { state: { enum: ['open', 'shipped'] }, limit: { type: 'number' } }, required: ['state'], additionalProperties: false },
    form: { type: 'object', properties: { sure: { type: 'boolean' } }, required: ['sure'] },
    words: { type: 'object', properties: { number: { type: 'string', pattern: NUMBER, description: 'Of the order.' }, style: { type: 'string' } }, required: ['number'] },
    fillsIn: false
  },
  zod: {
    input: z.strictObject({ number: z.string().regex(new RegExp(NUMBER)), limit: z.int().min(1).max(50).default(10) }),
    output: z.object({ state: z.enum(['open', 'shipped']), limit: z.number().optional() }),
    form: z.object({ sure: z.boolean() }),
    words: z.object({ number: z.string().regex(new RegExp(NUMBER)).describe('Of the order.'), style: z.string().optional() }),
    fillsIn: true
  },
  valibot: {
    input: toStandardJsonSchema(v.strictObject({ number: v.pipe(v.string(), v.regex(new RegExp(NUMBER))), limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(50)), 10) })),
    output: toStandardJsonSchema(v.object({ state: v.picklist(['open', 'shipped']), limit: v.optional(v.number()) })),
    form: toStandardJsonSchema(v.object({ sure: v.boolean() })),
    words: toStandardJsonSchema(v.object({ number: v.pipe(v.string(), v.regex(new RegExp(NUMBER)), v.description('Of the order.')), style: v.optional(v.string()) })),
    fillsIn: true
  },
  arktype: {
    input: type({ '+': 'reject', number: /^[0-9]{1,10}$/, limit: '1 <= number.integer <= 50 = 10' }),
    output: type({ '+': 'delete', state: "'open' | 'shipped'", 'limit?': 'number' }),
    form: type({ sure: 'boolean' }),
    words: type({ number: type(/^[0-9]{1,10}$/).describe('Of the order.'), 'style?': 'string' }),
    fillsIn: true
  }
}

/** A list entry without what each library words its own way: defaults, the spelling of a choice, closed objects of output. */
function comparable ({ inputSchema, outputSchema, ...rest }: any) {
  const { properties: { number, limit }, required, type, additionalProperties } = inputSchema
  const { default: _default, ...bounds } = limit
  const { state } = outputSchema.properties
  const choice = state.enum ?? state.anyOf.map((branch: { const: string }) => branch.const)
  return { ...rest, type, required, additionalProperties, number, bounds, output: { type: outputSchema.type, required: outputSchema.required, choice: [...choice].sort() } }
}

const toolOf = (input: Schema, output: Schema, run: (values: any) => unknown): Definition =>
  defineTool({ name: 'get_order', description: 'Look up one order.', input, output: output as never, run: run as never })

async function call (app: Parameters<typeof modern>[0], args: unknown, name = 'get_order') {
  return messageOf(await modern(app, 'tools/call', { name, arguments: args })).result
}

for (const [library, { input, output, form, words, fillsIn }] of Object.entries(libraries)) {
  t.test(library, async t => {
    const got: any[] = []
    const answers: Record<string, unknown> = {
      1: { state: 'open' },
      2: { state: 'lost' },
      3: { content: [{ type: 'text', text: 'no such order' }], isError: true },
      4: { content: [{ type: 'text', text: 'see' }], structuredContent: { state: 'shipped' } },
      5: 'open',
      6: { content: [{ type: 'text', text: 'see' }] }
    }
    const { app, lines } = await build(t, {
      env: OPEN,
      tools: [
        toolOf(input, output, values => { got.push(values); return answers[values.number] }),
        defineTool({
          name: 'delete_order',
          description: 'Delete an order.',
          input: Type.Object({}),
          run: (_input, context) => {
            if (context.answers.sure === undefined) return ask({ sure: elicit('Really?', form) })
            return JSON.stringify(context.answer('sure', form) ?? 'kept')
          }
        }),
        definePrompt({ name: 'summarise', input: words, complete: { style: typed => ['short', 'long'].filter(style => style.startsWith(typed)) }, get: values => `Summarise ${JSON.stringify(values)}` })
      ]
    })

    await t.test('is listed alike', async t => {
      const listed = messageOf(await modern(app, 'tools/list')).result.tools.find(({ name }: { name: string }) => name === 'get_order')
      t.strictSame(comparable(listed), {
        name: 'get_order',
        description: 'Look up one order.',
        type: 'object',
        required: ['number'],
        additionalProperties: false,
        number: { type: 'string', pattern: NUMBER },
        bounds: { type: 'integer', minimum: 1, maximum: 50 },
        output: { type: 'object', required: ['state'], choice: ['open', 'shipped'] }
      })
      t.equal(listed.inputSchema.$schema, undefined)
      const { prompts } = messageOf(await modern(app, 'prompts/list')).result
      t.strictSame(prompts, [{ name: 'summarise', arguments: [{ name: 'number', description: 'Of the order.', required: true }, { name: 'style' }] }])
    })

    await t.test('hands over what the schema makes of the arguments', async t => {
      t.match(await call(app, { number: '1', limit: 20 }), { structuredContent: { state: 'open' }, content: [{ text: '{"state":"open"}' }] })
      await call(app, { number: '1' })
      t.strictSame(got, [{ number: '1', limit: 20 }, fillsIn ? { number: '1', limit: 10 } : { number: '1' }])
    })

    await t.test('refuses the same arguments, and tells which', async t => {
      got.length = 0
      for (const [args, where] of [
        [{ number: 'x' }, /number/], [{ number: 1 }, /number/], [{}, /number/], [{ number: '1', limit: 'a' }, /limit/], [{ number: '1', limit: 51 }, /limit/],
        [{ number: '1', limit: 1.5 }, /limit/], [{ number: '1', extra: true }, /extra/], [{ number: '1', limit: null }, /limit/]
      ] as Array<[object, RegExp]>) {
        const result = await call(app, args)
        t.match(result, { isError: true, content: [{ text: /^Invalid arguments: / }] }, JSON.stringify(args))
        t.match(result.content[0].text, where)
      }
      t.match(messageOf(await modern(app, 'tools/call', { name: 'get_order', arguments: ['1'] })), { error: { code: -32602 } }, 'no object')
      const decisions = lines.filter(({ decision }) => decision === 'INVALID_ARGUMENTS')
      t.equal(decisions.length, 8)
      t.ok(decisions.every(({ rule }) => rule === 'input schema'))
      t.strictSame(got, [], 'nothing ran')
    })

    await t.test('says little of a long argument, and nothing of a credential', async t => {
      const key = `mcpk_${'a'.repeat(16)}_${'b'.repeat(43)}`
      for (const number of ['y'.repeat(5000), key, `${'y '.repeat(70)}${key}`]) {
        const { content: [{ text }] } = await call(app, { number })
        t.ok(text.length < 300, `${text.length} characters`)
        t.notMatch(text, /b{5}/)
      }
    })

    await t.test('looks through what was sent before the library sees it', async t => {
      t.match(await call(app, { number: '../../etc/passwd' }), { isError: true })
      t.match(await call(app, { number: '$(rm -rf /)', limit: 3 }), { isError: true })
    })

    await t.test('holds results to the schema', async t => {
      t.match(await call(app, { number: '2' }), { isError: true, content: [{ text: 'Internal error' }] })
      t.match(await call(app, { number: '5' }), { isError: true, content: [{ text: 'Internal error' }] })
      t.match(await call(app, { number: '6' }), { isError: true, content: [{ text: 'Internal error' }] })
      t.match(await call(app, { number: '3' }), { isError: true, content: [{ text: 'no such order' }] })
      t.match(await call(app, { number: '4' }), { content: [{ text: 'see' }], structuredContent: { state: 'shipped' } })
      t.match(lines.filter(({ msg }) => msg === 'tool returned what cannot be sent').map(({ fault }) => fault), Array.from({ length: 3 }, () => /does not fit its output schema/))
    })

    await t.test('reads arguments of prompts', async t => {
      const get = async (args: object) => messageOf(await modern(app, 'prompts/get', { name: 'summarise', arguments: args }))
      t.match(await get({ number: '7', style: 'short' }), { result: { messages: [{ content: { text: 'Summarise {"number":"7","style":"short"}' } }] } })
      t.match(await get({ style: 'short' }), { error: { code: -32602, message: 'Missing arguments: number' } })
      t.match(await get({ number: 'x' }), { error: { code: -32602, message: /^Invalid arguments: .*number/ } })
      t.match(messageOf(await modern(app, 'completion/complete', { ref: { type: 'ref/prompt', name: 'summarise' }, argument: { name: 'style', value: 's' } })).result, { completion: { values: ['short'] } })
    })

    await t.test('asks by a form, and reads the answer', async t => {
      const meta = { ...META, 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }
      const ask = async (more: object = {}) => messageOf(await modern(app, 'tools/call', { name: 'delete_order', arguments: {}, _meta: meta, ...more }))
      const { result: { inputRequests, requestState } } = await ask()
      t.strictSame(inputRequests.sure.params.requestedSchema, { type: 'object', properties: { sure: { type: 'boolean' } }, required: ['sure'] })
      const told = async (answer: object) => {
        const message = await ask({ requestState, inputResponses: { sure: answer } })
        return message.result?.content[0].text ?? message.error?.message
      }
      t.equal(await told({ action: 'accept', content: { sure: true } }), '{"sure":true}')
      for (const action of ['decline', 'cancel']) t.equal(await told({ action }), '"kept"')
      t.match(await told({ action: 'accept', content: { sure: 'yes' } }), /does not fit/)
    })
  })
}

t.test('members that the output schema does not declare stay here', async t => {
  const { app } = await build(t, {
    env: OPEN,
    tools: [
      defineTool({ name: 'get_order', description: 'd', input: z.object({}), output: z.object({ got: z.number() }), run: () => ({ got: 1, secret: 'canary' }) }),
      defineTool({ name: 'in_content', description: 'd', input: z.object({}), output: z.object({ got: z.number() }), run: () => ({ content: [], structuredContent: { got: 1, secret: 'canary' } }) })
    ]
  })
  for (const name of ['get_order', 'in_content']) {
    const result = await call(app, {}, name)
    t.strictSame(result.structuredContent, { got: 1 })
    t.notMatch(JSON.stringify(result), /canary/)
  }
})

t.test('validation that waits ends with the call', async t => {
  let ran = 0
  let release = (): void => {}
  const tool = (name: string, refine: (value: string) => Promise<boolean>, timeoutMs: number, output?: z.ZodType) =>
    defineTool({ name, description: 'd', input: z.object({ a: output === undefined ? z.string().refine(refine) : z.string() }), output: output as never, timeoutMs, run: () => { ran++; return { a: 'x' } as never } })
  const { app, lines } = await build(t, {
    env: OPEN,
    tools: [
      tool('checks', async value => value === 'x', 30_000),
      tool('never', async () => await new Promise(resolve => { release = () => resolve(true) }), 20),
      tool('never_out', async () => true, 20, z.object({ a: z.string().refine(async () => await new Promise(() => {})) })),
      tool('waits_out', async () => true, 30_000, z.object({ a: z.string().refine(async value => value === 'y') })),
      defineTool({ name: 'throws', description: 'd', input: z.object({ a: z.string().transform(() => { throw new Error('canary') }) }), run: () => { ran++; return 'ran' } }),
      defineTool({ name: 'tells', description: 'd', input: z.object({ a: z.string().transform(() => { throw new ToolError('Not today') }) }), run: () => { ran++; return 'ran' } })
    ]
  })
  t.match(await call(app, { a: 'x' }, 'checks'), { content: [{ text: '{"a":"x"}' }] })
  t.match(await call(app, { a: 'y' }, 'checks'), { isError: true, content: [{ text: /^Invalid arguments: a: / }] })
  ran = 0
  t.match(await call(app, { a: 'x' }, 'never'), { isError: true, content: [{ text: /longer than 20 ms/ }] })
  release()
  await new Promise(resolve => setImmediate(resolve))
  t.equal(ran, 0, 'a call that was given up does not run when its arguments are read at last')
  t.match(await call(app, { a: 'x' }, 'never_out'), { isError: true, content: [{ text: /longer than 20 ms/ }] })
  t.match(await call(app, { a: 'x' }, 'waits_out'), { isError: true, content: [{ text: 'Internal error' }] })
  ran = 0
  t.match(await call(app, { a: 'x' }, 'throws'), { isError: true, content: [{ text: 'Internal error' }] })
  t.match(lines.find(({ msg }) => msg === 'tool failed'), { tool: 'throws', err: { message: 'canary' } })
  t.match(await call(app, { a: 'x' }, 'tells'), { isError: true, content: [{ text: 'Not today' }] })
  t.equal(ran, 0)
})

t.test('a form asks for what clients can show, and its library checks the rest', async t => {
  const email = z.object({ email: z.email().refine(address => address.endsWith('@example.com'), 'is no address of ours') })
  const { app } = await build(t, {
    env: OPEN,
    tools: [defineTool({ name: 'invite', description: 'd', input: z.object({}), run: (_input, { answer, answers }) => answers.who === undefined ? ask({ who: elicit('Who?', email) }) : `invited ${answer('who', email)?.email}` })]
  })
  const meta = { ...META, 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }
  const send = async (more: object = {}) => messageOf(await modern(app, 'tools/call', { name: 'invite', arguments: {}, _meta: meta, ...more })).result
  const { inputRequests, requestState } = await send()
  t.strictSame(inputRequests.who.params.requestedSchema, { type: 'object', properties: { email: { type: 'string', format: 'email' } }, required: ['email'] })
  const answer = async (email: string) => await send({ requestState, inputResponses: { who: { action: 'accept', content: { email } } } })
  t.match(await answer('ann@example.com'), { content: [{ text: 'invited ann@example.com' }] })
  t.match(await answer('ann@example.net'), { isError: true, content: [{ text: 'The answer "who" does not fit: email: is no address of ours' }] })
})

t.test('a schema that cannot be used is refused at start with file, tool and remedy', async t => {
  const offer = (definition: Definition) => buildCatalogue([{ from: 'tools/order.ts', definition }], new Set<string>())
  const tool = (more: object) => defineTool({ name: 'get_order', description: 'd', input: z.object({}), run: () => '', ...more } as never)
  const prompt = (more: object) => definePrompt({ name: 'summarise', get: () => '', ...more } as never)
  const refusals: Array<[unknown, RegExp]> = [
    [v.object({ a: v.string() }), /is a schema of valibot that cannot be listed: wrap it in toStandardJsonSchema\(…\) of @valibot\/to-json-schema/],
    [mini.object({ a: mini.string() }), /is a schema of zod that cannot be listed: use zod 4\.2 or later, and not zod\/mini/],
    [{ '~standard': { version: 1, vendor: 'other', validate: () => ({ value: 1 }) } }, /is a schema of other that cannot be listed: use a release of that library/],
    [z.string(), /must be a schema of an object: put it into one, such as z\.object\(\{ result: … \}\)/],
    [z.array(z.string()), /must be a schema of an object: put it into one, such as z\.object/],
    [toStandardJsonSchema(v.string()), /must be a schema of an object: put it into one, such as v\.object/],
    [type('string'), /must be a schema of an object: put it into one, such as type\(/],
    [z.object({ at: z.date() }), /cannot be written as JSON Schema; zod says: Date cannot be represented/],
    [z.object({ at: z.bigint() }), /cannot be written as JSON Schema; zod says: BigInt cannot be represented/],
    [{ a: z.string() }, /holds schemas and is none itself: wrap it in z\.object\(\{…\}\)/],
    [{ a: v.string() }, /holds schemas and is none itself: wrap it in v\.object\(\{…\}\)/],
    [{ a: type('string') }, /holds schemas and is none itself: wrap it in type\(\{…\}\)/],
    [{ _def: { typeName: 'ZodObject' } }, /is a schema that cannot be listed: use zod 4\.2/],
    [z.object, /must be a schema of an object, such as Type\.Object\(\{\}\)/]
  ]
  for (const [schema, fault] of refusals) {
    for (const side of ['input', 'output']) t.throws(() => offer(tool({ [side]: schema })), { message: new RegExp(`^tools/order\\.ts: tool "get_order": ${side} ${fault.source}`) }, fault.source)
  }
  t.throws(() => offer(tool({ output: z.object({ a: z.string().transform(Number) }) })), { message: /^tools\/order\.ts: tool "get_order": output cannot be written as JSON Schema; zod says: Transforms/ })
  t.doesNotThrow(() => offer(tool({ input: z.object({ a: z.string().transform(Number) }) })), 'what is sent can be listed')
  t.throws(() => offer(tool({ input: undefined })), { message: 'tools/order.ts: tool "get_order" needs an input: a schema of an object, such as Type.Object({}) or z.object({})' })
  t.throws(() => offer(tool({ input: z.object({ a: z.string().describe('hid\u200bden') }) })), /invisible characters/)
  t.throws(() => offer(prompt({ input: z.object({ n: z.number() }) })), { message: 'tools/order.ts: prompt "summarise": argument "n" must be a schema of a text: nothing else is ever sent' })
  t.throws(() => offer(prompt({ input: z.object({ n: z.string() }), arguments: [] })), /prompt "summarise" has input and arguments: keep input/)
  t.throws(() => offer(prompt({ input: z.object({ n: z.string() }), complete: { m: () => [] } })), /complete names "m", which input does not have/)
  t.throws(() => offer(prompt({ arguments: [{ name: 'n' }], complete: { n: () => [] } })), /complete belongs to input/)
  t.throws(() => offer(prompt({ input: v.object({ n: v.string() }) })), /prompt "summarise": input is a schema of valibot that cannot be listed/)
})

t.test('a union of objects is listed as an object, and headers repeat arguments as anywhere', async t => {
  const { tools } = buildCatalogue([{
    from: 'tools/order.ts',
    definition: defineTool({
      name: 'find',
      description: 'd',
      input: z.discriminatedUnion('by', [z.object({ by: z.literal('number'), number: z.string() }), z.object({ by: z.literal('name'), name: z.string() })]),
      run: () => ''
    })
  }, {
    from: 'tools/region.ts',
    definition: defineTool({ name: 'region', description: 'd', input: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }) }), run: () => '' })
  }], new Set<string>())
  t.match(tools.get('find')?.listed.inputSchema, { type: 'object', oneOf: [{ type: 'object' }, { type: 'object' }] })
  t.match(tools.get('region')?.headers, [{ header: 'mcp-param-region', path: ['region'] }])
})
