/** The authorization server is slow, gone or hostile: that costs its own unknown tokens, and nothing else. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { RefreshPolicies } from '../../../src/auth/oauth2/from-settings.ts'
import { BOUNDS } from '../../../src/auth/oauth2/bounded-fetch.ts'
import { JWKS_POLICY } from '../../../src/auth/oauth2/jwks.ts'
import { loadConfig } from '../../../src/settings/load.ts'
import { addKey, build, messageOf, modern, type Built } from '../../support/app.ts'
import { cases } from '../../support/cases.ts'
import { until } from '../../support/until.ts'
import { ALL_SCOPES, AUDIENCE, makeKey, startIssuer, type Handler, type Issuer } from './issuer.ts'

/** Each from an address of its own, so that the count of failures does not answer instead. */
let asked = 0
async function echo (app: FastifyInstance, key: string) {
  const began = performance.now()
  const response = await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'hi' } }, {
    key, address: `10.${asked >> 16 & 255}.${asked >> 8 & 255}.${asked++ & 255}`
  })
  const { error } = messageOf(response)
  return { status: response.statusCode, reason: error?.data?.reason as string | undefined, ms: performance.now() - began }
}

/** The server beside an issuer that it knows. */
async function served (t: Test, { env = {}, paces = {} }: { env?: Record<string, string>, paces?: RefreshPolicies } = {}): Promise<Built & { issuer: Issuer }> {
  const issuer = await startIssuer(t)
  return { issuer, ...await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url, MAX_IN_FLIGHT: '2000', RATE_LIMIT_OAUTH2: '100000', ...env }, oauth2Policies: paces }) }
}

/** What a server in trouble may cost here: more than a busy machine takes from one that is well. */
const SOON: RefreshPolicies = { answerMs: 3000, metadata: { waitMs: 3000 }, jwks: { waitMs: 3000 } }
const EAGER: RefreshPolicies = { ...SOON, jwks: { ...SOON.jwks, everyMs: 200, retryMs: 50, gapMs: 50 }, maxFetches: 1000 }

const TROUBLES: Record<string, Handler> = {
  'an error': (_request, response) => { response.writeHead(500).end('{"error":"server_error"}') },
  'no answer': () => {},
  'ten megabytes': (_request, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end(`{"keys":[],"x":"${'x'.repeat(10_000_000)}"}`) },
  'a page': (_request, response) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Sorry</title>') },
  'a redirect': (_request, response) => { response.writeHead(302, { location: '/elsewhere' }).end() },
  'no set at all': (_request, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end('{"keys":"none"}') }
}

t.test('serves every token of a known key while the authorization server is in trouble', async t => {
  for (const [name, trouble] of Object.entries(TROUBLES)) {
    const { app, issuer, store } = await served(t, { paces: EAGER })
    t.ok(await until(async () => (await echo(app, issuer.mint())).status === 200), `${name}: before`)
    issuer.bend.set('*', trouble)
    issuer.bend.set('/jwks', trouble)
    const before = issuer.counts.get('/jwks')!
    await until(() => issuer.counts.get('/jwks')! >= before + 2)

    const known = await Promise.all(Array.from({ length: 50 }, () => echo(app, issuer.mint())))
    t.equal(known.filter(({ status }) => status === 200).length, 50, `${name}: known keys`)
    const unknown = await echo(app, issuer.mint({}, {}, makeKey()))
    t.comment(`figure: ${name}: ${known.filter(({ status }) => status === 200).length} of 50 with known keys served, an unknown one answered after ${Math.round(unknown.ms)} ms`)
    t.strictSame([unknown.status, unknown.reason], [503, 'STATE_UNAVAILABLE'], `${name}: nothing can be said of an unknown key`)
    t.equal((await echo(app, (await addKey(store)).key)).status, 200, `${name}: API keys`)
    t.notOk(issuer.counts.has('/elsewhere'), 'no redirect is followed')

    issuer.bend.clear()
    issuer.keys.push(makeKey())
    t.ok(await until(async () => (await echo(app, issuer.mint({}, {}, issuer.keys[1]))).status === 200), `${name}: over`)
    await app.close()
  }
})

t.test('starts without its authorization server, and finds it later', async t => {
  const issuer = await startIssuer(t)
  issuer.bend.set('*', TROUBLES['an error']!)
  issuer.bend.set('/.well-known/oauth-authorization-server', TROUBLES['an error']!)
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url }, oauth2Policies: { ...EAGER, metadata: { ...SOON.metadata, retryMs: 50, gapMs: 50 } } })
  t.equal((await echo(app, issuer.mint())).status, 503)
  issuer.bend.clear()
  t.ok(await until(async () => (await echo(app, issuer.mint())).status === 200))
})

t.test('takes a new key at once, and a removed one no longer than its pace', async t => {
  const { app, issuer } = await served(t, { paces: { jwks: { everyMs: 300, gapMs: 0 }, maxFetches: 1000 } })
  const old = issuer.mint()
  t.equal((await echo(app, old)).status, 200)
  const [removed, added] = [issuer.keys[0]!, makeKey()]
  issuer.keys = [removed, added]
  t.equal((await echo(app, issuer.mint({}, {}, added))).status, 200, 'rotation')
  t.equal((await echo(app, old)).status, 200, 'the old one still stands')

  issuer.keys = [added]
  t.ok(await until(async () => (await echo(app, old)).status === 401), 'cached tokens of a removed key end with it')
  t.equal((await echo(app, issuer.mint({}, {}, removed))).status, 401)
  t.equal((await echo(app, issuer.mint({}, {}, added))).status, 200)
  const worst = JWKS_POLICY.everyMs * 9 / 8 + BOUNDS.timeoutMs
  t.comment(`figure: at the pace of production dead after ${worst / 1000} s at worst`)
  t.ok(worst <= 300_000, 'and at the real pace that is within five minutes')
})

const STRANGERS = cases(2000, 10_000)

t.test('tokens with random key names cost hardly a fetch, and known keys nothing', async t => {
  const { app, issuer } = await served(t)
  const stranger = makeKey()
  const refused = new Map<number, number>()
  let good = 0
  const began = performance.now()
  for (let i = 0; i < STRANGERS; i += 100) {
    const strange = Array.from({ length: 100 }, () => issuer.mint({}, { kid: randomUUID() }, stranger))
    const [known, ...answers] = await Promise.all([issuer.mint(), ...strange].map(token => echo(app, token)))
    if (known!.status === 200) good++
    for (const { status } of answers) refused.set(status, (refused.get(status) ?? 0) + 1)
  }
  const seconds = (performance.now() - began) / 1000
  t.strictSame([...refused], [[401, STRANGERS]])
  t.equal(good, STRANGERS / 100)
  const fetches = [...issuer.counts.values()].reduce((sum, count) => sum + count)
  t.comment(`figure: ${fetches} fetches in ${seconds.toFixed(1)} s; known keys ${good} of ${STRANGERS / 100}`)
  t.ok(fetches <= 6 * Math.ceil(seconds / 60), `${fetches} fetches in ${seconds.toFixed(1)} s`)
})

t.test('asks once about an opaque token that 500 present at once', async t => {
  const { app, issuer } = await served(t, { env: { OAUTH2_CLIENT_ID: 'rs', OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server' } })
  issuer.bend.set('/introspect', (request, response) => {
    setTimeout(() => issuer.json({ active: true, iss: issuer.url, aud: AUDIENCE, sub: 'ada', client_id: 'c', scope: ALL_SCOPES, exp: Math.floor(Date.now() / 1000) + 600 })(request, response), 300)
  })
  const answers = await Promise.all(Array.from({ length: 500 }, () => echo(app, 'an-opaque-token-of-500')))
  t.equal(answers.filter(({ status }) => status === 200).length, 500)
  t.comment(`figure: ${issuer.counts.get('/introspect')} introspection of 300 ms for ${answers.filter(({ status }) => status === 200).length} served`)
  t.equal(issuer.counts.get('/introspect'), 1)

  issuer.bend.set('/introspect', issuer.json({ active: false }))
  const bad = await Promise.all(Array.from({ length: 500 }, () => echo(app, 'another-opaque-token')))
  t.equal(bad.filter(({ status }) => status === 401).length, 500)
  t.equal(issuer.counts.get('/introspect'), 2)
})

t.test('an introspection that hangs or fails costs its own tokens a moment, and is then left alone', async t => {
  for (const name of ['no answer', 'an error', 'ten megabytes', 'a page', 'a redirect']) {
    const { app, issuer, store } = await served(t, { env: { OAUTH2_CLIENT_ID: 'rs', OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server' }, paces: SOON })
    t.ok(await until(async () => (await echo(app, issuer.mint())).status === 200), `${name}: before`)
    issuer.bend.set('/introspect', TROUBLES[name]!)
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => echo(app, `opaque-token-${i}`)))
    t.strictSame([...new Set(answers.map(({ status, reason }) => `${status} ${reason}`))], ['503 STATE_UNAVAILABLE'], `${name}: never taken for a bad token`)
    t.ok(issuer.counts.get('/introspect')! <= 50, `${name}: at most 50 under way`)
    // Questions that were given up here may reach the server only now.
    let before = 0
    while (before !== issuer.counts.get('/introspect')!) {
      before = issuer.counts.get('/introspect')!
      await sleep(500)
    }
    t.equal((await echo(app, 'one-more-opaque-token')).status, 503)
    t.equal(issuer.counts.get('/introspect'), before, `${name}: left alone for a while`)
    t.equal((await echo(app, issuer.mint())).status, 200, `${name}: tokens that are verified here`)
    t.equal((await echo(app, (await addKey(store)).key)).status, 200, `${name}: API keys`)
    await app.close()
  }
})

t.test('holds what introspection says to the same rules: issuer, audience, times', async t => {
  const { app, issuer } = await served(t, { env: { OAUTH2_CLIENT_ID: 'rs', OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server' } })
  const now = Math.floor(Date.now() / 1000)
  const said = { active: true, iss: issuer.url, aud: AUDIENCE, sub: 'ada', client_id: 'c', scope: ALL_SCOPES, exp: now + 600 }
  const cases: Array<[string, object, number]> = [
    ['good', said, 200],
    ['our audience among others', { ...said, aud: ['https://other.example', AUDIENCE] }, 200],
    ['another audience', { ...said, aud: 'https://other.example/mcp' }, 401],
    ['a list of others', { ...said, aud: ['https://other.example'] }, 401],
    ['a slash more', { ...said, aud: `${AUDIENCE}/` }, 401],
    ['a suffix', { ...said, aud: `${AUDIENCE}.evil` }, 401],
    ['another issuer', { ...said, iss: 'https://other.example' }, 401],
    ['over', { ...said, exp: now - 1 }, 401],
    ['active as text', { ...said, active: 'true' }, 401]
  ]
  for (const [name, answer, status] of cases) {
    issuer.bend.set('/introspect', issuer.json(answer))
    t.equal((await echo(app, `opaque ${name}`.replaceAll(' ', '-'))).status, status, name)
  }
})

const WELL_KNOWN = ['/.well-known/oauth-authorization-server/realm', '/.well-known/openid-configuration/realm', '/realm/.well-known/openid-configuration']

/** What the place answers of an issuer whose name has a path. */
const metadataOf = (issuer: Issuer, more: object = {}) => {
  const { origin } = new URL(issuer.url)
  return { issuer: issuer.url, jwks_uri: `${origin}/jwks`, introspection_endpoint: `${origin}/introspect`, ...more }
}

t.test('finds metadata at the third place, whatever the others answer', async t => {
  const others: Record<string, Handler> = {
    ...TROUBLES,
    'an error with JSON': (_request, response) => { response.writeHead(500, { 'content-type': 'application/json' }).end('{"error":"server_error"}') },
    'out of service': (_request, response) => { response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '60' }).end('{}') },
    'a page of a gateway': (_request, response) => { response.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad Gateway</html>') },
    'a list': (_request, response) => { response.writeHead(200).end('[]') },
    'nothing at all': (_request, response) => { response.writeHead(200).end() },
    'a broken connection': (_request, response) => { response.destroy() },
    'the metadata of another tenant': (_request, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end('{"issuer":"https://other.example"}') }
  }
  delete others['no set at all']
  for (const [name, other] of Object.entries(others)) {
    const issuer = await startIssuer(t, { path: '/realm' })
    issuer.bend.set(WELL_KNOWN[0]!, other)
    issuer.bend.set(WELL_KNOWN[1]!, other)
    // As some servers and proxies write it: a byte order mark, and a type that is not that of JSON.
    issuer.bend.set(WELL_KNOWN[2]!, (_request, response) => { response.writeHead(200, { 'content-type': 'text/plain' }).end(`\ufeff${JSON.stringify(metadataOf(issuer))}`) })
    const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url }, oauth2Policies: { ...SOON, answerMs: name === 'no answer' ? 200 : 3000 } })
    t.ok(await until(async () => (await echo(app, issuer.mint())).status === 200), name)
    t.strictSame(WELL_KNOWN.map(place => issuer.counts.get(place)), [1, 1, 1], name)
    await app.close()
  }
})

t.test('finds metadata again that has moved, and asks one place while the server is in trouble', async t => {
  const { app, issuer } = await served(t, { paces: { ...EAGER, metadata: { everyMs: 100, retryMs: 50, gapMs: 50, waitMs: 3000 } } })
  t.ok(await until(async () => (await echo(app, issuer.mint())).status === 200))
  const [first, second] = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']
  const fetches = (place: string) => issuer.counts.get(place) ?? 0
  issuer.bend.set(first, TROUBLES['an error']!)
  const before = fetches(first)
  t.ok(await until(() => fetches(first) > before + 2))
  t.equal(fetches(second), 0, 'in trouble: no other place is asked')
  issuer.bend.set(first, issuer.json({ error: 'not_found' }, 404))
  issuer.bend.set(second, issuer.json({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` }))
  t.ok(await until(() => fetches(second) > 2), 'gone: all places are looked at')
  t.equal((await echo(app, issuer.mint())).status, 200)
})

t.test('asks the URLs that the settings name, for each issuer its own', async t => {
  const [a, b] = [await startIssuer(t), await startIssuer(t)]
  for (const issuer of [a, b]) issuer.bend.set('*', issuer.json({}, 404))
  // One publishes its metadata at a place of its own, the other none at all.
  a.bend.set('/api/oidc/metadata', (request, response) => a.json({ issuer: a.url, jwks_uri: `${a.url}/elsewhere` })(request, response))
  a.bend.set('/elsewhere', (request, response) => a.json({ keys: a.keys.map(({ jwk }) => jwk) })(request, response))
  b.bend.set('/api/keys', (request, response) => b.json({ keys: b.keys.map(({ jwk }) => jwk) })(request, response))
  const said = { active: true, aud: AUDIENCE, sub: 'ada', client_id: 'c', scope: ALL_SCOPES }
  b.bend.set('/api/introspect', (request, response) => b.json(request.body.includes('known-opaque-token') ? said : { active: false })(request, response))
  for (const issuer of [a, b]) { issuer.bend.delete('/jwks'); issuer.bend.set('/.well-known/oauth-authorization-server', issuer.json({}, 404)); issuer.bend.set('/jwks', issuer.json({}, 404)) }
  const { app } = await build(t, {
    env: {
      OAUTH2_AUTH_SERVER: `${a.url}, ${b.url}`,
      OAUTH2_METADATA_URL: `${a.url}=${a.url}/api/oidc/metadata`,
      OAUTH2_JWKS_URL: `${b.url}=${b.url}/api/keys`,
      OAUTH2_INTROSPECTION_URL: `${b.url}=${b.url}/api/introspect?tenant=x`,
      OAUTH2_CLIENT_ID: 'rs',
      OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server'
    },
    oauth2Policies: SOON
  })
  t.ok(await until(async () => (await echo(app, a.mint())).status === 200), 'metadata')
  t.ok(await until(async () => (await echo(app, b.mint())).status === 200), 'keys without any metadata')
  t.equal((await echo(app, b.mint({}, {}, a.keys[0]))).status, 401, 'each its own')
  t.equal((await echo(app, 'known-opaque-token')).status, 200, 'introspection')
  t.equal((await echo(app, 'another-opaque-token')).status, 401)
  t.strictSame([...a.counts.keys()].sort(), ['/api/oidc/metadata', '/elsewhere'])
})

t.test('refuses URLs in the settings that belong to no issuer or may not be asked', async t => {
  const [one, two] = ['https://a.example', 'https://a.example, https://b.example/realm']
  const cases: Array<[string, string, boolean]> = [
    [one, 'https://a.example/keys', true],
    [one, 'https://keys.example/a?b=c', true],
    [one, 'https://a.example=https://keys.example', true],
    [two, 'https://a.example=https://keys.example/a?b=c, https://b.example/realm=https://keys.example/b', true],
    [two, 'https://b.example/realm=https://keys.example/b', true],
    [one, 'http://127.0.0.1:8080/keys', true],
    [two, 'https://keys.example', false],
    [two, 'https://c.example=https://keys.example', false],
    [one, 'http://a.example/keys', false],
    [one, 'https://user:secret@a.example/keys', false],
    [one, '/keys', false],
    [one, 'https://a.example=', false],
    [one, 'https://x.example, https://y.example', false]
  ]
  for (const name of ['OAUTH2_METADATA_URL', 'OAUTH2_JWKS_URL', 'OAUTH2_INTROSPECTION_URL'] as const) {
    for (const [issuers, value, good] of cases) {
      const load = () => loadConfig({ OAUTH2_AUTH_SERVER: issuers, [name]: value })
      if (good) t.ok(load()[name].size > 0, `${name}=${value}`)
      else t.throws(load, { message: new RegExp(`${name} must be an https URL`) }, `${name}=${value}`)
    }
  }
  for (const issuer of ['https://', 'http://[::1', 'https://user:secret@as.example', 'http://as.example', 'https://as.example?x', 'as.example', '/realm']) {
    t.throws(() => loadConfig({ OAUTH2_AUTH_SERVER: issuer }), { name: 'UsageError' }, issuer)
  }
})

t.test('accepts an introspection answer without audience only where a setting says so', async t => {
  for (const [setting, expected] of [[undefined, 401], ['refuse', 401], ['accept', 200]] as const) {
    const { app, issuer, lines } = await served(t, {
      env: { OAUTH2_CLIENT_ID: 'rs', OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server', ...(setting === undefined ? {} : { OAUTH2_INTROSPECTION_WITHOUT_AUD: setting }) }, paces: SOON
    })
    const said = { active: true, iss: issuer.url, sub: 'ada', client_id: 'c', scope: ALL_SCOPES, exp: Math.floor(Date.now() / 1000) + 600 }
    issuer.bend.set('/introspect', issuer.json(said))
    t.equal((await echo(app, `opaque-without-${setting}`)).status, expected, String(setting))
    if (expected === 401) t.ok(lines.some(({ why }) => /audience: none seen/.test(String(why))))
    issuer.bend.set('/introspect', issuer.json({ ...said, aud: 'https://other.example' }))
    t.equal((await echo(app, `opaque-with-another-${setting}`)).status, 401, 'another audience never is')
  }
})

t.test('one of two issuers that is down costs its own tokens alone', async t => {
  const [up, down] = [await startIssuer(t), await startIssuer(t)]
  down.bend.set('/.well-known/oauth-authorization-server', TROUBLES['no answer']!)
  down.bend.set('*', TROUBLES['no answer']!)
  up.bend.set('/introspect', (request, response) => up.json(request.body.includes('good') ? { active: true, aud: AUDIENCE, sub: 'ada', client_id: 'c', scope: ALL_SCOPES } : { active: false })(request, response))
  for (const order of [[up, down], [down, up]]) {
    const { app } = await build(t, {
      env: { OAUTH2_AUTH_SERVER: order.map(({ url }) => url).join(','), OAUTH2_CLIENT_ID: 'rs', OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server' },
      oauth2Policies: { answerMs: 300, metadata: { waitMs: 300 }, jwks: { waitMs: 300 } }
    })
    t.ok(await until(async () => (await echo(app, up.mint())).status === 200))
    t.equal((await echo(app, down.mint())).status, 503)
    t.equal((await echo(app, 'good-opaque-token')).status, 200, 'the one that answers knows it')
    t.equal((await echo(app, 'other-opaque-token')).status, 503, 'the one that is down may know it')
    t.equal((await echo(app, up.mint({ aud: 'x' }))).status, 401)
    await app.close()
  }
})

t.test('the log names the error that the authorization server gives', async t => {
  const { app, issuer, lines } = await served(t, { env: { OAUTH2_CLIENT_ID: 'rs', OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server' }, paces: SOON })
  issuer.bend.set('/introspect', issuer.json({ error: 'invalid_client', error_description: 'unknown client rs' }, 401))
  t.equal((await echo(app, 'an-opaque-token')).status, 503)
  t.ok(lines.some(({ why }) => /status 401, "invalid_client", "unknown client rs"/.test(String(why))))
})

t.test('an introspected token that was good here and is over is no guess', async t => {
  const { app, issuer } = await served(t, { env: { OAUTH2_CLIENT_ID: 'rs', OAUTH2_CLIENT_SECRET: 'a-secret-of-the-resource-server' }, paces: SOON })
  const ask = async (key: string) => (await modern(app, 'tools/list', {}, { key, address: '192.0.2.88' })).statusCode
  const tokens = Array.from({ length: 30 }, (_, i) => `opaque-token-of-a-user-${i}`)
  issuer.bend.set('/introspect', issuer.json({ active: true, aud: AUDIENCE, sub: 'ada', client_id: 'c', scope: ALL_SCOPES, exp: Math.floor(Date.now() / 1000) + 1 }))
  for (const token of tokens) await ask(token)
  issuer.bend.set('/introspect', issuer.json({ active: false }))
  await sleep(2100)
  const statuses = []
  for (const token of tokens) statuses.push(await ask(token))
  t.strictSame(new Set(statuses), new Set([401]))
})

t.test('one line when an authorization server gets into trouble, and one with how long it was', async t => {
  const { app, issuer, lines } = await served(t, { paces: EAGER })
  t.ok(await until(async () => (await echo(app, issuer.mint())).status === 200))
  const told = (msg: string) => lines.filter(line => line.msg === msg && line.what === 'keys')
  issuer.bend.set('/jwks', TROUBLES['an error']!)
  t.ok(await until(() => told('authorization server is in trouble').length > 0))
  const before = issuer.counts.get('/jwks')!
  await until(() => issuer.counts.get('/jwks')! >= before + 2)
  issuer.bend.delete('/jwks')
  t.ok(await until(() => told('authorization server answers again').length > 0))
  t.equal(told('authorization server is in trouble').length, 1, 'whatever often it was asked')
  t.match(told('authorization server answers again'), [{ issuer: issuer.url, forMs: Number }])
  t.ok(Number(told('authorization server answers again')[0]!.forMs) > 0)
})
