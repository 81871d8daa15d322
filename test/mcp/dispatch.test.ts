/** What clients send as they are: any Accept, PHP's empty lists, long calls, large numbers; with a session and without one, in every revision. */
import { request, type IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { ask, defineTool, definePrompt, elicit, sample, Type } from '../../src/tools/index.ts'
import { addKey, build, legacy, messageOf, META, MODERN, modern, type Built } from '../support/app.ts'

const noInput = Type.Object({}, { additionalProperties: false })
const FORM = { type: 'object', properties: { name: { type: 'string', maxLength: 10 }, age: { type: 'integer', minimum: 0 } }, required: ['name'] }
let release = (_result: string) => {}

const TOOLS = [
  defineTool({ name: 'says', description: 'Says it again.', input: Type.Object({ text: Type.Optional(Type.Unknown()), n: Type.Optional(Type.Number()) }), run: input => JSON.stringify(input) }),
  defineTool({ name: 'waits', description: 'Takes long.', input: noInput, run: () => new Promise<string>(resolve => { release = resolve }) }),
  defineTool({
    name: 'steps',
    description: 'Tells how far it is.',
    input: noInput,
    async run (_input, { progress }) {
      progress(1, 2)
      await null
      progress(2, 2, 'nearly')
      return 'done'
    }
  }),
  defineTool({
    name: 'asks',
    description: 'Asks first.',
    input: noInput,
    run: (_input, { answers, state }) => answers.who === undefined ? ask({ who: elicit('Who?', FORM) }) : JSON.stringify({ answers, state: state ?? 'none' })
  }),
  defineTool({
    name: 'keeps',
    description: 'Asks two things, and keeps something meanwhile.',
    input: noInput,
    run: (_input, { answers, state }) => answers.who === undefined && answers.capital === undefined
      ? ask({ who: elicit('Who?', FORM), capital: sample({ messages: [], maxTokens: 5 }) }, { round: 1 })
      : JSON.stringify({ answers, state })
  }),
  definePrompt({ name: 'greets', description: 'Greets.', arguments: [{ name: 'toString' }, { name: 'who', required: true }], get: ({ who }) => `Hello ${who}` })
]
const INITIALIZE = { protocolVersion: '2025-11-25', capabilities: { elicitation: {}, sampling: {} }, clientInfo: { name: 'test', version: '1' } }
const CAPABLE = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} }, sampling: {} } }

interface Way { readonly name: string, send (method: string, params?: unknown, headers?: Record<string, string>): Promise<Answered> }
type Answered = Awaited<ReturnType<typeof modern>>

/** The same service as clients of each kind reach it. */
async function ways (t: Test, options: Parameters<typeof build>[1] = {}): Promise<Built & { key: string, ways: readonly Way[] }> {
  const built = await build(t, { tools: TOOLS, ...options, env: { RATE_LIMIT_API_KEY: '100000', ...options?.env } })
  const { key } = await addKey(built.store)
  const begun = await legacy(built.app, 'initialize', INITIALIZE, { key })
  const session = String(begun.headers['mcp-session-id'])
  const way = (name: string, headersOf: (method: string, params: any) => Record<string, string>, paramsOf = (params: any): unknown => params): Way => ({
    name,
    send: (method, params, headers) => post(built.app, key, { jsonrpc: '2.0', id: 7, method, ...(params === undefined ? {} : { params: paramsOf(params) }) }, { ...headersOf(method, params), ...headers })
  })
  return {
    ...built,
    key,
    ways: [
      way('2025-11-25 without a session', () => ({ 'mcp-protocol-version': '2025-11-25' })),
      way('2025-11-25 in a session', () => ({ 'mcp-protocol-version': '2025-11-25', 'mcp-session-id': session })),
      way(MODERN, (method, params) => ({ 'mcp-protocol-version': MODERN, 'mcp-method': method, ...(typeof params?.name === 'string' ? { 'mcp-name': params.name } : {}) }),
        params => typeof params === 'object' && params !== null && !Array.isArray(params) ? { ...params, _meta: { ...META, ...CAPABLE, ...params._meta } } : params)
    ]
  }
}

async function post (app: FastifyInstance, key: string, body: unknown, headers: Record<string, string> = {}): Promise<Answered> {
  return await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: Object.fromEntries(Object.entries({ host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'x-api-key': key, ...headers }).filter(([, value]) => value !== 'none')),
    payload: typeof body === 'string' ? body : JSON.stringify(body)
  })
}

const DUMPS = /"expected"|invalid_type|invalid_union|"path"|ZodError|Invalid input|expected record|Not Acceptable: Client|Bad Request:|\bat \S+ \(/

/** An answer without what is this request's own. */
function comparable ({ statusCode, body, headers }: Answered): unknown {
  const { jsonrpc: _jsonrpc, ...message } = messageOf({ body, headers }) as Record<string, any>
  if (message.error?.data !== undefined) delete message.error.data.requestId
  if (message.result !== undefined) for (const member of ['resultType', '_meta', 'ttlMs', 'cacheScope']) delete message.result[member]
  return { statusCode, message }
}

t.test('whatever a client accepts of JSON and event streams is served, and nothing else', async t => {
  const { ways: all } = await ways(t)
  for (const { name, send } of all) {
    await t.test(name, async t => {
      for (const accept of ['*/*', 'application/json', 'application/*', 'none', '', 'text/event-stream', 'text/*;q=0.5', 'application/json, text/event-stream', 'text/html, */*;q=0.1']) {
        for (const [method, params] of [['tools/call', { name: 'says', arguments: { text: 'x' } }], ['tools/call', { name: 'steps', arguments: {}, _meta: { progressToken: 1 } }], ['tools/list', {}]] as const) {
          const answer = await send(method, params, { accept })
          t.equal(answer.statusCode, 200, `${accept}: ${method}`)
          t.match(messageOf(answer), { id: 7, result: {} })
          const wantsStream = accept.startsWith('text/') && !accept.includes('*/*')
          const wantsJson = accept.startsWith('application/') && !accept.includes('event-stream')
          if (wantsStream) t.match(answer.headers['content-type'], /^text\/event-stream/, accept)
          if (wantsJson) t.match(answer.headers['content-type'], /^application\/json/, accept)
        }
      }
      for (const accept of ['text/html', 'application/xml', 'application/json;q=0', 'image/*']) {
        const answer = await send('tools/list', {}, { accept })
        t.equal(answer.statusCode, 406, accept)
        t.match(answer.json(), { id: 7, error: { code: 406, message: 'Accept application/json, text/event-stream, or both', data: { reason: 'NOT_ACCEPTABLE', requestId: String } } })
      }
    })
  }
})

t.test('odd params have one answer, with a session and without one, in every revision', async t => {
  const { ways: all, lines } = await ways(t)
  const rows: Array<[method: string, params: unknown, expected: RegExp | 'served']> = [
    ['tools/list', { cursor: null }, 'served'],
    ['tools/list', { cursor: 7 }, /^Invalid params: cursor must be absent/],
    ['tools/list', { cursor: {} }, /^Invalid params: cursor/],
    ['tools/call', { name: 'says', arguments: [] }, 'served'],
    ['tools/call', { name: 'says', arguments: null }, 'served'],
    ['tools/call', { name: 'says', arguments: 'x' }, /^Invalid params: arguments must be an object/],
    ['tools/call', { name: 'says', arguments: [1] }, /^Invalid params: arguments must be an object/],
    ['tools/call', { name: ['says'] }, /^Invalid params: name must be text/],
    ['tools/call', {}, /^Invalid params: name must be given/],
    ['tools/call', { name: 'says', novel: 1, task: 'x', _meta: { vendor: 1, progressToken: null } }, 'served'],
    ['tools/call', { name: 'says', _meta: { progressToken: [] } }, /^Invalid params: _meta\.progressToken/],
    ['tools/call', { name: 'hasOwnProperty' }, /^Unknown tool: hasOwnProperty/],
    ['prompts/get', { name: 'greets', arguments: { who: 7 } }, /^Invalid params: arguments\.who must be text/],
    ['prompts/get', { name: 'greets', arguments: [] }, /^Missing arguments: who/],
    ['prompts/get', { name: 'greets', arguments: { toString: null, who: 'Ada' } }, 'served'],
    ['prompts/get', { name: 'constructor' }, /^Unknown prompt: constructor/],
    ['prompts/get', { name: {} }, /^Invalid params: name must be text/],
    ['resources/read', {}, /^Invalid params: uri must be given/],
    ['resources/read', { uri: 7 }, /^Invalid params: uri must be text/],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'greets' }, argument: { name: 'constructor', value: '' } }, 'served'],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'greets' }, argument: { name: 'who', value: 1 } }, /^Invalid params: argument\.value must be text/],
    ['completion/complete', { ref: { type: 'toString' }, argument: { name: 'who', value: '' } }, /^Invalid params: ref\.type/],
    ['completion/complete', { ref: [], argument: [] }, /^Invalid params: ref/],
    ['no/such', {}, /^Method not found/],
    ['toString', { name: 1 }, /^Method not found/]
  ]
  for (const [method, params, expected] of rows) {
    const answers = []
    for (const { name, send } of all) {
      const answer = await send(method, params)
      const { result, error } = messageOf(answer)
      const what = `${method} ${JSON.stringify(params)}, ${name}`
      if (expected === 'served') t.ok(result !== undefined && result.isError !== true, what)
      else t.match(error?.message, expected, what)
      t.notMatch(answer.body, DUMPS, what)
      answers.push(comparable(answer))
    }
    const [plain, session, newer] = answers as any[]
    t.strictSame(session, plain, `${method} ${JSON.stringify(params)}: a session changes nothing`)
    t.strictSame(newer.message, plain.message, `${method} ${JSON.stringify(params)}: nor does the revision`)
  }
  t.strictSame(lines.filter(({ level }) => level === 'error').map(({ msg }) => msg), [], 'nothing was a fault of the service')
  const [first] = lines.filter(({ method, decision }) => method === 'tools/list' && decision === 'INVALID_PARAMS')
  t.ok(first, 'and the log says why')
})

t.test('initialize as clients write it', async t => {
  const { app, key } = await ways(t)
  for (const [params, status] of [
    [{ protocolVersion: '2025-11-25', capabilities: [], clientInfo: { name: 'php', version: '1' } }, 200],
    [{ protocolVersion: '2025-11-25' }, 200],
    [{ protocolVersion: '2025-11-25', capabilities: { hasOwnProperty: { a: 1 } }, clientInfo: [] }, 200],
    [{ protocolVersion: '1999-01-01', capabilities: null, clientInfo: null, _meta: [] }, 200],
    [{ protocolVersion: '2025-11-25', capabilities: { roots: [], sampling: null, elicitation: { form: [] }, experimental: [] } }, 200]
  ] as const) {
    const answer = await post(app, key, { jsonrpc: '2.0', id: 1, method: 'initialize', params })
    t.equal(answer.statusCode, status, JSON.stringify(params))
    const { result } = messageOf(answer)
    t.match(result, { protocolVersion: /^2025-/, serverInfo: { name: 'secure-mcp-server' } })
    const session = String(answer.headers['mcp-session-id'])
    t.equal((await post(app, key, { jsonrpc: '2.0', id: 2, method: 'tools/list' }, { 'mcp-session-id': session })).statusCode, 200, 'and its session works')
    t.match(messageOf(await post(app, key, { jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'steps', _meta: { progressToken: 'p' } } }, { 'mcp-session-id': session })), { result: { content: [{ text: 'done' }] } }, 'also by the SDK')
  }
  for (const params of [{}, [], { protocolVersion: 7 }, { protocolVersion: '2025-11-25', capabilities: 'all' }, { protocolVersion: '2025-11-25', clientInfo: 'me' }]) {
    const answer = await post(app, key, { jsonrpc: '2.0', id: 1, method: 'initialize', params })
    t.match(answer.json(), { id: 1, error: { code: -32602, message: /^Invalid params: \w+ must / } }, JSON.stringify(params))
    t.notOk(answer.headers['mcp-session-id'])
  }
})

t.test('numbers that would be read as others are told, not rounded', async t => {
  const { app, key, ways: all } = await ways(t)
  for (const number of ['725653563933458433', '-725653563933458433', '9007199254740993', '1e999', '12345678901234567.89']) {
    for (const [args, path] of [[`{"n":${number}}`, 'n'], [`{"text":{"deep":[0,${number}]}}`, 'text.deep.1']] as const) {
      const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"says","arguments":${args}}}`
      const answer = messageOf(await post(app, key, body))
      t.match(answer, { id: 1, result: { isError: true, content: [{ text: /send it as text/ }] } }, args)
      t.ok(answer.result.content[0].text.includes(path), path)
    }
    const withToken = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"says","arguments":{"n":1},"_meta":{"progressToken":1,"progressToken2":${number}}}}`
    t.match(messageOf(await post(app, key, withToken)), { result: { content: [{ text: '{"n":1}' }] } }, 'what nobody reads is nobody\'s')
  }
  for (const { name, send } of all) {
    for (const number of [1e20, 6.02e23, 9007199254740991, 0.1, -0, 1e-300]) t.equal(messageOf(await send('tools/call', { name: 'says', arguments: { n: number } })).result?.isError, undefined, `${name}: ${number}`)
  }
  for (const id of ['9007199254740993', '-9007199254740993', '9007199254740991.4', '1.00000000000000000001', '1e-400', '1e400', '1.5', 'null', '{}', '[]', 'true', `"${'x'.repeat(1025)}"`]) {
    const answer = await post(app, key, `{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`)
    t.equal(answer.statusCode, 400, id.slice(0, 30))
    t.match(answer.json(), { id: null, error: { code: -32600 } })
  }
  t.match((await post(app, key, '{"jsonrpc":"2.0","id":9007199254740991,"method":"ping"}')).json(), { id: 9007199254740991, result: {} })
  for (const token of ['9007199254740993', '9007199254740991.4', '90071992547409914e-1']) {
    t.match(
      messageOf(await post(app, key, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"progressToken":${token}}}}`)),
      { id: 1, error: { code: -32602, message: /send it as text/ } },
      token
    )
  }
})

t.test('arguments and _meta may hold as many keys as they like, and the same ones', async t => {
  const { ways: all } = await ways(t)
  const many = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, i]))
  for (const { name, send } of all) t.equal(messageOf(await send('tools/call', { name: 'says', arguments: { ...many }, _meta: many })).result?.isError, undefined, name)
})

t.test('a call that takes long is heard of soon, and again and again, where its client takes streams', async t => {
  const { app, ways: all, key } = await ways(t, { quietMs: 60 })
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  for (const { name } of all) {
    for (const [tool, meta] of [['waits', {}], ['waits', { progressToken: 1 }]] as const) {
      await t.test(`${name}, ${JSON.stringify(meta)}`, async t => {
        const session = name.includes('in a session') ? String((await legacy(app, 'initialize', INITIALIZE, { key })).headers['mcp-session-id']) : undefined
        const newer = name === MODERN
        const response = await begin(port, key, { jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: tool, arguments: {}, _meta: { ...(newer ? META : {}), ...meta } } }, {
          ...(session === undefined ? {} : { 'mcp-session-id': session }),
          ...(newer ? { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': tool } : {})
        })
        t.match(response.headers['content-type'], /^text\/event-stream/)
        let text = ''
        for await (const part of response) {
          text += String(part)
          if (text.split(': keepalive').length === 4) release('at last')
        }
        t.match(text, /^: keepalive\n\n: keepalive\n\n: keepalive\n\n/)
        t.match(JSON.parse(/^data: (.*)$/m.exec(text)![1]!), { id: 9, result: { content: [{ text: 'at last' }] } })
      })
    }
  }
  t.test('and one that takes JSON alone waits', async t => {
    const answer = begin(port, key, { jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: 'waits', arguments: {} } }, { accept: 'application/json' })
    setTimeout(() => release('at last'), 300)
    const response = await answer
    t.match(response.headers['content-type'], /^application\/json/)
    t.match(JSON.parse(await textOf(response)), { id: 9, result: { content: [{ text: 'at last' }] } })
  })
})

/** A request on a socket; resolves with the head of its answer. */
async function begin (port: string, key: string, body: object, headers: Record<string, string>): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    request({ port, method: 'POST', path: '/mcp', headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'x-api-key': key, ...headers } }, resolve)
      .on('error', reject).end(JSON.stringify(body))
  })
}

async function textOf (response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of response) text += String(part)
  return text
}

t.test('progress of a call is told in every revision, and only to who gave a token', async t => {
  const { ways: all } = await ways(t)
  for (const { name, send } of all) {
    const told = await send('tools/call', { name: 'steps', arguments: {}, _meta: { progressToken: 'p-1', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } })
    const events = told.body.split('\n').filter(line => line.startsWith('data: ')).map(line => JSON.parse(line.slice(6)))
    t.match(events, [
      { method: 'notifications/progress', params: { progressToken: 'p-1', progress: 1, total: 2 } },
      { method: 'notifications/progress', params: { progressToken: 'p-1', progress: 2, message: 'nearly' } },
      { id: 7, result: { content: [{ text: 'done' }] } }
    ], name)
    const untold = await send('tools/call', { name: 'steps', arguments: {} })
    t.match(untold.json(), { id: 7, result: { content: [{ text: 'done' }] } }, `${name}: without a token the answer comes alone`)
  }
})

t.test('answers are held to what was asked', async t => {
  const { app, key } = await ways(t)
  const call = (name: string, more: object = {}) => modern(app, 'tools/call', { name, arguments: {}, ...more, _meta: CAPABLE }, { key })
  const asked = messageOf(await call('asks')).result
  t.match(asked, { resultType: 'input_required', inputRequests: { who: { method: 'elicitation/create' } }, requestState: String })
  const answer = async (who: unknown, requestState = asked.requestState) => messageOf(await call('asks', { requestState, inputResponses: { who } }))
  const toldBack = async (who: unknown) => JSON.parse((await answer(who)).result.content[0].text)

  t.strictSame(await toldBack({ action: 'accept', content: { name: 'Ada', age: 7 } }), { answers: { who: { action: 'accept', content: { name: 'Ada', age: 7 } } }, state: 'none' })
  t.strictSame((await toldBack({ action: 'accept', content: { name: 'Ada', age: null, admin: true, constructor: 'x' }, extra: 1 })).answers, { who: { action: 'accept', content: { name: 'Ada' } } }, 'what was not asked for is left out')
  t.strictSame((await toldBack({ action: 'decline', content: { name: 'typed before' } })).answers, { who: { action: 'decline' } })
  t.strictSame((await toldBack({ action: 'cancel', content: null })).answers, { who: { action: 'cancel' } })
  for (const wrong of [{ action: 'accept' }, { action: 'accept', content: {} }, { action: 'accept', content: { name: 7 } }, { action: 'accept', content: { name: 'x'.repeat(11) } }, { action: 'accept', content: { name: 'Ada', age: -1 } }, { action: 'accept', content: { name: 'Ada', age: '7' } }, { action: 'accept', content: 'Ada' }, { action: 'maybe' }, {}]) {
    t.match(await answer(wrong), { error: { code: -32602, message: /^Invalid params: the answer "who" does not fit what was asked: / } }, JSON.stringify(wrong))
  }
  for (const wrong of ['x', 7, [1], true]) t.match(await answer(wrong), { error: { code: -32602, message: 'Invalid params: inputResponses.who must be an object' } }, JSON.stringify(wrong))

  t.test('what nobody asked for is no answer', async t => {
    const given = { inputResponses: { who: { action: 'accept', content: { name: 'Eve', anything: 1 } } } }
    t.match(messageOf(await call('asks', given)).result, { resultType: 'input_required' }, 'without the state it is asked again')
    const [state] = String(asked.requestState).split('=')
    t.match(messageOf(await call('asks', { ...given, requestState: state })).result, { resultType: 'input_required' }, 'so it is where the part that says what was asked is gone')
    const other = String(messageOf(await call('keeps')).result.requestState)
    const mixed = [`${state}=${other.split('=')[1]}`, `${other.split('=')[0]}=${String(asked.requestState).split('=')[1]}`, other, `${state}=`, `=${state}`, '=', 'x', `${asked.requestState}x`]
    for (const requestState of mixed) t.match(messageOf(await call('asks', { ...given, requestState })), { error: { code: -32602, message: 'Invalid or expired requestState' } }, requestState.slice(0, 20))
    t.match(await answer({ action: 'accept', content: { name: 'Ada' } }), { result: {} }, 'what came first still counts')
  })

  t.test('and looked at as arguments are', async t => {
    const free = { type: 'object', properties: { path: { type: 'string' } } }
    const files = defineTool({ name: 'opens', description: 'Opens.', input: noInput, run: (_input, { answers }) => answers.file === undefined ? ask({ file: elicit('Which?', free) }) : 'opened' })
    for (const [mode, blocked] of [['block', true], ['observe', false], ['off', false]] as const) {
      const { app, store, lines } = await build(t, { tools: [files], env: { INSPECTION: mode } })
      const { key } = await addKey(store)
      const send = (more: object = {}) => modern(app, 'tools/call', { name: 'opens', arguments: {}, ...more, _meta: CAPABLE }, { key })
      const { requestState } = messageOf(await send()).result
      const { result } = messageOf(await send({ requestState, inputResponses: { file: { action: 'accept', content: { path: '../../../etc/passwd' } } } }))
      if (blocked) t.match(result, { isError: true, content: [{ text: 'Security validation failed' }, { text: /file\.content\.path/ }] })
      else t.match(result, { content: [{ text: 'opened' }] }, mode)
      t.equal(lines.some(({ msg }) => msg === 'suspicious argument'), mode !== 'off', mode)
      if (blocked) t.ok(lines.some(({ decision }) => decision === 'SUSPICIOUS_ARGUMENT'))
    }
  })

  t.test('several questions, and a state', async t => {
    const { requestState } = messageOf(await call('keeps')).result
    const back = async (inputResponses: object) => messageOf(await call('keeps', { requestState, inputResponses }))
    t.strictSame(JSON.parse((await back({ capital: { role: 'assistant', content: { type: 'text', text: 'Paris' }, model: 'm', novel: 1 } })).result.content[0].text),
      { answers: { capital: { role: 'assistant', content: { type: 'text', text: 'Paris' }, model: 'm' } }, state: { round: 1 } })
    for (const capital of [{}, { role: 'system', content: {} }, { role: 'assistant', content: 'Paris' }]) t.match(await back({ capital }), { error: { code: -32602 } }, JSON.stringify(capital))
  })
})

t.test('a client of the older revisions that answers otherwise than it was asked is told so', async t => {
  const { app, key } = await ways(t)
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const session = String((await legacy(app, 'initialize', INITIALIZE, { key })).headers['mcp-session-id'])
  const round = async (result: unknown) => {
    const response = await begin(port, key, { jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: 'asks', arguments: {} } }, { 'mcp-session-id': session })
    let text = ''
    let answered = false
    for await (const part of response) {
      text += String(part)
      const data = [...text.matchAll(/^data: (.*)\n\n/gm)].map(([, json]) => JSON.parse(json!))
      const question = data.find(({ method }) => method === 'elicitation/create')
      if (question === undefined || answered) continue
      answered = true
      t.equal((await post(app, key, { jsonrpc: '2.0', id: question.id, result }, { 'mcp-session-id': session })).statusCode, 202)
    }
    t.notMatch(text, DUMPS)
    return JSON.parse([...text.matchAll(/^data: (.*)$/gm)].at(-1)![1]!)
  }
  t.strictSame(JSON.parse((await round({ action: 'accept', content: { name: 'Ada', admin: true }, _meta: {} })).result.content[0].text).answers, { who: { action: 'accept', content: { name: 'Ada' } } })
  t.strictSame(JSON.parse((await round({ action: 'decline', content: null })).result.content[0].text).answers, { who: { action: 'decline' } })
  for (const wrong of [{ action: 'accept', content: { name: 7 } }, { action: 'accept', content: [] }, { action: 'perhaps' }, {}]) {
    t.match(await round(wrong), { result: { isError: true, content: [{ text: /does not fit what was asked/ }] } }, JSON.stringify(wrong))
  }
})

t.test('a client that cannot be asked is told so', async t => {
  const { app, key, ways: all } = await ways(t)
  t.match(messageOf(await all[0]!.send('tools/call', { name: 'asks', arguments: {} })), { result: { isError: true } }, 'without a session')
  t.match(messageOf(await all[1]!.send('tools/call', { name: 'asks', arguments: {} }, { accept: 'application/json' })), { result: { isError: true, content: [{ text: /takes no event stream/ }] } }, 'with JSON alone')
  const newer = await modern(app, 'tools/call', { name: 'asks', arguments: {} }, { key })
  t.equal(newer.statusCode, 400)
  t.match(newer.json(), { id: 1, error: { code: -32021, message: 'This needs a capability that the client did not declare', data: { requiredCapabilities: { elicitation: {} }, requestId: String } } })
})

t.test('a session that ended meanwhile, and answers that nobody waits for', async t => {
  const { app, key, ways: all } = await ways(t)
  const session = String((await legacy(app, 'initialize', INITIALIZE, { key })).headers['mcp-session-id'])
  t.equal((await app.inject({ method: 'DELETE', url: '/mcp', headers: { host: 'localhost:3000', 'x-api-key': key, 'mcp-session-id': session } })).statusCode, 200)
  for (const body of [{ jsonrpc: '2.0', id: 1, method: 'tools/list' }, { jsonrpc: '2.0', method: 'notifications/initialized' }, { jsonrpc: '2.0', id: 'x', result: {} }, { jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'error' } }]) {
    t.equal((await post(app, key, body, { 'mcp-session-id': session })).statusCode, 404, JSON.stringify(body))
  }
  t.equal((await post(app, key, { jsonrpc: '2.0', id: 'x', result: {} })).statusCode, 400, 'no session, no question')
  for (const { name, send } of all) {
    t.equal((await send('notifications/initialized', {})).statusCode, name === MODERN ? 404 : 200, `${name}: with an id it is a request`)
  }
})
