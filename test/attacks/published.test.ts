/** Failures that other products shipped, as requests: named after their records, see docs/threat-model.md. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/settings/load.ts'
import { defineTool, Type } from '../../src/tools/index.ts'
import { addKey, build, legacy, messageOf, modern } from '../support/app.ts'

const noInput = Type.Object({}, { additionalProperties: false })
/** Counts what reached a tool. */
function counter () {
  const seen = { calls: 0 }
  return { seen, tool: defineTool({ name: 'touch', description: 'Counts.', input: noInput, run () { seen.calls++; return 'touched' } }) }
}

const CALL = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'touch', arguments: {} } })

/** Bytes on a socket, and the whole answer. */
async function overSocket (t: Test, app: FastifyInstance, text: string): Promise<string> {
  const address = app.server.address() as AddressInfo | null
  const port = address?.port ?? (await app.listen({ host: '127.0.0.1', port: 0 }), (app.server.address() as AddressInfo).port)
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let answer = ''
  socket.setEncoding('utf8').on('data', part => { answer += part }).on('error', () => {})
  socket.end(text)
  await once(socket, 'close')
  return answer
}

t.test('CVE-2026-48710, CVE-2026-22031: no spelling of a path reaches a tool without a credential, or a closed route with one', async t => {
  const { seen, tool } = counter()
  const { app, store } = await build(t, { tools: [tool] })
  const { key } = await addKey(store)
  const spellings = ['/mcp', '/mcp/', '//mcp', '/MCP', '/mcp%2f', '/%6dcp', '/%256dcp', '/./mcp', '/x/../mcp', '/mcp;a=b', '/mcp?', '/mcp?x=/livez', '/livez/../mcp', '/livez;/mcp', '/.well-known/../mcp', '/mcp%00', '/mcp#x', 'http://localhost:3000/mcp']
  const head = (path: string, more = '') => `POST ${path} HTTP/1.1\r\nHost: localhost:3000\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nConnection: close\r\n${more}Content-Length: ${CALL.length}\r\n\r\n${CALL}`
  for (const path of spellings) {
    t.match(await overSocket(t, app, head(path)), /^HTTP\/1\.1 (401|400|403|404) /, `${path} without a credential`)
  }
  t.equal(seen.calls, 0)
  for (const path of spellings.slice(1)) await overSocket(t, app, head(path, `Authorization: Bearer ${key}\r\n`))
  t.ok(seen.calls <= 5, 'what the router takes for /mcp is /mcp, with its credential')
})

t.test('CVE-2026-14537: every route of the public listener is either open by name or asks for a credential', async t => {
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: 'http://127.0.0.1:9', OAUTH2_CLIENT_ID: 'x' } })
  await app.ready()
  const routes = [...app.printRoutes({ commonPrefix: false, includeHooks: false }).matchAll(/(\/\S*) \(([A-Z, ]+)\)/g)]
  t.ok(routes.length >= 6, `${routes.length} routes`)
  const open = new Set<string>()
  for (const [, url, methods] of routes) {
    for (const method of methods!.split(', ')) {
      const { statusCode } = await app.inject({ method: method as 'GET', url: url!, headers: { host: 'localhost:3000', 'content-type': 'application/json' }, ...(method === 'POST' ? { payload: CALL } : {}) })
      if (statusCode !== 401 && statusCode !== 405) open.add(url!)
    }
  }
  t.strictSame([...open].filter(url => !/^\/(livez|readyz|\.well-known\/|oauth\/)/.test(url)), [], 'open beside probes, metadata and login')
})

t.test('CVE-2026-25223, CVE-2026-3419: a content type that is nearly JSON is refused and parsed by nothing', async t => {
  const { seen, tool } = counter()
  const { app, store } = await build(t, { tools: [tool] })
  const { key } = await addKey(store)
  for (const type of ['application/json\ta', 'application/json garbage', 'application/jsonx', 'text/plain', 'application/json/', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/json', '']) {
    const answer = await legacy(app, 'tools/call', { name: 'touch', arguments: {} }, { key, headers: { 'content-type': type } })
    t.equal(answer.statusCode, 415, JSON.stringify(type))
  }
  t.equal(seen.calls, 0)
  for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON']) {
    t.equal((await legacy(app, 'tools/call', { name: 'touch', arguments: {} }, { key, headers: { 'content-type': type } })).statusCode, 200, type)
  }
})

t.test('CVE-2026-92395, CVE-2026-18174: a forged X-Forwarded-For neither lifts a block nor lays one on another', async t => {
  const blocked = '203.0.113.9'
  const forged = ['198.51.100.1', '198.51.100.1, 203.0.113.9', '203.0.113.9\t', ' 203.0.113.9', '::ffff:198.51.100.1', 'unknown', '198.51.100.1:80', '"198.51.100.1"', ',', 'x'.repeat(4000), Array(500).fill('198.51.100.1').join(',')]
  const attempt = async (app: FastifyInstance, key: string, address: string, value: string) =>
    (await modern(app, 'tools/list', {}, { key, address, headers: { 'x-forwarded-for': value } })).statusCode

  const direct = await build(t)
  await direct.store.blocklist.set(blocked, { since: 1 })
  const { key } = await addKey(direct.store)
  for (const value of forged) {
    t.equal(await attempt(direct.app, key, blocked, value), 403, `blocked, and says ${value.slice(0, 20)}`)
    t.equal(await attempt(direct.app, key, '198.51.100.7', blocked), 200, 'nobody is taken for the blocked one by a header')
  }

  const behind = await build(t, { env: { TRUST_PROXY: '10.0.0.0/8' } })
  await behind.store.blocklist.set(blocked, { since: 1 })
  const other = await addKey(behind.store)
  t.equal(await attempt(behind.app, other.key, '10.0.0.1', blocked), 403, 'a trusted proxy tells who it is')
  t.equal(await attempt(behind.app, other.key, '10.0.0.1', `198.51.100.1, ${blocked}`), 403, 'the hop before the proxy, not what that hop claims')
  t.equal(await attempt(behind.app, other.key, '10.0.0.1', `::ffff:${blocked}`), 403, 'in whatever form')
  t.equal(await attempt(behind.app, other.key, blocked, '198.51.100.1'), 403, 'and only the proxy')
  for (const range of ['0.0.0.0/0', '::/0', '::/95', '::ffff:0:0/8', '::ffff:10.0.0.0/8', '10.0.0.0/7', 'all', 'true', '10', '10.0.0.0/33', 'loopback,0.0.0.0/0']) {
    t.throws(() => loadConfig({ TRUST_PROXY: range }), /TRUST_PROXY must be/, range)
  }
})

t.test('CVE-2026-53709, GHSA-g53w: no secret of a tutorial is taken, and no header grants trust', async t => {
  for (const secret of ['changeme', 'secret', 'password', 'a'.repeat(64), 'my-secret-key-that-is-long-enough-to-pass', 'short']) {
    t.throws(() => loadConfig({ STATE_SECRET: secret }), /STATE_SECRET must be random/, secret)
  }
  t.throws(() => loadConfig({ MCP_API_KEY: 'changeme' }), /well-known/)
  const same = 'k'.repeat(16) + '9'.repeat(24)
  t.throws(() => loadConfig({ STATE_SECRET: same, MCP_API_KEY: same }), /must differ/)

  const { app } = await build(t)
  const claims = ['x-user', 'x-forwarded-user', 'x-auth-request-user', 'x-authenticated', 'x-remote-user', 'x-mcp-principal', 'x-internal', 'x-admin', 'x-client-cert', 'x-forwarded-client-cert', 'cookie', 'x-original-url', 'x-rewrite-url', 'x-http-method-override']
  for (const name of claims) {
    t.equal((await modern(app, 'tools/list', {}, { headers: { [name]: 'admin' } })).statusCode, 401, name)
  }
  const query = await app.inject({ method: 'POST', url: '/mcp?api_key=x&access_token=y&token=z', headers: { host: 'localhost:3000', 'content-type': 'application/json' }, payload: CALL })
  t.equal(query.statusCode, 401, 'nor the query')
})

t.test('CVE-2026-42271, CVE-2025-49596: no request starts a program', async t => {
  const { app, store } = await build(t)
  const { key } = await addKey(store)
  const ran: string[] = []
  const { ChildProcess } = await import('node:child_process')
  const spawn = (ChildProcess.prototype as unknown as { spawn: (...args: unknown[]) => unknown }).spawn
  const watch = ChildProcess.prototype as unknown as { spawn: unknown }
  watch.spawn = function (this: unknown, ...args: unknown[]) { ran.push(JSON.stringify(args)); return Reflect.apply(spawn, this, args) }
  t.teardown(() => { watch.spawn = spawn })
  for (const text of ['; id', '$(id)', '`id`', '| sh', '&& reboot', '\n/bin/sh', '%0aid', '$' + '{jndi:ldap://127.0.0.1/a}', '{{7*7}}']) {
    const answer = await modern(app, 'tools/call', { name: 'echo', arguments: { text } }, { key })
    const { result, error } = messageOf(answer)
    t.ok(error !== undefined || result.isError === true || result.content[0].text.includes(text), `${text} is refused or comes back as it went`)
    await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'x' }, command: '/bin/sh', args: ['-c', 'id'], env: { A: 'b' } }, { key })
  }
  t.strictSame(ran, [])
})

t.test('MCP02, API3: what a credential may is not in what it sends', async t => {
  const { app, store } = await build(t)
  const { key } = await addKey(store, { permissions: ['echo'] })
  const claims = { permissions: ['*'], role: 'operator', scopes: ['*'], caller: { permissions: ['*'] }, principal: { id: 'root' }, auth: { type: 'none' } }
  for (const send of [modern, legacy]) {
    const answer = messageOf(await send(app, 'tools/call', { name: 'get_time', arguments: {}, ...claims, _meta: { ...claims } }, { key }))
    t.equal(answer.result?.content?.[0]?.text ?? answer.error?.message, 'Access denied')
  }
})
