import { EventEmitter, once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ElicitRequestSchema, LoggingMessageNotificationSchema, ResourceUpdatedNotificationSchema, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import t, { type Test } from 'tap'
import type { Principal } from '../../src/core/principal.ts'
import { sessionIds, sessionOwner } from '../../src/core/session.ts'
import { EventStream } from '../../src/mcp/streams/event-stream.ts'
import { events, noticesOf } from '../../src/mcp/streams/changes.ts'
import { MemoryBus } from '../../src/state/memory/bus.ts'
import { ask, defineResource, defineTool, elicit, Type } from '../../src/tools/index.ts'
import { addKey, build, legacy, messageOf, META, MODERN, modern } from '../support/app.ts'
import { replicas } from '../support/replicas.ts'
import { until } from '../support/until.ts'

const noInput = Type.Object({}, { additionalProperties: false })
const form = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] }
let begun = 0
let aborted = 0

const tools = [
  defineTool({
    name: 'greet',
    description: 'Asks for a name.',
    input: noInput,
    run (_input, { answers, state }) {
      const { action, content } = (answers.who ?? {}) as { action?: string, content?: { name?: string } }
      return action === undefined ? ask({ who: elicit('Who are you?', form) }, { round: 1 }) : `${action} ${content?.name} ${JSON.stringify(state)}`
    }
  }),
  defineTool({
    name: 'slow',
    description: 'Works until it is told to stop.',
    input: noInput,
    async run (_input, { signal, message }) {
      message('error', 'begun')
      begun++
      await new Promise<void>(resolve => { signal.addEventListener('abort', () => { aborted++; resolve() }) })
      return 'stopped'
    }
  }),
  defineTool({
    name: 'talk',
    description: 'Sends a log message of two kinds.',
    input: noInput,
    run (_input, { message }) {
      message('debug', 'd')
      message('error', 'e')
      return 'said'
    }
  }),
  defineTool({
    name: 'touch',
    description: 'Says that things changed.',
    input: noInput,
    run (_input, { changed }) {
      changed({ resource: 'note://secret' })
      changed({ resource: 'note://a' })
      changed('tools')
      return 'touched'
    }
  }),
  defineResource({ uri: 'note://a', name: 'a', read: () => 'a' }),
  defineResource({ uri: 'note://secret', name: 'secret', read: () => 's' })
]

const INITIALIZE = { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo: { name: 'test', version: '1' } }
const textOf = (result: unknown) => (result as { content: Array<{ text: string }> }).content[0]!.text

async function olderClient (t: Test, endpoint: URL): Promise<OlderClient> {
  const client = new OlderClient({ name: 'older', version: '1' }, { capabilities: { elicitation: {} } })
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { name: 'Ada' } }))
  await client.connect(new OlderTransport(endpoint) as never)
  t.teardown(() => client.close())
  return client
}

t.test('a session works on every replica, with the clients of both SDKs', async t => {
  const { store, endpoint } = await replicas(t, { tools })
  const { key } = await addKey(store, { permissions: ['*', '!resource:note://secret'] })
  const url = await endpoint(key)

  await t.test('SDK 1.x: questions, logs, notifications', async t => {
    const client = await olderClient(t, url)
    t.match(client.getServerCapabilities(), { tools: { listChanged: true }, resources: { subscribe: true } })
    for (let i = 0; i < 6; i++) t.equal(textOf(await client.callTool({ name: 'greet', arguments: {} })), 'accept Ada {"round":1}')

    const logs: unknown[] = []
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => { logs.push(params.level) })
    await client.callTool({ name: 'talk', arguments: {} })
    t.strictSame(logs, ['debug', 'error'])
    await client.setLoggingLevel('error')
    for (let i = 0; i < 2; i++) await client.callTool({ name: 'talk', arguments: {} })
    t.strictSame(logs, ['debug', 'error', 'error', 'error'], 'the level holds on the other replica')

    const updated: unknown[] = []
    let lists = 0
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => { updated.push(params.uri) })
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => { lists++ })
    await client.subscribeResource({ uri: 'note://a' })
    await t.rejects(client.subscribeResource({ uri: 'note://secret' }), 'not what it may not read')
    t.ok(await until(async () => {
      await client.callTool({ name: 'touch', arguments: {} })
      return lists >= 4 && updated.length >= 2
    }))
    t.notOk(updated.includes('note://secret'))
    await client.unsubscribeResource({ uri: 'note://a' })
    // What was under way may still come; the change of the list is told after the resource's.
    t.ok(await until(async () => {
      const before = { lists, updated: updated.length }
      await client.callTool({ name: 'touch', arguments: {} })
      await until(() => lists > before.lists)
      return updated.length === before.updated
    }), 'nothing more of what it let go')
  })

  await t.test('SDK 2.x, which asks for the older revisions by default', async t => {
    const client = new Client({ name: 'newer', version: '2' }, { capabilities: { elicitation: {} } })
    client.setRequestHandler('elicitation/create', async () => ({ action: 'decline' as const }))
    await client.connect(new StreamableHTTPClientTransport(url))
    t.teardown(() => client.close())
    for (let i = 0; i < 4; i++) t.equal(textOf(await client.callTool({ name: 'greet', arguments: {} })), 'decline undefined {"round":1}')
  })

  await t.test('SDK 2.x on the newer revision: the state of a question opens on the other replica', async t => {
    const client = new Client({ name: 'newer', version: '2' }, { capabilities: { elicitation: {} }, versionNegotiation: { mode: 'auto' } })
    client.setRequestHandler('elicitation/create', async () => ({ action: 'accept' as const, content: { name: 'Bo' } }))
    await client.connect(new StreamableHTTPClientTransport(url))
    t.teardown(() => client.close())
    t.equal(client.getNegotiatedProtocolVersion(), '2026-07-28')
    for (let i = 0; i < 3; i++) t.equal(textOf(await client.callTool({ name: 'greet', arguments: {} })), 'accept Bo {"round":1}')
  })
})

t.test('a call is cancelled from any replica', async t => {
  const { built: [a, b], store } = await replicas(t, { tools })
  const { key } = await addKey(store)
  const initialized = await legacy(a!.app, 'initialize', INITIALIZE, { key, headers: hostOf(a!) })
  const session = { 'mcp-session-id': String(initialized.headers['mcp-session-id']) }
  const before = [begun, aborted] as const
  const call = legacy(a!.app, 'tools/call', { name: 'slow', arguments: {} }, { key, headers: { ...hostOf(a!), ...session }, id: 'call-1' })
  await until(() => begun === before[0] + 1)
  t.equal(aborted, before[1])
  const cancel = await post(b!, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'call-1' } }, { key, ...session })
  t.equal(cancel.statusCode, 202)
  t.notOk((await call).body.includes('"result"'), 'its answer ends without a result')
  t.equal(aborted, before[1] + 1)
})

t.test('nothing is run for a client that left while its session was looked up', async t => {
  let runs = 0
  const { app, store } = await build(t, { tools: [defineTool({ name: 'count', description: 'Counts.', input: noInput, run: () => String(++runs) })] })
  const { key } = await addKey(store)
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const session = String((await legacy(app, 'initialize', INITIALIZE, { key })).headers['mcp-session-id'])
  const lookUp = new EventEmitter()
  const { find } = store.sessions
  store.sessions.find = async (...which) => {
    lookUp.emit('begun')
    await once(lookUp, 'go on')
    return await find(...which)
  }
  const begun = once(lookUp, 'begun')
  const call = request({
    port,
    method: 'POST',
    path: '/mcp',
    headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${key}`, 'mcp-session-id': session }
  })
  call.on('error', () => {})
  call.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'count', arguments: {}, _meta: { progressToken: 1 } } }))
  await begun
  call.destroy()
  await until(async () => await new Promise<number>((resolve, reject) => app.server.getConnections((error, count) => error === null ? resolve(count) : reject(error))) === 0)
  lookUp.emit('go on')
  await until(() => app.secureMcp.traffic.inFlight === 0)
  t.equal(runs, 0)
})

t.test('a session belongs to its principal', async t => {
  const { built: [a, b], store } = await replicas(t, { tools })
  const [ada, bo] = [await addKey(store), await addKey(store)]
  const begun = await legacy(a!.app, 'initialize', INITIALIZE, { key: ada.key, headers: hostOf(a!) })
  const id = String(begun.headers['mcp-session-id'])

  const call = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }
  const tries = async (key: string, sessionId: string) => [
    await post(b!, call, { key, 'mcp-session-id': sessionId }),
    await post(b!, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }, { key, 'mcp-session-id': sessionId }),
    await post(b!, { jsonrpc: '2.0', id: 'x', result: {} }, { key, 'mcp-session-id': sessionId }),
    ...await Promise.all((['GET', 'DELETE'] as const).map(method => b!.app.inject({
      method, url: '/mcp', headers: { ...hostOf(b!), accept: 'text/event-stream', authorization: `Bearer ${key}`, 'mcp-session-id': sessionId }
    })))
  ]
  for (const [name, key, sessionId] of [
    ['another key', bo.key, id],
    ['a forged id', ada.key, `${id.slice(0, 25)}${'A'.repeat(22)}`],
    ['an id in no form of ours', ada.key, 'x'],
    ['one that never was', ada.key, sessionIds([a!.config.STATE_SECRET[0]!]).make(sessionOwner(`key:${ada.record.id}`, '/mcp'))]
  ] as const) {
    for (const answer of await tries(key, sessionId)) {
      t.equal(answer.statusCode, 404, name)
      t.match(answer.json(), { error: { code: 404, data: { reason: 'SESSION_NOT_FOUND' } } })
    }
  }
  t.equal((await post(b!, call, { key: ada.key, 'mcp-session-id': id })).statusCode, 200, 'its own still works')
})

t.test('only the session that was asked can answer', async t => {
  const { built: [a, b], urls, store } = await replicas(t, { tools })
  const { key } = await addKey(store)
  const ids = []
  for (let i = 0; i < 2; i++) ids.push(String((await legacy(a!.app, 'initialize', INITIALIZE, { key, headers: hostOf(a!) })).headers['mcp-session-id']))
  const response = await fetch(urls[0]!, {
    method: 'POST',
    headers: { ...HEADERS, authorization: `Bearer ${key}`, 'mcp-session-id': ids[0]! },
    body: JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'greet', arguments: {} } })
  })
  const events = eventsOf(response)
  const question = (await events.next()).value!
  t.match(question, { method: 'elicitation/create', id: /^[\w-]{12}\.[0-9a-f-]{36}$/ })
  const answer = { jsonrpc: '2.0', id: question.id, result: { action: 'accept', content: { name: 'Eve' } } }
  const local = await post(a!, answer, { key, 'mcp-session-id': ids[1]! })
  t.equal(local.statusCode, 400, 'another session of the same key')
  await post(b!, answer, { key, 'mcp-session-id': ids[1]! })
  t.equal((await post(b!, { ...answer, id: `${'A'.repeat(12)}.${String(question.id).slice(13)}` }, { key, 'mcp-session-id': ids[0]! })).statusCode, 400, 'a replica that is not there')
  t.equal((await post(b!, { ...answer, result: { action: 'accept', content: { name: 'Ada' } } }, { key, 'mcp-session-id': ids[0]! })).statusCode, 202)
  t.match((await events.next()).value, { id: 7, result: { content: [{ text: 'accept Ada {"round":1}' }] } })
})

t.test('one stream a session, the newest, and DELETE ends it everywhere', async t => {
  const { built: [a, b], urls, store } = await replicas(t, { tools })
  const { key } = await addKey(store)
  const id = String((await legacy(a!.app, 'initialize', INITIALIZE, { key, headers: hostOf(a!) })).headers['mcp-session-id'])
  const get = (url: string) => fetch(url, { headers: { accept: 'text/event-stream', authorization: `Bearer ${key}`, 'mcp-session-id': id } })
  const first = await get(urls[0]!)
  t.equal(first.status, 200)
  const second = await get(urls[1]!)
  await first.text()
  t.pass('the older one ends, on the other replica')
  const headers = { ...hostOf(a!), authorization: `Bearer ${key}`, 'mcp-session-id': id }
  t.equal((await a!.app.inject({ method: 'DELETE', url: '/mcp', headers })).statusCode, 200)
  await second.text()
  t.pass('the stream ends with its session')
  t.equal((await post(b!, { jsonrpc: '2.0', id: 1, method: 'ping' }, { key, 'mcp-session-id': id })).statusCode, 404)
  t.equal((await a!.app.inject({ method: 'DELETE', url: '/mcp', headers })).statusCode, 404)
})

t.test('sessions are capped, end when they are idle, and are counted like every request', async t => {
  await Promise.all(['redis', 'memory'].map(async kind => {
    const env = { MAX_SESSIONS_PER_PRINCIPAL: '3', MAX_SESSIONS: '5', SESSION_IDLE_MS: '5000', SESSION_MAX_MS: '12000' }
    const one = kind === 'redis' ? (await replicas(t, { tools, count: 1, env })).built[0]! : await build(t, { tools, env })
    const [ada, bo] = [await addKey(one.store), await addKey(one.store)]
    const begin = (key: string) => legacy(one.app, 'initialize', INITIALIZE, { key, headers: hostOf(one) })
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push(String((await begin(ada.key)).headers['mcp-session-id']))
    const refused = await begin(ada.key)
    t.equal(refused.statusCode, 429, kind)
    t.match(refused.json(), { error: { code: 429, data: { reason: 'TOO_MANY_SESSIONS' } } })
    t.match(refused.headers['retry-after'], /^[1-5]$/)
    for (let i = 0; i < 2; i++) t.equal((await begin(bo.key)).statusCode, 200)
    t.match((await begin(bo.key)).json(), { error: { message: 'There are too many sessions' } })

    const use = (id: string) => post(one, { jsonrpc: '2.0', id: 1, method: 'ping' }, { key: ada.key, 'mcp-session-id': id })
    const idleSince = performance.now()
    let kept: Awaited<ReturnType<typeof use>>
    do {
      await sleep(100)
      kept = await use(ids[0]!)
    } while (performance.now() - idleSince < 5500)
    t.equal(kept.statusCode, 200, 'kept by its use')
    t.ok(Number(kept.headers['x-ratelimit-remaining']) < Number(refused.headers['x-ratelimit-remaining']))
    t.equal((await use(ids[1]!)).statusCode, 404, 'idle for too long')
    t.ok(await until(async () => (await use(ids[0]!)).statusCode === 404), 'over however much it is used')
    t.equal((await begin(ada.key)).statusCode, 200, 'there is room again')
  }))
})

t.test('what a client may and may not say in a session', async t => {
  const { app, store } = await build(t, { tools })
  const { key } = await addKey(store)
  const id = String((await legacy(app, 'initialize', INITIALIZE, { key })).headers['mcp-session-id'])
  const one = { app, config: { PUBLIC_URL: 'http://localhost:3000' } }
  const session = { key, 'mcp-session-id': id }
  t.equal((await post(one, { jsonrpc: '2.0', method: 'notifications/initialized' }, session)).statusCode, 202)
  t.equal((await post(one, { jsonrpc: '2.0', id: 1, method: 'ping' }, { ...session, 'mcp-protocol-version': '1999-01-01' })).statusCode, 400)
  t.equal((await post(one, { jsonrpc: '2.0', id: 'nobody.asked', result: {} }, session)).statusCode, 400)
  t.equal((await post(one, { jsonrpc: '2.0', id: null, method: 'ping' }, session)).statusCode, 400)
  t.equal((await post(one, { jsonrpc: '2.0', id: 1, method: 'no/such' }, session)).json().error.code, -32601)
  t.match((await post(one, { jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'loud' } }, session)).json(), { error: { code: -32602 } })
  t.match((await post(one, { jsonrpc: '2.0', id: 1, method: 'initialize', params: { capabilities: 1 } }, { key })).json(), { error: {} })
  t.equal((await legacy(app, 'initialize', { ...INITIALIZE, clientInfo: { name: 'x'.repeat(20_000), version: '1' } }, { key })).statusCode, 400)
  const answer = await legacy(app, 'tools/call', { name: 'greet', arguments: {} }, { key })
  t.match(messageOf(answer).result, { isError: true }, 'without a session there is nobody to ask')
  const newer = await modern(app, 'tools/list', {}, { key, headers: { 'mcp-session-id': 'x' } })
  t.equal(newer.statusCode, 200, 'the newer revision knows no sessions')
  t.notOk(newer.headers['mcp-session-id'])
  for (const method of ['GET', 'DELETE'] as const) {
    t.equal((await app.inject({ method, url: '/mcp', headers: { host: 'localhost:3000', authorization: `Bearer ${key}` } })).statusCode, 405, 'without a session id')
    t.equal((await app.inject({ method, url: '/mcp', headers: { host: 'localhost:3000', 'mcp-session-id': id } })).statusCode, 401)
  }
})

t.test('sessions can be off', async t => {
  const { app, store } = await build(t, { tools, env: { LEGACY_SESSIONS: 'false' } })
  const { key } = await addKey(store)
  const begun = await legacy(app, 'initialize', INITIALIZE, { key })
  t.notOk(begun.headers['mcp-session-id'])
  t.match(messageOf(begun).result.capabilities, { tools: { listChanged: false }, resources: { subscribe: false } })
  t.equal((await app.inject({ method: 'GET', url: '/mcp', headers: { host: 'localhost:3000', authorization: `Bearer ${key}`, 'mcp-session-id': 'x' } })).statusCode, 405)
})

t.test('a stream of subscriptions/listen, on another replica than what changes', async t => {
  const { built: [a, b], urls, store } = await replicas(t, { tools, env: { MAX_STREAMS_PER_PRINCIPAL: '2' } })
  const { key, record } = await addKey(store, { permissions: ['*', '!resource:note://secret'] })
  const open = (key: string, id: number) => fetch(urls[1]!, {
    method: 'POST',
    headers: { ...HEADERS, authorization: `Bearer ${key}`, 'mcp-protocol-version': MODERN, 'mcp-method': 'subscriptions/listen' },
    body: JSON.stringify({
      jsonrpc: '2.0', id, method: 'subscriptions/listen', params: { _meta: META, notifications: { toolsListChanged: true, resourceSubscriptions: ['note://a', 'note://secret', 'note://none'] } }
    })
  })
  const touch = () => modern(a!.app, 'tools/call', { name: 'touch', arguments: {} }, { key, headers: hostOf(a!) })

  const heard = eventsOf(await open(key, 5))
  const next = async () => (await heard.next()).value as { method?: string, id?: unknown, params?: any } | undefined
  const first = await next()
  t.match(first, { method: 'notifications/subscriptions/acknowledged', params: { _meta: { 'io.modelcontextprotocol/subscriptionId': 5 } } })
  t.strictSame(first!.params.notifications, { toolsListChanged: true, resourceSubscriptions: ['note://a'] }, 'only what it may read, and what is there')
  await touch()
  t.match(await next(), { method: 'notifications/resources/updated', params: { uri: 'note://a' } }, 'nothing of the secret one')
  t.match(await next(), { method: 'notifications/tools/list_changed' })

  const second = await open(key, 6)
  t.equal(second.status, 200)
  const third = await open(key, 7)
  t.equal(third.status, 429)
  t.match(await third.json(), { error: { data: { reason: 'TOO_MANY_STREAMS' } } })
  const other = await addKey(store, { expires: Date.now() + 5000 })
  const brief = await open(other.key, 8)
  t.equal(brief.status, 200, 'others are counted apart')
  t.match(await brief.text(), /"id":8,"result"/, 'it ends with its key')

  await store.revocations.set(`key:${record.id}`, { since: Date.now() })
  t.match(await next(), { id: 5, result: { resultType: 'complete' } })
  t.equal(await next(), undefined)
  t.match(await second.text(), /"id":6,"result"/)
  t.notOk(b!.lines.some(line => line.level === 'error'))
})

t.test('a stream is kept alive, cuts who reads too slowly, and says what may have been missed', async t => {
  let cut = 0
  const slow = new EventStream(() => { cut++ })
  const big = { jsonrpc: '2.0' as const, method: 'notifications/message', params: { data: 'x'.repeat(30_000) } }
  for (let i = 0; i < 200; i++) slow.send(big)
  t.equal(cut, 1)
  t.ok(slow.ended && slow.body.readableLength < 200_000, 'what waits is bounded')
  const idle = new EventStream(() => { cut++ })
  idle.tick()
  t.equal(String(idle.body.read()), ': keepalive\n\n')
  idle.send(big)
  idle.tick()
  idle.tick()
  t.equal(cut, 2, 'a reader that took nothing between two ticks')

  const bus = new MemoryBus()
  let gap = () => {}
  const told = events({ publish: (topic, text) => bus.publish(topic, text), listen: (topic, listener) => bus.listen(topic, listener), onGap (listener) { gap = listener; return () => {} } }, { debug () {}, info () {}, warn () {}, error () {} })
  const principal: Principal = { id: 'key:x', name: 'x', authType: 'api_key', role: 'caller', permissions: ['*', '!resource:note://secret'], authenticatedAt: 0, revocableAs: [] }
  const notices: unknown[] = []
  told.listen(change => { notices.push(...noticesOf(change, { lists: new Set(['tools']), uris: new Set(['note://a', 'note://secret']) }, principal)) })
  gap()
  t.strictSame(notices, [{ method: 'notifications/tools/list_changed' }, { method: 'notifications/resources/updated', params: { uri: 'note://a' } }])
})

t.test('any number of initialize without DELETE: the cap answers, and nothing grows', async t => {
  const times = Number(process.env.INITIALIZE_TIMES ?? 800)
  const { app, store } = await build(t, { tools, env: { MAX_SESSIONS_PER_PRINCIPAL: '200', RATE_LIMIT_API_KEY: '1000000' } })
  const { key } = await addKey(store)
  const counts: Record<number, number> = {}
  let before = 0
  for (let i = 0; i < times; i++) {
    const { statusCode } = await legacy(app, 'initialize', INITIALIZE, { key })
    counts[statusCode] = (counts[statusCode] ?? 0) + 1
    if (i === Math.floor(times / 2)) before = held()
  }
  t.strictSame(counts, { 200: 200, 429: times - 200 })
  const grown = (held() - before) / 2 ** 20
  t.comment(`${times} initialize: heap grew by ${grown.toFixed(1)} MiB in the second half`)
  t.ok(grown < 10)
})

t.test('ids are signed for their owner, and survive a rotation of the secret', async t => {
  const [old, next] = ['o'.repeat(32), 'n'.repeat(32)]
  const id = sessionIds([old]).make('ada')
  t.ok(sessionIds([next, old]).fits(id, 'ada'))
  t.notOk(sessionIds([next]).fits(id, 'ada'))
  t.notOk(sessionIds([old]).fits(id, 'bo'))
  t.notOk(sessionIds([old]).fits(`${id} `, 'ada'))
  t.not(sessionOwner('key:a', '/mcp'), sessionOwner('key:a', '/other'))
})

t.test('a secret is rotated replica by replica without a session or a question lost', async t => {
  const [old, next] = ['o1'.repeat(16), 'n2'.repeat(16)]
  const { built: [before, after], store } = await replicas(t, { tools, env: [{ STATE_SECRET: `${old},${next}` }, { STATE_SECRET: `${next},${old}` }] })
  const { key } = await addKey(store)
  for (const [a, b] of [[before!, after!], [after!, before!]] as const) {
    const id = String((await legacy(a.app, 'initialize', INITIALIZE, { key, headers: hostOf(a) })).headers['mcp-session-id'])
    t.equal((await post(b, { jsonrpc: '2.0', id: 1, method: 'ping' }, { key, 'mcp-session-id': id })).statusCode, 200)
    const meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }
    const asked = messageOf(await modern(a.app, 'tools/call', { name: 'greet', arguments: {}, _meta: meta }, { key, headers: hostOf(a) }))
    t.equal(asked.result.resultType, 'input_required')
    const again = { name: 'greet', arguments: {}, _meta: meta, requestState: asked.result.requestState, inputResponses: { who: { action: 'accept', content: { name: 'Ada' } } } }
    t.equal(textOf(messageOf(await modern(b.app, 'tools/call', again, { key, headers: hostOf(b) })).result), 'accept Ada {"round":1}')
    const other = await addKey(store)
    t.match(messageOf(await modern(b.app, 'tools/call', again, { key: other.key, headers: hostOf(b) })), { error: { code: -32602 } }, 'not for another principal')
  }
})

/** Bytes of the heap in use once what is not needed is gone. */
function held (): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

function hostOf ({ config: { PUBLIC_URL } }: { config: { PUBLIC_URL: string } }): { host: string } {
  return { host: new URL(PUBLIC_URL).host }
}

async function post (one: { app: Parameters<typeof legacy>[0], config: { PUBLIC_URL: string } }, message: object, { key, ...headers }: Record<string, string>) {
  return await one.app.inject({ method: 'POST', url: '/mcp', headers: { ...HEADERS, ...hostOf(one), authorization: `Bearer ${key}`, ...headers }, payload: JSON.stringify(message) })
}

/** Messages of an event stream as they come. */
async function * eventsOf (response: Response): AsyncGenerator<Record<string, unknown>> {
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream()) as unknown as AsyncIterable<string>) {
    text += chunk
    const parts = text.split('\n\n')
    text = parts.pop()!
    for (const part of parts) {
      const data = part.split('\n').find(line => line.startsWith('data: '))
      if (data !== undefined) yield JSON.parse(data.slice(6)) as Record<string, unknown>
    }
  }
}
