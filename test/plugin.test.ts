/** This product inside somebody else's Fastify app: row by row what could clash, on an app with everything that such apps have. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import secureMcp, { type SecureMcpOptions } from '../src/plugin.ts'
import { NOT_OPTIONS, optionOf, settingOf } from '../src/settings/options.ts'
import { properties } from '../src/settings/load.ts'
import { defineTool, Type } from '../src/tools/index.ts'
import { startIssuer } from './auth/oauth2/issuer.ts'
import { folder, legacy, messageOf, modern, redisUrl } from './support/app.ts'
import { foreignApp, THEIR_REQUESTS } from './support/foreign-app.ts'
import { fetched } from './support/npm.ts'
import { until } from './support/until.ts'
import { startHttpUpstream } from './support/upstream-http.ts'

const order = (name = 'get_order') => defineTool({
  name,
  description: 'Look up an order.',
  input: Type.Object({ number: Type.String() }, { additionalProperties: false }),
  run: ({ number }, { caller }) => `${number} for ${caller.name}`
})

/** What every test says, and what its app is. */
function options (t: Test, more: Partial<SecureMcpOptions> = {}): SecureMcpOptions {
  return { publicUrl: 'http://localhost:3000', apiKeysFile: join(folder(t), 'keys.json'), tools: [order()], ...more }
}

const byCookie: SecureMcpOptions['principal'] = ({ visitor }) => visitor && { id: visitor.name, permissions: ['get_*'] }
const ADA = { headers: { cookie: 'user=ada' } }

function closing (t: Test, app: FastifyInstance): FastifyInstance {
  t.teardown(() => app.close())
  return app
}

t.test('the other routes of an app answer byte for byte as without it', async t => {
  const answers = async (app: FastifyInstance) => {
    const all = []
    for (const asked of THEIR_REQUESTS) {
      const { statusCode, headers, rawPayload } = await app.inject(asked)
      all.push({ asked, statusCode, headers: { ...headers, date: '', 'x-ratelimit-reset': '' }, body: rawPayload.toString() })
    }
    return all
  }
  const without = await answers(closing(t, await foreignApp(folder(t))))
  t.ok(without.some(({ body }) => body.includes('Hello Ada')) && without.some(({ statusCode }) => statusCode === 413), 'their app does what it does')
  for (const place of ['first', 'last'] as const) {
    const more = place === 'first' ? {} : { principal: byCookie }
    const app = closing(t, await foreignApp(folder(t), { place, add: async app => { await app.register(secureMcp, options(t, more)) } }))
    const beside = await answers(app)
    for (const [i, answer] of beside.entries()) t.same(answer, without[i], `${place}: ${answer.asked.method ?? 'GET'} ${answer.asked.url}`)
    // Theirs are untouched after ours were used, too.
    t.equal((await modern(app, 'tools/list')).statusCode, 401)
    t.equal((await app.inject('/user')).body, '{"name":"nobody"}')
  }
})

t.test('its own route is as on its own server, whatever the app has', async t => {
  const app = closing(t, await foreignApp(folder(t), { place: 'last', add: async app => { await app.register(secureMcp, options(t, { principal: byCookie })) } }))
  const answer = await modern(app, 'tools/call', { name: 'get_order', arguments: { number: '7' } }, ADA)
  t.equal(messageOf(answer).result.content[0].text, '7 for ada')
  t.equal(answer.headers['x-request-id'], 'theirs')
  t.ok(String(answer.headers['ratelimit-policy']).startsWith('"default";q=1000'), 'its own limit')
  t.equal(messageOf(await legacy(app, 'tools/list', {}, ADA)).result.tools.length, 1)

  const long = await modern(app, 'tools/call', { name: 'get_order', arguments: { number: '7'.repeat(5000) } }, ADA)
  t.equal(long.statusCode, 200, 'their limit of 50 bytes is theirs')
  const tooLong = await modern(app, 'tools/call', { name: 'get_order', arguments: { number: '7'.repeat(2_000_000) } }, ADA)
  t.equal(messageOf(tooLong).error.data.reason, 'TOO_LARGE')
  const doubled = await app.inject({ method: 'POST', url: '/mcp', headers: { host: 'localhost:3000', 'content-type': 'application/json', ...ADA.headers }, payload: '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}' })
  t.equal(doubled.json().error.code, -32600, 'its own parser')
  const xml = await app.inject({ method: 'POST', url: '/mcp', headers: { host: 'localhost:3000', 'content-type': 'application/xml', ...ADA.headers }, payload: '<a/>' })
  t.equal(xml.json().error.data.reason, 'UNSUPPORTED_MEDIA_TYPE')
  const foreignHost = await modern(app, 'tools/list', {}, { headers: { host: 'evil.example', ...ADA.headers } })
  t.equal(messageOf(foreignHost).error.data.reason, 'ORIGIN_REFUSED')
  const attack = await modern(app, 'tools/call', { name: 'get_order', arguments: { number: '../../etc/passwd' } }, ADA)
  t.equal(messageOf(attack).result.content[0].text, 'Security validation failed')
  t.equal((await app.inject({ method: 'PUT', url: '/mcp' })).body, 'nothing of theirs at /mcp', 'what it does not serve is theirs')
})

t.test('the session of the app says who is calling, with its permissions and its limit', async t => {
  const app = closing(t, await foreignApp(folder(t), {
    place: 'last',
    add: async app => {
      await app.register(secureMcp, options(t, {
        rateLimitApiKey: 5,
        tools: [order(), order('delete_order')],
        principal: ({ visitor }) => visitor === undefined ? null : { id: visitor.name, permissions: visitor.name === 'root' ? ['*'] : ['get_*'] }
      }))
    }
  }))
  const names = async (user: string) => messageOf(await modern(app, 'tools/list', {}, { headers: { cookie: `user=${user}` } })).result.tools.map(({ name }: { name: string }) => name)
  t.same(await names('ada'), ['get_order'])
  t.same(await names('root'), ['delete_order', 'get_order'])
  const refused = await modern(app, 'tools/call', { name: 'delete_order', arguments: { number: '7' } }, ADA)
  t.equal(messageOf(refused).result.content[0].text, 'Access denied')
  for (let i = 0; i < 3; i++) await modern(app, 'tools/list', {}, ADA)
  t.equal(messageOf(await modern(app, 'tools/list', {}, ADA)).error.data.reason, 'RATE_LIMITED')
  t.equal((await modern(app, 'tools/list', {}, { headers: { cookie: 'user=root' } })).statusCode, 200, 'another has its own')
  const foreignOrigin = await modern(app, 'tools/list', {}, { headers: { cookie: 'user=root', origin: 'https://evil.example' } })
  t.equal(messageOf(foreignOrigin).error.data.reason, 'ORIGIN_REFUSED', 'a page elsewhere cannot use the cookie')
})

t.test('visitors without a session have failed at nothing', async t => {
  const app = closing(t, await foreignApp(folder(t), { place: 'last', add: async app => { await app.register(secureMcp, options(t, { principal: byCookie })) } }))
  for (let i = 0; i < 30; i++) {
    const answer = await modern(app, 'tools/list', {}, { headers: { authorization: 'Bearer not-read' } })
    t.equal(messageOf(answer).error.data.reason, 'AUTHENTICATION_REQUIRED')
  }
  t.equal((await modern(app, 'tools/list', {}, ADA)).statusCode, 200)
})

t.test('what the app throws while it says who is calling is answered by its status', async t => {
  const rows: Array<[() => never, number, string]> = [
    [() => { throw Object.assign(new Error('no token'), { statusCode: 401 }) }, 401, 'AUTHENTICATION_REQUIRED'],
    [() => { throw Object.assign(new Error('not you'), { statusCode: 403 }) }, 403, 'FORBIDDEN'],
    [() => { throw new Error('the database is away: canary') }, 503, 'STATE_UNAVAILABLE'],
    [() => ({ id: 'ada' }) as never, 503, 'STATE_UNAVAILABLE'],
    [() => ({ id: 'ada', permissions: ['get_*'], role: 'operator' }) as never, 503, 'STATE_UNAVAILABLE']
  ]
  for (const [principal, status, reason] of rows) {
    const app = closing(t, Fastify())
    await app.register(secureMcp, options(t, { principal }))
    const answer = await modern(app, 'tools/list')
    t.equal(answer.statusCode, status, reason)
    t.equal(messageOf(answer).error.data.reason, reason)
    t.notOk(answer.body.includes('canary'))
  }
})

t.test('hooks of the app that refuse before it are answered in its words', async t => {
  const limited = closing(t, await foreignApp(folder(t), { max: 2, place: 'last', add: async app => { await app.register(secureMcp, options(t, { principal: byCookie })) } }))
  for (let i = 0; i < 2; i++) t.equal((await modern(limited, 'tools/list', {}, ADA)).statusCode, 200)
  const over = await modern(limited, 'tools/list', {}, ADA)
  t.equal(over.statusCode, 429, 'their limiter counts its route, too')
  t.equal(messageOf(over).error.data.reason, 'RATE_LIMITED')
  t.ok(over.headers['retry-after'])

  for (const [status, reason] of [[401, 'AUTHENTICATION_REQUIRED'], [403, 'FORBIDDEN'], [429, 'RATE_LIMITED'], [503, 'OVERLOADED'], [500, undefined]] as const) {
    const app = closing(t, Fastify())
    app.addHook('onRequest', async () => { throw Object.assign(new Error('canary'), { statusCode: status }) })
    await app.register(secureMcp, options(t))
    const answer = await modern(app, 'tools/list')
    t.equal(answer.statusCode, status)
    t.equal(messageOf(answer).error.data.reason, reason)
    t.ok(answer.headers['x-request-id'])
  }
  const silent = closing(t, Fastify())
  silent.addHook('onRequest', async (_request, reply) => await reply.code(418).send('short and stout'))
  await silent.register(secureMcp, options(t))
  t.equal((await modern(silent, 'tools/list')).body, 'short and stout', 'what they answer themselves is theirs')
})

t.test('browsers ask before they send, for its paths alone', async t => {
  const app = closing(t, Fastify())
  const issuer = await startIssuer(t)
  await app.register(secureMcp, options(t, { oauth2AuthServer: issuer.url, path: '/ai/mcp' }))
  const ask = async (url: string, origin = 'http://localhost:3000') => await app.inject({ method: 'OPTIONS', url, headers: { host: 'localhost:3000', origin, 'access-control-request-headers': 'mcp-param-region' } })
  const allowed = await ask('/ai/mcp')
  t.equal(allowed.statusCode, 204)
  t.equal(allowed.headers['access-control-allow-origin'], 'http://localhost:3000')
  t.match(allowed.headers['access-control-allow-headers'], /mcp-session-id.*mcp-param-region/)
  t.match(allowed.headers.allow, /POST/)
  t.equal((await ask('/.well-known/oauth-protected-resource/ai/mcp')).statusCode, 204)
  t.equal((await ask('/ai/mcp', 'https://evil.example')).statusCode, 403)
  t.equal((await ask('/other')).statusCode, 404)
  t.same((await ask('/other')).json(), { message: 'Route OPTIONS:/other not found', error: 'Not Found', statusCode: 404 })
})

t.test('the path is the endpoint\'s wherever it is named', async t => {
  const app = closing(t, Fastify())
  const issuer = await startIssuer(t)
  await app.register(secureMcp, options(t, { oauth2AuthServer: issuer.url, path: '/ai/mcp' }))
  const answer = await app.inject({ method: 'POST', url: '/ai/mcp', headers: { host: 'localhost:3000' } })
  t.match(answer.headers['www-authenticate'], /resource_metadata="http:\/\/localhost:3000\/\.well-known\/oauth-protected-resource\/ai\/mcp"/)
  for (const url of ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/ai/mcp']) {
    const metadata = await app.inject({ url, headers: { host: 'localhost:3000' } })
    t.equal(metadata.json().resource, 'http://localhost:3000/ai/mcp', url)
  }
  const token = issuer.mint({ aud: 'http://localhost:3000/ai/mcp' })
  const called = await app.inject({ method: 'POST', url: '/ai/mcp', headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${token}` }, payload: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }) })
  t.equal(called.json().result.tools.length, 1, 'a token for that path is accepted')
  t.equal((await app.inject('/mcp')).statusCode, 404)
})

t.test('under a prefix it serves, and with OAuth2 it says why it cannot', async t => {
  const app = closing(t, Fastify())
  await app.register(secureMcp, { ...options(t, { principal: () => ({ id: 'a', permissions: ['*'] }) }), prefix: '/ai' })
  await app.register(async inner => { await inner.register(secureMcp, options(t, { path: '/tools', principal: () => ({ id: 'a', permissions: ['*'] }) })) }, { prefix: '/deep' })
  for (const url of ['/ai/mcp', '/deep/tools']) {
    const answer = await app.inject({ method: 'POST', url, headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json' }, payload: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }) })
    t.equal(answer.json().result.tools.length, 1, url)
  }
  t.equal((await app.inject('/mcp')).statusCode, 404)
  const oauth = { oauth2AuthServer: 'https://issuer.example' }
  await t.rejects(async () => await closing(t, Fastify()).register(secureMcp, { ...options(t, oauth), prefix: '/ai' }), /register the plugin at the root and write path: '\/ai\/mcp'/)
  await t.rejects(async () => await closing(t, Fastify()).register(async inner => { await inner.register(secureMcp, options(t, oauth)) }, { prefix: '/deep' }), /path: '\/deep\/mcp'/)
})

t.test('two endpoints of one app mix nothing', async t => {
  const app = closing(t, Fastify())
  await app.register(secureMcp, options(t, { path: '/shop', tools: [order('get_order')] }))
  await app.register(async inner => {
    await inner.register(secureMcp, options(t, { path: '/office', tools: [order('get_invoice')], stateSecret: 'a-secret-of-this-test-0123456789abcdef' }))
    t.not(inner.secureMcp, app.secureMcp)
    t.same(await inner.secureMcp.keys.list(), [])
  })
  await app.register(secureMcp, options(t, { path: '/third', tools: [] }))
  const { key } = await app.secureMcp.keys.create({ name: 'shop', permissions: ['*'] })
  const list = async (url: string, session?: string) => await app.inject({
    method: 'POST',
    url,
    headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${key}`, ...(session === undefined ? {} : { 'mcp-session-id': session }) },
    payload: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
  })
  t.equal((await list('/shop')).json().result.tools[0].name, 'get_order')
  t.equal((await list('/office')).json().error.data.reason, 'INVALID_CREDENTIAL', 'a key of one is none of the other')
  t.equal((await list('/third')).json().error.data.reason, 'INVALID_CREDENTIAL')
})

t.test('a session of one endpoint is none of another, though they share Redis and a secret', async t => {
  const shared = { redisUrl, redisKeyPrefix: `test:${Math.random().toString(36).slice(2)}:`, redisCommandTimeoutMs: 10_000, stateSecret: 'a-secret-of-this-test-0123456789abcdef' }
  const app = closing(t, Fastify())
  for (const path of ['/a', '/b']) await app.register(secureMcp, options(t, { ...shared, path, principal: () => ({ id: 'ada', permissions: ['*'] }) }))
  const post = async (url: string, message: object, session?: string) => await app.inject({
    method: 'POST',
    url,
    headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json', ...(session === undefined ? {} : { 'mcp-session-id': session }) },
    payload: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message })
  })
  const begun = await post('/a', { method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '1' } } })
  const session = String(begun.headers['mcp-session-id'])
  t.equal((await post('/a', { method: 'tools/list' }, session)).statusCode, 200)
  t.equal((await post('/b', { method: 'tools/list' }, session)).json().error.data.reason, 'SESSION_NOT_FOUND')
})

t.test('the log of the app gets one line of ours a request, or none; errors are written as ours', async t => {
  for (const requestLog of [true, false]) {
    const lines: any[] = []
    const app = closing(t, Fastify({ logger: { stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } }))
    const broken = defineTool({ name: 'get_broken', description: 'Breaks.', input: Type.Object({}), run: () => { throw Object.assign(new Error('cause'), { command: { args: ['secret-canary'] } }) } })
    await app.register(secureMcp, options(t, { requestLog, tools: [broken], principal: () => ({ id: 'ada', permissions: ['*'] }) }))
    await modern(app, 'tools/call', { name: 'get_broken', arguments: {} })
    const ours = lines.filter(({ msg }) => msg === 'request')
    t.equal(ours.length, requestLog ? 1 : 0)
    if (requestLog) t.match(ours[0], { principal: 'custom:ada', target: 'get_broken', decision: 'TOOL_FAILED', reqId: 'req-1' })
    t.equal(lines.filter(({ msg }) => msg === 'incoming request' || msg === 'request completed').length, 2, 'theirs are there as ever')
    const failed = lines.find(({ msg }) => msg === 'tool failed')
    t.match(failed, { err: { message: 'cause', stack: /cause/ }, reqId: 'req-1' })
    t.notOk(JSON.stringify(lines).includes('secret-canary'), 'what libraries hang on their errors')
  }
})

t.test('closing the app ends open streams, and what was opened', async t => {
  const app = closing(t, Fastify())
  app.get('/theirs', () => 'theirs')
  await app.register(secureMcp, options(t, { principal: () => ({ id: 'ada', permissions: ['*'] }), allowedHosts: '127.0.0.1' }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const asked = httpRequest({
    host: '127.0.0.1',
    port,
    path: '/mcp',
    method: 'POST',
    headers: { host: '127.0.0.1', 'content-type': 'application/json', accept: 'text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'subscriptions/listen' }
  })
  asked.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params: { notifications: { toolsListChanged: true }, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } } }))
  const [response] = await once(asked, 'response')
  let said = ''
  response.setEncoding('utf8').on('data', (part: string) => { said += part })
  await until(() => said.includes('acknowledged'))

  await app.secureMcp.reload([order('get_invoice')])
  await until(() => said.includes('notifications/tools/list_changed'))
  t.equal(messageOf(await modern(app, 'tools/list', {}, { headers: { host: '127.0.0.1' } })).result.tools[0].name, 'get_invoice', 'other tools are offered, and whoever listens is told')
  await t.rejects(app.secureMcp.reload([defineTool({ name: 'no name', description: '', input: {}, run: () => '' })]), /a tool's name must be/)
  t.equal(messageOf(await modern(app, 'tools/list', {}, { headers: { host: '127.0.0.1' } })).result.tools[0].name, 'get_invoice', 'wrong ones change nothing')
  app.secureMcp.changed('tools')
  await until(() => said.split('tools/list_changed').length > 2)
  t.match(await app.secureMcp.metrics(), /mcp_requests_total\{[^}]*decision="served"/)

  const ended = once(response, 'end')
  await app.close()
  await ended
  t.pass('the stream has ended')
})

t.test('tools are a list, a folder, or a function of the app whose decorators are there', async t => {
  const dir = folder(t)
  const { writeFileSync } = await import('node:fs')
  writeFileSync(join(dir, 'a.mjs'), 'export default { kind: \'tool\', tool: { name: \'get_file\', description: \'From a file.\', input: { type: \'object\' }, run: () => \'file\' } }')
  const rows: Array<[SecureMcpOptions['tools'], string[]]> = [
    [undefined, []],
    [[order()], ['get_order']],
    [dir, ['get_file']],
    [app => [order(`get_${String((app as never)['shop'])}`)], ['get_flowers']],
    [async () => dir, ['get_file']]
  ]
  for (const [tools, names] of rows) {
    const app = closing(t, Fastify())
    app.decorate('shop', 'flowers')
    const { tools: _, ...rest } = options(t, { principal: () => ({ id: 'ada', permissions: ['*'] }) })
    await app.register(secureMcp, tools === undefined ? rest : { ...rest, tools })
    t.same(messageOf(await modern(app, 'tools/list')).result.tools.map(({ name }: { name: string }) => name), names)
  }
  const withBuiltIn = closing(t, Fastify())
  await withBuiltIn.register(secureMcp, options(t, { builtInTools: true, principal: () => ({ id: 'ada', permissions: ['*'] }) }))
  t.equal(messageOf(await modern(withBuiltIn, 'tools/list')).result.tools.length, 5)
})

t.test('keys of the app are the keys of the commands', async t => {
  const app = closing(t, Fastify())
  const given = options(t)
  await app.register(secureMcp, given)
  const { keys } = app.secureMcp
  const { key, record } = await keys.create({ name: 'reader', permissions: ['get_*'] })
  t.notOk('hash' in record)
  t.equal((await modern(app, 'tools/list', {}, { key })).statusCode, 200)
  t.notOk(readFileSync(given.apiKeysFile!, 'utf8').includes(key), 'the file holds its hash')
  const rotated = await keys.rotate('reader', 60_000)
  for (const one of [key, rotated.key]) t.equal((await modern(app, 'tools/list', {}, { key: one })).statusCode, 200)
  t.equal((await keys.list()).length, 1)
  await keys.revoke('reader')
  t.equal((await modern(app, 'tools/list', {}, { key: rotated.key })).statusCode, 401)
  await t.rejects(keys.revoke('nobody'), /There is no key/)
})

t.test('Redis is found by the app\'s client, of whichever version, which is not used', async t => {
  const five = createRequire(join(fetched('ioredis-5', ['ioredis@5.9.2']), 'index.js'))('ioredis')
  const { Redis: six } = await import('ioredis')
  for (const [version, Client] of [['5', five], ['6', six]] as const) {
    const client = new Client(redisUrl, { lazyConnect: true })
    client.on('error', () => {})
    const app = closing(t, Fastify())
    await app.register(secureMcp, options(t, { redis: client, redisKeyPrefix: `test:${Math.random().toString(36).slice(2)}:`, redisCommandTimeoutMs: 10_000, stateSecret: 'a-secret-of-this-test-0123456789abcdef', principal: () => ({ id: 'ada', permissions: ['*'] }) }))
    t.equal((await modern(app, 'tools/list')).statusCode, 200, version)
    t.match(await app.secureMcp.metrics(), /mcp_state\{condition="ok"\} 1/)
    t.equal(client.status, 'wait', 'theirs was never connected')
    client.disconnect()
  }
})

t.test('settings and options are one vocabulary in two spellings', async t => {
  for (const name of Object.keys(properties)) t.equal(settingOf(optionOf(name)), name, optionOf(name))
  t.equal(optionOf('RATE_LIMIT_API_KEY'), 'rateLimitApiKey')
  t.equal(optionOf('OAUTH2_AUTH_SERVER'), 'oauth2AuthServer')
  for (const [name, instead] of Object.entries(NOT_OPTIONS)) {
    await t.rejects(Promise.resolve(closing(t, Fastify()).register(secureMcp, { ...options(t), [optionOf(name)]: 'x' })), { message: new RegExp(`${optionOf(name)} is no option of the plugin: ${instead.slice(0, 20).replace(/[()]/g, '.')}`) }, name)
  }
})

t.test('wrong options stop the start, all at once, in their names and without values', async t => {
  const rows: Array<[Record<string, unknown>, RegExp]> = [
    [{ publicUrl: undefined }, /publicUrl is missing/],
    [{ publicUrl: 'shop.example.com' }, /publicUrl must be a URL/],
    [{ path: 'mcp' }, /path must look like \/mcp/],
    [{ path: '/mcp/' }, /path must look like/],
    [{ path: '/:id' }, /path must look like/],
    [{ rateLimitApiKey: '300' }, /rateLimitApiKey must be a whole number from 1/],
    [{ rateLimitApiKey: 0, inspection: 'canary' }, /rateLimitApiKey must be .*\n.*inspection must be block, observe or off/],
    [{ rateLimitApikey: 300 }, /rateLimitApikey is no option; is rateLimitApiKey meant\?/],
    [{ RATE_LIMIT_API_KEY: 300 }, /RATE_LIMIT_API_KEY is no option/],
    [{ mcpDebug: 'yes' }, /mcpDebug must be true or false/],
    [{ redisUrl: 'redis://localhost:1' }, /stateSecret is required with Redis/],
    [{ principal: () => undefined, oauth2AuthServer: 'https://issuer.example' }, /principal and oauth2AuthServer both say who is calling/],
    [{ principal: () => undefined, mcpApiKey: 'sk-0123456789abcdef0123456789' }, /principal and mcpApiKey both say/],
    [{ redis: {} }, /redis must be an ioredis instance/],
    [{ redis: { options: { path: '/run/redis.sock' } } }, /socket file/],
    [{ redis: { options: { host: 'h', tls: { cert: 'canary' } } } }, /TLS with cert/],
    [{ redis: { options: { host: 'h', tls: { rejectUnauthorized: false } } } }, /accepts any certificate/],
    [{ tools: [{ kind: 'tool', tool: { name: 'a b' } }] }, /tools: a tool's name must be/],
    [{ tools: '/no/such/folder' }, /no folder/]
  ]
  for (const [more, message] of rows) {
    const rejected = await Promise.resolve(closing(t, Fastify()).register(secureMcp, { ...options(t), ...more } as SecureMcpOptions)).then(() => undefined, (error: Error) => error)
    t.match(rejected?.message, message, JSON.stringify(more))
    t.notOk(rejected?.message.includes('canary'))
  }
})

t.test('an app puts servers of a file behind its endpoint, and counts them among its metrics', async t => {
  const web = await startHttpUpstream(t)
  const mcpServersFile = join(folder(t), 'servers.json')
  writeFileSync(mcpServersFile, JSON.stringify({ mcpServers: { web: { url: web.url, headers: { 'x-own': '$' + '{OWN}' } } } }))
  const app = closing(t, Fastify())
  await app.register(secureMcp, options(t, { mcpServersFile, env: { OWN: 'a value' }, principal: () => ({ id: 'ada', permissions: ['web_*'] }) }))
  const names = async () => messageOf(await modern(app, 'tools/list')).result.tools.map(({ name }: { name: string }) => name) as string[]
  t.ok(await until(async () => (await names()).includes('web_echo')))
  t.match(messageOf(await modern(app, 'tools/call', { name: 'web_echo', arguments: { text: 'hello' } })).result, { content: [{ text: 'hello' }] })
  t.match(await app.secureMcp.metrics(), /mcp_upstream_up\{upstream="web"\} 1/)
  writeFileSync(mcpServersFile, '{"mcpServers": {}}')
  t.ok(await until(async () => (await names()).length === 0), 'the file is followed')
})

t.test('a wrong file of servers stops the start of the app', async t => {
  const mcpServersFile = join(folder(t), 'servers.json')
  writeFileSync(mcpServersFile, '{"mcpServers": {"web": {}}}')
  await t.rejects(Promise.resolve(closing(t, Fastify()).register(secureMcp, options(t, { mcpServersFile }))), /servers\.json:1/)
})

t.test('options are typed', async t => {
  const app = closing(t, Fastify())
  // @ts-expect-error a misspelt option
  const misspelt: SecureMcpOptions = { publicUrl: 'https://a.example', rateLimitApikey: 300 }
  // @ts-expect-error a wrong value
  const wrong: SecureMcpOptions = { publicUrl: 'https://a.example', inspection: 'maybe' }
  // @ts-expect-error what belongs to the listener
  const elsewhere: SecureMcpOptions = { publicUrl: 'https://a.example', trustProxy: '10.0.0.0/8' }
  // @ts-expect-error without it no answer could name a URL
  const without: SecureMcpOptions = { tools: [] }
  // @ts-expect-error a caller without permissions
  const unpermitted: SecureMcpOptions = { publicUrl: 'https://a.example', principal: () => ({ id: 'a' }) }
  t.ok([app, misspelt, wrong, elsewhere, without, unpermitted])
})
