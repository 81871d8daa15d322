/** Questions of servers behind this one: clients and servers of both eras, on one replica and on two. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import t, { type Test } from 'tap'
import type { UpstreamEntry } from '../../src/upstreams/entry.ts'
import { WireOpener } from '../../src/upstreams/wire-opener.ts'
import { addKey, silent } from '../support/app.ts'
import { entryOf } from '../support/entries.ts'
import { replicas } from '../support/replicas.ts'
import { text, tool, type Hands, type Members, type ScriptedTool } from '../support/scripted-upstream.ts'
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
