/** The table of answers, a row a test: status, code, reason and headers, for both eras where the row has both. */
import { homedir } from 'node:os'
import t, { type Test } from 'tap'
import { ask, defineTool, elicit, ToolError, Type } from '../src/tools/index.ts'
import { startIssuer } from './auth/oauth2/issuer.ts'
import { addKey, build, legacy, messageOf, META, MODERN, modern, redisUrl, type Built } from './support/app.ts'
import { startRedis } from './support/redis.ts'

type Answered = Awaited<ReturnType<typeof modern>>
type Send = typeof modern

const ERAS: ReadonlyArray<[string, Send]> = [['2026-07-28', modern], ['2025-11-25', legacy]]
const noInput = Type.Object({}, { additionalProperties: false })
const FORM = { type: 'object', properties: { name: { type: 'string' } } }

let release = () => {}
const TOOLS = [
  defineTool({ name: 'counts', description: 'Takes a number.', input: Type.Object({ n: Type.Integer({ minimum: 1 }) }, { additionalProperties: false }), run: ({ n }) => String(n) }),
  defineTool({ name: 'breaks', description: 'Fails.', input: noInput, run () { throw new Error('canary: password=hunter2 at /srv/app/secret.ts') } }),
  defineTool({ name: 'breaks_late', description: 'Fails later.', input: noInput, async run () { await null; throw new Error('canary: password=hunter2 at /srv/app/secret.ts') } }),
  defineTool({ name: 'declines', description: 'Says why not.', input: noInput, run () { throw new ToolError('Try another city') } }),
  defineTool({ name: 'breaks_its_word', description: 'Gives something else than it said.', input: noInput, output: Type.Object({ n: Type.Number() }), run: () => ({ n: 'canary' as unknown as number }) }),
  defineTool({ name: 'rare', description: 'Has a limit of its own.', input: noInput, rate: { limit: 2, windowMs: 60_000 }, run: () => 'done' }),
  defineTool({ name: 'dear', description: 'Costs much.', input: noInput, cost: 5, run: () => 'done' }),
  defineTool({ name: 'holds', description: 'Waits.', input: noInput, run: () => new Promise<string>(resolve => { release = () => resolve('done') }) }),
  defineTool({ name: 'asks', description: 'Asks first.', input: noInput, run: (_input, { answers }) => answers.who === undefined ? ask({ who: elicit('Who?', FORM) }) : 'heard' })
]

/** What no answer of ours may hold: a stack, a path, a library, a version, what a tool said by accident. */
const LEAKS = new RegExp(['canary', 'hunter2', 'node_modules', '\\bat \\S+ \\(', '\\.[tj]s:\\d', 'ioredis', 'redis', 'fastify', 'FST_', 'ECONN', homedir(), process.cwd()].map(part => part.replaceAll('/', '\\/')).join('|'), 'i')

function holdsNothingElse (t: Test, { headers, body }: Answered): void {
  t.notMatch(body, LEAKS)
  const { host: _host, ...rest } = headers as Record<string, unknown>
  t.notMatch(JSON.stringify(rest), LEAKS)
  t.notOk(headers['x-powered-by'] ?? headers.server, 'no word of what serves it')
}

interface Expected { status: number, code: number, reason?: string, message?: string, id?: unknown }

/** A refusal in full: what the table says and nothing beside it. */
function refused (t: Test, answer: Answered, { status, code, reason, message, id = 1 }: Expected): void {
  t.equal(answer.statusCode, status)
  t.match(answer.headers['content-type'], /^application\/json/)
  const { jsonrpc, ...said } = JSON.parse(answer.body)
  t.equal(jsonrpc, '2.0')
  t.equal(said.id, id)
  t.equal(said.error.code, code)
  if (message !== undefined) t.equal(said.error.message, message)
  if (reason !== undefined) t.equal(said.error.data.reason, reason)
  if (status !== 401 && status !== 403 && status !== 400) t.notOk(answer.headers['www-authenticate'], 'no challenge')
  holdsNothingElse(t, answer)
}

/** A result that the model is to read. */
function told (t: Test, answer: Answered, text: string | RegExp, more: readonly string[] = []): void {
  t.equal(answer.statusCode, 200)
  const { id, result } = messageOf(answer)
  t.equal(id, 1)
  t.equal(result.isError, true)
  t.same(result.content.slice(1).map((part: { text: string }) => part.text), more)
  if (typeof text === 'string') t.equal(result.content[0].text, text)
  else t.match(result.content[0].text, text)
  holdsNothingElse(t, answer)
}

async function served (t: Test, env: Record<string, string> = {}, permissions = ['*']): Promise<Built & { key: string }> {
  const built = await build(t, { env, tools: TOOLS })
  const { key } = await addKey(built.store, { permissions })
  return { ...built, key }
}

/** A body as it stands, right or wrong. */
async function raw ({ app }: Pick<Built, 'app'>, payload: string | Buffer, headers: Record<string, string> = {}) {
  return await app.inject({ method: 'POST', url: '/mcp', headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers }, payload })
}

/** A body without the id that each request has. */
const sameFor = (body: string) => body.replace(/"requestId":"[^"]+"/, '')

const call = (send: Send, { app }: Pick<Built, 'app'>, key: string | undefined, name: string, args: object = {}) => send(app, 'tools/call', { name, arguments: args }, { key })

t.test('a blocked address is refused before its body is read, and before anyone asks who it is', async t => {
  const { app, store, key } = await served(t)
  await store.blocklist.set('192.0.2.0/24', { since: 1 })
  for (const [era, send] of ERAS) {
    await t.test(era, async t => refused(t, await send(app, 'tools/list', {}, { key, address: '192.0.2.7' }), { status: 403, code: 403, reason: 'ADDRESS_BLOCKED', id: null }))
  }
  const answer = await app.inject({ method: 'POST', url: '/mcp', headers: { host: 'localhost:3000', 'content-type': 'text/plain' }, payload: '{', remoteAddress: '::ffff:192.0.2.7' })
  refused(t, answer, { status: 403, code: 403, reason: 'ADDRESS_BLOCKED', id: null })
  t.notOk(answer.headers['www-authenticate'])
})

t.test('a Host or an Origin that is not ours is refused before authentication', async t => {
  const { app, key } = await served(t)
  const wrong = [
    { host: 'evil.example' }, { host: 'localhost:3001' }, { host: 'localhost:3000.evil.example' }, { host: '' },
    { origin: 'https://evil.example' }, { origin: 'null' }, { origin: 'http://localhost:3000.evil.example' }, { origin: 'http://localhost:3000/' }, { origin: '' }
  ]
  for (const headers of wrong) {
    for (const credential of [undefined, key]) {
      const answer = await modern(app, 'tools/list', {}, { key: credential, headers: headers as unknown as Record<string, string> })
      refused(t, answer, { status: 403, code: 403, reason: 'ORIGIN_REFUSED', id: null })
      t.notOk(answer.headers['www-authenticate'])
      t.notOk(answer.headers['access-control-allow-origin'])
    }
  }
  const fine = await modern(app, 'tools/list', {}, { key, headers: { origin: 'http://localhost:3000' } })
  t.equal(fine.statusCode, 200)
  t.equal(fine.headers['access-control-allow-origin'], 'http://localhost:3000')
})

t.test('a body over the limit is refused, whether it says its length or not', async t => {
  const built = await served(t)
  const headers = { authorization: `Bearer ${built.key}` }
  const message = (bytes: number) => {
    const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: '' } } })
    return text.replace('"text":""', `"text":"${'a'.repeat(bytes - text.length)}"`)
  }
  refused(t, await raw(built, message(1_048_577), headers), { status: 413, code: 413, reason: 'TOO_LARGE', id: null })
  t.equal((await raw(built, message(1_048_576), headers)).statusCode, 200, 'exactly the limit is served')
  refused(t, await raw(built, message(2_000_000)), { status: 401, code: 401, reason: 'AUTHENTICATION_REQUIRED', id: null })
})

t.test('what is not JSON, and what does not say that it is, is refused', async t => {
  const built = await served(t)
  const headers = { authorization: `Bearer ${built.key}` }
  for (const body of ['{', '{"jsonrpc":"2.0",}', 'hello', '', '\u0000', '{"a":1} {"b":2}', '{"a":"\ud800', Buffer.from([0xff, 0xfe, 0x7b]), '{"id":01}', 'NaN']) {
    refused(t, await raw(built, body, headers), { status: 400, code: -32700, id: null })
  }
  const types = ['text/plain', 'application/jsonp', 'application/json\ta', 'application/json garbage', 'application/json; charset=utf-16', 'multipart/form-data', 'application/x-www-form-urlencoded', 'application/vnd.api+json']
  for (const type of types) {
    refused(t, await raw(built, '{}', { ...headers, 'content-type': type }), { status: 415, code: 415, reason: 'UNSUPPORTED_MEDIA_TYPE', id: null })
  }
  refused(t, await raw(built, '{}', { ...headers, 'content-encoding': 'gzip' }), { status: 415, code: 415, reason: 'UNSUPPORTED_MEDIA_TYPE', id: null })
})

t.test('what parsers may read differently is refused and reaches no tool', async t => {
  const built = await served(t)
  const headers = { authorization: `Bearer ${built.key}` }
  const params = '{"name":"echo","arguments":{"text":"a"}}'
  const bodies = [
    '[]', `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}]`,
    `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":${params}}`,
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params},"p\\u0061rams":${params}}`,
    `{"jsonrpc":"2.0","id":1,"Method":"tools/call","params":${params}}`,
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":${params}}`,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"get_time","arguments":{}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a","text":"b"}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"__proto__":{"text":"a"}}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"constructor":{"prototype":{}}}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"\\u005f_proto__":1}}}'
  ]
  for (const body of bodies) refused(t, await raw(built, body, headers), { status: 400, code: -32600, id: null })
  t.notOk(built.lines.some(({ tool, decision }) => tool !== undefined || decision === 'served'), 'none was taken for a call')
})

t.test('a request without a credential is told how to go on', async t => {
  const issuer = await startIssuer(t)
  const [plain, oauth] = [await served(t), await served(t, { OAUTH2_AUTH_SERVER: issuer.url })]
  for (const [era, send] of ERAS) {
    await t.test(era, async t => {
      for (const method of ['tools/list', 'tools/call', 'initialize', 'no/such']) {
        const answer = await send(plain.app, method, { name: 'echo' })
        refused(t, answer, { status: 401, code: 401, reason: 'AUTHENTICATION_REQUIRED', message: 'Authentication required', id: null })
        t.equal(answer.headers['www-authenticate'], 'Bearer realm="mcp"')
      }
      const answer = await send(oauth.app, 'tools/list')
      refused(t, answer, { status: 401, code: 401, reason: 'AUTHENTICATION_REQUIRED', message: 'Authentication required', id: null })
      t.equal(answer.headers['www-authenticate'], 'Bearer realm="mcp", scope="mcp:server:access mcp:tool:*", resource_metadata="http://localhost:3000/.well-known/oauth-protected-resource/mcp"')
    })
  }
  t.equal((await plain.app.inject({ method: 'POST', url: `/mcp?key=${plain.key}&access_token=${plain.key}`, headers: { host: 'localhost:3000' } })).statusCode, 401, 'the query string is never read')
})

t.test('every bad credential has the same answer, and the log says why', async t => {
  const issuer = await startIssuer(t)
  const { app, store, lines } = await served(t, { OAUTH2_AUTH_SERVER: issuer.url })
  const stranger = await served(t)
  const expired = await addKey(store, { expires: Date.now() - 1 })
  const revoked = await addKey(store, { revoked: Date.now() - 1 })
  const elsewhere = await addKey(store, { cidrs: ['203.0.113.0/24'] })
  const credentials: Record<string, string> = {
    'a word': 'opaque',
    'a key of another server': stranger.key,
    'a mistyped key': stranger.key.slice(0, -1) + (stranger.key.endsWith('0') ? '1' : '0'),
    'an expired key': expired.key,
    'a revoked key': revoked.key,
    'a key for other addresses': elsewhere.key,
    'a token for another audience': issuer.mint({ aud: 'https://other.example' }),
    'a token of another issuer': issuer.mint({ iss: 'https://other.example' }),
    'an expired token': issuer.mint({ exp: 1 }),
    'a token with another algorithm': issuer.mint({}, { alg: 'HS256' })
  }
  const bodies = new Set<string>()
  let address = 1
  for (const [what, credential] of Object.entries(credentials)) {
    for (const [, send] of ERAS) {
      const answer = await send(app, 'tools/list', {}, { key: credential, address: `198.51.100.${address++}` })
      refused(t, answer, { status: 401, code: 401, reason: 'INVALID_CREDENTIAL', message: 'Authentication required', id: null })
      t.equal(answer.headers['www-authenticate'], 'Bearer realm="mcp", error="invalid_token", scope="mcp:server:access mcp:tool:*", resource_metadata="http://localhost:3000/.well-known/oauth-protected-resource/mcp"', what)
      bodies.add(sameFor(answer.body))
    }
  }
  t.equal(bodies.size, 1, 'nobody learns which it was')
  const why = new Set(lines.filter(({ reason }) => reason === 'INVALID_CREDENTIAL').map(({ why }) => why))
  t.ok(why.size > 4, [...why].join('; '))
})

t.test('two credentials, or one twice, are refused', async t => {
  const { app, key } = await served(t)
  for (const headers of [{ authorization: `Bearer ${key}`, 'x-api-key': key }, { authorization: `Basic ${key}` }, { authorization: 'Bearer' }, { authorization: `Bearer ${key} ${key}` }, { 'x-api-key': '' }] as Array<Record<string, string>>) {
    const answer = await modern(app, 'tools/list', {}, { headers })
    refused(t, answer, { status: 400, code: 400, reason: 'MALFORMED_CREDENTIAL', id: null })
    t.equal(answer.headers['www-authenticate'], 'Bearer realm="mcp", error="invalid_request"')
    t.notOk(answer.body.includes(key))
  }
})

t.test('a token without the scope learns all that the call needs, whether the tool exists or not', async t => {
  const issuer = await startIssuer(t)
  const { app } = await served(t, { OAUTH2_AUTH_SERVER: issuer.url })
  const key = issuer.mint({ scope: 'mcp:server:access mcp:tool:get_*' })
  for (const [era, send] of ERAS) {
    await t.test(era, async t => {
      const [hidden, absent] = [await call(send, { app }, key, 'echo', { text: 'a' }), await call(send, { app }, key, 'nope', { text: 'a' })]
      refused(t, hidden, { status: 403, code: 403, reason: 'INSUFFICIENT_SCOPE' })
      t.match(hidden.headers['www-authenticate'], /^Bearer realm="mcp", error="insufficient_scope", .*scope="mcp:server:access mcp:tool:get_\* mcp:tool:\*", resource_metadata="/)
      t.equal(sameFor(hidden.body), sameFor(absent.body.replaceAll('nope', 'echo')))
      t.equal(hidden.headers['www-authenticate'], String(absent.headers['www-authenticate']).replaceAll('nope', 'echo'))
    })
  }
})

for (const [era, send] of ERAS) {
  t.test(`a key without the permission: Access denied, whether the tool exists or not, ${era}`, async t => {
    const built = await served(t, {}, ['get_*', '!get_secret'])
    const answers = []
    for (const [name, args] of [['echo', {}], ['nope', {}], ['get_secret', {}], ['counts', { n: 'x' }], ['echo', { text: '../../etc/passwd' }], ['', {}]] as Array<[string, object]>) {
      const answer = await call(send, built, built.key, name, args)
      told(t, answer, 'Access denied')
      answers.push(answer.body)
    }
    t.equal(new Set(answers).size, 1, 'the same to the byte')
    await t.test('an operator key can call nothing at all', async t => {
      const { key } = await addKey(built.store, { role: 'operator' })
      told(t, await call(send, built, key, 'echo', { text: 'a' }), 'Access denied')
      t.same(messageOf(await send(built.app, 'tools/list', {}, { key })).result.tools, [])
    })
  })

  t.test(`over the limit: refused with the wait, and not counted, ${era}`, async t => {
    const built = await served(t, { RATE_LIMIT_API_KEY: '8' })
    const { app, key } = built
    for (let left = 7; left >= 3; left--) {
      const answer = await send(app, 'tools/list', {}, { key })
      t.equal(answer.statusCode, 200)
      t.equal(answer.headers['ratelimit-policy'], '"default";q=8;w=60')
      t.match(answer.headers.ratelimit, new RegExp(`^"default";r=${left};t=\\d+$`))
      t.equal(Number(answer.headers['x-ratelimit-remaining']), left)
    }
    const dear = await call(send, built, key, 'dear')
    refused(t, dear, { status: 429, code: 429, reason: 'RATE_LIMITED', message: 'Rate limit exceeded' })
    t.equal(Number((await send(app, 'tools/list', {}, { key })).headers['x-ratelimit-remaining']), 2, 'a call that does not fit takes nothing')
    for (let i = 0; i < 2; i++) t.equal((await send(app, 'tools/list', {}, { key })).statusCode, 200)
    for (let i = 0; i < 3; i++) {
      const answer = await send(app, 'tools/list', {}, { key })
      refused(t, answer, { status: 429, code: 429, reason: 'RATE_LIMITED', message: 'Rate limit exceeded', id: null })
      const { retryAfterMs } = JSON.parse(answer.body).error.data
      t.ok(retryAfterMs > 0 && retryAfterMs <= 62_000)
      t.equal(answer.headers['retry-after'], String(Math.ceil(retryAfterMs / 1000)))
      t.match(answer.headers.ratelimit, /^"default";r=0;t=\d+$/)
      t.equal(answer.headers['ratelimit-policy'], '"default";q=8;w=60')
    }
    await t.test('a tool’s own window', async t => {
      const built = await served(t)
      for (let i = 0; i < 2; i++) t.equal((await call(send, built, built.key, 'rare')).statusCode, 200)
      const answer = await call(send, built, built.key, 'rare')
      refused(t, answer, { status: 429, code: 429, reason: 'RATE_LIMITED', message: 'Rate limit exceeded' })
      t.ok(answer.headers['retry-after'])
      t.equal((await call(send, built, built.key, 'echo', { text: 'a' })).statusCode, 200, 'others go on')
    })
  })

  t.test(`a suspicious argument: refused, with the argument and the pattern to mend, ${era}`, async t => {
    const built = await served(t)
    told(t, await call(send, built, built.key, 'echo', { text: '../../etc/passwd' }), 'Security validation failed', ['The argument "text" looks like path_traversal. Write it otherwise, or leave it out.'])
    t.match(built.lines.find(({ msg }) => msg === 'suspicious argument'), { tool: 'echo', pattern: 'path_traversal', path: 'text', blocked: true })
  })

  t.test(`arguments that do not fit: what to mend, ${era}`, async t => {
    const built = await served(t)
    told(t, await call(send, built, built.key, 'counts', {}), /^Invalid arguments: .*\bn\b/)
    told(t, await call(send, built, built.key, 'counts', { n: '5' }), /^Invalid arguments: .*\bn\b.*integer/)
    told(t, await call(send, built, built.key, 'counts', { n: 0 }), /^Invalid arguments: .*\bn\b.*1/)
    told(t, await call(send, built, built.key, 'counts', { n: 1, m: 2 }), /^Invalid arguments: .*\bm\b/)
    told(t, await send(built.app, 'tools/call', { name: 'counts' }, { key: built.key }), /^Invalid arguments: /)
  })

  t.test(`a permitted tool that does not exist: -32602, ${era}`, async t => {
    const built = await served(t)
    for (const name of ['nope', '__proto__', 'constructor', 'ECHO']) {
      const answer = await call(send, built, built.key, name)
      t.equal(answer.statusCode, 200)
      t.match(messageOf(answer), { id: 1, error: { code: -32602, message: `Unknown tool: ${name}` } })
      holdsNothingElse(t, answer)
    }
  })

  t.test(`an unknown method: -32601, ${era}`, async t => {
    const built = await served(t)
    for (const method of ['no/such', 'tools/delete', '__proto__', 'toString']) {
      const answer = await send(built.app, method, {}, { key: built.key })
      t.equal(answer.statusCode, era === MODERN ? 404 : 200, method)
      t.match(messageOf(answer), { id: 1, error: { code: -32601 } })
      holdsNothingElse(t, answer)
    }
  })

  t.test(`a tool that throws: Internal error, or its own words where it chose them, ${era}`, async t => {
    const built = await served(t)
    for (const name of ['breaks', 'breaks_late', 'breaks_its_word']) told(t, await call(send, built, built.key, name), 'Internal error')
    told(t, await call(send, built, built.key, 'declines'), 'Try another city')
    t.equal(built.lines.filter(({ msg, tool }) => msg === 'tool failed' && String(tool).startsWith('breaks')).length, 2, 'the cause is in the log')
    t.match(built.lines.find(({ tool }) => tool === 'breaks_its_word'), { msg: 'tool returned what cannot be sent', fault: /output schema/ })
  })

  t.test(`shedding load: 503 with a time to come back, and served again after, ${era}`, async t => {
    const built = await served(t, { MAX_IN_FLIGHT: '1' })
    const held = call(send, built, built.key, 'holds')
    held.catch(() => {})
    while (built.app.secureMcp.traffic.inFlight === 0) await new Promise(resolve => setTimeout(resolve, 5))
    const answer = await send(built.app, 'tools/list', {}, { key: built.key })
    refused(t, answer, { status: 503, code: 503, reason: 'OVERLOADED', id: null })
    t.match(answer.headers['retry-after'], /^[1-3]$/)
    t.equal((await built.app.inject({ url: '/livez' })).statusCode, 200, 'probes are answered')
    release()
    t.equal((await held).statusCode, 200)
    t.equal((await send(built.app, 'tools/list', {}, { key: built.key })).statusCode, 200)
  })
}

t.test('too many failed credentials from an address: its failing requests alone are refused with 429', async t => {
  const { app, key } = await served(t)
  const fail = (address: string, send: Send = modern) => send(app, 'tools/list', {}, { key: 'wrong', address })
  for (let i = 0; i < 20; i++) t.equal((await fail('192.0.2.1')).statusCode, 401)
  for (const [, send] of ERAS) {
    const answer = await fail('192.0.2.1', send)
    refused(t, answer, { status: 429, code: 429, reason: 'TOO_MANY_FAILURES', message: 'Rate limit exceeded', id: null })
    t.equal(answer.headers['retry-after'], String(Math.ceil(JSON.parse(answer.body).error.data.retryAfterMs / 1000)))
    t.notOk(answer.headers['www-authenticate'])
  }
  t.equal((await modern(app, 'tools/list', {}, { key, address: '192.0.2.1' })).statusCode, 200, 'a good key of the same address')
  t.equal((await fail('192.0.2.2')).statusCode, 401, 'another address')
  for (let i = 0; i < 20; i++) await fail(`2001:db8:1:2::${i}`)
  t.equal((await fail('2001:db8:1:2:ffff::1')).statusCode, 429, 'IPv6 by /64')
  t.equal((await fail('2001:db8:1:3::1')).statusCode, 401)
})

t.test('header and body that disagree: -32020, and the body decides nothing', async t => {
  const built = await served(t)
  const args = { name: 'echo', arguments: { text: 'a' } }
  const send = (headers: Record<string, string>) => modern(built.app, 'tools/call', args, { key: built.key, headers })
  for (const headers of [{ 'mcp-name': 'get_time' }, { 'mcp-method': 'tools/list' }, { 'mcp-method': 'TOOLS/CALL' }, { 'mcp-name': 'echo,get_time' }, { 'mcp-protocol-version': '2025-11-25' }] as Array<Record<string, string>>) {
    refused(t, await send(headers), { status: 400, code: -32020 })
  }
  for (const missing of ['mcp-name', 'mcp-method']) {
    const headers: Record<string, string> = { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': 'echo', authorization: `Bearer ${built.key}` }
    delete headers[missing]
    refused(t, await raw(built, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { ...args, _meta: META } }), headers), { status: 400, code: -32020 })
  }
  t.equal((await send({ 'mcp-name': `=?base64?${Buffer.from('echo').toString('base64')}?=` })).statusCode, 200, 'an encoded name is compared decoded')
})

t.test('a version that is not served: -32022 with those that are; a capability that is missing: -32021', async t => {
  const { app, key } = await served(t)
  const version = 'io.modelcontextprotocol/protocolVersion'
  const unknown = await modern(app, 'tools/list', { _meta: { [version]: '2031-01-01' } }, { key, headers: { 'mcp-protocol-version': '2031-01-01' } })
  refused(t, unknown, { status: 400, code: -32022 })
  t.ok(JSON.parse(unknown.body).error.data.supported.includes(MODERN))

  const answer = await call(modern, { app }, key, 'asks')
  refused(t, answer, { status: 400, code: -32021 })
  const capable = await modern(app, 'tools/call', { name: 'asks', arguments: {}, _meta: { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } } }, { key })
  t.match(messageOf(capable).result, { resultType: 'input_required' })
})

t.test('state out of reach: 503 with a time to come back, never 401', async t => {
  const redis = await startRedis({ args: ['--save', '', '--appendonly', 'no'] })
  t.teardown(() => redis.stop())
  const { app, key } = await served(t, { REDIS_URL: redis.url, REDIS_COMMAND_TIMEOUT_MS: '2000' })
  t.equal((await modern(app, 'tools/list', {}, { key })).statusCode, 200)
  redis.process.kill('SIGSTOP')
  t.teardown(() => redis.process.kill('SIGCONT'))
  for (const [, send] of ERAS) {
    for (const credential of [key, 'mcpk_wrong']) {
      const answer = await send(app, 'tools/list', {}, { key: credential })
      if (credential !== key && answer.statusCode === 401) continue // refused by its form alone, without a look-up
      refused(t, answer, { status: 503, code: 503, reason: 'STATE_UNAVAILABLE', id: null })
      t.match(answer.headers['retry-after'], /^\d+$/)
      t.notOk(answer.headers['www-authenticate'])
    }
  }
})

t.test('a draining replica serves what still comes and ends its connections', async t => {
  const { app, key } = await served(t)
  app.secureMcp.traffic.drain()
  for (const [, send] of ERAS) {
    const answer = await send(app, 'tools/list', {}, { key })
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers.connection, 'close')
  }
  const ready = await app.inject({ url: '/readyz' })
  t.equal(ready.statusCode, 503)
  t.same(ready.json(), { status: 'not ready', waiting: ['draining'] })
})

t.test('what is no POST: 405 for who is known, a plain 404 beside the endpoint', async t => {
  const { app, key } = await served(t)
  const headers = { host: 'localhost:3000', authorization: `Bearer ${key}` }
  for (const method of ['GET', 'DELETE'] as const) {
    const answer = await app.inject({ method, url: '/mcp', headers })
    refused(t, answer, { status: 405, code: 405, reason: 'METHOD_NOT_ALLOWED', id: null })
    t.equal(answer.headers.allow, 'POST')
    t.equal((await app.inject({ method, url: '/mcp', headers: { host: 'localhost:3000' } })).statusCode, 401)
  }
  for (const url of ['/', '/docs', '/metrics', '/debug', '/api/keys', '/mcp/', '//mcp', '/MCP', '/mcp/x', '/.env']) {
    const answer = await app.inject({ url, headers })
    t.equal(answer.statusCode, 404, url)
    holdsNothingElse(t, answer)
  }
})

t.test('the same answers come from Redis as from this process', async t => {
  const built = await served(t, { REDIS_URL: redisUrl, RATE_LIMIT_API_KEY: '3' })
  told(t, await call(modern, built, built.key, 'echo', { text: '../../etc/passwd' }), 'Security validation failed', ['The argument "text" looks like path_traversal. Write it otherwise, or leave it out.'])
  told(t, await call(legacy, built, built.key, 'counts', {}), /^Invalid arguments/)
  t.equal((await modern(built.app, 'tools/list', {}, { key: built.key })).statusCode, 200)
  refused(t, await modern(built.app, 'tools/list', {}, { key: built.key }), { status: 429, code: 429, reason: 'RATE_LIMITED', id: null })
  refused(t, await modern(built.app, 'tools/list', {}, { key: 'wrong' }), { status: 401, code: 401, reason: 'INVALID_CREDENTIAL', id: null })
})
