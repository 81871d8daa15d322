/** What the form of a message may be: a row an input, with the refusal in full where there is one. */
import fc from '../support/fast-check.ts'
import t from 'tap'
import { makeKey } from '../../src/core/api-key.ts'
import { rpcError, toAnswer } from '../../src/core/answer.ts'
import { markInexactNumbers } from '../../src/core/exact-numbers.ts'
import { AppError } from '../../src/errors.ts'
import { readMessage, type McpMessage } from '../../src/mcp/message.ts'
import { targetOf } from '../../src/mcp/methods.ts'
import { MODERN_VERSION } from '../../src/mcp/sdk/protocol.ts'

const VERSION = 'io.modelcontextprotocol/protocolVersion'
const CAPABLE = 'io.modelcontextprotocol/clientCapabilities'
const INFO = 'io.modelcontextprotocol/clientInfo'
const META = { [VERSION]: MODERN_VERSION, [CAPABLE]: {} }
const CLIENT = { name: 'c', version: '1' }

const legacy = (method: string, params?: unknown) => ({ jsonrpc: '2.0', id: 1, method, ...(params === undefined ? {} : { params }) })
const modern = (method: string, params: Record<string, unknown> = {}, meta: unknown = META) => ({ jsonrpc: '2.0', id: 1, method, params: { ...params, ...(meta === undefined ? {} : { _meta: meta }) } })
const mirrors = (method: string, name?: string) => ({ 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': method, ...(name === undefined ? {} : { 'mcp-name': name }) })

/** Reads as from the wire: as text, so that numbers are what they are there. */
function read (body: unknown, headers: Record<string, string> = {}): McpMessage {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const value = JSON.parse(text)
  markInexactNumbers(value, text)
  return readMessage(value, { headers })
}

interface Refused { status: number, code: number, message: RegExp | string, id?: unknown }

function refusal (body: unknown, headers: Record<string, string> = {}): Refused | undefined {
  try {
    read(body, headers)
    return undefined
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const answer = toAnswer(error)
    const { id, error: { code, message } } = rpcError(answer, (typeof body === 'string' ? JSON.parse(body) : body)?.id, 'r-1')
    return { status: answer.status, code, message, id }
  }
}

t.test('null is absent, and an empty list is an empty object', async t => {
  const rows: Array<[given: unknown, params: unknown]> = [
    [legacy('tools/list'), {}],
    [legacy('tools/list', null), {}],
    [legacy('tools/list', []), {}],
    [legacy('tools/list', { cursor: null }), {}],
    [legacy('tools/list', { cursor: '' }), {}],
    [legacy('tools/list', { cursor: null, _meta: null }), {}],
    [legacy('tools/list', { _meta: [] }), { _meta: {} }],
    [legacy('tools/list', { _meta: { progressToken: null } }), { _meta: {} }],
    [legacy('ping', { anything: 1 }), {}],
    [legacy('tools/call', { name: 'x', arguments: null }), { name: 'x' }],
    [legacy('tools/call', { name: 'x', arguments: [] }), { name: 'x', arguments: {} }],
    [legacy('tools/call', { name: 'x', arguments: { a: null, b: [] }, task: { ttl: 1 }, novel: 1 }), { name: 'x', arguments: { a: null, b: [] } }],
    [legacy('prompts/get', { name: 'x', arguments: { a: 'b', c: null } }), { name: 'x', arguments: { a: 'b' } }],
    [legacy('initialize', { protocolVersion: '2025-11-25' }), { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'unknown', version: 'unknown' } }],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: [], clientInfo: [] }), { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'unknown', version: 'unknown' } }],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: null, clientInfo: null }), { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'unknown', version: 'unknown' } }],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: { roots: [], sampling: null, elicitation: { form: [], url: null, novel: 1 }, tasks: 1, experimental: { x: [], y: null } }, clientInfo: { ...CLIENT, icons: 7, websiteUrl: 1 } }),
      { protocolVersion: '2025-11-25', capabilities: { roots: {}, elicitation: { form: {} }, experimental: { x: {} } }, clientInfo: CLIENT }],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: { hasOwnProperty: { a: 1 }, constructor: 1, toString: [], valueOf: 'x' }, clientInfo: CLIENT }), { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: CLIENT }],
    [legacy('initialize', { protocolVersion: '2025-11-25', clientInfo: { name: 'c' } }), { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: 'unknown' } }],
    [legacy('completion/complete', { ref: { type: 'ref/prompt', name: 'p', uri: 1 }, argument: { name: 'a', value: '' }, context: [] }), { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'a', value: '' }, context: {} }],
    [legacy('completion/complete', { ref: { type: 'ref/resource', uri: 'a:b' }, argument: { name: 'a', value: 'b' }, context: { arguments: [] } }), { ref: { type: 'ref/resource', uri: 'a:b' }, argument: { name: 'a', value: 'b' }, context: { arguments: {} } }]
  ]
  for (const [given, params] of rows) t.strictSame(read(given).params, params, JSON.stringify(given).slice(0, 120))
})

t.test('the newer revision reads alike', async t => {
  const rows: Array<[method: string, params: Record<string, unknown>, meta: unknown, read: unknown]> = [
    ['tools/list', { cursor: null }, { ...META, [CAPABLE]: [] }, { _meta: META }],
    ['tools/list', {}, { ...META, [INFO]: null, 'io.modelcontextprotocol/logLevel': null, 'x/y': 1 }, { _meta: META }],
    ['tools/list', {}, { ...META, [INFO]: [] }, { _meta: { ...META, [INFO]: { name: 'unknown', version: 'unknown' } } }],
    ['tools/list', {}, { ...META, traceparent: 1, tracestate: 'a=b', baggage: [], progressToken: 'p' }, { _meta: { ...META, tracestate: 'a=b', progressToken: 'p' } }],
    ['tools/call', { name: 'x', inputResponses: [], requestState: null }, META, { name: 'x', inputResponses: {}, _meta: META }],
    ['subscriptions/listen', { notifications: [] }, META, { notifications: {}, _meta: META }],
    ['subscriptions/listen', { notifications: { toolsListChanged: null, resourceSubscriptions: [] } }, META, { notifications: { resourceSubscriptions: [] }, _meta: META }]
  ]
  for (const [method, params, meta, expected] of rows) {
    const message = read(modern(method, params, meta), mirrors(method, params.name as string | undefined))
    t.strictSame(message.params, expected, `${method} ${JSON.stringify(params)}`)
    t.equal(message.era, 'modern')
  }
})

t.test('a value in good form is not copied', async t => {
  const body = legacy('tools/call', { name: 'x', arguments: { a: 1 }, _meta: { progressToken: 1 } })
  t.equal(readMessage(body).params, body.params)
})

t.test('what has no clear meaning is refused in one sentence that names the member', async t => {
  const rows: Array<[given: unknown, message: string]> = [
    [legacy('tools/list', 'x'), 'params must be an object'],
    [legacy('tools/list', [1]), 'params must be an object'],
    [legacy('tools/list', 0), 'params must be an object'],
    [legacy('tools/list', { cursor: 1 }), 'cursor must be absent: every list here has one page'],
    [legacy('tools/list', { cursor: 'eyJ' }), 'cursor must be absent: every list here has one page'],
    [legacy('tools/list', { _meta: 'x' }), '_meta must be an object'],
    [legacy('tools/list', { _meta: { progressToken: {} } }), '_meta.progressToken must be text or a whole number'],
    [legacy('tools/list', { _meta: { progressToken: 2 ** 53 } }), '_meta.progressToken must be a number that is exact (whole numbers end at 2^53 - 1): send it as text'],
    [legacy('tools/call', {}), 'name must be given'],
    [legacy('tools/call', { name: null }), 'name must be given'],
    [legacy('tools/call', { name: 7 }), 'name must be text'],
    [legacy('tools/call', { name: ['x'] }), 'name must be text'],
    [legacy('tools/call', { name: 'x', arguments: 'y' }), 'arguments must be an object'],
    [legacy('tools/call', { name: 'x', arguments: [1] }), 'arguments must be an object'],
    [legacy('tools/call', { name: 'x', arguments: false }), 'arguments must be an object'],
    [legacy('prompts/get', { name: 'x', arguments: { a: 1 } }), 'arguments.a must be text'],
    [legacy('prompts/get', { name: 'x', arguments: { a: ['b'] } }), 'arguments.a must be text'],
    [legacy('resources/read', { uri: {} }), 'uri must be text'],
    [legacy('resources/subscribe', {}), 'uri must be given'],
    [legacy('initialize', {}), 'protocolVersion must be given'],
    [legacy('initialize', { protocolVersion: 20251125 }), 'protocolVersion must be text'],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: 'all' }), 'capabilities must be an object'],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: ['roots'] }), 'capabilities must be an object'],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: { roots: true } }), 'capabilities.roots must be an object'],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: { roots: { listChanged: 'yes' } } }), 'capabilities.roots.listChanged must be true or false'],
    [legacy('initialize', { protocolVersion: '2025-11-25', capabilities: { experimental: { x: 1 } } }), 'capabilities.experimental.x must be an object'],
    [legacy('initialize', { protocolVersion: '2025-11-25', clientInfo: { name: 1 } }), 'clientInfo.name must be text'],
    [legacy('initialize', { protocolVersion: '2025-11-25', clientInfo: 'c' }), 'clientInfo must be an object'],
    [legacy('logging/setLevel', { level: 'loud' }), 'level must be one of debug, info, notice, warning, error, critical, alert, emergency'],
    [legacy('logging/setLevel', { level: 3 }), 'level must be one of debug, info, notice, warning, error, critical, alert, emergency'],
    [legacy('logging/setLevel', {}), 'level must be given'],
    [legacy('completion/complete', {}), 'ref must be given'],
    [legacy('completion/complete', { ref: [] }), 'ref.type must be given'],
    [legacy('completion/complete', { ref: { type: 'constructor' } }), 'ref.type must be one of ref/prompt, ref/resource'],
    [legacy('completion/complete', { ref: { type: 'ref/prompt' } }), 'ref.name must be given'],
    [legacy('completion/complete', { ref: { type: 'ref/resource', uri: 1 } }), 'ref.uri must be text'],
    [legacy('completion/complete', { ref: { type: 'ref/prompt', name: 'p' } }), 'argument must be given'],
    [legacy('completion/complete', { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'a', value: 1 } }), 'argument.value must be text'],
    [legacy('completion/complete', { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'a', value: 'b' }, context: { arguments: { c: {} } } }), 'context.arguments.c must be text']
  ]
  for (const [given, message] of rows) t.strictSame(refusal(given), { status: 200, code: -32602, message: `Invalid params: ${message}`, id: 1 }, JSON.stringify(given).slice(0, 120))

  const newer: Array<[params: Record<string, unknown>, meta: unknown, status: number, message: string]> = [
    [{}, null, 400, `_meta must hold ${VERSION} and ${CAPABLE}`],
    [{}, [], 400, `_meta must hold ${VERSION} and ${CAPABLE}`],
    [{}, 'x', 400, `_meta must hold ${VERSION} and ${CAPABLE}`],
    [{}, { [CAPABLE]: {} }, 400, `_meta must hold ${VERSION} and ${CAPABLE}`],
    [{}, { ...META, [VERSION]: null }, 400, `_meta must hold ${VERSION} and ${CAPABLE}`],
    [{}, { ...META, [VERSION]: 20260728 }, 400, `_meta must hold ${VERSION} and ${CAPABLE}`],
    [{}, { [VERSION]: MODERN_VERSION }, 400, `_meta.${CAPABLE} must be given`],
    [{}, { ...META, [CAPABLE]: null }, 400, `_meta.${CAPABLE} must be given`],
    [{}, { ...META, [CAPABLE]: 'x' }, 400, `_meta.${CAPABLE} must be an object`],
    [{}, { ...META, [CAPABLE]: { elicitation: { form: 1 } } }, 400, `_meta.${CAPABLE}.elicitation.form must be an object`],
    [{}, { ...META, [INFO]: 1 }, 400, `_meta.${INFO} must be an object`],
    [{ cursor: 1 }, META, 200, 'cursor must be absent: every list here has one page']
  ]
  for (const [params, meta, status, message] of newer) t.strictSame(refusal(modern('tools/list', params, meta), mirrors('tools/list')), { status, code: -32602, message: `Invalid params: ${message}`, id: 1 }, JSON.stringify(meta))
  t.match(refusal(modern('tools/call', { name: 'x', inputResponses: { a: 1 } }), mirrors('tools/call', 'x')), { message: 'Invalid params: inputResponses.a must be an object' })
  t.match(refusal(modern('tools/call', { name: 'x', requestState: {} }), mirrors('tools/call', 'x')), { message: 'Invalid params: requestState must be text' })
  t.match(refusal(modern('subscriptions/listen', { notifications: { resourceSubscriptions: ['a', 1] } }), mirrors('subscriptions/listen')), { message: 'Invalid params: notifications.resourceSubscriptions[1] must be text' })
})

t.test('names of the caller in a refusal are cut, and redacted', async t => {
  const { key } = makeKey()
  t.notMatch(refusal(legacy('prompts/get', { name: 'x', arguments: { [key]: 1 } }))?.message, key.slice(20))
  t.ok(String(refusal(legacy('prompts/get', { name: 'x', arguments: { ['k'.repeat(100_000)]: 1 } }))?.message).length < 200)
})

t.test('the envelope of JSON-RPC', async t => {
  const rows: Array<[given: unknown, id: unknown]> = [
    [null, null], [1, null], ['"x"', null], [[], null], [[legacy('ping')], null], [{}, null],
    [{ id: 1, method: 'ping' }, 1],
    [{ jsonrpc: '1.0', id: 1, method: 'ping' }, 1],
    [{ jsonrpc: 2, id: 1, method: 'ping' }, 1],
    [{ jsonrpc: ['2.0'], id: 'a', method: 'ping' }, 'a'],
    [{ jsonrpc: '2.0', id: 1, method: 7 }, 1],
    [{ jsonrpc: '2.0', id: 1, method: ['ping'] }, 1],
    [{ jsonrpc: '2.0', id: 1 }, 1],
    [{ jsonrpc: '2.0', id: null, method: 'ping' }, null],
    [{ jsonrpc: '2.0', id: {}, method: 'ping' }, null],
    [{ jsonrpc: '2.0', id: [], method: 'ping' }, null],
    [{ jsonrpc: '2.0', id: true, method: 'ping' }, null],
    [{ jsonrpc: '2.0', id: 1.5, method: 'ping' }, null],
    ['{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}', null],
    ['{"jsonrpc":"2.0","id":-9007199254740993,"method":"ping"}', null],
    ['{"jsonrpc":"2.0","id":9007199254740992,"method":"ping"}', null],
    ['{"jsonrpc":"2.0","id":1e999,"method":"ping"}', null],
    [{ jsonrpc: '2.0', id: 'x'.repeat(1025), method: 'ping' }, null],
    [{ jsonrpc: '2.0', id: 1, method: 'ping', result: {} }, 1],
    [{ jsonrpc: '2.0', id: 1, method: 'ping', error: {} }, 1],
    [{ jsonrpc: '2.0', id: 1, result: {}, error: { code: 1, message: 'x' } }, 1],
    [{ jsonrpc: '2.0', result: {} }, null],
    [{ jsonrpc: '2.0', id: null, result: {} }, null]
  ]
  for (const [given, id] of rows) t.match(refusal(given), { status: 400, code: -32600, id }, JSON.stringify(given).slice(0, 100))
  for (const id of ['', 'a', 0, -1, 9007199254740991, 'x'.repeat(1024), '__proto__']) t.match(read({ ...legacy('ping'), id }), { kind: 'request', id })
  t.match(read({ ...legacy('ping'), novel: 1, constructor: {} }), { kind: 'request', method: 'ping' }, 'unknown members are left out')
  t.match(read({ ...legacy('ping'), result: null, error: null }), { kind: 'request' })
})

t.test('notifications and answers', async t => {
  for (const body of [
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    { jsonrpc: '2.0', id: null, method: 'notifications/initialized', params: null },
    { jsonrpc: '2.0', method: 'notifications/cancelled', params: [] },
    { jsonrpc: '2.0', method: 'notifications/cancelled', params: 'x' },
    { jsonrpc: '2.0', method: 'tools/call', params: { name: 7 } },
    { jsonrpc: '2.0', method: '__proto__' }
  ]) t.match(read(body), { kind: 'notification', era: 'legacy' }, JSON.stringify(body))
  t.match(refusal({ jsonrpc: '2.0', id: 5, method: 'notifications/initialized' }), { status: 200, code: -32601, id: 5 }, 'with an id it is a request for a method that is none')
  t.match(read({ jsonrpc: '2.0', id: 'a', result: [] }), { kind: 'answer', result: {} })
  t.match(read({ jsonrpc: '2.0', id: 'a', result: null, error: { code: -1, message: 'no', data: [1] } }), { kind: 'answer', error: { code: -1, data: [1] } })
  for (const body of [{ result: 'x' }, { result: 1 }, { error: 'x' }, { error: { code: 'x', message: 'y' } }, { error: { code: 1 } }, { error: [] }]) t.match(refusal({ jsonrpc: '2.0', id: 'a', ...body }), { code: -32602, id: 'a' }, JSON.stringify(body))
  t.match(refusal('{"jsonrpc":"2.0","id":"a","result":{"action":"accept","content":{"n":725653563933458433}}}'), { code: -32602, message: /^Invalid params: result\.content\.n must be a number that is exact/ })
})

t.test('unknown methods, whatever they are called', async t => {
  for (const method of ['', 'no/such', 'tools/delete', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'tools/call ', 'TOOLS/CALL', 'x'.repeat(100_000)]) {
    t.match(refusal(legacy(method)), { status: 200, code: -32601, message: 'Method not found', id: 1 })
    t.match(refusal(modern(method), mirrors(method)), { status: 404, code: -32601, message: 'Method not found', id: 1 })
    t.equal(targetOf(method, { name: 'x' }), undefined)
  }
  for (const method of ['initialize', 'ping', 'logging/setLevel', 'resources/subscribe']) t.match(refusal(modern(method), mirrors(method)), { status: 404, code: -32601 }, `${method} is of the older revisions`)
  for (const method of ['server/discover', 'subscriptions/listen']) t.match(refusal(legacy(method)), { status: 200, code: -32601 }, `${method} is of the newer revision`)
})

t.test('headers that repeat the body', async t => {
  const call = modern('tools/call', { name: 'echo', arguments: {} })
  const right = mirrors('tools/call', 'echo')
  t.equal(refusal(call, right), undefined)
  t.equal(refusal(call, { ...right, 'mcp-name': `=?base64?${Buffer.from('echo').toString('base64')}?=` }), undefined)
  for (const wrong of [
    { 'mcp-method': 'tools/list' }, { 'mcp-method': 'TOOLS/CALL' }, { 'mcp-method': 'tools/call, tools/call' }, { 'mcp-method': '' },
    { 'mcp-name': 'get_time' }, { 'mcp-name': 'Echo' }, { 'mcp-name': 'echo, echo' }, { 'mcp-name': '' }, { 'mcp-name': '=?base64?!?=' }, { 'mcp-name': '=?base64?gA==?=' },
    { 'mcp-protocol-version': '2025-11-25' }, { 'mcp-protocol-version': `${MODERN_VERSION}, ${MODERN_VERSION}` }, { 'mcp-protocol-version': '' }, { 'mcp-protocol-version': 'x' }
  ] as Array<Record<string, string>>) t.match(refusal(call, { ...right, ...wrong }), { status: 400, code: -32020, id: 1 }, JSON.stringify(wrong))
  for (const missing of Object.keys(right)) {
    const { [missing as 'mcp-method']: _left, ...rest } = right as Record<string, string>
    t.match(refusal(call, rest as Record<string, string>), { status: 400, code: -32020, id: 1 }, `${missing} is missing`)
  }
  t.match(refusal(modern('tools/call', { name: 7 }), mirrors('tools/call', 'x')), { code: -32602, message: 'Invalid params: name must be text' })
  t.match(refusal({ jsonrpc: '2.0', method: 'notifications/x', params: { _meta: META } }, mirrors('notifications/y')), { code: -32020 })
  t.match(refusal(legacy('initialize', { protocolVersion: '2025-11-25' }), { 'mcp-protocol-version': MODERN_VERSION }), { code: -32020 })
  t.equal(refusal(legacy('initialize', { protocolVersion: 'whatever' }), { 'mcp-protocol-version': 'whatever' }), undefined, 'a handshake settles the revision')
})

t.test('odd protocol versions', async t => {
  for (const version of ['2031-01-01', '2026-07-29', '2025-11-25', '', 'latest', 'x'.repeat(10_000), '__proto__']) {
    t.match(refusal(modern('tools/list', {}, { ...META, [VERSION]: version }), { ...mirrors('tools/list'), 'mcp-protocol-version': version }), { status: 400, code: -32022, id: 1 }, version.slice(0, 20))
  }
  for (const version of ['2023-01-01', '2025-11-26', 'x', '1', ' ', '2025-11-25, 2025-11-25', 'constructor']) t.match(refusal(legacy('tools/list'), { 'mcp-protocol-version': version }), { status: 400, code: -32022, id: 1 }, version)
  for (const version of ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']) t.equal(refusal(legacy('tools/list'), { 'mcp-protocol-version': version }), undefined)
  t.match(refusal(legacy('tools/list'), { 'mcp-protocol-version': MODERN_VERSION }), { status: 400, code: -32602 }, 'the newer revision by its header only')
  t.match(refusal(legacy('tools/list'), { 'mcp-protocol-version': '2031-01-01' }), { status: 400, code: -32602 })
})

t.test('Accept that takes neither form', async t => {
  for (const accept of ['text/html', 'application/json;q=0', 'image/*', 'json']) {
    t.match(refusal(legacy('tools/list'), { accept }), { status: 406, code: 406, id: 1 }, accept)
    t.match(refusal(modern('tools/list'), { ...mirrors('tools/list'), accept }), { status: 406, code: 406, id: 1 })
    t.equal(refusal({ jsonrpc: '2.0', method: 'notifications/initialized' }, { accept }), undefined, 'a notification has no answer')
  }
  for (const accept of ['*/*', 'application/json', 'application/*', 'text/event-stream', '']) t.equal(refusal(legacy('tools/list'), { accept }), undefined, accept)
})

t.test('reading throws nothing but refusals, whatever JSON comes', async () => {
  const words = fc.constantFrom('jsonrpc', 'id', 'method', 'params', 'result', 'error', '_meta', 'name', 'arguments', 'capabilities', 'clientInfo', 'constructor', 'toString', 'hasOwnProperty', VERSION, CAPABLE)
  const value = fc.letrec(tie => ({
    value: fc.oneof({ depthSize: 'small' }, fc.constantFrom<unknown>(null, true, 0, 1.5, 2 ** 60, '', '2.0', 'tools/call', 'initialize', MODERN_VERSION), fc.string(), fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(words, tie('value'), { maxKeys: 5 }))
  })).value
  fc.assert(fc.property(value, fc.dictionary(fc.constantFrom('accept', 'mcp-method', 'mcp-name', 'mcp-protocol-version'), fc.constantFrom('', 'x', 'tools/call', MODERN_VERSION, '*/*')), (body, headers) => {
    const refused = refusal(JSON.stringify(body), headers)
    return refused === undefined || (refused.status < 500 && refused.code !== -32603)
  }), { numRuns: 5000, seed: 20_261_128 })
})
