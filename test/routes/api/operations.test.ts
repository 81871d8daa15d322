/** The management API: who may, what of it is refused, and that no change is lost. */
import type { FastifyInstance, InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { compileSchema } from '../../../src/core/schema.ts'
import { buildManagement } from '../../../src/management.ts'
import type { Operation } from '../../../src/operate/operation.ts'
import { OPERATIONS } from '../../../src/operate/operations/index.ts'
import { runCommand } from '../../../src/cli/run.ts'
import { buildRuntime } from '../../../src/runtime.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'
import { startIssuer } from '../../auth/oauth2/issuer.ts'
import { addKey, build, redisUrl } from '../../support/app.ts'
import { until } from '../../support/until.ts'

const HOST = { host: 'localhost:9090' }

async function managed (t: Test, env: Record<string, string> = {}) {
  const { app, config, store } = await build(t, { env })
  const lines: Array<Record<string, unknown>> = []
  const logger = createLog({ destination: { write: line => { lines.push(JSON.parse(line) as Record<string, unknown>) } } })
  const runtime = await buildRuntime({ config, store, logger, oauth2Policies: { metadata: { waitMs: 30_000 }, jwks: { waitMs: 30_000 } } })
  const api = await buildManagement({ config, store, runtime, traffic: app.secureMcp.traffic, metrics: createMetrics(), logger })
  t.teardown(() => Promise.all([api.close(), runtime.close()]))
  const operator = await addKey(store, { role: 'operator', permissions: [], limit: 100_000 })
  return { app: api, store, lines, operator, ask: asker(api, operator.key) }
}

type Sent = Omit<InjectOptions, 'method' | 'url'>

function asker (app: FastifyInstance, key: string | undefined) {
  return async (method: string, url: string, payload?: object, { headers, ...more }: Sent = {}) => await app.inject({
    method: method as 'GET',
    url,
    headers: { ...HOST, ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...(payload === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(payload === undefined ? {} : { payload }),
    ...more
  })
}

/** A good request for each operation, on a key that is there. */
function requestFor ({ name, path }: Operation, id: string): [string, object | undefined] {
  const bodies: Record<string, object> = {
    'keys.create': { name: `made-${Math.random().toString(36).slice(2)}` },
    'keys.change': { permissions: ['get_*'] },
    'keys.rotate': { overlapMs: 0, endPrevious: true },
    'keys.revoke': {},
    'blocklist.add': { range: '203.0.113.0/24', forMs: 60_000, note: 'scanner' },
    'revocations.add': { id: 'sub:eve' },
    'why.message': { key: id, tool: 'echo', args: { text: 'a' } },
    'dry-run.change': { block: ['203.0.113.0/24'], last: 10 },
    'state.accept-loss': {}
  }
  const [list] = path.split('/').slice(2)
  const item = list === 'blocklist' ? encodeURIComponent('203.0.113.0/24') : list === 'revocations' ? encodeURIComponent('sub:eve') : id
  const url = path.replace(/:\w+/, item) + (name === 'why.key' ? `?key=${id}&tool=echo` : '')
  return [url, bodies[name]]
}

t.test('every operation refuses whoever may not, as problem details', async t => {
  const issuer = await startIssuer(t)
  const { app, store, operator } = await managed(t, { OAUTH2_AUTH_SERVER: issuer.url })
  const { record: target } = await addKey(store)
  const caller = await addKey(store)
  const expired = await addKey(store, { role: 'operator', permissions: [], expires: 1 })
  const revoked = await addKey(store, { role: 'operator', permissions: [], revoked: 1 })
  const other = await addKey(store, { role: 'operator', permissions: ['read.nothing', 'write.nothing'] })
  const token = (scope: string) => issuer.mint({ sub: 'ada', scope: `mcp:server:access mcp:tool:* ${scope}` })
  const rows: Array<[string, string | undefined, Record<string, string>, number, string]> = [
    ['no key', undefined, {}, 401, 'AUTHENTICATION_REQUIRED'],
    ['an unknown key', 'nobody-has-this-key-at-all', {}, 401, 'INVALID_CREDENTIAL'],
    ['a caller key', caller.key, {}, 403, 'FORBIDDEN'],
    ['an expired operator key', expired.key, {}, 401, 'INVALID_CREDENTIAL'],
    ['a revoked operator key', revoked.key, {}, 401, 'INVALID_CREDENTIAL'],
    ['an operator key for something else', other.key, {}, 403, 'FORBIDDEN'],
    ['a token that calls tools', token(''), {}, 403, 'FORBIDDEN'],
    ['a token for something else', token('mcp:operator:read.nothing'), {}, 403, 'FORBIDDEN'],
    ['another site', operator.key, { 'sec-fetch-site': 'cross-site' }, 403, 'CROSS_SITE'],
    ['another port of this host', operator.key, { 'sec-fetch-site': 'same-site' }, 403, 'CROSS_SITE'],
    ['a page of another origin', operator.key, { origin: 'https://evil.example' }, 403, 'ORIGIN_REFUSED'],
    ['a name that was rebound', operator.key, { host: 'evil.example' }, 403, 'ORIGIN_REFUSED'],
    ['a forged cookie', undefined, { cookie: '__Host-operator=forged', 'sec-fetch-site': 'same-origin' }, 401, 'AUTHENTICATION_REQUIRED'],
    ['two credentials', operator.key, { 'x-api-key': operator.key }, 400, 'MALFORMED_CREDENTIAL']
  ]
  let n = 0
  for (const operation of OPERATIONS) {
    const [url, payload] = requestFor(operation, target.id)
    for (const [who, key, headers, status, reason] of rows) {
      // Each from an address of its own: failures of one are counted together.
      const answer = await asker(app, key)(operation.method, url, payload, { headers: { ...headers, 'if-match': '*' }, remoteAddress: `10.${n >> 8 & 255}.${n++ & 255}.7` })
      t.equal(answer.statusCode, status, `${operation.name}: ${who}`)
      t.match(answer.headers['content-type'], 'application/problem+json')
      t.match(answer.json(), { type: `urn:secure-mcp-server:${reason}`, error: reason, status, instance: answer.headers['x-request-id'], title: String, detail: String })
    }
  }
  t.comment(`figure: ${OPERATIONS.length} operations, ${OPERATIONS.length * rows.length} refusals`)
  t.match(await store.findKey(target.id), { permissions: ['*'], hash: target.hash }, 'nothing was changed')
  t.equal((await asker(app, token('mcp:operator:read.*'))('GET', '/api/keys')).statusCode, 200, 'a token for it may')
})

t.test('each operation does what it says, in the form that it promises', async t => {
  const { store, ask, lines } = await managed(t)
  for (const operation of OPERATIONS) {
    const { record } = await addKey(store)
    if (operation.name === 'blocklist.remove') await store.blocklist.set('203.0.113.0/24', { since: 1 })
    if (operation.name === 'revocations.remove') await store.revocations.set('sub:eve', { since: 1 })
    const [url, payload] = requestFor(operation, record.id)
    const answer = await ask(operation.method, url, payload, { headers: { 'if-match': '*' } })
    if (operation.name === 'state.accept-loss') {
      t.match(answer.json(), { error: 'INVALID_REQUEST', detail: /Nothing to accept/ })
      continue
    }
    t.equal(answer.statusCode, operation.status ?? 200, `${operation.name}: ${answer.body}`)
    if (answer.statusCode === 204) continue
    const body = answer.json()
    t.same(compileSchema(operation.output).problems(body), [], operation.name)
    t.notMatch(JSON.stringify(body), /"hash"/, 'no hash leaves')
    if (operation.versioned === true) t.equal(answer.headers.etag, `"${body.version}"`)
  }
  const changed = lines.filter(({ msg }) => msg === 'operation')
  t.ok(changed.length >= 7)
  t.match(changed.find(({ operation }) => operation === 'keys.revoke'), { principal: /^key:/, target: /^[a-z0-9]{10}$/, before: { status: 'active' }, after: { status: 'revoked' } })
  t.notMatch(JSON.stringify(lines), /mcpk_[a-z0-9]{10}_|"hash"/, 'the log holds no key')
})

t.test('an operation has a route, a description and a command', async t => {
  const { ask } = await managed(t)
  const document = (await ask('GET', '/api/openapi.json')).json()
  t.match(document, { openapi: '3.1.0', components: { schemas: { Key: Object, Problem: Object }, securitySchemes: { key: { scheme: 'bearer' } } } })
  const described = Object.values(document.paths as Record<string, Record<string, { operationId: string }>>).flatMap(path => Object.values(path))
  t.same(described.map(({ operationId }) => operationId).sort(), OPERATIONS.map(({ name }) => name).sort())
  for (const reference of JSON.stringify(document).match(/#\/components\/schemas\/\w+/g) ?? []) t.ok(document.components.schemas[reference.split('/').at(-1)!], reference)
  t.equal(new Set(OPERATIONS.map(({ name }) => name)).size, OPERATIONS.length)
  for (const { name, command, needs } of OPERATIONS) {
    t.match(needs, /^(read|write)\.[a-z]+$/, name)
    if (typeof command !== 'string') continue
    const [first, verb] = command.split(' ')
    let help = ''
    const io = { stdin: process.stdin, out: (line: string) => { help += line }, err: () => {}, env: {} }
    t.equal(await runCommand([first!, '--help'], io), 0, `${name}: ${command}`)
    if (verb !== undefined) t.match(help, verb, `${name}: ${command}`)
  }
})

for (const [backend, env] of [['memory', {}], ['Redis', { REDIS_URL: redisUrl }]] as Array<[string, Record<string, string>]>) {
  t.test(`two operators at once lose nothing, in ${backend}`, async t => {
    const { store, ask } = await managed(t, env)
    const { record } = await addKey(store, { permissions: [] })
    const url = `/api/keys/${record.id}`
    t.match((await ask('PATCH', url, { permissions: ['a'] })).json(), { status: 428, error: 'PRECONDITION_REQUIRED' })
    const seen = await ask('GET', url)
    const etag = String(seen.headers.etag)
    t.equal(etag, `"${seen.json().version}"`)
    const answers = await Promise.all(['a', 'b', 'c', 'd'].map(pattern => ask('PATCH', url, { permissions: [pattern] }, { headers: { 'if-match': etag } })))
    t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 412, 412, 412])
    const won = answers.find(({ statusCode }) => statusCode === 200)!
    t.match(answers.find(({ statusCode }) => statusCode === 412)!, { headers: { etag: won.headers.etag } })
    t.same((await ask('GET', url)).json().permissions, won.json().permissions)

    // A rotation under way does not undo a revocation.
    const now = String((await ask('GET', url)).headers.etag)
    const both = await Promise.all([ask('POST', `${url}/revoke`, {}, { headers: { 'if-match': now } }), ask('POST', `${url}/rotate`, {}, { headers: { 'if-match': now } })])
    t.ok(both.some(({ statusCode }) => statusCode === 200) && both.some(({ statusCode }) => statusCode >= 400))
    t.equal((await ask('PATCH', url, { permissions: [] }, { headers: { 'if-match': '*' } })).statusCode, both[0]!.statusCode === 200 ? 400 : 200)
    for (const wrong of ['W/"x"', 'x', '"a", "b"']) t.match((await ask('PATCH', url, {}, { headers: { 'if-match': wrong } })).json(), { error: 'INVALID_REQUEST' }, wrong)
  })

  t.test(`a repeated request is done once, in ${backend}`, async t => {
    const { store, ask } = await managed(t, env)
    const headers = { 'idempotency-key': '8e03978e-40d5-43dd-bc93-6894a57f9324' }
    const [first, ...others] = await Promise.all([1, 2, 3].map(() => ask('POST', '/api/keys', { name: 'once' }, { headers })))
    const made = [first!, ...others].find(({ statusCode, headers }) => statusCode === 201 && headers['idempotent-replayed'] === undefined)!
    t.ok([first!, ...others].every(({ statusCode }) => [201, 409].includes(statusCode)))
    const again = await ask('POST', '/api/keys', { name: 'once' }, { headers })
    t.equal(again.headers['idempotent-replayed'], 'true')
    t.same(again.json(), made.json(), 'with the key, for a while')
    t.equal((await store.listKeys()).filter(({ name }) => name === 'once').length, 1)
    t.match((await ask('POST', '/api/keys', { name: 'other' }, { headers })).json(), { status: 422 })
    const failed = await ask('POST', '/api/keys', { name: 'once' }, { headers: { 'idempotency-key': 'another' } })
    t.match(failed.json(), { error: 'INVALID_REQUEST', detail: /exists/ })
    await until(async () => (await ask('POST', '/api/keys', { name: 'twice' }, { headers: { 'idempotency-key': 'another' } })).statusCode === 201)
  })
}

t.test('what is asked wrongly is told by its member, and nothing is dropped', async t => {
  const { ask } = await managed(t)
  const wrong: Array<[string, string, object | undefined, RegExp]> = [
    ['POST', '/api/keys', { name: 'a', colour: 'red' }, /colour/],
    ['POST', '/api/keys', { name: 5 }, /name/],
    ['POST', '/api/keys', { name: 'a', permissions: ['get*tool'] }, /permissions/],
    ['POST', '/api/keys', { name: 'a', cidrs: ['10.0.0.0/99'] }, /cidrs/],
    ['POST', '/api/keys', [], /array|batch|object/i],
    ['POST', '/api/keys?name=a', { name: 'a' }, /query/],
    ['GET', '/api/keys?limit=0', undefined, /limit/],
    ['GET', '/api/keys?limit=many', undefined, /limit/],
    ['GET', '/api/keys?after=%21', undefined, /after/],
    ['GET', '/api/keys?offset=5', undefined, /offset/],
    ['GET', '/api/why', undefined, /key/],
    ['POST', '/api/why', { tool: 'echo' }, /who asks/i],
    ['POST', '/api/blocklist', { range: 'here' }, /no address/]
  ]
  for (const [method, url, payload, words] of wrong) {
    const answer = await ask(method, url, payload)
    t.match(answer.json(), { status: 400, error: 'INVALID_REQUEST', detail: words }, `${method} ${url} ${JSON.stringify(payload)}`)
  }
  t.match((await ask('POST', '/api/keys', { name: 'a', colour: 'red' })).json().problems, [{ message: /colour/ }])
  for (const [method, url] of [['GET', '/api/keys/nobody'], ['DELETE', '/api/blocklist/192.0.2.1'], ['DELETE', '/api/revocations/sub:nobody'], ['GET', '/api/nothing'], ['PUT', '/api/keys']] as const) t.equal((await ask(method, url)).statusCode, 404, url)
})

t.test('lists come in pieces that hold each item once', async t => {
  const { store, ask } = await managed(t)
  for (let i = 0; i < 23; i++) await addKey(store, { name: `key-${i}` })
  const seen: string[] = []
  let after: string | undefined
  do {
    const { items, next } = (await ask('GET', `/api/keys?limit=5${after === undefined ? '' : `&after=${after}`}`)).json()
    t.ok(items.length <= 5)
    seen.push(...items.map(({ id }: { id: string }) => id))
    after = next
  } while (after !== undefined)
  t.equal(seen.length, 24)
  t.equal(new Set(seen).size, 24)
})

t.test('an operator key is held to its patterns, and does not widen by losing the last one', async t => {
  const { app, store, ask } = await managed(t)
  const { key, record } = await addKey(store, { role: 'operator', permissions: ['read.*'] })
  const reader = asker(app, key)
  t.equal((await reader('GET', '/api/keys')).statusCode, 200)
  t.match((await reader('POST', '/api/keys', { name: 'a' })).json(), { error: 'FORBIDDEN', detail: /write\.keys/ })
  t.match((await ask('PATCH', `/api/keys/${record.id}`, { permissions: [] }, { headers: { 'if-match': '*' } })).json(), { error: 'INVALID_REQUEST', detail: /revoke/i })
})
