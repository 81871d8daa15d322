/** Whatever a handler returns has one result, and one that every client can read. */
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import t from 'tap'
import { compileSchema } from '../../src/core/schema.ts'
import { resultOf } from '../../src/tools/result.ts'
import { Type } from '../../src/tools/index.ts'

const text = (said: string) => ({ content: [{ type: 'text', text: said }] })
class Money { amount = 3; toJSON () { return { amount: `${this.amount} EUR` } } }

t.test('every value that JSON can say has a result that clients can read', async t => {
  const cases: Array<[string, unknown, object]> = [
    ['nothing', undefined, { content: [] }],
    ['null', null, text('null')],
    ['a text', 'hello', text('hello')],
    ['an empty text', '', text('')],
    ['a number', 7, text('7')],
    ['not a number', NaN, text('NaN')],
    ['a large integer', 9_007_199_254_740_993n, text('9007199254740993')],
    ['a boolean', false, text('false')],
    ['a list', [1, 2], text('[1,2]')],
    ['an empty list', [], text('[]')],
    ['an object', { a: 1 }, { ...text('{"a":1}'), structuredContent: { a: 1 } }],
    ['an object whose content is a list of something else', { title: 'x', content: ['a'] }, { ...text('{"title":"x","content":["a"]}'), structuredContent: { title: 'x', content: ['a'] } }],
    ['an object with an empty list of content', { title: 'x', content: [] }, { ...text('{"title":"x","content":[]}'), structuredContent: { title: 'x', content: [] } }],
    ['a date', new Date(0), text('"1970-01-01T00:00:00.000Z"')],
    ['an object with a form of its own', new Money(), { ...text('{"amount":"3 EUR"}'), structuredContent: { amount: '3 EUR' } }],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), { ...text('{"a":1}'), structuredContent: { a: 1 } }],
    ['content', { content: [{ type: 'image', data: 'AA==', mimeType: 'image/png' }] }, { content: [{ type: 'image', data: 'AA==', mimeType: 'image/png' }] }],
    ['no content', { content: [] }, { content: [] }],
    ['an error', { content: [{ type: 'text', text: 'no' }], isError: true }, { ...text('no'), isError: true }]
  ]
  for (const [what, outcome, expected] of cases) {
    const result = resultOf(outcome)
    t.strictSame(JSON.parse(JSON.stringify(result)), JSON.parse(JSON.stringify(expected)), what)
    t.ok(CallToolResultSchema.safeParse(result).success, `${what}: a client of 2025 reads it`)
  }
})

t.test('what has no form in JSON is a fault that names it', async t => {
  const circle: Record<string, unknown> = {}
  circle.circle = circle
  const faults: Array<[unknown, RegExp]> = [
    [() => 1, /returned a function/], [Symbol('x'), /returned a symbol/], [circle, /no form in JSON/], [{ a: 1n }, /no form in JSON/],
    [new Map([['a', 1]]), /a Map/], [new Set([1]), /a Set/], [new Error('secret'), /a Error/], [new Uint8Array(3), /a Uint8Array/],
    [{ content: [{ type: 'text' }] }, /needs the text "text"/], [{ content: [{ type: 'image', data: 'AA==' }] }, /needs the text "mimeType"/],
    [{ content: [{ type: 'video', data: 'AA==' }] }, /no content of type "video"/], [{ content: [{ type: 'resource', resource: { text: 'x' } }] }, /a resource with uri/],
    [{ content: [{ type: 'text', text: 'x' }], isError: 'yes' }, /isError must be/], [{ content: [{ type: 'text', text: 'x' }], structuredContent: [1] }, /structuredContent must be an object/],
    [{ content: [{ type: 'text', text: 'x' }], structuredContent: circle }, /no form in JSON/], [{ content: [{ type: 'text', text: 'x' }], _meta: 3 }, /_meta must be/]
  ]
  for (const [outcome, fault] of faults) t.match(resultOf(outcome), { fault }, String(fault))
})

t.test('a structured result keeps to the output schema, however it is given', async t => {
  const { fits } = compileSchema(Type.Object({ state: Type.String() }))
  t.match(resultOf({ state: 'open' }, fits), { structuredContent: { state: 'open' } })
  t.match(resultOf({ content: [{ type: 'text', text: 'x' }], structuredContent: { state: 'open' } }, fits), { structuredContent: { state: 'open' } })
  t.match(resultOf({ content: [{ type: 'text', text: 'no' }], isError: true }, fits), { isError: true })
  for (const broken of ['open', undefined, null, 7, ['open'], { state: 1 }, {}, { content: [{ type: 'text', text: 'x' }] }, { content: [{ type: 'text', text: 'x' }], structuredContent: { state: 1 } }]) {
    t.match(resultOf(broken, fits), { fault: /output schema/ }, JSON.stringify(broken))
  }
  const listing = compileSchema(Type.Object({ content: Type.Array(Type.Object({ type: Type.String() })) }))
  t.match(resultOf({ content: [{ type: 'page' }] }, listing.fits), { structuredContent: { content: [{ type: 'page' }] } }, 'the schema decides what an object with content is')
})
