import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { connect, createServer as createSocketServer, type AddressInfo } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { Outgoing } from '../../src/upstreams/outgoing.ts'
import { UndiciWire, type HttpWireOptions } from '../../src/upstreams/wire-http.ts'
import type { WireExchange, WireFailure } from '../../src/upstreams/wire.ts'
import { until } from '../support/until.ts'

const MAX = 100_000

interface Ended { texts: string[], failure: WireFailure | undefined }

interface Wired {
  wire: UndiciWire
  logged: object[]
  ends: string[]
  /** Send, and wait for the end of the exchange; the first text that has an id answers it. */
  ask (message: object, exchange?: Partial<WireExchange>): Promise<Ended>
}

async function listening (t: Test, handler: RequestListener): Promise<URL> {
  const server = createServer(handler)
  t.teardown(() => new Promise(resolve => { server.close(resolve); server.closeAllConnections() }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp?x=1`)
}

function wired (t: Test, url: URL, options: Partial<HttpWireOptions> = {}): Wired {
  const logged: object[] = []
  const take = (data: object) => { logged.push(data) }
  const wire = new UndiciWire({
    url,
    network: undefined,
    outgoing: new Outgoing({ headers: {}, forwardHeaders: [] }),
    maxAnswerBytes: MAX,
    maxInFlight: 8,
    log: { debug: take, info: take, warn: take, error: take },
    ...options
  })
  t.teardown(() => wire.close())
  const ends: string[] = []
  const texts = new Map<WireExchange, string[]>()
  wire.onText = (text, exchange) => {
    let message: { jsonrpc?: string, id?: number }
    try { message = JSON.parse(text) } catch { return false }
    if (message.jsonrpc !== '2.0') return false
    texts.get(exchange!)?.push(text)
    if (message.id !== undefined) exchange!.answered = true
    return true
  }
  wire.onClose = why => ends.push(why)
  return {
    wire,
    logged,
    ends,
    ask: (message, given = {}) => new Promise(resolve => {
      const exchange: WireExchange = { ...given, onEnd: failure => resolve({ texts: texts.get(exchange)!, failure }) }
      texts.set(exchange, [])
      wire.send(JSON.stringify(message), exchange)
    })
  }
}

const ASK = { jsonrpc: '2.0', id: 1, method: 'ping' }
const ANSWER = JSON.stringify({ jsonrpc: '2.0', id: 1, result: { text: '名前' } })
const PROGRESS = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: {} })

/** One answer, whatever is asked. */
const answers = (status: number, headers: Record<string, string>, body: string | Buffer = ''): RequestListener => (request, response) => {
  request.resume()
  response.writeHead(status, headers).end(body)
}

const json = (response: ServerResponse, body: string, headers: Record<string, string> = {}) => response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(body)

t.test('a JSON answer and an event stream are told to the exchange that asked', async t => {
  const seen: Array<{ headers: IncomingMessage['headers'], body: string, url?: string, method?: string }> = []
  const url = await listening(t, async (request, response) => {
    const body = await textOf(request)
    seen.push({ headers: request.headers, body, url: request.url!, method: request.method! })
    if (JSON.parse(body).id === 1) return json(response, ANSWER)
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    response.write(': hello\n\nid: 1\ndata:\n\nevent: other\ndata: {"jsonrpc":"2.0","id":9}\n\n')
    for (const byte of Buffer.from(`data: ${PROGRESS}\n\nevent: message\ndata: ${ANSWER}\n\n`)) response.write(Buffer.from([byte]))
    response.end()
  })
  const { ask } = wired(t, url)
  t.strictSame(await ask(ASK, { headers: { 'mcp-protocol-version': '2025-11-25' } }), { texts: [ANSWER], failure: undefined })
  t.strictSame(await ask({ ...ASK, id: 2 }), { texts: [PROGRESS, ANSWER], failure: undefined })
  t.match(seen[0], { method: 'POST', url: '/mcp?x=1', body: JSON.stringify(ASK), headers: { accept: 'application/json, text/event-stream', 'content-type': 'application/json', 'mcp-protocol-version': '2025-11-25' } })
  t.equal(seen[0]!.headers['accept-encoding'], undefined)
})

t.test('a notification that is taken ends without a failure, however the server says so', async t => {
  for (const [status, headers, body] of [[202, {}, ''], [204, {}, ''], [200, {}, ''], [202, { 'content-type': 'text/plain' }, 'Accepted']] as const) {
    const { ask } = wired(t, await listening(t, answers(status, headers, body)))
    t.strictSame(await ask({ jsonrpc: '2.0', method: 'notifications/initialized' }), { texts: [], failure: undefined }, String(status))
  }
})

t.test('the session of an answer to initialize goes with what follows, and is ended', async t => {
  const seen: string[] = []
  const url = await listening(t, (request, response) => {
    request.resume()
    seen.push(`${request.method} ${String(request.headers['mcp-session-id'])}`)
    json(response, ANSWER, { 'mcp-session-id': `s-${seen.length}` })
  })
  const { ask, wire } = wired(t, url)
  await ask(ASK, { opensSession: true })
  await ask(ASK)
  t.equal(wire.session, 's-1', 'only initialize opens one')
  await ask(ASK, { opensSession: true })
  await ask(ASK)
  await wire.close()
  t.strictSame(seen, ['POST undefined', 'POST s-1', 'POST undefined', 'POST s-3', 'DELETE s-3'])
})

t.test('a session id that is no visible ASCII, or too long, is refused', async t => {
  for (const id of ['a b', 'a\tb', 'é', 'x'.repeat(257)]) {
    const { ask, wire } = wired(t, await listening(t, answers(200, { 'content-type': 'application/json', 'mcp-session-id': id }, ANSWER)))
    t.match((await ask(ASK, { opensSession: true })).failure, { kind: 'not_mcp' }, JSON.stringify(id.slice(0, 5)))
    t.equal(wire.session, undefined)
  }
  const { ask } = wired(t, await listening(t, (_, response) => {
    response.socket!.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: ${'x'.repeat(1_000_000)}\r\n\r\n${ANSWER}`)
  }))
  t.match((await ask(ASK, { opensSession: true })).failure, { kind: 'closed' })
})

t.test('a lost session is told apart from what is wrong with the message', async t => {
  const rpc = (code: number) => JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message: 'x' } })
  const type = { 'content-type': 'application/json' }
  for (const [status, headers, body, session, kind] of [
    [404, {}, '', 's', 'session_lost'], [404, type, rpc(-32601), 's', 'session_lost'], [404, type, rpc(-32601), undefined, 'refused'],
    [400, type, rpc(-32000), 's', 'session_lost'], [400, { 'content-type': 'text/plain' }, 'No valid session', 's', 'session_lost'], [400, type, '"x"', 's', 'session_lost'],
    [400, type, rpc(-32602), 's', 'refused'], [400, type, rpc(-32000), undefined, 'refused'], [500, type, rpc(-32000), 's', 'refused']
  ] as const) {
    const { ask, wire } = wired(t, await listening(t, answers(status, headers, body)))
    wire.session = session
    const { failure } = await ask(ASK)
    t.match(failure, { kind, status, sent: true }, `${status} ${body}`)
    t.equal(failure!.text, 'content-type' in headers && headers['content-type'] === 'application/json' ? body : undefined)
    wire.session = undefined
  }
})

t.test('what is neither JSON nor an event stream is refused, and never shown', async t => {
  const bomb = gzipSync(Buffer.alloc(70_000_000))
  const type = { 'content-type': 'application/json' }
  for (const [status, headers, body, expected] of [
    [200, { 'content-type': 'text/html' }, '<title>Login</title>', { kind: 'not_mcp', message: /answered with text\/html/ }],
    [200, { 'content-type': 'x<script>' }, 'x', { kind: 'not_mcp', message: /answered with another type/ }],
    [200, {}, 'x', { kind: 'not_mcp', message: /of no type/ }],
    [200, { ...type, 'content-encoding': 'gzip' }, bomb, { kind: 'not_mcp', message: /encoding/ }],
    [200, { 'content-type': 'text/event-stream', 'content-encoding': 'br' }, bomb, { kind: 'not_mcp', message: /encoding/ }],
    [502, { 'content-type': 'text/html' }, 'db-7.corp.internal refused', { kind: 'refused', status: 502, message: 'answered HTTP 502', text: undefined }],
    [502, { ...type, 'content-encoding': 'gzip' }, bomb, { kind: 'refused', status: 502, text: undefined }],
    [500, type, Buffer.alloc(70_000, 'x'), { kind: 'refused', status: 500, text: undefined }],
    [403, { 'content-type': 'text/plain' }, 'Access is only allowed at localhost:1', { kind: 'refused', status: 403, message: 'answered HTTP 403', detail: /Host "127\.0\.0\.1:\d+"/ }],
    [401, { 'www-authenticate': 'Bearer resource_metadata="https://evil.example/"' }, '', { kind: 'refused', status: 401, detail: /credentials in the file/ }],
    [429, { 'retry-after': '7' }, '', { kind: 'refused', status: 429, retryAfterMs: 7000 }],
    [200, type, 'not JSON', { kind: 'not_mcp', message: /no JSON-RPC/ }],
    [200, type, '[]', { kind: 'not_mcp', message: /no JSON-RPC/ }],
    [200, { 'content-type': 'text/event-stream' }, ': only a comment\n\n', { kind: 'closed', message: 'closed the stream without an answer' }]
  ] as const) {
    const { ask } = wired(t, await listening(t, answers(status, headers, body)))
    const { failure } = await ask(ASK)
    t.match(failure, expected, JSON.stringify(expected))
    t.notMatch(failure!.message, /corp|Login|script|evil|localhost:1/)
  }
})

t.test('a Retry-After is read as seconds or a date, within a day', async t => {
  for (const [value, low, high] of [['0', 0, 0], ['99999999', 86_400_000, 86_400_000], [new Date(Date.now() + 60_000).toUTCString(), 1000, 60_000], ['Mon, 01 Jan 2001 00:00:00 GMT', 0, 0]] as const) {
    const { ask } = wired(t, await listening(t, answers(503, { 'retry-after': value })))
    const { retryAfterMs } = (await ask(ASK)).failure!
    t.ok(retryAfterMs! >= low && retryAfterMs! <= high, value)
  }
  const { ask } = wired(t, await listening(t, answers(503, { 'retry-after': 'soon' })))
  t.equal((await ask(ASK)).failure!.retryAfterMs, undefined)
})

t.test('an answer over the bound fails its call alone and is not read on', async t => {
  let written = 0
  const url = await listening(t, async (request, response) => {
    const { params } = JSON.parse(await textOf(request))
    if (params === undefined) return json(response, ANSWER)
    if (params.length === true) return response.writeHead(200, { 'content-type': 'application/json', 'content-length': '50000000' }).flushHeaders()
    response.setMaxListeners(0).writeHead(200, { 'content-type': params.type })
    response.write(params.begin)
    const chunk = Buffer.alloc(65_536, 'x')
    while (!response.destroyed && written < 200_000_000) {
      written += chunk.length
      if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')])
    }
  })
  const { ask } = wired(t, url)
  for (const params of [{ type: 'application/json', begin: '{"jsonrpc":"2.0","id":1,"result":"' }, { type: 'text/event-stream', begin: 'data: ' }, { type: 'text/event-stream', begin: ': ' }, { length: true }]) {
    written = 0
    const [large, small] = await Promise.all([ask({ ...ASK, params }), ask(ASK)])
    t.strictSame(large.failure, { kind: 'too_large', message: `answered with more than ${MAX} bytes`, sent: true })
    t.strictSame(small.texts, [ANSWER])
    t.ok(written < 20_000_000, `${written} bytes were written`)
  }
})

t.test('a long stream of small events is no large answer', async t => {
  const event = `data: ${PROGRESS}\n\n`
  const { ask } = wired(t, await listening(t, answers(200, { 'content-type': 'text/event-stream' }, event.repeat(800) + `: ${'x'.repeat(MAX - 500)}\n\n` + event.repeat(100) + `data: ${ANSWER}\n\n`)))
  const { texts, failure } = await ask(ASK)
  t.equal(failure, undefined)
  t.equal(texts.at(-1), ANSWER)
  t.equal(texts.length, 901)
})

t.test('a redirect is followed nowhere, and names where it leads', async t => {
  const visits: string[] = []
  const elsewhere = await listening(t, (request, response) => {
    visits.push(request.url!)
    json(response, ANSWER)
  })
  for (const status of [301, 302, 303, 307, 308]) {
    const location = `http://user:secret@${elsewhere.host}/stolen?token=1`
    const { ask } = wired(t, await listening(t, answers(status, { location })), { outgoing: new Outgoing({ headers: { authorization: 'Bearer ours' }, forwardHeaders: [] }) })
    const { failure } = await ask(ASK)
    t.match(failure, { kind: 'refused', status, message: `redirects to ${elsewhere.origin} (HTTP ${status})` })
    t.notMatch(failure!.message, /secret|token/)
  }
  t.strictSame(visits, [])
})

t.test('a stream that stays open after its answer is closed', async t => {
  let closed = 0
  const { ask } = wired(t, await listening(t, (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${ANSWER}\n\n`)
    response.on('close', () => closed++)
  }))
  ask(ASK).catch(() => {})
  t.ok(await until(() => closed === 1))
})

t.test('what is abandoned ends at the upstream, also while it waits for a connection', async t => {
  let open = 0
  let came = 0
  const { wire } = wired(t, await listening(t, (request, response) => {
    request.resume()
    came++
    open++
    response.on('close', () => open--)
  }), { maxInFlight: -78 })
  const told: unknown[] = []
  const exchanges = Array.from({ length: 5 }, (): WireExchange => ({ onEnd: failure => told.push(failure) }))
  for (const exchange of exchanges) wire.send('{}', exchange)
  await until(() => open === 2)
  for (const exchange of exchanges) wire.abandon(exchange)
  await until(() => open === 0)
  t.strictSame([told, came], [[], 2])
})

t.test('a stream that breaks before its answer goes on where it was', async t => {
  const seen: string[] = []
  const { ask } = wired(t, await listening(t, (request, response) => {
    request.resume()
    seen.push(`${request.method} ${String(request.headers['last-event-id'])}`)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    if (seen.length === 1) response.end(`retry: 100\nid: a-1\ndata:\n\nid: a-2\ndata: ${PROGRESS}\n\n`)
    else if (seen.length === 2) response.write('id: a-3\ndata:\n\n', () => response.destroy())
    else response.end(`id: a-4\ndata: ${ANSWER}\n\n`)
  }))
  t.strictSame(await ask(ASK), { texts: [PROGRESS, ANSWER], failure: undefined })
  t.strictSame(seen, ['POST undefined', 'GET a-2', 'GET a-3'])
})

t.test('a call whose stream was taken up again is not made anew where the session is gone', async t => {
  const { ask, wire } = wired(t, await listening(t, (request, response) => {
    request.resume()
    if (request.method === 'POST') response.writeHead(200, { 'content-type': 'text/event-stream' }).end('retry: 1\nid: a-1\ndata:\n\n')
    else response.writeHead(404).end()
  }))
  wire.session = 'known'
  t.match((await ask(ASK)).failure, { kind: 'refused', status: 404 })
})

t.test('a stream that breaks again and again is given up', async t => {
  let seen = 0
  const { ask } = wired(t, await listening(t, (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(seen++ === 0 ? 'retry: 1\nid: a\ndata:\n\n' : ': nothing\n\n')
  }))
  t.match((await ask(ASK)).failure, { kind: 'closed' })
  t.equal(seen, 6)
})

t.test('the stream of the server is opened again when it ends, and not where there is none', async t => {
  let seen = 0
  const texts: string[] = []
  const { wire } = wired(t, await listening(t, (request, response) => {
    if (seen++ > 2) return response.writeHead(405).end()
    t.match(request.headers, { accept: 'text/event-stream', 'mcp-session-id': 's' })
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`retry: 100\n\nid: e${seen}\ndata: ${PROGRESS}\n\n`)
  }))
  wire.session = 's'
  wire.onText = text => texts.push(text) > 0
  const failure = await new Promise<WireFailure | undefined>(resolve => wire.listen({ onEnd: resolve }))
  t.match(failure, { kind: 'refused', status: 405 })
  t.equal(texts.length, 3)
  wire.session = undefined
})

t.test('who is not there is told of by a code, and that nothing was sent', async t => {
  const url = await listening(t, () => {})
  const gone = new URL(url)
  gone.port = '1'
  t.match((await wired(t, gone).ask(ASK)).failure, { kind: 'unreachable', message: 'cannot be reached (ECONNREFUSED)', sent: false })

  const cutting = createSocketServer(socket => socket.once('data', () => socket.destroy())).listen(0, '127.0.0.1')
  t.teardown(() => { cutting.close() })
  await once(cutting, 'listening')
  const { port } = cutting.address() as AddressInfo
  t.match((await wired(t, new URL(`http://127.0.0.1:${port}/`)).ask(ASK)).failure, { kind: 'closed', sent: true })
})

t.test('an address that may not be used is not asked, named or looked up', async t => {
  let came = 0
  const url = await listening(t, (_, response) => { came++; json(response, ANSWER) })
  const lookup = ((_name: string, _options: object, callback: (error: null, found: object[]) => void) => callback(null, [{ address: '127.0.0.1', family: 4 }])) as unknown as NonNullable<HttpWireOptions['lookup']>
  const named = new URL(url)
  named.hostname = 'rebound.example.com'
  t.match((await wired(t, named, { lookup }).ask(ASK)).failure, { kind: 'unreachable', message: /leads to a loopback address/, sent: false })
  t.match((await wired(t, url, { network: 'public' }).ask(ASK)).failure, { kind: 'unreachable', message: /names a loopback address/, sent: false })
  const metadata = new URL('http://169.254.169.254/latest/meta-data')
  t.match((await wired(t, metadata, { network: 'private' }).ask(ASK)).failure, { kind: 'unreachable', message: /no upstream may have/, sent: false })
  t.equal(came, 0)
  t.strictSame((await wired(t, named, { lookup, network: 'loopback' }).ask(ASK)).texts, [ANSWER])
})

t.test('after the end nothing is told, and nothing is open', async t => {
  let open = 0
  const { wire } = wired(t, await listening(t, (request, response) => {
    request.resume()
    open++
    response.on('close', () => open--)
  }))
  const told: unknown[] = []
  wire.send('{}', { onEnd: failure => told.push(failure) })
  await until(() => open === 1)
  await wire.close()
  await until(() => open === 0)
  t.strictSame(told, [])
  wire.send('{}', { onEnd: failure => told.push(failure) })
  t.match(told, [{ kind: 'unreachable', sent: false }])
})

t.test('a flood of notifications on a stream is dropped unread', async t => {
  const { ask } = wired(t, await listening(t, answers(200, { 'content-type': 'text/event-stream' }, `data: ${PROGRESS}\n\n`.repeat(20_000) + `data: ${ANSWER}\n\n`)))
  const { texts, failure } = await ask(ASK)
  t.equal(failure, undefined)
  t.equal(texts.at(-1), ANSWER)
  t.ok(texts.length < 10_000, `${texts.length} of 20,000 were read`)
})

t.test('a server that closes idle connections costs no call', async t => {
  const url = await listening(t, async (request, response) => {
    await textOf(request)
    json(response, ANSWER, { 'keep-alive': 'timeout=1' })
  })
  const { ask } = wired(t, url)
  for (let i = 0; i < 3; i++) {
    t.strictSame((await ask(ASK)).texts, [ANSWER])
    await sleep(20)
  }
  const probe = connect(Number(url.port), '127.0.0.1')
  await once(probe, 'connect')
  probe.destroy()
})
