/** Every reason of the table, provoked on a running app: answer, log line and metric name the same one. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { AuditLog } from '../../src/audit/audit-log.ts'
import { gatewayName } from '../../src/core/via.ts'
import type { Trace } from '../../src/decision/trace.ts'
import { LAYERS } from '../../src/decision/layers.ts'
import { explainRecord, type RecordedDecision } from '../../src/decision/recorded.ts'
import { AppError, ERRORS, type Reason } from '../../src/errors.ts'
import { serveStdio } from '../../src/mcp/stdio.ts'
import { buildRuntime } from '../../src/runtime.ts'
import { ask, definePrompt, defineResource, defineTool, elicit, ToolError, Type } from '../../src/tools/index.ts'
import { UpstreamError, type UpstreamReason } from '../../src/tools/tool.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { startIssuer, type Issuer } from '../auth/oauth2/issuer.ts'
import { addKey, build, legacy, messageOf, META, MODERN, modern, type Built } from '../support/app.ts'
import { until } from '../support/until.ts'

const noInput = Type.Object({}, { additionalProperties: false })
const fail = (reason: UpstreamReason) => defineTool({ name: reason.toLowerCase(), description: 'Belongs to another server.', input: noInput, run () { throw new UpstreamError(reason, `weather: ${reason}`) } })

let release = () => {}
const TOOLS = [
  defineTool({ name: 'plain', description: 'Says it.', input: Type.Object({ text: Type.Optional(Type.String({ 'x-mcp-header': 'Text', maxLength: 200 })) }, { additionalProperties: false }), run: () => 'done' }),
  defineTool({ name: 'declines', description: 'Says why not.', input: noInput, run () { throw new ToolError('Try another city') } }),
  defineTool({ name: 'declines_late', description: 'Says why not, later.', input: noInput, async run () { await null; throw new ToolError('Try another city') } }),
  defineTool({ name: 'is_error', description: 'Gives a result that is an error.', input: noInput, run: () => ({ isError: true, content: [{ type: 'text', text: 'no' }] }) }),
  defineTool({ name: 'is_error_with_picture', description: 'Gives one that the fast lane leaves to the SDK.', input: noInput, run: () => ({ isError: true, content: [{ type: 'image', data: 'aGk=', mimeType: 'image/png' }] }) }),
  defineTool({ name: 'throws', description: 'Fails.', input: noInput, run () { throw new Error('canary') } }),
  defineTool({ name: 'throws_late', description: 'Fails later.', input: noInput, async run () { await null; throw new Error('canary') } }),
  defineTool({ name: 'sleeps', description: 'Takes too long.', input: noInput, timeoutMs: 20, run: () => new Promise<string>(() => {}) }),
  defineTool({ name: 'breaks_its_word', description: 'Gives something else than it said.', input: noInput, output: Type.Object({ n: Type.Number() }), run: () => ({ n: 'canary' as unknown as number }) }),
  defineTool({ name: 'dear', description: 'Costs much.', input: noInput, cost: 10_000, run: () => 'done' }),
  defineTool({ name: 'rare', description: 'Has a limit of its own.', input: noInput, rate: { limit: 1, windowMs: 60_000 }, run: () => 'done' }),
  defineTool({ name: 'asks', description: 'Asks first.', input: noInput, run: (_input, { answers }) => answers.who === undefined ? ask({ who: elicit('Who?', Type.Object({ name: Type.String() })) }) : 'heard' }),
  defineTool({ name: 'holds', description: 'Waits.', input: noInput, run: () => new Promise<string>(resolve => { release = () => resolve('done') }) }),
  fail('UPSTREAM_UNREACHABLE'), fail('UPSTREAM_TIMEOUT'), fail('UPSTREAM_BUSY'), fail('UPSTREAM_BROKEN'),
  definePrompt({ name: 'greet', arguments: [{ name: 'who', required: true }], get: ({ who }) => `Greet ${who}` }),
  definePrompt({ name: 'throws', get () { throw new Error('canary') } }),
  defineResource({ uri: 'note://a', name: 'a', read: () => 'a' }),
  defineResource({ uri: 'note://throws', name: 'throws', read () { throw new Error('canary') } })
]

interface Answer { statusCode: number, headers: Record<string, unknown>, body: string }
type Provoke = (built: Built & { issuer: Issuer }, t: Test) => Promise<Answer>
interface Case { reason: Reason, how: string, env?: Record<string, string>, provoke: Provoke, rule?: RegExp | string, principal?: RegExp }

const INITIALIZE = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
const keyOf = async ({ store }: Built, permissions = ['*']) => (await addKey(store, { permissions })).key
const call = (name: string, args: object = {}, permissions = ['*']): Provoke => async built =>
  await modern(built.app, 'tools/call', { name, arguments: args }, { key: await keyOf(built, permissions) })
const older = (name: string, args: object = {}, permissions = ['*']): Provoke => async built =>
  await legacy(built.app, 'tools/call', { name, arguments: args }, { key: await keyOf(built, permissions) })
const inSession = (method: string, params: Record<string, unknown>, permissions = ['*']): Provoke => async built => {
  const key = await keyOf(built, permissions)
  const { headers } = await legacy(built.app, 'initialize', INITIALIZE, { key })
  return await legacy(built.app, method, params, { key, headers: { 'mcp-session-id': String(headers['mcp-session-id']) } })
}
const asks = (method: string, params: Record<string, unknown>, permissions = ['*']): Provoke => async built =>
  await modern(built.app, method, params, { key: await keyOf(built, permissions) })
const with_ = (headers: Record<string, string>, key = true): Provoke => async built =>
  await modern(built.app, 'tools/list', {}, { key: key ? await keyOf(built) : undefined, headers })
const raw = (options: InjectOptions): Provoke => async built => await built.app.inject({
  method: 'POST', url: '/mcp', ...options, headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: '*/*', authorization: `Bearer ${await keyOf(built)}`, ...options.headers }
})

const SECRET = 'a secret of the replicas that is long enough'

const CASES: Case[] = [
  { reason: 'ADDRESS_BLOCKED', how: 'a blocked range', rule: '192.0.2.0/24', provoke: async ({ app, store }) => { await store.blocklist.set('192.0.2.0/24', { since: 1 }); return await modern(app, 'tools/list', {}, { address: '192.0.2.9' }) } },
  { reason: 'ORIGIN_REFUSED', how: 'another Host', rule: /evil\.example/, provoke: with_({ host: 'evil.example' }) },
  { reason: 'ORIGIN_REFUSED', how: 'another Origin', rule: /evil\.example/, provoke: with_({ origin: 'https://evil.example' }) },
  { reason: 'TOO_LARGE', how: 'a body over the limit', env: { MAX_REQUEST_BYTES: '2000' }, provoke: raw({ payload: JSON.stringify({ a: 'x'.repeat(3000) }) }) },
  { reason: 'PARSE_ERROR', how: 'no JSON', provoke: raw({ payload: '{' }) },
  { reason: 'PARSE_ERROR', how: 'nothing', provoke: raw({ payload: '' }) },
  { reason: 'UNSUPPORTED_MEDIA_TYPE', how: 'text', provoke: raw({ payload: 'hello', headers: { 'content-type': 'text/plain' } }) },
  { reason: 'INVALID_REQUEST', how: 'a batch', provoke: raw({ payload: '[]' }) },
  { reason: 'INVALID_REQUEST', how: 'no message', provoke: raw({ payload: '{"jsonrpc":"1.0"}' }) },
  { reason: 'NOT_ACCEPTABLE', how: 'an Accept of neither kind', provoke: with_({ accept: 'text/html' }) },
  { reason: 'LOOP_DETECTED', how: 'a message that passed here before', env: { STATE_SECRET: SECRET }, provoke: with_({ via: `1.1 proxy, 1.1 ${gatewayName(SECRET)}` }) },
  { reason: 'INVALID_PARAMS', how: 'a tool without a name', provoke: asks('tools/call', { name: 5 }) },
  { reason: 'INVALID_PARAMS', how: 'an unknown prompt', rule: 'no such prompt', provoke: asks('prompts/get', { name: 'nope' }) },
  { reason: 'INVALID_PARAMS', how: 'a prompt without its argument', provoke: asks('prompts/get', { name: 'greet' }) },
  { reason: 'INVALID_PARAMS', how: 'an unknown resource', rule: 'no such resource', provoke: asks('resources/read', { uri: 'note://nope' }) },
  { reason: 'INVALID_PARAMS', how: 'an unknown resource in a session', rule: 'no such resource', provoke: inSession('resources/subscribe', { uri: 'note://nope' }) },
  { reason: 'UNKNOWN_TOOL', how: 'a tool that is not there', rule: 'no such tool', provoke: call('nope') },
  { reason: 'UNKNOWN_TOOL', how: 'one, by an older client', provoke: older('nope') },
  { reason: 'UNKNOWN_TOOL', how: 'one, in a session', provoke: inSession('tools/call', { name: 'nope' }) },
  { reason: 'UNKNOWN_METHOD', how: 'a method that is not there', provoke: asks('no/such', {}) },
  { reason: 'UNKNOWN_METHOD', how: 'one, by an older client', provoke: async built => await legacy(built.app, 'no/such', {}, { key: await keyOf(built) }) },
  { reason: 'UNKNOWN_METHOD', how: 'one, in a session', provoke: inSession('no/such', {}) },
  { reason: 'VERSION_REFUSED', how: 'a revision of tomorrow', provoke: async built => await modern(built.app, 'tools/list', { _meta: { 'io.modelcontextprotocol/protocolVersion': '2999-01-01' } }, { key: await keyOf(built), headers: { 'mcp-protocol-version': '2999-01-01' } }) },
  { reason: 'CAPABILITY_MISSING', how: 'a tool asks what the client cannot answer', provoke: call('asks') },
  { reason: 'HEADER_MISMATCH', how: 'Mcp-Name of another tool', provoke: async built => await modern(built.app, 'tools/call', { name: 'plain' }, { key: await keyOf(built), headers: { 'mcp-name': 'other' } }) },
  { reason: 'HEADER_MISMATCH', how: 'a header that repeats another argument', rule: 'mcp-param-text', provoke: async built => await modern(built.app, 'tools/call', { name: 'plain', arguments: { text: 'a' } }, { key: await keyOf(built), headers: { 'mcp-param-text': 'b' } }) },
  { reason: 'MALFORMED_CREDENTIAL', how: 'two credentials', provoke: with_({ 'x-api-key': 'a' }) },
  { reason: 'AUTHENTICATION_REQUIRED', how: 'none', provoke: with_({}, false) },
  { reason: 'INVALID_CREDENTIAL', how: 'an unknown key', provoke: async ({ app }) => await modern(app, 'tools/list', {}, { key: 'unknown', address: '198.51.100.1' }) },
  { reason: 'INVALID_CREDENTIAL', how: 'a revoked key, which the log names', rule: 'api key revoked', principal: /^key:/, provoke: async ({ app, store }) => await modern(app, 'tools/list', {}, { key: (await addKey(store, { revoked: 1 })).key, address: '198.51.100.2' }) },
  { reason: 'INVALID_CREDENTIAL', how: 'an expired key, which the log names', rule: 'api key expired', principal: /^key:/, provoke: async ({ app, store }) => await modern(app, 'tools/list', {}, { key: (await addKey(store, { expires: 1 })).key, address: '198.51.100.3' }) },
  { reason: 'INVALID_CREDENTIAL', how: 'a key for other addresses, which the log names', rule: /wrong_address/, principal: /^key:/, provoke: async ({ app, store }) => await modern(app, 'tools/list', {}, { key: (await addKey(store, { cidrs: ['10.0.0.0/8'] })).key, address: '198.51.100.4' }) },
  { reason: 'INVALID_CREDENTIAL', how: 'a token of a subject that was revoked', rule: 'revoked sub:ada', provoke: async ({ app, store, issuer }) => { await store.revocations.set('sub:ada', { since: Date.now() + 60_000 }); return await modern(app, 'tools/list', {}, { key: issuer.mint({ sub: 'ada' }), address: '198.51.100.5' }) } },
  { reason: 'INSUFFICIENT_SCOPE', how: 'a token without the access scope', provoke: async ({ app, issuer }) => await modern(app, 'tools/list', {}, { key: issuer.mint({ sub: 'bob', scope: 'other' }) }) },
  { reason: 'INSUFFICIENT_SCOPE', how: 'a token without the tool', rule: 'no pattern', provoke: async ({ app, issuer }) => await modern(app, 'tools/call', { name: 'plain' }, { key: issuer.mint({ sub: 'bob', scope: 'mcp:server:access' }) }) },
  { reason: 'FORBIDDEN', how: 'a resource that no permission gives', rule: 'no pattern', provoke: asks('resources/read', { uri: 'note://a' }, ['re*']) },
  { reason: 'FORBIDDEN', how: 'a prompt that is taken away, in a session', rule: '!prompt:gr*', provoke: inSession('prompts/get', { name: 'greet' }, ['*', '!prompt:gr*']) },
  { reason: 'FORBIDDEN', how: 'a completion', provoke: asks('completion/complete', { ref: { type: 'ref/prompt', name: 'greet' }, argument: { name: 'who', value: '' } }, ['get_*']) },
  { reason: 'FORBIDDEN', how: 'subscribing', provoke: inSession('resources/subscribe', { uri: 'note://a' }, ['get_*']) },
  { reason: 'ACCESS_DENIED', how: 'a tool that no permission gives', rule: 'no pattern', provoke: call('plain', {}, ['get_*']) },
  { reason: 'ACCESS_DENIED', how: 'one that is taken away, by an older client', rule: '!pl*', provoke: older('plain', {}, ['*', '!pl*']) },
  { reason: 'ACCESS_DENIED', how: 'one, in a session', provoke: inSession('tools/call', { name: 'plain' }, []) },
  { reason: 'ACCESS_DENIED', how: 'an operator key', rule: 'role', provoke: async ({ app, store }) => await modern(app, 'tools/call', { name: 'plain' }, { key: (await addKey(store, { role: 'operator' })).key }) },
  { reason: 'SUSPICIOUS_ARGUMENT', how: 'a path that climbs', rule: /^path_traversal at /, provoke: async built => await legacy(built.app, 'tools/call', { name: 'plain', arguments: { text: '../../etc/passwd' } }, { key: await keyOf(built) }) },
  { reason: 'SUSPICIOUS_ARGUMENT', how: 'one, in a session', provoke: inSession('tools/call', { name: 'plain', arguments: { text: '../../etc/passwd' } }) },
  { reason: 'INVALID_ARGUMENTS', how: 'an argument that is not known', rule: 'input schema', provoke: call('plain', { other: 1 }) },
  { reason: 'INVALID_ARGUMENTS', how: 'one, by an older client', provoke: older('plain', { text: 5 }) },
  { reason: 'TOOL_ERROR', how: 'a tool says so', provoke: call('declines') },
  { reason: 'TOOL_ERROR', how: 'a tool says so later, by an older client', provoke: older('declines_late') },
  { reason: 'TOOL_ERROR', how: 'a result that is an error', provoke: call('is_error') },
  { reason: 'TOOL_ERROR', how: 'a result that is an error and more than text', provoke: call('is_error_with_picture') },
  { reason: 'TOOL_ERROR', how: 'one, in a session', provoke: inSession('tools/call', { name: 'is_error_with_picture' }) },
  { reason: 'TOOL_FAILED', how: 'a tool that throws', rule: 'threw', provoke: call('throws') },
  { reason: 'TOOL_FAILED', how: 'a tool that throws later, in a session', rule: 'threw', provoke: inSession('tools/call', { name: 'throws_late' }) },
  { reason: 'TOOL_FAILED', how: 'a tool that takes too long', rule: 'timeoutMs', provoke: call('sleeps') },
  { reason: 'TOOL_FAILED', how: 'a result that breaks its schema', rule: /schema|result/, provoke: older('breaks_its_word') },
  ...(['UPSTREAM_UNREACHABLE', 'UPSTREAM_TIMEOUT', 'UPSTREAM_BUSY', 'UPSTREAM_BROKEN'] as const).map(reason => ({ reason, how: 'what stands for a tool of an upstream', rule: /^upstream of /, provoke: call(reason.toLowerCase()) })),
  { reason: 'NOT_FOUND', how: 'another path', provoke: raw({ method: 'GET', url: '/nothing' }) },
  { reason: 'SESSION_NOT_FOUND', how: 'an invented session', provoke: async built => await legacy(built.app, 'tools/list', {}, { key: await keyOf(built), headers: { 'mcp-session-id': 'invented' } }) },
  { reason: 'METHOD_NOT_ALLOWED', how: 'GET without a session', provoke: raw({ method: 'GET' }) },
  { reason: 'RATE_LIMITED', how: 'the limit of a key', rule: 'limit of the key', provoke: async ({ app, store }) => { const { key } = await addKey(store, { limit: 1 }); await modern(app, 'tools/list', {}, { key }); return await modern(app, 'tools/list', {}, { key }) } },
  { reason: 'RATE_LIMITED', how: 'a tool that costs more than is left', rule: /cost of the tool/, provoke: call('dear') },
  { reason: 'RATE_LIMITED', how: 'a tool of its own rate', rule: 'rate of the tool', provoke: async built => { const key = await keyOf(built); await modern(built.app, 'tools/call', { name: 'rare' }, { key }); return await modern(built.app, 'tools/call', { name: 'rare' }, { key }) } },
  { reason: 'TOO_MANY_FAILURES', how: 'guessing', rule: /^failures of 203\.0\.113\.9/, provoke: async ({ app }) => { const guess = () => modern(app, 'tools/list', {}, { key: 'wrong', address: '203.0.113.9' }); for (let i = 0; i < 20; i++) await guess(); return await guess() } },
  { reason: 'TOO_MANY_SESSIONS', how: 'one session too many', env: { MAX_SESSIONS_PER_PRINCIPAL: '1' }, provoke: async built => { const key = await keyOf(built); await legacy(built.app, 'initialize', INITIALIZE, { key }); return await legacy(built.app, 'initialize', INITIALIZE, { key }) } },
  { reason: 'DRAINING', how: 'a stream on a replica that ends', provoke: async built => { const key = await keyOf(built); await built.app.secureMcp.mcp.close(); return await modern(built.app, 'subscriptions/listen', { notifications: { toolsListChanged: true } }, { key }) } },
  { reason: 'STATE_UNAVAILABLE', how: 'Redis is gone', env: { REDIS_URL: 'redis://127.0.0.1:1', REDIS_COMMAND_TIMEOUT_MS: '250' }, provoke: async ({ app }) => await modern(app, 'tools/list', {}, { key: 'anything' }) },
  { reason: 'INTERNAL', how: 'a prompt that throws', provoke: asks('prompts/get', { name: 'throws' }) },
  { reason: 'INTERNAL', how: 'a resource that throws, in a session', provoke: inSession('resources/read', { uri: 'note://throws' }) },
  {
    reason: 'OVERLOADED',
    how: 'every place is taken',
    env: { MAX_IN_FLIGHT: '1' },
    provoke: async built => {
      const [one, other] = [await keyOf(built), await keyOf(built)]
      const held = modern(built.app, 'tools/call', { name: 'holds' }, { key: one })
      await until(() => built.app.secureMcp.traffic.inFlight === 1)
      const answer = await modern(built.app, 'tools/list', {}, { key: other })
      release()
      await held
      return answer
    }
  },
  {
    reason: 'TOO_MANY_STREAMS',
    how: 'one stream too many',
    env: { MAX_STREAMS_PER_PRINCIPAL: '1' },
    provoke: async (built, t) => {
      const key = await keyOf(built)
      const open = () => built.app.inject({
        method: 'POST',
        url: '/mcp',
        headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'text/event-stream', 'mcp-protocol-version': MODERN, 'mcp-method': 'subscriptions/listen', authorization: `Bearer ${key}` },
        payload: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params: { _meta: META, notifications: { toolsListChanged: true } } }),
        payloadAsStream: true
      })
      const first = await open()
      t.teardown(() => first.stream().destroy())
      return await modern(built.app, 'subscriptions/listen', { notifications: { toolsListChanged: true } }, { key })
    }
  },
  {
    reason: 'TRANSPORT',
    how: 'a head that the parser refuses',
    provoke: async built => {
      await built.app.listen({ host: '127.0.0.1', port: 0 })
      const socket = connect((built.app.server.address() as { port: number }).port, '127.0.0.1')
      let text = ''
      socket.setEncoding('utf8').on('data', part => { text += part }).on('error', () => {})
      socket.write('GET /mcp HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n')
      await once(socket, 'close')
      const [head, body] = text.split('\r\n\r\n') as [string, string]
      const headers = Object.fromEntries(head.split('\r\n').slice(1).map(line => [line.split(':')[0]!.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
      return { statusCode: Number(head.split(' ')[1]), headers, body }
    }
  }
]

/** How often the metric counted a decision. */
async function counted ({ metrics }: Built, decision: string): Promise<number> {
  const rows = (await metrics.text()).split('\n').filter(row => row.startsWith('mcp_requests_total{') && row.includes(`decision="${decision}"`))
  return rows.reduce((sum, row) => sum + Number(row.split(' ').at(-1)), 0)
}

const IN_200: ReadonlySet<Reason> = new Set(['FORBIDDEN', 'UNKNOWN_METHOD', 'INVALID_PARAMS', 'INTERNAL'])

/** What the answer says of the reason: by name, by its JSON-RPC code, or by being a result that is an error. */
function answered (t: Test, { reason }: Case, answer: Answer, requestId: unknown): void {
  const { http, rpc, as } = ERRORS[reason] as { http: number, rpc: number, as?: 'result' }
  t.equal(answer.headers['x-request-id'], requestId, 'the id is on the answer')
  // What a handler of the protocol refuses travels in a 200; the parser has statuses of its own.
  if (!IN_200.has(reason) && reason !== 'TRANSPORT') t.equal(answer.statusCode, http)
  const { error, result, requestId: plain } = messageOf(answer as never) as { error?: any, result?: any, requestId?: string }
  if (as === 'result') {
    t.equal(result.isError, true)
    return
  }
  if (typeof error === 'string') {
    t.equal(error, reason)
    t.equal(plain, requestId)
    return
  }
  t.equal(error.code, rpc)
  if (rpc > 0) t.equal(error.data.reason, reason)
  t.equal(error.data.requestId, requestId, 'the id is in the refusal')
  t.notMatch(answer.body, /canary/)
}

/** What the line says is enough to name the layer that refused, and what would mend it. */
function explained (t: Test, { reason, rule }: Pick<Case, 'reason' | 'rule'>, line: RecordedDecision): void {
  const { decision, layer, layers, mend, ...more } = explainRecord(line)
  t.equal(decision, reason)
  if (rule !== undefined) t.match(more.rule, rule)
  t.same(layers.map(({ layer }) => layer), LAYERS)
  t.match(layers.find(({ verdict }) => verdict === 'refused'), { layer, reason })
  t.ok(mend.length >= 1 && mend.every(sentence => sentence.length > 20), 'and says what would mend it')
}

t.test('no reason of the table is without a case', async t => {
  const cases = new Set(CASES.map(({ reason }) => reason))
  // These the management API alone has: test/routes/api/operations.test.ts; the last a full disk: test/audit/audit-log.test.ts.
  for (const reason of ['CROSS_SITE', 'PRECONDITION_REQUIRED', 'PRECONDITION_FAILED', 'AUDIT_UNAVAILABLE'] as const) cases.add(reason)
  t.same(Object.keys(ERRORS).filter(reason => !cases.has(reason as Reason)), [])
  t.ok(CASES.length >= 60, `${CASES.length} cases`)
})

t.test('answer, log line and metric name the same reason', async t => {
  const issuer = await startIssuer(t)
  const common = await build(t, { tools: TOOLS, env: { OAUTH2_AUTH_SERVER: issuer.url } })
  const ends = (one: Case) => one.env !== undefined || ['DRAINING', 'TRANSPORT', 'ADDRESS_BLOCKED'].includes(one.reason)
  for (const one of CASES) {
    await t.test(`${one.reason}: ${one.how}`, async t => {
      const built = ends(one) ? await build(t, { tools: TOOLS, env: one.env ?? {} }) : common
      const before = await counted(built, one.reason)
      const [from, earlier] = [built.lines.length, await counted(built, 'served')]
      const answer = await one.provoke({ ...built, issuer }, t)
      await until(async () => await counted(built, one.reason) > before)
      const id = answer.headers['x-request-id']
      const lines = built.lines.slice(from)
      const line = lines.find(({ msg, reqId }) => msg === 'request' && reqId === id)
      t.match(line, { decision: one.reason }, 'the line names it')
      if (one.rule !== undefined) t.match(line?.rule, one.rule)
      if (one.principal !== undefined) t.match(line?.principal, one.principal)
      explained(t, one, line as unknown as RecordedDecision)
      answered(t, one, answer, id)
      const strangers = lines.filter(({ msg, reqId, level }) => reqId === undefined && level !== 'debug' && !/redis|state|epoch|listening/i.test(String(msg)))
      t.same(strangers, [], 'every line of the request bears its id')
      const good = lines.filter(({ msg, decision }) => msg === 'request' && decision === 'served').length
      t.equal(await counted(built, 'served') - earlier, good, 'and nothing more was served than the lines say')
    })
  }
})

t.test('a thrown refusal of any reason is answered with it', async t => {
  const { app, lines } = await build(t)
  let reason: Reason = 'INTERNAL'
  app.get('/refuse', { config: { secureMcp: { public: true } } }, () => { throw new AppError(reason, 'refused', { rule: 'a rule' }) })
  for (reason of Object.keys(ERRORS) as Reason[]) {
    const answer = await app.inject({ url: '/refuse', headers: { host: 'localhost:3000' } })
    t.equal(answer.statusCode, ERRORS[reason].http, reason)
    t.match(answer.json(), { error: reason, requestId: answer.headers['x-request-id'] })
    t.match(lines.at(-1), { msg: 'request', decision: reason, rule: 'a rule', reqId: answer.headers['x-request-id'] })
  }
})

t.test('over stdio the line of a message names what its answer says', async t => {
  const { config, store } = await build(t)
  const lines: Array<Record<string, unknown>> = []
  const log = createLog({ destination: { write: line => { lines.push(JSON.parse(line) as Record<string, unknown>) } } })
  const runtime = await buildRuntime({ config, store, logger: log, sources: TOOLS.map(definition => ({ from: 'test', definition })) })
  const [input, output] = [new PassThrough(), new PassThrough()]
  const answers: any[] = []
  let held = ''
  output.setEncoding('utf8').on('data', (part: string) => {
    const parts = (held + part).split('\n')
    held = parts.pop()!
    for (const line of parts) answers.push(JSON.parse(line))
  })
  const audit = new AuditLog({ out: log.line })
  const record = (trace: Trace) => audit.addNow(trace, 'request')
  const serving = serveStdio({ ...runtime, store, log, record, credential: { type: 'none' }, maxMessageBytes: 100_000, input, output })
  const keys = { all: await addKey(store), few: await addKey(store, { permissions: ['get_*'] }), low: await addKey(store, { limit: 1 }), revoked: await addKey(store, { revoked: 1 }) }
  let id = 0
  const ask = async (method: string, params: object, key?: string) => {
    const own = ++id
    const auth = key === undefined ? {} : { auth: { type: 'api_key', api_key: key } }
    input.write(JSON.stringify({ jsonrpc: '2.0', id: own, method, params: { ...params, _meta: { ...auth } } }) + '\n')
    await until(() => answers.some(answer => answer.id === own))
    return answers.find(answer => answer.id === own)
  }
  await ask('initialize', INITIALIZE, keys.all.key)
  const rows: Array<[Reason | 'served', string, object, string | undefined]> = [
    ['served', 'tools/call', { name: 'plain', arguments: {} }, keys.all.key],
    ['AUTHENTICATION_REQUIRED', 'tools/list', {}, undefined],
    ['INVALID_CREDENTIAL', 'tools/list', {}, keys.revoked.key],
    ['ACCESS_DENIED', 'tools/call', { name: 'plain', arguments: {} }, keys.few.key],
    ['FORBIDDEN', 'resources/read', { uri: 'note://a' }, keys.few.key],
    ['UNKNOWN_TOOL', 'tools/call', { name: 'nope', arguments: {} }, keys.all.key],
    ['INVALID_ARGUMENTS', 'tools/call', { name: 'plain', arguments: { other: 1 } }, keys.all.key],
    ['SUSPICIOUS_ARGUMENT', 'tools/call', { name: 'plain', arguments: { text: '../../etc/passwd' } }, keys.all.key],
    ['TOOL_ERROR', 'tools/call', { name: 'declines', arguments: {} }, keys.all.key],
    ['TOOL_FAILED', 'tools/call', { name: 'throws', arguments: {} }, keys.all.key],
    ['UPSTREAM_BUSY', 'tools/call', { name: 'upstream_busy', arguments: {} }, keys.all.key],
    ['UNKNOWN_METHOD', 'no/such', {}, keys.all.key],
    ['INVALID_PARAMS', 'prompts/get', { name: 'nope' }, keys.all.key],
    ['INTERNAL', 'prompts/get', { name: 'throws' }, keys.all.key],
    ['served', 'tools/list', {}, keys.low.key],
    ['RATE_LIMITED', 'tools/list', {}, keys.low.key]
  ]
  for (const [reason, method, params, key] of rows) {
    const from = lines.length
    const { error, result } = await ask(method, params, key)
    await until(() => lines.slice(from).some(({ msg }) => msg === 'request'))
    const line = lines.slice(from).find(({ msg }) => msg === 'request')!
    t.match(line, { decision: reason, method: method === 'no/such' ? 'other' : method }, reason)
    if (reason !== 'served') explained(t, { reason }, line as unknown as RecordedDecision)
    t.equal(lines.slice(from).every(({ reqId }) => reqId === line.reqId), true, 'every line bears the id')
    if (reason === 'served' || (ERRORS[reason] as { as?: string }).as === 'result') t.equal(result?.isError ?? false, reason !== 'served')
    else t.match(error, { code: ERRORS[reason].rpc, data: { requestId: line.reqId } })
  }
  input.end()
  await serving
  await runtime.close()
})
