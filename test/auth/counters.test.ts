/** Who makes clients at will gets no more of anything by it. */
import t from 'tap'
import { defineTool, Type } from '../../src/tools/index.ts'
import { startIssuer } from './oauth2/issuer.ts'
import { build, legacy, messageOf, modern, redisUrl } from '../support/app.ts'

const input = Type.Object({}, { additionalProperties: false })
const TOOLS = [
  defineTool({ name: 'plain', description: 'Costs one.', input, run: () => 'done' }),
  defineTool({ name: 'dear', description: 'Costs much.', input, cost: 6, run: () => 'done' }),
  defineTool({ name: 'rare', description: 'Has a limit of its own.', input, rate: { limit: 2, windowMs: 60_000 }, run: () => 'done' })
]

for (const [where, env] of [['in this process', {}], ['in Redis', { REDIS_URL: redisUrl }]] as const) {
  t.test(`one subject with many clients has a small multiple of one client's limit, ${where}`, async t => {
    const issuer = await startIssuer(t)
    const { app, lines } = await build(t, { tools: TOOLS, env: { OAUTH2_AUTH_SERVER: issuer.url, RATE_LIMIT_OAUTH2: '10', ...env } })
    const call = (client: string | undefined, name: string, sub = 'ada') => modern(app, 'tools/call', { name, arguments: {} }, { key: issuer.mint({ sub, client_id: client, azp: client }) })

    let served = 0
    for (let client = 0; client < 10; client++) {
      for (let i = 0; i < 5; i++) if ((await call(`client-${client}`, 'plain')).statusCode === 200) served++
    }
    t.equal(served, 30, 'three times the limit of one')
    const over = await call('client-11', 'plain')
    t.equal(over.statusCode, 429)
    t.equal(over.headers['x-ratelimit-remaining'], '0')
    t.ok(Number(over.headers['retry-after']) > 0)
    t.match(lines.filter(({ msg }) => msg === 'request').at(-1), { decision: 'RATE_LIMITED' })
    t.equal((await call('client-0', 'plain', 'eve')).statusCode, 200, 'another subject is not touched')

    t.equal((await call('client-0', 'dear', 'bob')).statusCode, 200)
    t.equal((await call('client-0', 'dear', 'bob')).statusCode, 429, 'over the limit of the client')
    t.equal((await call('client-1', 'dear', 'bob')).statusCode, 200, 'what did not fit was not counted for the subject')
  })

  t.test(`a tool's own rate is the subject's, ${where}`, async t => {
    const issuer = await startIssuer(t)
    const { app } = await build(t, { tools: TOOLS, env: { OAUTH2_AUTH_SERVER: issuer.url, ...env } })
    const call = (client: string) => modern(app, 'tools/call', { name: 'rare', arguments: {} }, { key: issuer.mint({ sub: 'ada', client_id: client, azp: client }) })
    t.equal(messageOf(await call('a')).result.content[0].text, 'done')
    t.equal((await call('b')).statusCode, 200)
    for (const client of ['a', 'b', 'c']) t.equal((await call(client)).statusCode, 429, client)
  })

  t.test(`sessions are the subject's, ${where}`, async t => {
    const issuer = await startIssuer(t)
    const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url, MAX_SESSIONS_PER_PRINCIPAL: '2', ...env } })
    const token = (client: string, sub: string) => issuer.mint({ sub, client_id: client, azp: client })
    const begin = (client: string, sub = 'ada') => legacy(app, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }, { key: token(client, sub) })
    const first = await begin('a')
    t.equal(first.statusCode, 200)
    t.equal((await begin('b')).statusCode, 200)
    t.equal((await begin('c')).statusCode, 429)
    t.equal((await begin('c', 'eve')).statusCode, 200)
    const end = (client: string) => app.inject({ method: 'DELETE', url: '/mcp', headers: { host: 'localhost:3000', authorization: `Bearer ${token(client, 'ada')}`, 'mcp-session-id': String(first.headers['mcp-session-id']) } })
    t.equal((await end('b')).statusCode, 404, 'a session is its client\'s all the same')
    t.equal((await end('a')).statusCode, 200)
    t.equal((await begin('c')).statusCode, 200)
  })
}
