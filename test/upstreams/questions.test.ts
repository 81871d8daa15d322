/** Questions of servers behind this one: clients and servers of both eras, on one replica and on two. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import t, { type Test } from 'tap'
import type { UpstreamEntry } from '../../src/upstreams/entry.ts'
import { WireOpener } from '../../src/upstreams/wire-opener.ts'
import { addKey, build, legacy, messageOf, modern, silent } from '../support/app.ts'
import { entryOf } from '../support/entries.ts'
import { MemoryWire } from '../support/memory-wire.ts'
import { replicas } from '../support/replicas.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { ScriptedUpstream, text, tool, type Hands, type Members, type ScriptedTool } from '../support/scripted-upstream.ts'
import { until } from '../support/until.ts'
import { startHttpUpstream } from '../support/upstream-http.ts'

const INFO = { name: 'test', version: '1.0.0' }
const FORM = { type: 'object', properties: { name: { type: 'string' } } }
const SAMPLE = { messages: [{ role: 'user', content: { type: 'text', text: 'Sum up' } }], maxTokens: 10, includeContext: 'allServers' }
const QUESTIONS: Record<string, { method: string, params: Members }> = {
  elicit: { method: 'elicitation/create', params: { mode: 'form', message: 'Who?', requestedSchema: FORM } },
  sample: { method: 'sampling/createMessage', params: SAMPLE },
  roots: { method: 'roots/list', params: {} }
}

/** Tools that ask before they answer, as each era does. */
function asking (era: 'legacy' | 'modern'): ScriptedTool[] {
  return Object.entries(QUESTIONS).map(([name, { method, params }]) => tool(name, async (hands: Hands) => {
    if (era === 'legacy') {
      const { result, error } = await hands.ask(method, params)
      return text(JSON.stringify(result ?? error))
    }
    const answers = hands.params.inputResponses as Members | undefined
    return answers === undefined
      ? { resultType: 'input_required', inputRequests: { it: { method, params } }, requestState: 'mine' }
      : text(JSON.stringify(answers.it))
  }))
}

/** Replicas with one server behind them, and a key. */
async function open (t: Test, era: 'legacy' | 'modern', { count, tools = [], entry = {} }: { count: number, tools?: readonly ScriptedTool[], entry?: Partial<UpstreamEntry> }) {
  const upstream = await startHttpUpstream(t, { era, streams: true, tools: [...asking(era), ...tools] })
  const target = { kind: 'http' as const, url: new URL(upstream.url), headers: new Map(), forwardHeaders: [], auth: undefined, network: 'loopback' as const }
  const opener = new WireOpener({ ambient: {}, resolve: template => template, log: silent, gateway: 'here' })
  const entries = [entryOf('s', { target, protocol: 'auto', questions: true, ...entry })]
  const all = await replicas(t, { count, env: { BUILT_IN_TOOLS: 'false' }, upstreams: { entries, open: opener.open } })
  const { key } = await addKey(all.store)
  return { ...all, upstream, key, url: await all.endpoint(key) }
}

const ANSWERS = {
  elicit: { action: 'accept', content: { name: 'Ada' } },
  sample: { role: 'assistant', content: { type: 'text', text: 'In sum' }, model: 'm' },
  roots: { roots: [{ uri: 'file:///work' }] }
} as const

const said = (result: Members): string => (result.content as Array<{ text: string }>)[0]!.text

/** What a client was asked, and the way to call with it. */
interface Asked { seen: Members[], call: (name: string) => Promise<Members> }

async function newer (t: Test, url: URL): Promise<Asked> {
  const seen: Members[] = []
  const client = new Client(INFO, { versionNegotiation: { mode: { pin: '2026-07-28' } }, capabilities: { elicitation: { form: {} }, sampling: {}, roots: {} } })
  client.setRequestHandler('elicitation/create', ({ params }) => { seen.push(params as Members); return ANSWERS.elicit })
  client.setRequestHandler('sampling/createMessage', ({ params }) => { seen.push(params as Members); return { ...ANSWERS.sample } })
  client.setRequestHandler('roots/list', () => ({ roots: [...ANSWERS.roots.roots] }))
  await client.connect(new StreamableHTTPClientTransport(url))
  t.teardown(() => client.close())
  return { seen, call: async name => await client.callTool({ name, arguments: {} }) as Members }
}

async function older (t: Test, url: URL): Promise<Asked> {
  const seen: Members[] = []
  const client = new OlderClient(INFO, { capabilities: { elicitation: {}, sampling: {}, roots: {} } })
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => { seen.push(params as Members); return { ...ANSWERS.elicit } })
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => { seen.push(params as Members); return { ...ANSWERS.sample } })
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [...ANSWERS.roots.roots] }))
  await client.connect(new OlderTransport(url) as Parameters<OlderClient['connect']>[0])
  t.teardown(() => client.close())
  return { seen, call: async name => await client.callTool({ name, arguments: {} }) as Members }
}

for (const era of ['legacy', 'modern'] as const) {
  for (const [client, connect] of Object.entries({ older, newer })) {
    for (const count of [1, 2]) {
      t.test(`a server of the ${era} era asks a client of the ${client} one, over ${count} replicas`, async t => {
        const { url, upstream } = await open(t, era, { count })
        const { seen, call } = await connect(t, url)
        for (const [name, answer] of Object.entries(ANSWERS)) {
          for (let n = 0; n < 4; n++) t.same(JSON.parse(said(await call(`s_${name}`))), answer, name)
          // A server of the newer era is called again with the answers, as it wants to be.
          t.equal(upstream.server.calls.get(name), era === 'legacy' ? 4 : 8, `${name} was called once each time`)
        }
        t.ok(seen.some(({ message }) => message === '[s] Who?'), 'whose question it is stands before it')
        t.notMatch(JSON.stringify(seen), 'allServers', 'what the client holds of others does not go there')
      })
    }
  }
}

const CAPABLE = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} }, roots: {} } }

/** A call of revision 2026-07-28 at one of the replicas, and what comes of it. */
function caller ({ built, urls }: Pick<Awaited<ReturnType<typeof open>>, 'built' | 'urls'>, key: string) {
  return async (replica: number, name: string, more: Members = {}): Promise<any> => {
    const headers = { host: new URL(urls[replica]!).host }
    const answer = messageOf(await modern(built[replica]!.app, 'tools/call', { name, arguments: {}, _meta: CAPABLE, ...more }, { key, headers }))
    return answer.result ?? answer
  }
}
const answering = ({ requestState }: { requestState: string }, answer: Members = ANSWERS.elicit) => ({ requestState, inputResponses: { q1: answer } })

t.test('a call that waits goes on once, for whom it was made, on any replica', async t => {
  const all = await open(t, 'legacy', { count: 2 })
  const call = caller(all, all.key)
  const asked = await call(0, 's_elicit')
  t.match(asked, { resultType: 'input_required', inputRequests: { q1: { params: { message: '[s] Who?' } } } })
  const { key: other } = await addKey(all.store)
  t.match(await caller(all, other)(1, 's_elicit', answering(asked)), { error: { code: -32602 } })
  t.match(await call(1, 's_elicit', answering(asked, { action: 'accept', content: { name: '../../etc/passwd; rm -rf /' } })), { isError: true, content: [{ text: /Security/ }] })
  t.match(await call(1, 's_elicit', { requestState: asked.requestState }), { resultType: 'input_required' }, 'who brings no answer is asked again')
  t.match(await call(0, 's_elicit', answering(asked)), { isError: true, content: [{ text: /does not wait for this answer any more/ }] })
  const again = await call(1, 's_elicit')
  t.same(JSON.parse(said(await call(0, 's_elicit', answering(again)))), ANSWERS.elicit)
  for (const replica of [0, 1]) t.match(await call(replica, 's_elicit', answering(again)), { isError: true, content: [{ text: /does not wait/ }] })
  t.equal(all.upstream.server.calls.get('elicit'), 2)
})

t.test('whose replica is gone is told so, and the call is not made again', async t => {
  const all = await open(t, 'legacy', { count: 2 })
  const call = caller(all, all.key)
  const asked = await call(0, 's_elicit')
  await all.built[0]!.app.close()
  t.match(await call(1, 's_elicit', answering(asked)), { isError: true, content: [{ text: /^The replica that held this call to upstream "s" is gone/ }] })
  t.equal(all.upstream.server.calls.get('elicit'), 1)
})

const cancelled = ({ upstream }: Pick<Awaited<ReturnType<typeof open>>, 'upstream'>) =>
  upstream.server.received.filter(({ method }) => method === 'notifications/cancelled').length

t.test('so many calls wait for one caller, until its credential is revoked', async t => {
  const all = await open(t, 'legacy', { count: 1 })
  const { key, record } = await addKey(all.store)
  const call = caller(all, key)
  for (let n = 0; n < 5; n++) t.match(await call(0, 's_elicit'), { resultType: 'input_required' })
  t.match(await call(0, 's_elicit'), { isError: true, content: [{ text: /^Upstream "s" asks a question, and 5 calls of this caller wait/ }] })
  await until(() => cancelled(all) === 1)
  t.match(await caller(all, all.key)(0, 's_elicit'), { resultType: 'input_required' }, 'another one is served')
  await all.store.revocations.set(`key:${record.id}`, { since: Date.now() })
  await until(() => cancelled(all) === 6)
})

t.test('what is put to nobody, the server is told why', async t => {
  const ask = (name: string, params: Members) => tool(name, async hands => text(JSON.stringify((await hands.ask('elicitation/create', params)).error)))
  const asks = (name: string, field: Members, message = 'Please') => ask(name, { message, requestedSchema: { type: 'object', properties: { [name]: field } } })
  const all = await open(t, 'legacy', {
    count: 1,
    tools: [
      asks('apiKey', { type: 'string' }), asks('value', { type: 'string' }, 'Enter your password'), asks('deep', { type: 'object' }),
      asks('hidden', { type: 'string' }, 'Hello\u200b'), ask('page', { mode: 'url', message: 'Look', url: 'http://example.com' }),
      ask('script', { mode: 'url', message: 'Look', url: 'javascript:alert(1)' }), ask('visit', { mode: 'url', message: 'Look', url: 'https://example.com' }),
      asks('slow', { type: 'string', pattern: '^(a+)+$' })
    ]
  })
  const call = caller(all, all.key)
  for (const [name, why] of Object.entries({ apiKey: /password or a key/, value: /password or a key/, deep: /not flat/, hidden: /nobody sees/, page: /not https/, script: /not https/, visit: /-32601/ })) {
    t.match(said(await call(0, `s_${name}`)), why, name)
  }
  t.match(await call(0, 's_slow'), { resultType: 'input_required' })
  t.ok(all.built[0]!.lines.some(({ msg, upstream }) => msg === 'a question of an upstream is put to nobody' && upstream === 's'))
})

t.test('a client of the older era that leaves, or refuses to answer, ends the call', async t => {
  const all = await open(t, 'legacy', { count: 1 })
  const app = all.built[0]!.app
  const headers = { host: new URL(all.urls[0]!).host }
  const begun = await legacy(app, 'initialize', { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo: INFO }, { key: all.key, headers })
  const session = { ...headers, 'mcp-session-id': String(begun.headers['mcp-session-id']) }
  const post = (message: Members) => fetch(all.urls[0]!, {
    method: 'POST', headers: { ...session, authorization: `Bearer ${all.key}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, body: JSON.stringify({ jsonrpc: '2.0', ...message })
  })
  const call = async (id: number) => {
    const { body } = await post({ id, method: 'tools/call', params: { name: 's_elicit', arguments: {} } })
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
    let seen = ''
    while (!seen.includes('elicitation/create')) seen += (await reader.read()).value ?? ''
    return { reader, question: JSON.parse(/data: (\{.*elicitation\/create.*\})/.exec(seen)![1]!) as { id: string } }
  }
  const leaves = await call(1)
  await leaves.reader.cancel()
  await until(() => cancelled(all) === 1)
  const refuses = await call(2)
  await post({ id: refuses.question.id, error: { code: -32601, message: 'no' } })
  await until(() => cancelled(all) === 2)
  await refuses.reader.cancel()
})

t.test('the time of a call stands still while a person thinks', async t => {
  const all = await open(t, 'legacy', { count: 1, entry: { timeoutMs: 3000 } })
  const call = caller(all, all.key)
  const asked = await call(0, 's_elicit')
  await sleep(3200)
  t.same(JSON.parse(said(await call(0, 's_elicit', answering(asked)))), ANSWERS.elicit)
})

t.test('a program that asks has a process for each caller, one call at a time, and each question reaches its caller', async t => {
  const wires: MemoryWire[] = []
  const script = new ScriptedUpstream({ tools: asking('legacy') })
  const open = () => {
    const wire = new MemoryWire(script)
    wires.push(wire)
    return wire
  }
  const built = await build(t, { upstreams: { entries: [entryOf('s', { questions: true, share: 'caller' })], open } })
  await built.app.ready()
  const people = await Promise.all([1, 2].map(async () => (await addKey(built.store)).key))
  const urls = [built.config.PUBLIC_URL]
  const calls = people.map(key => caller({ built: [built], urls }, key))
  const asked = await Promise.all(calls.map(call => call(0, 's_elicit')))
  t.equal(wires.length, 3, 'one to list, one for each')
  const second = calls[0]!(0, 's_elicit')
  await Promise.all(calls.map(async (call, n) => {
    const answer = { action: 'accept', content: { name: `person ${n}` } }
    t.same(JSON.parse(said(await call(0, 's_elicit', answering(asked[n], answer)))), answer)
  }))
  t.match(await second, { resultType: 'input_required' }, 'the next call is made when the first is over')
  wires[0]!.say('{"jsonrpc":"2.0","id":"x","method":"elicitation/create","params":{"message":"Whoever?"}}')
  await until(() => script.received.some(({ id, error }) => id === 'x' && error?.code === -32601))
})
