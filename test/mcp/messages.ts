/** Messages for the two lanes: mostly right, so that the fast one is on, each part now and then odd or wrong. And tools, one for each way in which a call can end. */
import fc from '../support/fast-check.ts'
import { ask, defineTool, elicit, ToolError, Type } from '../../src/tools/index.ts'
import type { Definition } from '../../src/tools/tool.ts'
import { META, MODERN } from '../support/app.ts'

/** A message and the headers that come with it. The session `session` stands for one that is open. */
export interface Sent { headers: Record<string, string>, body: unknown }

export const BOTH = 'application/json, text/event-stream'

export const TOOLS: Definition[] = [
  defineTool({ name: 'echo', description: 'Says it again.', input: Type.Object({ text: Type.String() }), run: ({ text }) => text }),
  defineTool({
    name: 'sum',
    title: 'Sum',
    description: 'Adds.',
    input: Type.Object({ a: Type.Number(), b: Type.Optional(Type.Integer({ minimum: 0 })) }, { additionalProperties: false }),
    output: Type.Object({ sum: Type.Number() }),
    annotations: { readOnlyHint: true },
    run: async ({ a, b = 0 }) => ({ sum: a + b })
  }),
  defineTool({ name: 'free', description: 'An object without a schema.', input: Type.Object({}), run: () => ({ free: [1, { deep: null }] }) }),
  defineTool({ name: 'list', description: 'Gives a list.', input: Type.Object({}), run: () => [1, 2, 3] }),
  defineTool({ name: 'refuses', description: 'Fails in words.', input: Type.Object({}), run () { throw new ToolError('Try a larger one') } }),
  defineTool({ name: 'breaks', description: 'Fails.', input: Type.Object({}), async run () { throw new Error('secret') } }),
  defineTool({ name: 'breaks_word', description: 'Breaks its schema.', input: Type.Object({}), output: Type.Object({ n: Type.Number() }), run: () => ({ n: 'no' as unknown as number }) }),
  defineTool({ name: 'picture', description: 'Gives a picture.', input: Type.Object({}), run: () => ({ content: [{ type: 'image', data: 'AAAA', mimeType: 'image/png' }] }) }),
  defineTool({ name: 'remarks', description: 'Text with a remark.', input: Type.Object({}), run: () => ({ content: [{ type: 'text', text: 'x', annotations: { priority: 1 } }] }) }),
  defineTool({ name: 'nonsense', description: 'Gives what is no content.', input: Type.Object({}), run: () => ({ content: [{ type: 'text', txt: 1 } as never] }) }),
  defineTool({ name: 'slow', description: 'Waits a little.', input: Type.Object({}), run: () => new Promise(resolve => setTimeout(resolve, 2, 'done')) }),
  defineTool({ name: 'talks', description: 'Speaks meanwhile.', input: Type.Object({}), async run (_, { message, progress }) { message('info', 'one'); progress(1, 2); await null; message('error', { two: 2 }, 'me'); return 'said' } }),
  defineTool({ name: 'talks_at_once', description: 'Speaks, and ends.', input: Type.Object({}), run (_, { message }) { message('warning', 'at once'); return 'said' } }),
  defineTool({ name: 'asks', description: 'Asks.', input: Type.Object({}), run: (_, { answers }) => answers.sure === undefined ? ask({ sure: elicit('Sure?', { type: 'object', properties: {} }) }, 7) : 'went on' }),
  defineTool({ name: 'who', description: 'Tells what it was told.', input: Type.Object({}), run: (_, { caller, clientCapabilities, answers, state }) => ({ caller, clientCapabilities: Object.entries(clientCapabilities).sort(), answers, state: state ?? null }) }),
  defineTool({ name: 'hidden', description: 'For others.', input: Type.Object({}), run: () => 'secret' })
]

const mostly = <T>(right: fc.Arbitrary<T>, wrong: fc.Arbitrary<unknown>, weight = 24) => fc.oneof({ weight, arbitrary: right as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: wrong })
const odd = fc.constantFrom<unknown>(null, 0, -1, 1.5, '', 'x', true, [], {}, [1], { a: 1 }, '2.0')
const id = mostly(fc.oneof(fc.integer(), fc.string()), fc.oneof(odd, fc.constantFrom<unknown>(undefined, 1e300, 2 ** 53)))
const name = fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...TOOLS.map(({ tool }: any) => tool.name as string)) }, { weight: 1, arbitrary: fc.constantFrom('unknown', '', 'ECHO', 'constructor', '__proto__', 'echo ') })
const args = mostly(
  fc.oneof(
    fc.constant(undefined), fc.constant({}), fc.record({ text: fc.string() }), fc.record({ text: fc.string({ unit: 'binary' }) }),
    fc.record({ a: fc.double({ noNaN: true, noDefaultInfinity: true }), b: fc.nat() }, { requiredKeys: ['a'] })
  ),
  fc.oneof(odd, fc.jsonValue(), fc.constantFrom({ text: '../../etc/passwd' }, { text: '<script>' }, { text: 1 }, { a: 'x' }, { a: 1, c: 2 })), 6
)
const capabilities = mostly(
  fc.constantFrom({}, { roots: {} }, { roots: { listChanged: true } }, { sampling: {}, elicitation: {} }, { elicitation: { form: {}, url: {} } }, { sampling: { tools: {} } }),
  fc.oneof(odd, fc.constantFrom<unknown>({ roots: 1 }, { roots: { listChanged: 1 } }, { elicitation: { form: 1 } }, { experimental: { x: {} } }, { extensions: {} }, { tasks: {} }, { novel: {} })), 8
)
const clientInfo = mostly(
  fc.constantFrom({ name: 'c', version: '1' }, { name: 'c', title: 'C', version: '1' }),
  fc.oneof(odd, fc.constantFrom<unknown>({ name: 'c' }, { name: 1, version: '1' }, { name: 'c', version: '1', icons: [] }, { name: 'c', version: '1', websiteUrl: 'x' })), 8
)
const VERSION = 'io.modelcontextprotocol/protocolVersion'
const CAPABLE = 'io.modelcontextprotocol/clientCapabilities'
const modernMeta = mostly(
  fc.record({ [VERSION]: mostly(fc.constant(MODERN), fc.constantFrom<unknown>('2025-11-25', '2030-01-01', 1, null)), [CAPABLE]: capabilities, 'io.modelcontextprotocol/clientInfo': clientInfo }, { requiredKeys: [VERSION, CAPABLE] }),
  fc.oneof(odd, fc.constantFrom<unknown>(
    undefined, { [VERSION]: MODERN }, { [CAPABLE]: {} }, { ...META, progressToken: 1 }, { ...META, 'x/y': 1 }, { ...META, 'io.modelcontextprotocol/logLevel': 'debug' }, { ...META, traceparent: '00-1' }
  )), 12
)
const legacyMeta = mostly(fc.constantFrom<unknown>(undefined, undefined, {}), fc.oneof(odd, fc.constantFrom<unknown>({ progressToken: 'p' }, { progressToken: [] }, { 'x/y': 1 }, { [VERSION]: MODERN }, META)))
const more = fc.oneof(
  { weight: 20, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.constantFrom<object>({ cursor: 'x' }, { cursor: 1 }, { extra: 1 }, { inputResponses: {} }, { inputResponses: { sure: { action: 'accept' } } }, { requestState: 'x' }, { task: {} }, { uri: 'a:b' }) }
)
const SUPPORTED = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']
const versions = fc.constantFrom(...SUPPORTED)
const OTHER_METHODS = ['prompts/get', 'resources/read', 'resources/subscribe', 'completion/complete', 'logging/setLevel', 'tasks/get', 'notifications/initialized', 'notifications/cancelled', 'nonsense', '']

const params = (method: string): fc.Arbitrary<Record<string, unknown>> => {
  switch (method) {
    case 'tools/call': return fc.record({ name, arguments: args }, { requiredKeys: ['name'] }) as fc.Arbitrary<Record<string, unknown>>
    case 'initialize': return fc.record({ protocolVersion: mostly(versions, fc.constantFrom<unknown>('2030-01-01', MODERN, 1, '')), capabilities, clientInfo })
    case 'logging/setLevel': return fc.record({ level: mostly(fc.constantFrom(...['debug', 'error']), odd, 3) })
    default: return fc.constant({})
  }
}

export const messages: fc.Arbitrary<Sent> = fc.constantFrom<'modern' | 'legacy'>('modern', 'legacy').chain(era => {
  const common = era === 'modern' ? ['server/discover'] : ['ping', 'initialize']
  const method = fc.oneof(
    { weight: 8, arbitrary: fc.constant('tools/call') },
    { weight: 5, arbitrary: fc.constantFrom('tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', ...common) },
    { weight: 1, arbitrary: fc.constantFrom(...OTHER_METHODS, 'ping', 'server/discover') }
  )
  return method.chain(method => fc.record({
    jsonrpc: mostly(fc.constant('2.0'), odd, 60),
    id,
    spoken: mostly(fc.constant(method), odd, 60),
    own: params(method),
    meta: era === 'modern' ? modernMeta : legacyMeta,
    more,
    bare: fc.constantFrom(...Array.from({ length: 24 }, () => false), true),
    accept: mostly(fc.constantFrom(BOTH, 'text/event-stream, application/json', `${BOTH}, */*`), fc.constantFrom<unknown>(undefined, 'application/json', 'text/event-stream', '*/*', 'text/html')),
    version: mostly(era === 'modern' ? fc.constant(MODERN) : fc.option(versions, { nil: undefined }), fc.constantFrom<unknown>(undefined, MODERN, '2025-11-25', '2030-01-01', 'x', '')),
    named: mostly(fc.constant('right'), fc.constantFrom('none', 'other', 'encoded', 'spaced')),
    methodHeader: mostly(fc.constant(method), fc.constantFrom<unknown>(undefined, 'tools/list', 'TOOLS/CALL', '')),
    session: era === 'modern' ? mostly(fc.constant(false), fc.constant(true)) : fc.boolean()
  }).map(({ jsonrpc, id, spoken, own, meta, more, bare, accept, version, named, methodHeader, session }): Sent => {
    const given = { ...own, ...more, ...(meta === undefined ? {} : { _meta: meta }) } as Record<string, unknown>
    const headers: Record<string, unknown> = { 'content-type': 'application/json', accept, 'mcp-protocol-version': version, ...(session === true ? { 'mcp-session-id': 'session' } : {}) }
    if (era === 'modern') {
      headers['mcp-method'] = methodHeader
      if (method === 'tools/call' && named !== 'none') headers['mcp-name'] = nameHeader(String(given.name), String(named))
    }
    return JSON.parse(JSON.stringify({
      headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)),
      body: { jsonrpc, id, method: spoken, ...(bare ? {} : { params: given }) }
    })) as Sent
  }))
})

function nameHeader (name: string, how: string): string {
  if (how === 'other') return 'other'
  if (how === 'encoded') return `=?base64?${Buffer.from(name).toString('base64')}?=`
  return how === 'spaced' ? `${name} ` : name
}
