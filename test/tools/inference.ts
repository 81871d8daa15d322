/**
 * What TypeScript knows of a tool, in each library: checked by `tsc`, never
 * run. Each line under `@ts-expect-error` must not compile.
 */
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import { z } from 'zod'
import { ask, definePrompt, defineTool, elicit, ToolError, Type } from '../../src/tools/index.ts'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const holds = <T extends true>(..._same: T[]): void => {}

const about = { name: 'get_order', description: 'Look up one order.' }

// TypeBox
defineTool({
  ...about,
  input: Type.Object({ number: Type.String(), limit: Type.Optional(Type.Integer()) }),
  output: Type.Object({ state: Type.Union([Type.Literal('open'), Type.Literal('shipped')]), lines: Type.Array(Type.String()) }),
  run: ({ number, limit }) => {
    holds<Same<typeof number, string>>(true)
    holds<Same<typeof limit, number | undefined>>(true)
    return { state: 'open', lines: ['a'] }
  }
})
// @ts-expect-error a state that is not in the schema
defineTool({ ...about, input: Type.Object({}), output: Type.Object({ state: Type.Literal('open') }), run: () => ({ state: 'opne' }) })
// @ts-expect-error a member that is missing, asynchronously
defineTool({ ...about, input: Type.Object({}), output: Type.Object({ state: Type.String() }), run: async () => ({}) })

// Literal JSON Schema
defineTool({
  ...about,
  input: { type: 'object', properties: { number: { type: 'string' }, limit: { type: 'integer' } }, required: ['number'] },
  output: { type: 'object', properties: { state: { enum: ['open', 'shipped'] } }, required: ['state'] },
  run: ({ number, limit }) => {
    holds<Same<typeof number, string>>(true)
    holds<Same<typeof limit, number | undefined>>(true)
    return { state: 'open' }
  }
})
defineTool({
  ...about,
  input: { type: 'object', properties: {} },
  output: { type: 'object', properties: { state: { enum: ['open', 'shipped'] } }, required: ['state'] },
  // @ts-expect-error a state that is not in the schema
  run: () => ({ state: 'opne' })
})

// zod: what run gets is what comes out of the input, what it returns is what goes into the output
defineTool({
  ...about,
  input: z.strictObject({ number: z.string().transform(Number), limit: z.int().default(10) }),
  output: z.object({ state: z.enum(['open', 'shipped']), count: z.number().default(0), at: z.tuple([z.string(), z.number()]) }),
  run: async ({ number, limit }) => {
    holds<Same<typeof number, number>>(true)
    holds<Same<typeof limit, number>>(true)
    return { state: 'open', at: ['a', 1] }
  }
})
// @ts-expect-error a state that is not in the schema
defineTool({ ...about, input: z.object({}), output: z.object({ state: z.enum(['open']) }), run: () => ({ state: 'opne' }) })
// @ts-expect-error the same, asynchronously
defineTool({ ...about, input: z.object({}), output: z.object({ state: z.enum(['open']) }), run: async () => ({ state: 'opne' }) })
// @ts-expect-error nothing, where something is promised
defineTool({ ...about, input: z.object({}), output: z.object({ state: z.string() }), run: () => {} })
// @ts-expect-error an argument that is not in the schema
defineTool({ ...about, input: z.object({ number: z.string() }), run: ({ nummer }) => String(nummer) })

// valibot
defineTool({
  ...about,
  input: toStandardJsonSchema(v.object({ number: v.string(), limit: v.optional(v.number(), 10) })),
  output: toStandardJsonSchema(v.object({ state: v.picklist(['open', 'shipped']) })),
  run: ({ number, limit }) => {
    holds<Same<typeof number, string>>(true)
    holds<Same<typeof limit, number>>(true)
    return { state: 'open' }
  }
})
// @ts-expect-error a state that is not in the schema
defineTool({ ...about, input: Type.Object({}), output: toStandardJsonSchema(v.object({ state: v.picklist(['open']) })), run: () => ({ state: 'opne' }) })

// arktype
defineTool({
  ...about,
  input: type({ number: 'string', limit: 'number = 10' }),
  output: type({ state: "'open' | 'shipped'" }),
  run: ({ number, limit }) => {
    holds<Same<typeof number, string>>(true)
    holds<Same<typeof limit, number>>(true)
    return { state: 'open' }
  }
})
// @ts-expect-error a state that is not in the schema
defineTool({ ...about, input: Type.Object({}), output: type({ state: "'open'" }), run: () => ({ state: 'opne' }) })

// What else run may return where there is an output schema
const output = z.object({ state: z.enum(['open']) })
defineTool({ ...about, input: z.object({}), output, run: () => ({ content: [{ type: 'text', text: 'see' }], structuredContent: { state: 'open' } }) })
defineTool({ ...about, input: z.object({}), output, run: () => ({ content: [{ type: 'text', text: 'no' }], isError: true }) })
defineTool({ ...about, input: z.object({}), output, run: (_, { answers }) => answers.sure === undefined ? ask({ sure: elicit('Really?', output) }) : { state: 'open' } })
defineTool({ ...about, input: z.object({}), output, run: () => { throw new ToolError('no') } })
defineTool({ ...about, input: z.object({}), output, run: () => ({ state: 'open' as const }) })
defineTool({ ...about, input: z.object({}), output: z.object({ rows: z.array(z.object({ n: z.number() })) }), run: () => ({ rows: [1, 2].map(n => ({ n })) }) })
// @ts-expect-error structured content that is not of the schema
defineTool({ ...about, input: z.object({}), output, run: () => ({ content: [], structuredContent: { state: 'opne' } }) })

// Without one: anything
for (const value of ['text', 1, null, undefined, ['a'], { a: 1 }]) defineTool({ ...about, input: Type.Object({}), run: () => value })

// A schema that is only known when the program runs
declare const loaded: Record<string, unknown>
defineTool({ ...about, input: loaded, output: loaded, run: input => { holds<Same<typeof input, unknown>>(true); return { anything: 1 } } })

// Forms
defineTool({
  ...about,
  input: Type.Object({}),
  run: (_input, { answer }) => {
    const mail = answer('mail', z.object({ to: z.string(), copies: z.int().default(1) }))
    holds<Same<typeof mail, { to: string, copies: number } | undefined>>(true)
    const sure = answer('sure', Type.Object({ sure: Type.Boolean() }))
    holds<Same<NonNullable<typeof sure>['sure'], boolean>>(true)
    return sure?.sure === true ? mail?.to : undefined
  }
})

// Prompts
definePrompt({
  name: 'summarise',
  input: z.object({ number: z.string().transform(Number), style: z.enum(['short', 'long']).default('short') }),
  get: ({ number, style }) => {
    holds<Same<typeof number, number>>(true)
    holds<Same<typeof style, 'short' | 'long'>>(true)
    return ''
  }
})
definePrompt({ name: 'summarise', arguments: [{ name: 'number' }], get: values => { holds<Same<typeof values, Readonly<Record<string, string>>>>(true); return '' } })
// @ts-expect-error an argument that is not in the schema
definePrompt({ name: 'summarise', input: z.object({ number: z.string() }), get: ({ nummer }) => String(nummer) })
