/** Servers behind this one, through the app: what clients see of them, and what they are told where one is in trouble. */
import t, { type Test } from 'tap'
import type { UpstreamEntry } from '../../src/upstreams/entry.ts'
import { addKey, build, legacy, messageOf, modern } from '../support/app.ts'
import { entryOf } from '../support/entries.ts'
import { MemoryWire } from '../support/memory-wire.ts'
import { Fault, ScriptedUpstream, text, tool, type Script } from '../support/scripted-upstream.ts'
import { until } from '../support/until.ts'

interface Behind { script?: Script, entry?: Partial<UpstreamEntry> }

/** The app with scripted servers behind it, by name. */
async function open (t: Test, behind: Record<string, Behind>, env: Record<string, string> = {}) {
  const servers = new Map(Object.entries(behind).map(([name, { script }]) => [name, new ScriptedUpstream(script)]))
  const wires = new Map<string, MemoryWire[]>()
  const entries = Object.entries(behind).map(([name, { entry }]) => entryOf(name, entry))
  const built = await build(t, {
    env: { BUILT_IN_TOOLS: 'false', ...env },
    upstreams: {
      entries,
      open ({ name, target }) {
        const wire = new MemoryWire(servers.get(name)!, { http: target.kind === 'http' })
        wires.set(name, [...wires.get(name) ?? [], wire])
        return wire
      }
    }
  })
  await built.app.ready()
  const { key } = await addKey(built.store)
  const { app } = built
  const call = async (name: string, args: object = {}, more: object = {}) => messageOf(await modern(app, 'tools/call', { name, arguments: args }, { key, ...more }))
  return { ...built, key, servers, wires, call, wire: (name: string) => wires.get(name)!.at(-1)! }
}

const said = (message: { result?: { content: Array<{ text: string }> } }) => message.result?.content[0]?.text

t.test('tools of servers behind this one are listed and called under their server\'s name', async t => {
  const { app, key, call } = await open(t, { files: {}, jira: { script: { tools: [tool('search', () => text('found'))] } } })
  const { result } = messageOf(await modern(app, 'tools/list', {}, { key }))
  const names = result.tools.map(({ name }: { name: string }) => name)
  t.ok(names.includes('jira_search') && names.includes('files_echo'))
  t.match(result.tools.find(({ name }: { name: string }) => name === 'files_echo'), { title: 'Says it again', icons: [{}], inputSchema: { required: ['text'] } })
  t.equal(said(await call('jira_search')), 'found')
  t.equal(said(await call('files_echo', { text: 'hello' })), 'hello')
  t.equal(said(messageOf(await legacy(app, 'tools/call', { name: 'files_echo', arguments: { text: 'old' } }, { key }))), 'old')
})

t.test('permission, arguments, inspection and cost hold for them as for own tools', async t => {
  const { app, store, servers, call } = await open(t, { files: { entry: { cost: { all: undefined, byTool: new Map([['echo', 3]]) } } } })
  const { key } = await addKey(store, { permissions: ['files_*', '!files_hang'] })
  t.match(await call('files_hang', {}, { key }), { result: { isError: true, content: [{ text: 'Access denied' }] } })
  t.match(await call('files_echo', { text: 1 }, { key }), { result: { isError: true, content: [{ text: /Invalid arguments/ }] } })
  t.match(await call('files_echo', { text: '../../etc/passwd; rm -rf /' }, { key }), { result: { isError: true, content: [{ text: 'Security validation failed' }] } })
  t.equal(servers.get('files')!.calls.size, 0, 'none of these reached it')
  const before = Number((await modern(app, 'tools/list', {}, { key })).headers.ratelimit?.toString().match(/r=(\d+)/)?.[1])
  const after = Number((await modern(app, 'tools/call', { name: 'files_echo', arguments: { text: 'a' } }, { key })).headers.ratelimit?.toString().match(/r=(\d+)/)?.[1])
  t.equal(before - after, 3)
})

t.test('results and errors of a server go on as they are, and what breaks its schema does not', async t => {
  const { call } = await open(t, { s: {}, lenient: { entry: { output: 'warn' } } })
  t.match(await call('s_fail'), { result: { isError: true, content: [{ text: 'it did not work' }] } })
  t.match(await call('s_structured', { give: true }), { result: { structuredContent: { n: 1 } } })
  t.match(await call('s_structured', {}), { result: { isError: true, content: [{ text: 'Upstream "s" broke its output schema' }] } })
  t.match(await call('lenient_structured', {}), { result: { structuredContent: { n: 'one' } } })
  t.match(await call('s_fault', { code: -32602 }), { error: { code: -32602, message: 'a fault of a script', data: { hint: 'data' } } })
  t.match(await call('s_fault', { code: 401 }), { error: { code: -32603, message: 'a fault of a script' } })
})

t.test('each trouble is told by the name of the server, in result and log', async t => {
  const { call, wire, lines, app, key } = await open(t, { s: { entry: { timeoutMs: 50, maxInFlight: 1 } } })
  t.match(await call('s_hang'), { result: { isError: true, content: [{ text: 'Upstream "s" did not answer within 50 ms' }] } })
  t.match(wire('s').sent.at(-1)?.message, { method: 'notifications/cancelled' })
  const busy = await Promise.all([1, 2, 3, 4].map(() => call('s_hang')))
  t.equal(busy.filter(one => said(one) === 'Upstream "s" is busy: too many calls wait for it').length, 1)
  wire('s').break('exited with code 7')
  t.match(await call('s_echo', { text: 'a' }), { result: { isError: true, content: [{ text: /^Upstream "s" exited with code 7; it is tried again in \d s$/ }] } })
  t.ok(lines.some(({ decision, target }) => decision === 'UPSTREAM_UNREACHABLE' && target === 's_echo'))
  t.ok(lines.some(({ decision }) => decision === 'UPSTREAM_TIMEOUT'))
  t.ok(messageOf(await modern(app, 'tools/list', {}, { key })).result.tools.length > 5, 'its tools stay listed')
})

t.test('a server that is back is used again', async t => {
  const { call, wire, wires } = await open(t, { s: {} })
  wire('s').break()
  await until(async () => said(await call('s_echo', { text: 'a' })) === 'a')
  t.equal(wires.get('s')!.length, 2)
})

t.test('prompts, resources, templates and completion go to whom they belong', async t => {
  const script: Script = {
    prompts: [{ name: 'greet', arguments: [{ name: 'who', required: true }] }],
    resources: [{ uri: 'demo://a', name: 'a' }],
    templates: [{ uriTemplate: 'demo://things/{id}', name: 'things' }, { uriTemplate: 'demo://tree{/path*}', name: 'tree' }]
  }
  const { app, key, servers } = await open(t, { first: { script }, second: { script } })
  const ask = async (method: string, params: Record<string, unknown> = {}) => messageOf(await modern(app, method, params, { key }))
  t.same((await ask('prompts/list')).result.prompts.map(({ name }: { name: string }) => name), ['first_greet', 'second_greet'])
  t.match(await ask('prompts/get', { name: 'second_greet', arguments: { who: 'Ada' } }), { result: { description: 'a prompt', messages: [{ content: { text: '{"who":"Ada"}' } }] } })
  t.equal((await ask('resources/list')).result.resources.length, 1)
  for (const uri of ['demo://a', 'demo://things/1', 'demo://tree/x/y']) t.match(await ask('resources/read', { uri }), { result: { contents: [{ uri, text: `contents of ${uri}` }] } })
  t.match(await ask('resources/read', { uri: 'other://a' }), { error: { code: -32602 } })
  t.match(await ask('completion/complete', { ref: { type: 'ref/prompt', name: 'second_greet' }, argument: { name: 'who', value: 'o' } }), { result: { completion: { values: ['one', 'two'], total: 7, hasMore: true } } })
  t.match(await ask('completion/complete', { ref: { type: 'ref/resource', uri: 'demo://things/{id}' }, argument: { name: 'id', value: 'o' } }), { result: { completion: { values: ['one', 'two'] } } })
  t.ok(servers.get('second')!.received.every(({ method }) => method !== 'resources/read'), 'the first in the file owns them')
})

t.test('both eras behind this one are spoken as they want it', async t => {
  const { call, wire } = await open(t, {
    old: { entry: { protocol: 'auto', target: { kind: 'http', url: new URL('http://127.0.0.1/mcp'), headers: new Map(), forwardHeaders: [], auth: undefined, network: undefined } } },
    new: { script: { era: 'modern' }, entry: { protocol: 'auto', target: { kind: 'http', url: new URL('http://127.0.0.1/mcp'), headers: new Map(), forwardHeaders: [], auth: undefined, network: undefined } } }
  })
  t.equal(said(await call('old_echo', { text: 'a' })), 'a')
  t.match(wire('old').sent.at(-1), { headers: { 'mcp-protocol-version': '2025-11-25', 'mcp-name': undefined } })
  const answer = await call('new_echo', { text: 'b' })
  t.equal(said(answer), 'b')
  t.equal(answer.result.ttlMs, undefined)
  t.match(wire('new').sent.at(-1), {
    headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'echo' },
    message: { params: { name: 'echo', _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } } }
  })
})

t.test('a server that changes what it lists is asked again, and clients are told of what they see', async t => {
  const tools = [tool('one', () => text('1'))]
  const { wire, app, key, servers } = await open(t, { s: { script: { tools } } })
  tools.push(tool('two', () => text('2')))
  for (let i = 0; i < 200; i++) wire('s').say('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
  const names = async () => messageOf(await modern(app, 'tools/list', {}, { key })).result.tools.map(({ name }: { name: string }) => name)
  await until(async () => (await names()).includes('s_two'))
  t.ok(servers.get('s')!.received.filter(({ method }) => method === 'tools/list').length <= 3, 'asked twice, and once more at most')
})

t.test('odd lists lose what is odd, by name, and nothing else', async t => {
  const odd = [null, { name: 'no-schema' }, { inputSchema: { type: 'object' } }, { name: 'task', inputSchema: { type: 'object' }, execution: { taskSupport: 'required' } }, { name: '__proto__', inputSchema: { type: 'object' } }]
  const { app, key, lines } = await open(t, {
    odd: { script: { answers: { 'tools/list': () => ({ tools: [...odd, { name: 'fine', inputSchema: { type: 'object' } }] }) } } },
    endless: { script: { answers: { 'tools/list': ({ params }) => ({ tools: [{ name: `t${String(params.cursor ?? 'first')}`, inputSchema: { type: 'object' } }], nextCursor: 'again' }) } } },
    liar: { script: { capabilities: { tools: {}, prompts: {} }, answers: { 'prompts/list': () => { throw new Error('none') } } } }
  })
  const names = messageOf(await modern(app, 'tools/list', {}, { key })).result.tools.map(({ name }: { name: string }) => name)
  t.same(names.filter((name: string) => name.startsWith('odd_')), ['odd___proto__', 'odd_fine'])
  t.same(names.filter((name: string) => name.startsWith('endless_')), ['endless_tagain', 'endless_tfirst'])
  t.ok(names.includes('liar_echo'))
  const told = lines.filter(({ msg }) => msg === 'upstream list').map(({ what }) => String(what))
  for (const why of [/no object/, /"no-schema" is not offered: its inputSchema/, /it has no name/, /task only/, /same cursor/]) t.ok(told.some(what => why.test(what)), String(why))
})

t.test('a server of the newer revision may ask the caller first, where the file lets it', async t => {
  const script: Script = {
    era: 'modern',
    tools: [tool('ask', ({ params }) => params.inputResponses === undefined
      ? { resultType: 'input_required', inputRequests: { who: { method: 'elicitation/create', params: { mode: 'form', message: 'Who?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } } } }, requestState: 'its own' }
      : text(`${JSON.stringify(params.inputResponses)} ${String(params.requestState)}`))]
  }
  const { app, key } = await open(t, { may: { script, entry: { protocol: 'modern', questions: true } }, not: { script, entry: { protocol: 'modern' } } })
  const _meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }
  const ask = async (more: object = {}) => messageOf(await modern(app, 'tools/call', { name: 'may_ask', arguments: {}, _meta, ...more }, { key })).result
  const asked = await ask()
  t.match(asked, { resultType: 'input_required', inputRequests: { who: { method: 'elicitation/create' } } })
  t.notMatch(JSON.stringify(asked), 'its own', 'its state is sealed')
  const answered = await ask({ requestState: asked.requestState, inputResponses: { who: { action: 'accept', content: { name: 'Ada' } } } })
  t.match(answered.content[0].text, '{"who":{"action":"accept","content":{"name":"Ada"}}} its own')
  t.match(messageOf(await modern(app, 'tools/call', { name: 'not_ask', arguments: {}, _meta }, { key })), { result: { isError: true } })
})

t.test('a server of the newer revision logs for those who want it, and what it needs of a client is told as this server tells it', async t => {
  const tools = [
    tool('log', hands => {
      hands.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'a line' } })
      return text(String((hands.params._meta as Record<string, unknown>)['io.modelcontextprotocol/logLevel']))
    }),
    tool('needs', () => { throw new Fault(-32021, 'It needs sampling', { requiredCapabilities: { sampling: {} } }) })
  ]
  const { app, key, call } = await open(t, { s: { script: { era: 'modern', tools }, entry: { protocol: 'modern' } } })
  t.equal(said(await call('s_log')), 'undefined', 'nobody wants it')
  const _meta = { 'io.modelcontextprotocol/logLevel': 'warning' }
  t.match((await modern(app, 'tools/call', { name: 's_log', arguments: {}, _meta }, { key })).body, /"text":"warning"/)
  t.match((await legacy(app, 'tools/call', { name: 's_log', arguments: {} }, { key })).body, /"text":"info"/)
  const { statusCode, body } = await modern(app, 'tools/call', { name: 's_needs', arguments: {} }, { key })
  t.equal(statusCode, 400)
  t.match(JSON.parse(body), { error: { code: -32021, data: { requiredCapabilities: { sampling: {} } } } })
})

t.test('what the wire may pass on of a caller reaches it, and an API key is no token', async t => {
  const { call, wire } = await open(t, { s: {} })
  await call('s_echo', { text: 'a' }, { headers: { 'x-team': 'blue' } })
  const { caller } = wire('s').sent.at(-1)!
  t.equal(caller?.header('x-team'), 'blue')
  t.equal(caller?.subjectToken?.(), undefined)
})

t.test('a question of an older server is never shown to anybody, and what it logs in a call goes to that caller', async t => {
  const http = { target: { kind: 'http' as const, url: new URL('http://127.0.0.1/mcp'), headers: new Map(), forwardHeaders: [], auth: undefined, network: undefined } }
  const tools = [
    tool('ask', async hands => text(JSON.stringify([await hands.ask('elicitation/create', { message: 'Password?' }), await hands.ask('roots/list', {})]))),
    tool('log', hands => {
      for (let i = 0; i < 100; i++) hands.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: `line ${i}` } })
      return text('logged')
    })
  ]
  const { app, key, call } = await open(t, { s: { script: { tools }, entry: { ...http, questions: true } } })
  t.match(said(await call('s_ask')), /"code":-32601.*"roots":\[\]/)
  const _meta = { 'io.modelcontextprotocol/logLevel': 'info' }
  const begun = performance.now()
  const { body } = await modern(app, 'tools/call', { name: 's_log', arguments: {}, _meta }, { key })
  const seconds = Math.ceil((performance.now() - begun) / 1000)
  t.match(body, /notifications\/message.*line 0/)
  t.ok((body.match(/notifications\/message/g) ?? []).length <= 20 * (1 + seconds), 'of a flood some are passed on')
})
