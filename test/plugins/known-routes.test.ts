import t from 'tap'
import { addKey, build, modern } from '../support/app.ts'
import { bodyOf, exchange, headerOf, listening, open, statusOf } from '../support/raw.ts'

const HOST = 'Host: localhost:3000\r\n'
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE']
const PATHS = ['/mcp', '/livez', '/readyz', '/nothing', '/mcp/', '//mcp', '/%zz', '/oauth/login', '/.well-known/oauth-protected-resource']

/** What a request without a credential gets, by its method and path alone. */
function wanted (method: string, path: string): number {
  if (path === '/%zz') return 400
  if (path === '/mcp') return method === 'OPTIONS' ? 204 : ['GET', 'POST', 'DELETE'].includes(method) ? 401 : 405
  if (['/livez', '/readyz'].includes(path)) return method === 'OPTIONS' ? 204 : ['GET', 'HEAD'].includes(method) ? 200 : 405
  return 404
}

t.test('every method at every path is answered at once, with or without a body, though the body never comes', async t => {
  const { app } = await build(t, { env: { RATE_LIMIT_DEFAULT: '100000' } })
  const port = await listening(app)
  const bodies = {
    'no body': '\r\n',
    'one byte of a thousand': 'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{',
    'a chunk that does not end': 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n{'
  }
  for (const [what, body] of Object.entries(bodies)) {
    for (const path of PATHS) {
      await Promise.all(METHODS.map(async method => {
        const connection = open(t, port)
        connection.socket.write(`${method} ${path} HTTP/1.1\r\n${HOST}${body}`)
        const answer = await connection.until(text => text.includes('\r\n\r\n'))
        t.equal(statusOf(answer), wanted(method, path), `${method} ${path} with ${what}`)
        if (statusOf(answer) === 405) t.ok(headerOf(answer, 'allow'), `${method} ${path} says what is allowed`)
        connection.socket.destroy()
      }))
    }
  }
  t.equal(app.secureMcp.traffic.inFlight, 0, 'none of them holds a place')
})

t.test('slow bodies of strangers take no place from callers', async t => {
  const { app, store } = await build(t, { env: { MAX_IN_FLIGHT: '4', RATE_LIMIT_DEFAULT: '100000' } })
  const { key } = await addKey(store)
  const port = await listening(app)
  for (const line of ['POST /nothing', 'OPTIONS /mcp', 'PUT /mcp', 'POST /livez', 'POST /mcp', 'DELETE /mcp', 'GET /mcp', 'POST /.well-known/oauth-protected-resource']) {
    for (let i = 0; i < 8; i++) {
      const connection = open(t, port)
      connection.socket.write(`${line} HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`)
      await connection.until(text => text.includes('\r\n\r\n'))
    }
    t.equal((await modern(app, 'tools/list', {}, { key })).statusCode, 200, line)
  }
})

t.test('requests of nobody are counted by address, whatever they ask for', async t => {
  for (const [what, method, url] of [['an absent path', 'GET', '/nothing'], ['a preflight', 'OPTIONS', '/mcp'], ['a wrong method', 'PUT', '/mcp'], ['an undecodable path', 'GET', '/%zz'], ['no credential', 'POST', '/mcp']] as const) {
    await t.test(what, async t => {
      const { app, store } = await build(t, { env: { RATE_LIMIT_DEFAULT: '5' } })
      const { key } = await addKey(store)
      const ask = async (remoteAddress: string) => await app.inject({ method, url, remoteAddress, headers: { host: 'localhost:3000' } })
      for (let i = 0; i < 5; i++) t.not((await ask('192.0.2.1')).statusCode, 429)
      const over = await ask('192.0.2.1')
      t.equal(over.statusCode, 429)
      t.match(over.headers['retry-after'], /^\d+$/)
      t.not((await ask('192.0.2.2')).statusCode, 429, 'another address')
      t.equal((await modern(app, 'tools/list', {}, { key, address: '192.0.2.1' })).statusCode, 200, 'a caller from there')
      for (let i = 0; i < 20; i++) t.equal((await app.inject({ url: '/livez', remoteAddress: '192.0.2.1' })).statusCode, 200)
    })
  }
})

t.test('whoever misses the endpoint by a slash is told where it is, as JSON-RPC', async t => {
  const { app } = await build(t)
  for (const url of ['/mcp/', '//mcp', '/MCP', '/mcp//', '/mcp/?x=1']) {
    const answer = await app.inject({ method: 'POST', url, headers: { host: 'localhost:3000', 'content-type': 'application/json' }, payload: '{}' })
    t.equal(answer.statusCode, 404, url)
    t.match(answer.json(), { jsonrpc: '2.0', id: null, error: { code: 404, message: /\/mcp$/, data: { reason: 'NOT_FOUND' } } })
  }
  t.match((await app.inject({ method: 'POST', url: '/nothing', headers: { host: 'localhost:3000' } })).json(), { error: 'NOT_FOUND' })

  const behind = await build(t, { env: { PUBLIC_URL: 'https://mcp.example.com/gw' } })
  for (const url of ['/gw/mcp/', '/mcp/', '/gw/MCP']) {
    const answer = await behind.app.inject({ method: 'POST', url, headers: { host: 'mcp.example.com', 'content-type': 'application/json' }, payload: '{}' })
    t.match(answer.json(), { error: { message: /the MCP endpoint is \/gw\/mcp$/ } }, `${url}: the path as clients see it`)
  }
})

t.test('a HEAD does not touch a session, and a DELETE may say a content type', async t => {
  const { app, store } = await build(t)
  const { key } = await addKey(store)
  const auth = { host: 'localhost:3000', authorization: `Bearer ${key}` }
  const begun = await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: { ...auth, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    payload: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } } })
  })
  const id = String(begun.headers['mcp-session-id'])
  const port = await listening(app)
  const stream = open(t, port)
  stream.socket.write(`GET /mcp HTTP/1.1\r\n${HOST}Authorization: Bearer ${key}\r\nAccept: text/event-stream\r\nMcp-Session-Id: ${id}\r\n\r\n`)
  t.equal(statusOf(await stream.until(text => text.includes('\r\n\r\n'))), 200)
  const head = await app.inject({ method: 'HEAD', url: '/mcp', headers: { ...auth, 'mcp-session-id': id } })
  t.equal(head.statusCode, 405)
  t.match(head.headers.allow, /GET.*POST|POST.*GET/)
  t.notOk(stream.socket.destroyed)
  t.equal(app.secureMcp.traffic.streams, 1, 'the stream is open still')

  for (const [what, headers] of [['a content type', { 'content-type': 'application/json' }], ['text', { 'content-type': 'text/plain' }]] as const) {
    const again = await app.inject({ method: 'DELETE', url: '/mcp', headers: { ...auth, 'mcp-session-id': 'nope', ...headers } })
    t.equal(again.statusCode, 404, `${what}: it is the session that counts`)
  }
  t.equal((await app.inject({ method: 'DELETE', url: '/mcp', headers: { ...auth, 'mcp-session-id': id, 'content-type': 'application/json' } })).statusCode, 200)
  t.match(await stream.until(text => text.endsWith('0\r\n\r\n')), /0\r\n\r\n$/, 'with the session its stream ends')
})

t.test('a public URL with a path is served with it and without it', async t => {
  const { app, store } = await build(t, { env: { PUBLIC_URL: 'https://mcp.example/gw', OAUTH2_AUTH_SERVER: 'http://127.0.0.1:9', OAUTH2_CLIENT_ID: 'c' } })
  const { key } = await addKey(store)
  const headers = { host: 'mcp.example', authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const payload = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} })
  for (const url of ['/gw/mcp', '/mcp', '/gw/mcp?x=1', 'https://mcp.example/gw/mcp']) t.equal((await app.inject({ method: 'POST', url, headers, payload })).statusCode, 200, url)
  for (const url of ['/gw/gw/mcp', '/gwx/mcp', '/other/mcp']) t.equal((await app.inject({ method: 'POST', url, headers, payload })).statusCode, 404, url)
  for (const url of ['/gw/livez', '/livez']) t.equal((await app.inject({ url })).statusCode, 200, url)

  const { 'www-authenticate': challenge } = (await app.inject({ method: 'POST', url: '/gw/mcp', headers: { host: 'mcp.example' } })).headers
  const metadata = /resource_metadata="https:\/\/mcp\.example([^"]+)"/.exec(String(challenge))![1]!
  for (const url of [metadata, '/.well-known/oauth-protected-resource', '/gw/.well-known/oauth-protected-resource', '/gw/.well-known/oauth-protected-resource/mcp']) {
    const answer = await app.inject({ url, headers: { host: 'mcp.example' } })
    t.equal(answer.statusCode, 200, url)
    t.equal(answer.json().resource, 'https://mcp.example/gw/mcp')
  }
  const page = await app.inject({ url: '/gw/oauth/callback?error=access_denied', headers: { host: 'mcp.example' } })
  t.equal(page.statusCode, 400)
  const again = new URL(/<a href="([^"]+)">Try again/.exec(page.body)![1]!, 'https://mcp.example/gw/oauth/callback').pathname
  t.not((await app.inject({ url: again, headers: { host: 'mcp.example' } })).statusCode, 404, `${again} begins again`)
})

t.test('an absolute target is held to the host that it names', async t => {
  const { app, lines } = await build(t)
  const port = await listening(app)
  const ask = async (target: string, host = 'localhost:3000') => await exchange(t, port, `POST ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  t.equal(statusOf(await ask('http://localhost:3000/mcp')), 401)
  for (const [target, host] of [['http://evil.example/mcp', 'localhost:3000'], ['http://localhost:3000/mcp', 'evil.example'], ['http://localhost:3000@evil.example/mcp', 'localhost:3000']] as const) {
    const answer = await ask(target, host)
    t.equal(statusOf(answer), 403, `${target} with ${host}`)
    t.equal(JSON.parse(bodyOf(answer)).error.data.reason, 'ORIGIN_REFUSED')
  }
  t.ok(lines.some(({ why, level }) => level === 'warn' && String(why).includes('evil.example') && String(why).includes('ALLOWED_HOSTS')), 'the log names the Host and the setting')
})
