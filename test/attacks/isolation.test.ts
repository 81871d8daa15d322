/** Answers go to whoever asked, whatever the others send at the same moment: CVE-2026-25536, CVE-2026-111770. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ask, defineTool, elicit, Type, type Context } from '../../src/tools/index.ts'
import { addKey, messageOf, META, MODERN, modern } from '../support/app.ts'
import { cases } from '../support/cases.ts'
import { replicas } from '../support/replicas.ts'

const CLIENTS = cases(50, 200)
const CALLS = 50
const REVISION = '2025-11-25'

const input = Type.Object({ secret: Type.String() }, { additionalProperties: false })
const said = (secret: string, { caller }: Context) => `${caller.name} said ${secret}`
const form = { type: 'object', properties: { word: { type: 'string' } } }

const tools = [
  defineTool({ name: 'at_once', description: 'Answers in the same turn.', input, run: ({ secret }, context) => said(secret, context) }),
  defineTool({
    name: 'later',
    description: 'Answers out of order.',
    input,
    async run ({ secret }, context) {
      await sleep(Math.random() * 20)
      return said(secret, context)
    }
  }),
  defineTool({
    name: 'streams',
    description: 'Says twice what it was given on the way.',
    input,
    async run ({ secret }, context) {
      context.progress(1, 2, said(secret, context))
      await sleep(Math.random() * 5)
      context.progress(2, 2, said(secret, context))
      return said(secret, context)
    }
  }),
  defineTool({
    name: 'asks',
    description: 'Asks before it answers.',
    input,
    run ({ secret }, context) {
      const word = (context.answers.word as { content?: { word?: string } } | undefined)?.content?.word
      if (word === undefined) return ask({ word: elicit('Which word?', form) }, secret)
      return `${said(secret, context)} and ${String(context.state)} and ${word}`
    }
  })
]

interface Client { name: string, key: string, session?: string }

const META_ASKED = { ...META, 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }

/** One request; the body of its answer, however it came. */
async function send (url: string, { key, session }: Client, id: number | string, method: string, params: Record<string, unknown>, revision: string): Promise<{ status: number, text: string, session: string | null }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'x-api-key': key,
      ...(method === 'initialize' ? {} : { 'mcp-protocol-version': revision }),
      ...(session === undefined ? {} : { 'mcp-session-id': session }),
      ...(revision === MODERN ? { 'mcp-method': method, ...(typeof params.name === 'string' ? { 'mcp-name': params.name } : {}) } : {})
    },
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params })
  })
  return { status: response.status, text: await response.text(), session: response.headers.get('mcp-session-id') }
}

/** Messages of a body, JSON or event stream. */
function messagesOf (text: string): Array<Record<string, any>> {
  if (text.startsWith('{')) return [JSON.parse(text)]
  return text.split('\n').filter(line => line.startsWith('data: {')).map(line => JSON.parse(line.slice(6)))
}

t.test(`no answer reaches another client, with ${CLIENTS} clients that use the same ids on two replicas`, async t => {
  const { store, urls } = await replicas(t, { tools, env: { MAX_IN_FLIGHT: '1000', REDIS_COMMAND_TIMEOUT_MS: '10000' } })
  const clients: Client[] = await Promise.all(Array.from({ length: CLIENTS }, async (_, i) => ({ name: `client-${i}`, key: (await addKey(store, { name: `client-${i}` })).key })))
  const tally = { answered: 0, crossed: 0, failed: [] as string[] }
  const secrets = new Set<string>()

  await Promise.all(clients.map(async (client, c) => {
    const modernEra = c % 2 === 0
    const revision = modernEra ? MODERN : REVISION
    if (!modernEra) {
      const begun = await send(urls[c % 4 === 1 ? 0 : 1]!, client, 0, 'initialize', { protocolVersion: REVISION, capabilities: {}, clientInfo: { name: client.name, version: '1' } }, revision)
      client.session = begun.session!
    }
    for (let call = 0; call < CALLS; call++) {
      const url = urls[(c + call) % urls.length]!
      const secret = `secret-${c}-${call}-end`
      secrets.add(secret)
      const name = ['at_once', 'later', 'streams', modernEra ? 'asks' : 'later'][call % 4]!
      // The same ids everywhere, and the same progress tokens.
      const _meta = { ...(modernEra ? META_ASKED : {}), ...(name === 'streams' ? { progressToken: call } : {}) }
      const params: Record<string, unknown> = { name, arguments: { secret }, _meta }
      let answer = await send(url, client, call, 'tools/call', params, revision)
      let wanted = `${client.name} said ${secret}`
      let all = messagesOf(answer.text)
      if (name === 'asks') {
        const { requestState } = all.at(-1)?.result ?? {}
        const again = { ...params, requestState, inputResponses: { word: { action: 'accept', content: { word: `word-${c}-${call}` } } } }
        answer = await send(urls[(c + call + 1) % urls.length]!, client, call, 'tools/call', again, revision)
        all = messagesOf(answer.text)
        wanted += ` and ${secret} and word-${c}-${call}`
      }
      const last = all.at(-1)
      const words = JSON.stringify(all)
      const foreign = [...words.matchAll(/client-\d+|secret-\d+-\d+-end/g)].some(([word]) => word !== client.name && word !== secret)
      if (foreign) tally.crossed++
      if (answer.status !== 200 || last?.id !== call || last?.result?.content?.[0]?.text !== wanted) tally.failed.push(`${answer.status} ${words.slice(0, 200)}`)
      else tally.answered++
      if (name === 'streams' && all.length !== 3) tally.failed.push(`${all.length} messages of a call with two of progress`)
    }
  }))

  t.comment(`figure: ${tally.crossed} crossed of ${tally.answered + tally.failed.length}`)
  t.equal(tally.crossed, 0)
  t.strictSame(tally.failed.slice(0, 3), [])
  t.equal(tally.answered, CLIENTS * CALLS)
  t.equal(secrets.size, CLIENTS * CALLS)
})

t.test('what a question was asked with is for its principal, tool and arguments alone', async t => {
  const { built: [one, two], store } = await replicas(t, { tools })
  const [ada, bo] = [await addKey(store, { name: 'ada' }), await addKey(store, { name: 'bo' })]
  const host = ({ config }: { config: { PUBLIC_URL: string } }) => ({ host: new URL(config.PUBLIC_URL).host })
  const params = { name: 'asks', arguments: { secret: 'of-ada' }, _meta: META_ASKED }
  const { requestState } = messageOf(await modern(one!.app, 'tools/call', params, { key: ada.key, headers: host(one!) })).result
  const inputResponses = { word: { action: 'accept', content: { word: 'w' } } }
  const again = async (key: string, more: object = {}) => messageOf(await modern(two!.app, 'tools/call', { ...params, requestState, inputResponses, ...more }, { key, headers: host(two!) }))

  t.equal((await again(ada.key)).result.content[0].text, 'ada said of-ada and of-ada and w')
  for (const [why, answer] of [
    ['another principal', await again(bo.key)],
    ['other arguments', await again(ada.key, { arguments: { secret: 'other' } })],
    ['another tool', await again(ada.key, { name: 'later' })],
    ['altered', await again(ada.key, { requestState: requestState.slice(0, -2) + (requestState.endsWith('AA') ? 'BB' : 'AA') })],
    ['cut', await again(ada.key, { requestState: requestState.slice(0, 20) })]
  ] as const) {
    t.notMatch(JSON.stringify(answer), 'of-ada', why)
    t.match(answer, { error: { code: -32602 } }, why)
  }
})
