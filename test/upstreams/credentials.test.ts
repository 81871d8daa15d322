/** A caller's credential, and that of one upstream, seen from an upstream that keeps every byte it gets. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Outgoing } from '../../src/upstreams/outgoing.ts'
import { UndiciWire } from '../../src/upstreams/wire-http.ts'
import { addKey, build, legacy, messageOf, modern } from '../support/app.ts'
import { entryOf } from '../support/entries.ts'
import { until } from '../support/until.ts'

const CALLS = Number(process.env.CREDENTIAL_CALLS ?? 300)

/** An MCP server that keeps requests as they came over the connection, headers and all. */
async function listener (t: Test) {
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    let waiting = ''
    socket.on('error', () => {}).setEncoding('latin1').on('data', (part: string) => {
      waiting += part
      for (let head = waiting.indexOf('\r\n\r\n'); head >= 0; head = waiting.indexOf('\r\n\r\n')) {
        const end = head + 4 + Number(/^content-length: (\d+)/im.exec(waiting.slice(0, head))?.[1] ?? 0)
        if (waiting.length < end) return
        const request = waiting.slice(0, end)
        waiting = waiting.slice(end)
        requests.push(request)
        socket.write(answerTo(request))
      }
    })
  }).listen(0, '127.0.0.1')
  t.teardown(() => new Promise(resolve => { server.close(resolve); for (const socket of sockets) socket.destroy() }))
  await once(server, 'listening')
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`), requests }
}

function answerTo (request: string): string {
  if (!request.startsWith('POST')) return 'HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n'
  const { id, method } = JSON.parse(request.slice(request.indexOf('\r\n\r\n') + 4)) as { id?: unknown, method: string }
  if (id === undefined) return 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n'
  const results: Record<string, object> = {
    initialize: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } },
    'tools/list': { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] },
    'tools/call': { content: [{ type: 'text', text: 'ok' }] }
  }
  const result = results[method]
  const body = JSON.stringify(result === undefined ? { jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } } : { jsonrpc: '2.0', id, result })
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nmcp-session-id: s\r\n\r\n${body}`
}

t.test('a caller\'s credential is in no request to an upstream, and an upstream\'s own in its own alone', async t => {
  const [first, second] = [await listener(t), await listener(t)]
  const secret = 'upstream-credential-of-second'
  const entries = [first, second].map(({ url }, i) => entryOf(['first', 'second'][i]!, {
    target: { kind: 'http', url, headers: new Map(), forwardHeaders: [], auth: undefined, network: undefined }, protocol: 'auto'
  }))
  const { app, store, lines } = await build(t, {
    env: { RATE_LIMIT_API_KEY: '1000000', MCP_DEBUG: 'true' },
    upstreams: {
      entries,
      open: ({ name, target, maxAnswerBytes, maxInFlight }) => {
        if (target.kind !== 'http') throw new Error('not of this test')
        const headers: Record<string, string> = name === 'second' ? { 'x-service-key': secret } : {}
        // Whatever the file says, credentials are not passed on.
        const outgoing = new Outgoing({ headers, forwardHeaders: ['authorization', 'x-api-key', 'cookie', 'x-tenant'] })
        const none = () => {}
        return new UndiciWire({ url: target.url, network: undefined, outgoing, maxAnswerBytes, maxInFlight, log: { debug: none, info: none, warn: none, error: none } })
      }
    }
  })
  await app.ready()
  const keys = (await Promise.all([1, 2, 3].map(() => addKey(store)))).map(({ key }) => key)
  await until(async () => {
    const { result } = messageOf(await modern(app, 'tools/list', {}, { key: keys[0] }))
    return ['first_echo', 'second_echo'].every(name => result.tools.some((tool: { name: string }) => tool.name === name))
  })
  for (let i = 0; i < CALLS; i++) {
    const key = keys[i % keys.length]!
    const params = { name: i % 2 === 0 ? 'first_echo' : 'second_echo', arguments: { i }, _meta: { auth: { type: 'api_key', api_key: 'other' }, 'io.modelcontextprotocol/secret': key } }
    const headers: Record<string, string> = { cookie: `session=${key}`, 'x-upstream-authorization': `Bearer ${key}`, 'x-forwarded-authorization': key, 'x-tenant': 'a' }
    const send = i % 3 === 0 ? legacy : modern
    const sent = i % 4 === 0 ? { headers: { ...headers, 'x-api-key': key } } : { key, headers }
    const { result } = messageOf(await send(app, 'tools/call', params, sent))
    t.match(result, { content: [{ text: 'ok' }] })
  }
  const all = [...first.requests, ...second.requests]
  t.ok(all.length >= CALLS)
  t.equal(all.filter(request => keys.some(key => request.includes(key) || request.includes(Buffer.from(key).toString('base64')))).length, 0, 'keys of callers')
  t.equal(first.requests.filter(request => request.includes(secret)).length, 0, 'the credential of another upstream')
  t.equal(second.requests.filter(request => request.split(secret).length === 2 && request.includes(`x-service-key: ${secret}`)).length, second.requests.length)
  t.equal(JSON.stringify(lines).includes(secret), false, 'the log')
  t.comment(`figure: found in 0 of ${all.length} requests`)
})
