import t from 'tap'
import { addKey, build } from '../support/app.ts'
import { bodyOf, exchange, headerOf, listening, open, statusOf } from '../support/raw.ts'

const HOST = 'Host: localhost:3000\r\n'
const refusals = (lines: ReadonlyArray<Record<string, unknown>>) => lines.filter(({ msg, decision }) => msg === 'request' && decision !== 'served')
const until = async (claim: () => boolean) => { while (!claim()) await new Promise(resolve => setTimeout(resolve, 5)) }

t.test('what cannot be read as HTTP is answered in JSON-RPC, logged and counted', async t => {
  const cases: Array<[what: string, bytes: string, status: number, rule: RegExp]> = [
    ['no HTTP', 'hello\r\n\r\n', 400, /^HPE_/],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, /^HPE_/],
    ['an unknown method', `FETCH /mcp HTTP/1.1\r\n${HOST}\r\n`, 400, /^HPE_INVALID_METHOD/],
    ['two lengths', `POST /mcp HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400, /^HPE_/],
    ['a length and chunks', `POST /mcp HTTP/1.1\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400, /^HPE_/],
    ['a length that is none', `POST /mcp HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`, 400, /^HPE_/],
    ['a header of nothing', `POST /mcp HTTP/1.1\r\n${HOST}: x\r\n\r\n`, 400, /^HPE_/],
    ['headers too long', `POST /mcp HTTP/1.1\r\n${HOST}X-Long: ${'x'.repeat(80_000)}\r\n\r\n`, 431, /^HPE_HEADER_OVERFLOW$/]
  ]
  for (const [what, bytes, status, rule] of cases) {
    await t.test(what, async t => {
      const { app, lines } = await build(t)
      const answer = await exchange(t, await listening(app), bytes)
      t.equal(statusOf(answer), status)
      const { jsonrpc, id, error } = JSON.parse(bodyOf(answer))
      t.match({ jsonrpc, id, error }, { jsonrpc: '2.0', id: null, error: { code: status, data: { reason: 'TRANSPORT' } } })
      t.equal(error.data.requestId, headerOf(answer, 'x-request-id'))
      t.match(headerOf(answer, 'connection'), /close/)
      t.equal(Number(headerOf(answer, 'content-length')), Buffer.byteLength(bodyOf(answer)))
      const [line, ...others] = refusals(lines)
      t.match(line, { decision: 'TRANSPORT', status, address: '127.0.0.1', reqId: error.data.requestId })
      t.match(String(line?.rule), rule)
      t.same(others, [], 'one line')
    })
  }
})

t.test('a body that cannot be read is answered, logged and counted, though it came in one packet with its head', async t => {
  const { app, store, lines } = await build(t)
  const { key } = await addKey(store)
  const port = await listening(app)
  const head = (path: string, credential: string) =>
    `POST ${path} HTTP/1.1\r\n${HOST}${credential}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
  const cases: Array<[what: string, bytes: string, status: number, reason: string]> = [
    ['a length that is none', `${head('/mcp', `X-API-Key: ${key}\r\n`)}ZZ\r\n`, 400, 'TRANSPORT'],
    ['a length below nothing', `${head('/mcp', `X-API-Key: ${key}\r\n`)}-1\r\n`, 400, 'TRANSPORT'],
    ['a trailer that is none', `${head('/mcp', `X-API-Key: ${key}\r\n`)}0\r\nBad Trailer\r\n\r\n`, 400, 'TRANSPORT'],
    ['extensions too long', `${head('/mcp', `X-API-Key: ${key}\r\n`)}2;${'a'.repeat(20_000)}\r\n{}\r\n`, 413, 'TRANSPORT'],
    ['no credential', `${head('/mcp', '')}ZZ\r\n`, 401, 'AUTHENTICATION_REQUIRED'],
    ['no such path', `${head('/nothing', '')}ZZ\r\n`, 404, 'NOT_FOUND']
  ]
  for (const [what, bytes, status, reason] of cases) {
    await t.test(what, async t => {
      const earlier = refusals(lines).length
      const answer = await exchange(t, port, bytes)
      t.equal(statusOf(answer), status)
      await until(() => refusals(lines).length > earlier)
      const [line, ...others] = refusals(lines).slice(earlier)
      t.match(line, { decision: reason, status, reqId: headerOf(answer, 'x-request-id') })
      t.match(bodyOf(answer), headerOf(answer, 'x-request-id'))
      t.same(others, [], 'one line')
    })
  }
})

t.test('a blocked address is told so even where nothing can be read', async t => {
  const { app, store, lines } = await build(t)
  await store.blocklist.set('127.0.0.0/8', { since: Date.now() })
  const port = await listening(app)
  for (const bytes of ['hello\r\n\r\n', `GET /%zz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 'CONNECT localhost:3000 HTTP/1.1\r\n\r\n', `GET /mcp HTTP/1.1\r\n${HOST}Expect: cake\r\n\r\n`, `GET /mcp HTTP/1.1\r\n${HOST}Connection: close\r\n${'X: y\r\n'.repeat(200)}\r\n`]) {
    const answer = await exchange(t, port, bytes)
    t.equal(statusOf(answer), 403, bytes.slice(0, 30))
    t.match(bodyOf(answer), /ADDRESS_BLOCKED/)
  }
  t.equal(refusals(lines).filter(({ decision }) => decision === 'ADDRESS_BLOCKED').length, 5)
})

t.test('CONNECT is refused, at another host as such', async t => {
  const { app, lines } = await build(t)
  const port = await listening(app)
  for (const [bytes, status, reason] of [
    [`CONNECT localhost:3000 HTTP/1.1\r\n${HOST}\r\n`, 405, 'METHOD_NOT_ALLOWED'],
    ['CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n', 403, 'ORIGIN_REFUSED'],
    ['CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost:3000\r\n\r\n', 403, 'ORIGIN_REFUSED']
  ] as const) {
    const answer = await exchange(t, port, bytes)
    t.equal(statusOf(answer), status)
    t.equal(JSON.parse(bodyOf(answer)).error.data.reason, reason)
  }
  t.same(refusals(lines).map(({ decision }) => decision), ['METHOD_NOT_ALLOWED', 'ORIGIN_REFUSED', 'ORIGIN_REFUSED'])
})

t.test('requests without a Host, with two, or with an expectation go through the same checks', async t => {
  const { app, store, lines } = await build(t)
  const { key } = await addKey(store)
  const port = await listening(app)
  const auth = `Authorization: Bearer ${key}\r\n`
  const cases: Array<[bytes: string, status: number, reason: string]> = [
    [`POST /mcp HTTP/1.1\r\n${auth}Content-Length: 0\r\n\r\n`, 400, 'INVALID_REQUEST'],
    [`POST /mcp HTTP/1.0\r\n${auth}Content-Length: 0\r\n\r\n`, 403, 'ORIGIN_REFUSED'],
    [`POST /mcp HTTP/1.1\r\n${HOST}Host: evil.example\r\n${auth}Connection: close\r\nContent-Length: 0\r\n\r\n`, 400, 'INVALID_REQUEST'],
    [`POST /mcp HTTP/1.1\r\n${HOST}${auth}Expect: cake\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, 417, 'TRANSPORT'],
    ['POST /mcp HTTP/1.1\r\nHost: evil.example\r\nExpect: cake\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', 403, 'ORIGIN_REFUSED']
  ]
  for (const [bytes, status, reason] of cases) {
    const answer = await exchange(t, port, bytes)
    t.equal(statusOf(answer), status, bytes.slice(0, 60))
    t.equal(JSON.parse(bodyOf(answer)).error.data?.reason ?? 'INVALID_REQUEST', reason)
  }
  t.same(refusals(lines).map(({ decision }) => decision), cases.map(([, , reason]) => reason))
  t.equal(statusOf(await exchange(t, port, 'GET /livez HTTP/1.0\r\n\r\n')), 200, 'a probe of HTTP/1.0 needs no Host')
})

t.test('a body is asked for only where the request may have one', async t => {
  const { app, store } = await build(t)
  const { key } = await addKey(store)
  const port = await listening(app)
  const head = (auth: string) => `POST /mcp HTTP/1.1\r\n${HOST}${auth}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nExpect: 100-continue\r\n`
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} })
  const stranger = await exchange(t, port, `${head('')}Content-Length: ${body.length}\r\n\r\n`)
  t.equal(statusOf(stranger), 401, 'without a 100 before')
  const connection = open(t, port)
  connection.socket.write(`${head(`Authorization: Bearer ${key}\r\n`)}Content-Length: ${body.length}\r\n\r\n`)
  await connection.until(text => text === 'HTTP/1.1 100 Continue\r\n\r\n')
  connection.socket.write(body)
  t.match(await connection.until(text => text.includes('"id":1')), /HTTP\/1\.1 200 OK/)
})

t.test('no header is dropped in silence: one more than a hundred is refused', async t => {
  const { app, store } = await build(t)
  const { key } = await addKey(store)
  const port = await listening(app)
  const filled = async (fillers: number, last: string) => await exchange(t, port, `GET /mcp HTTP/1.1\r\n${HOST}Connection: close\r\nAuthorization: Bearer ${key}\r\n${'A: b\r\n'.repeat(fillers)}${last}\r\n`)
  for (const [fillers, last, status] of [
    [97, '', 405], [98, '', 431], [1990, 'Host: evil.example\r\n', 400], [1990, 'Authorization: Bearer other\r\n', 431], [1990, '', 431], [90, 'Host: evil.example\r\n', 400], [90, 'Authorization: Bearer other\r\n', 400], [90, `X-API-Key: ${key}\r\n`, 400]
  ] as const) t.equal(statusOf(await filled(fillers, last)), status, `${fillers} fillers and ${last}`)
})

t.test('what comes too slowly is answered once: a head, and a body, whose request says so in the log', async t => {
  const { app, store, lines } = await build(t)
  const { key } = await addKey(store)
  const port = await listening(app)
  const silent = open(t, port)
  const head = open(t, port)
  head.socket.write('POST /mcp HTTP/1.1\r\nHost: local')
  const body = open(t, port)
  body.socket.write(`POST /mcp HTTP/1.1\r\n${HOST}Authorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`)
  const answered = open(t, port)
  answered.socket.write(`POST /nothing HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\n{`)
  const [none, late, lateBody, one] = await Promise.all([silent.closed(), head.closed(), body.closed(), answered.closed()])
  t.equal(none, '', 'whoever said nothing hears nothing')
  for (const answer of [late, lateBody]) {
    t.equal(statusOf(answer), 408)
    t.equal(JSON.parse(bodyOf(answer)).error.data.reason, 'TRANSPORT')
    t.equal(answer.match(/HTTP\/1\.1/g)?.length, 1)
  }
  t.equal(one.match(/HTTP\/1\.1/g)?.length, 1, 'an answered request has no second answer')
  t.same(refusals(lines).map(({ decision, rule }) => `${decision} ${rule}`).sort(), ['NOT_FOUND undefined', 'TRANSPORT ERR_HTTP_REQUEST_TIMEOUT', 'TRANSPORT ERR_HTTP_REQUEST_TIMEOUT'])
  t.notOk(lines.some(({ decision, level }) => decision === 'INTERNAL' || level === 'error'))
  await until(() => app.secureMcp.traffic.inFlight === 0)
})

t.test('pipelined requests are each answered, up to the one that cannot be read', async t => {
  const { app } = await build(t)
  const port = await listening(app)
  const answer = await exchange(t, port, `GET /livez HTTP/1.1\r\n${HOST}\r\nGET /nothing HTTP/1.1\r\n${HOST}\r\nnonsense\r\n\r\n`)
  t.match(answer, /^HTTP\/1\.1 (200|400)/)
  t.notOk(/INTERNAL/.test(answer))
})

t.test('a body that others would read otherwise is not read: another transfer coding, a second type', async t => {
  const { app, store } = await build(t)
  const { key } = await addKey(store)
  const port = await listening(app)
  const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
  const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  const ask = async (lines: string[], sent: string) =>
    await exchange(t, port, `POST /mcp HTTP/1.1\r\n${HOST}Connection: close\r\nX-API-Key: ${key}\r\n${lines.join('\r\n')}\r\n\r\n${sent}`)
  const type = 'Content-Type: application/json'
  const length = `Content-Length: ${body.length}`
  for (const coding of ['gzip, chunked', 'deflate, chunked', 'x, chunked', 'gzip , chunked']) {
    t.equal(statusOf(await ask([type, `Transfer-Encoding: ${coding}`], chunked)), 415, coding)
  }
  for (const second of ['text/plain', 'application/json; charset=utf-16', 'application/json']) {
    const answer = await ask([type, length, `content-type: ${second}`], body)
    t.equal(statusOf(answer), 415, second)
    t.match(JSON.parse(bodyOf(answer)), { error: { message: /one Content-Type/ } })
  }
  t.equal(statusOf(await ask([type, 'Content-Encoding: gzip', length], body)), 415)
  t.equal(statusOf(await ask([type, length], body)), 200)
  for (const coding of ['chunked', 'Chunked']) t.equal(statusOf(await ask([type, `Transfer-Encoding: ${coding}`], chunked)), 200, coding)
})
