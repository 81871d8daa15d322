/**
 * The fast lane held to the SDK: the same message goes down both, and what
 * comes back is compared whole. Both serve from one catalogue and one store;
 * only ids that are made at random may differ.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import fc from '../support/fast-check.ts'
import t, { type Test } from 'tap'
import { NOTHING_NAMED } from '../../src/decision/decide.ts'
import { Trace } from '../../src/decision/trace.ts'
import { Departure } from '../../src/core/departure.ts'
import { Inspector } from '../../src/core/inspection.ts'
import { sealer } from '../../src/core/seal.ts'
import { sessionIds } from '../../src/core/session.ts'
import { toAnswer } from '../../src/core/answer.ts'
import { isFast } from '../../src/mcp/fast/request.ts'
import { readMessage } from '../../src/mcp/message.ts'
import { McpService } from '../../src/mcp/dispatch.ts'
import { memoryStore } from '../../src/state/memory/store.ts'
import { buildCatalogue, type Catalogue } from '../../src/tools/catalogue.ts'
import { CurrentOffer } from '../../src/tools/offer.ts'
import { loadTools } from '../../src/tools/load.ts'
import { folder, silent } from '../support/app.ts'
import { cases } from '../support/cases.ts'
import { BOTH, messages, TOOLS, type Sent } from './messages.ts'

const PRINCIPAL = { id: 'api_key:a', name: 'a', authType: 'api_key', role: 'caller', permissions: ['*', '!hidden'], authenticatedAt: 0, revocableAs: ['key:a'] } as const
const RULE = { limit: 1e9, windowMs: 60_000 }
const CALLER = { principal: PRINCIPAL, subject: 'key:a', rule: RULE, rateLimit: { allowed: true, limit: 1e9, remaining: 1e9, retryMs: 0, slice: 0 } } as never

const IDENTITY = {
  info: { name: 'com.example/orders', version: '1.4.0', title: 'Orders', description: 'Orders of a shop.', icons: [{ src: 'https://example.com/a.png', mimeType: 'image/png' }] },
  instructions: 'Look up before you change.'
}

interface Named { method?: unknown, id?: unknown }

interface Answer { status: number, headers: Record<string, string>, messages: unknown }

const MESSAGES = cases(4000, 20_000)

t.test(`${MESSAGES} messages, valid, odd and wrong, are answered alike by both lanes`, { timeout: 300_000 }, async t => {
  const lanes = open(t, buildCatalogue(TOOLS.map(definition => ({ from: 'test', definition })), new Set()))
  const { taken, differences } = await lanes.compare(fc.sample(messages, { numRuns: MESSAGES, seed: 20_261_126 }))
  alike(t, differences)
  t.ok(taken > MESSAGES * 0.3 && taken < MESSAGES * 0.8, `the fast lane took ${taken}, the rest was the SDK's from the start`)
})

t.test('every message of the conformance suite is answered alike by both lanes', async t => {
  const tools = join(import.meta.dirname, '../conformance/tools')
  const lanes = open(t, buildCatalogue(await loadTools(tools), new Set()))
  const suite = readFileSync(join(import.meta.dirname, 'conformance-messages.jsonl'), 'utf8').trim().split('\n').map(line => JSON.parse(line) as Sent)
  const { taken, differences } = await lanes.compare(suite.filter(({ body }) => (body as Named).method !== 'subscriptions/listen'))
  alike(t, differences)
  t.ok(taken > 40, `the fast lane took ${taken} of ${suite.length}`)
})

/** Says what differs one to a line, where a comparison of the lists would fill pages. */
function alike (t: Test, differences: readonly unknown[]): void {
  for (const difference of differences) t.comment(JSON.stringify(difference))
  t.equal(differences.length, 0, 'nothing differs')
}

/** Two services alike but for the lane, a session in each. */
function open (t: Test, catalogue: Catalogue) {
  const dir = folder(t)
  const store = memoryStore({ keysFile: join(dir, 'keys.json'), folder: dir, maxSubjects: 1000 })
  const secret = [randomBytes(32).toString('base64url')]
  const options = {
    store,
    log: silent,
    identity: IDENTITY,
    offer: new CurrentOffer(catalogue),
    inspection: { mode: 'block', inspector: new Inspector() },
    sealer: sealer(secret, 'request state'),
    authentication: { required: true, types: ['api_key'] },
    sessions: { path: '/mcp', ids: sessionIds(secret), rule: { idleMs: 600_000, maxMs: 600_000, maxOfOwner: 1e6, maxTotal: 1e6 } },
    maxStreamsOfPrincipal: 100,
    maxStreamMs: 600_000
  } as const
  const fast = new McpService(options)
  const slow = new McpService({ ...options, fastLane: false })
  t.teardown(async () => {
    await fast.close()
    await slow.close()
    await store.close()
  })

  return {
    async compare (all: readonly Sent[]) {
      const sessions = await Promise.all([begin(fast), begin(slow)])
      const differences: unknown[] = []
      let taken = 0
      for (const sent of all) {
        if (isTaken(sent)) taken++
        const [one, other] = await Promise.all([answerOf(fast, sent, sessions[0]), answerOf(slow, sent, sessions[1])])
        if (!isDeepStrictEqual(one, other) && differences.push({ sent, fast: one, sdk: other }) === 20) break
      }
      return { taken, differences }
    }
  }
}

function isTaken ({ body, headers }: Sent): boolean {
  try {
    const message = readMessage(body, { headers })
    return message.kind === 'request' && isFast(message)
  } catch {
    return false
  }
}

async function begin (service: McpService): Promise<string> {
  const body = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: { elicitation: {}, sampling: {}, roots: {} }, clientInfo: { name: 'test', version: '1' } } }
  const served = await service.serve(body, { accept: BOTH }, asking())
  return served.headers['mcp-session-id']!
}

async function answerOf (service: McpService, { headers, body }: Sent, session: string): Promise<Answer> {
  const gone = new Departure()
  try {
    // As HTTP carries them: without space around a value.
    const own = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, name === 'mcp-session-id' && value === 'session' ? session : value.trim()]))
    const served = await service.serve(body, own, asking(gone))
    const given: Record<string, string> = { ...served.headers }
    delete given.connection // taken off by the route
    if (given['content-type'] === 'application/json') given['content-type'] += '; charset=utf-8' // Fastify adds it
    if (given['mcp-session-id'] !== undefined) given['mcp-session-id'] = 'made at random'
    const text = await textOf(served.body)
    return { status: served.status, headers: given, messages: given['content-type']?.startsWith('text/event-stream') ? eventsOf(text) : text === '' ? '' : steady(JSON.parse(text)) }
  } catch (error) {
    const { status, rpc, reason, message, data } = toAnswer(error)
    return { status, headers: {}, messages: { rpc, reason, message, data } }
  } finally {
    gone.leave()
  }
}

function asking (gone = new Departure()) {
  return { caller: CALLER, trace: new Trace('r-1'), decision: NOTHING_NAMED, headers: {}, log: silent, departure: () => gone, becomesStream () {}, asksUpstream () {} }
}

/** What a stream says until it ends, or until it asks and waits. */
async function textOf (body: string | Readable | undefined): Promise<string> {
  if (!(body instanceof Readable)) return body ?? ''
  let text = ''
  for await (const part of body) {
    text += String(part)
    if (eventsOf(text).some(message => (message as Named).method !== undefined && (message as Named).id !== undefined)) break
  }
  return text
}

function eventsOf (text: string): unknown[] {
  return text.split('\n').filter(line => line.startsWith('data: ') && line.length > 6).map(line => steady(JSON.parse(line.slice(6))))
}

/** Without what is made at random: ids of questions, sealed state. */
function steady (message: any): unknown {
  if (message.method !== undefined && message.id !== undefined) message.id = 'made at random'
  if (message.result?.requestState !== undefined) message.result.requestState = 'sealed'
  return message
}
