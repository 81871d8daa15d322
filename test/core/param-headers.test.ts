import t from 'tap'
import { paramHeaderFault, paramHeaders } from '../../src/core/param-headers.ts'
import { defineTool, Type } from '../../src/tools/index.ts'
import { addKey, build, legacy, messageOf, modern } from '../support/app.ts'

const declared = (schema: Record<string, unknown>) => {
  const found = paramHeaders(schema)
  return 'headers' in found ? found.headers : found.problem
}
const base64 = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`

t.test('headers are declared on properties of one simple type, each name once', async t => {
  t.strictSame(declared({ type: 'object', properties: { a: { type: 'string' } } }), [])
  t.strictSame(declared({ properties: { at: { type: 'object', properties: { row: { type: 'integer', 'x-mcp-header': 'Row' } } } } }), [{ header: 'mcp-param-row', path: ['at', 'row'], numeric: true }])
  for (const properties of [
    { a: { type: 'number', 'x-mcp-header': 'A' } },
    { a: { 'x-mcp-header': 'A' } },
    { a: { type: 'string', 'x-mcp-header': 'A B' } },
    { a: { type: 'string', 'x-mcp-header': 1 } },
    { a: { type: 'string', 'x-mcp-header': 'A' }, b: { type: 'string', 'x-mcp-header': 'a' } },
    { a: { type: 'array', items: { type: 'string', 'x-mcp-header': 'A' } } },
    { a: { anyOf: [{ type: 'string', 'x-mcp-header': 'A' }] } }
  ]) t.match(declared({ properties }), /^x-mcp-header /, JSON.stringify(properties))
  t.match(declared({ 'x-mcp-header': 'A' }), /^x-mcp-header /)
})

t.test('a header says what the body says', async t => {
  const headers = declared({
    properties: {
      text: { type: 'string', 'x-mcp-header': 'Text' },
      count: { type: 'integer', 'x-mcp-header': 'Count' },
      sure: { type: 'boolean', 'x-mcp-header': 'Sure' }
    }
  }) as Parameters<typeof paramHeaderFault>[0]
  const fault = (args: unknown, sent: Record<string, unknown>) => paramHeaderFault(headers, args, sent)?.message
  for (const [args, sent] of [
    [{}, {}],
    [undefined, {}],
    [{ text: null }, {}],
    [{ text: 'eu' }, { 'mcp-param-text': 'eu' }],
    [{ text: 'Grüße' }, { 'mcp-param-text': base64('Grüße') }],
    [{ text: '' }, { 'mcp-param-text': '' }],
    [{ text: 'SGVsbG8=' }, { 'mcp-param-text': 'SGVsbG8=' }],
    [{ text: '=?base64?SGVsbG8=' }, { 'mcp-param-text': '=?base64?SGVsbG8=' }],
    [{ count: 42 }, { 'mcp-param-count': '42.0' }],
    [{ count: -1 }, { 'mcp-param-count': base64('-1') }],
    [{ sure: false }, { 'mcp-param-sure': 'false' }],
    [{ text: {} }, {}],
    [{}, { 'mcp-param-other': 'x' }]
  ] as const) t.equal(fault(args, sent), undefined, JSON.stringify([args, sent]))
  for (const [args, sent, says] of [
    [{ text: 'eu' }, {}, /missing/],
    [{ sure: false }, {}, /missing/],
    [{ text: 'eu' }, { 'mcp-param-text': 'us' }, /differ/],
    [{ text: 'eu' }, { 'mcp-param-text': 'EU' }, /differ/],
    [{ text: 'eu' }, { 'mcp-param-text': 'eu, us' }, /differ/],
    [{ text: '42' }, { 'mcp-param-text': '42.0' }, /differ/],
    [{ count: 42 }, { 'mcp-param-count': '4.2e1' }, /differ/],
    [{ count: 42 }, { 'mcp-param-count': '0x2a' }, /differ/],
    [{ sure: true }, { 'mcp-param-sure': 'True' }, /differ/],
    [{ text: 'Hello' }, { 'mcp-param-text': '=?base64?SGVsbG8?=' }, /base64/],
    [{ text: 'Hello' }, { 'mcp-param-text': '=?base64?SGVs!!!bG8=?=' }, /base64/],
    [{ text: '\ufffd' }, { 'mcp-param-text': '=?base64?/w==?=' }, /base64/],
    [{}, { 'mcp-param-text': 'eu' }, /is not/],
    [[], { 'mcp-param-text': 'eu' }, /is not/]
  ] as const) t.match(fault(args, sent), says, JSON.stringify([args, sent]))
})

t.test('a call whose headers disagree is refused before its tool runs', async t => {
  let runs = 0
  const tools = [defineTool({
    name: 'where',
    description: 'Says where.',
    input: Type.Object({ region: Type.String({ 'x-mcp-header': 'Region' }) }, { additionalProperties: false }),
    run ({ region }) {
      runs++
      return region
    }
  })]
  const { app, store } = await build(t, { tools })
  const { key } = await addKey(store)
  const call = { name: 'where', arguments: { region: 'eu' } }
  t.equal(messageOf(await modern(app, 'tools/call', call, { key, headers: { 'Mcp-Param-Region': 'eu' } })).result.content[0].text, 'eu')
  for (const headers of [{}, { 'mcp-param-region': 'us' }] as Array<Record<string, string>>) {
    const refused = await modern(app, 'tools/call', call, { key, headers })
    t.equal(refused.statusCode, 400)
    t.match(refused.json(), { id: 1, error: { code: -32020, data: { header: 'mcp-param-region' } } })
  }
  t.equal(runs, 1)
  t.equal(messageOf(await legacy(app, 'tools/call', call, { key })).result.content[0].text, 'eu', 'the older revisions have no such headers')
  const other = await addKey(store, { permissions: ['tool:echo'] })
  const [hidden, unknown] = [await modern(app, 'tools/call', call, { key: other.key }), await modern(app, 'tools/call', { ...call, name: 'when' }, { key: other.key })]
  t.equal(hidden.statusCode, unknown.statusCode)
  t.equal(hidden.body.replaceAll('where', 'when'), unknown.body, 'who may not use the tool learns nothing of it')
})
