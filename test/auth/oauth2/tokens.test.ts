import { createHash, randomBytes, randomInt, randomUUID } from 'node:crypto'
import { request } from 'node:http'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { RefreshPolicies } from '../../../src/auth/oauth2/from-settings.ts'
import { addKey, build, legacy, messageOf, modern, type Built } from '../../support/app.ts'
import { cases } from '../../support/cases.ts'
import { until } from '../../support/until.ts'
import { ALL_SCOPES, AUDIENCE, hmacJws, jws, makeKey, startIssuer, type Issuer, type Json } from './issuer.ts'

/** Each from an address of its own, so that the count of failures does not answer instead. */
let asked = 0
async function echo (app: FastifyInstance, token: string, headers: Record<string, string> = {}) {
  return await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'hi' } }, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    address: `10.${asked >> 16 & 255}.${asked >> 8 & 255}.${asked++ & 255}`
  })
}

/** The server beside an issuer that it knows. */
async function served (t: Test, { paces = {}, ...more }: { env?: Record<string, string>, alg?: string, path?: string, paces?: RefreshPolicies } = {}): Promise<Built & { issuer: Issuer }> {
  const issuer = await startIssuer(t, more)
  return { issuer, ...await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url, ...more.env }, oauth2Policies: paces }) }
}

t.test('serves a good token of every algorithm, and what it may use', async t => {
  for (const alg of ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519']) {
    const { app, issuer } = await served(t, { alg })
    const response = await echo(app, issuer.mint())
    t.equal(response.statusCode, 200, alg)
    t.match(messageOf(response), { result: { content: [{ text: 'hi' }] } })
  }
})

t.test('answers exactly the challenges that clients of today read', async t => {
  const { app, issuer } = await served(t)
  const metadata = 'resource_metadata="http://localhost:3000/.well-known/oauth-protected-resource/mcp"'

  const none = await modern(app, 'tools/list')
  t.equal(none.statusCode, 401)
  t.equal(none.headers['www-authenticate'], `Bearer realm="mcp", scope="mcp:server:access mcp:tool:*", ${metadata}`)
  t.match(messageOf(none), { error: { code: 401, data: { reason: 'AUTHENTICATION_REQUIRED' } } })

  const wrong = await echo(app, issuer.mint({ aud: 'https://other.example' }))
  t.equal(wrong.headers['www-authenticate'], `Bearer realm="mcp", error="invalid_token", scope="mcp:server:access mcp:tool:*", ${metadata}`)
  t.match(messageOf(wrong), { error: { code: 401, message: 'Authentication required', data: { reason: 'INVALID_CREDENTIAL' } } })

  const narrow = await echo(app, issuer.mint({ scope: 'mcp:server:access mcp:tool:get_*' }))
  t.equal(narrow.statusCode, 403)
  t.match(narrow.headers['www-authenticate'], /error="insufficient_scope".* scope="mcp:server:access mcp:tool:get_\* mcp:tool:\*"/)
  t.match(messageOf(narrow), { error: { code: 403, data: { reason: 'INSUFFICIENT_SCOPE', scope: 'mcp:server:access mcp:tool:get_* mcp:tool:*' } } })

  const foreign = await echo(app, issuer.mint({ scope: 'email profile' }))
  t.match(foreign.headers['www-authenticate'], /scope="mcp:server:access mcp:tool:\*"/, 'all that the call needs at once')
  t.equal((await legacy(app, 'tools/list', {}, { key: issuer.mint({ scope: 'mcp:tool:*' }) })).statusCode, 403)
})

t.test('publishes the resource metadata at both paths, from PUBLIC_URL alone', async t => {
  const { app, issuer } = await served(t)
  for (const url of ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp']) {
    const response = await app.inject({ url, headers: { host: 'localhost:3000', 'x-forwarded-host': 'evil.example' } })
    t.equal(response.statusCode, 200)
    t.match(response.headers['cache-control'], /^public, max-age=\d+$/)
    t.match(response.json(), {
      resource: AUDIENCE, authorization_servers: [issuer.url], scopes_supported: ['mcp:server:access', 'mcp:tool:*'], bearer_methods_supported: ['header']
    })
  }
  const { app: without } = await build(t)
  t.equal((await without.inject({ url: '/.well-known/oauth-protected-resource', headers: { host: 'localhost:3000' } })).statusCode, 404)
})

t.test('names scopes that the authorization server publishes, that of the token where there are several', async t => {
  const [exact, pattern] = [await startIssuer(t), await startIssuer(t)]
  const publish = (issuer: Issuer, scopes: unknown) => issuer.bend.set('/.well-known/oauth-authorization-server', issuer.json({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks`, scopes_supported: scopes }))
  publish(exact, ['openid', 'mcp:server:access', 'mcp:tool:echo', 'mcp:tool:get_time', null, 7])
  publish(pattern, ['mcp:server:access', 'mcp:tool:*'])
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: `${exact.url},${pattern.url}` } })
  const scopeOf = ({ headers }: { headers: Record<string, unknown> }) => /scope="([^"]*)"/.exec(String(headers['www-authenticate']))?.[1]
  const scope = 'mcp:server:access mcp:tool:x_*'
  t.equal(scopeOf(await echo(app, exact.mint({ scope }))), `${scope} mcp:tool:echo`)
  t.equal(scopeOf(await echo(app, pattern.mint({ scope }))), `${scope} mcp:tool:*`)
  t.equal(scopeOf(await echo(app, exact.mint({ scope: 'openid' }))), 'mcp:server:access mcp:tool:echo')
  t.equal(scopeOf(await modern(app, 'tools/list')), 'mcp:server:access mcp:tool:echo mcp:tool:get_time', 'the first server is where clients log in')
  const { scopes_supported: named } = (await app.inject({ url: '/.well-known/oauth-protected-resource', headers: { host: 'localhost:3000' } })).json()
  t.strictSame(named, ['mcp:server:access', 'mcp:tool:echo', 'mcp:tool:get_time'])
})

t.test('says so where the scopes of a token empty the list of tools', async t => {
  const { app, issuer, lines, store } = await served(t)
  const key = issuer.mint({ scope: 'mcp:server:access mcp:tool:nothing_*' })
  for (const ask of [modern, legacy]) {
    for (const params of [{}, { _meta: { 'example.org/unknown': 1 } }]) {
      const { result } = messageOf(await ask(app, 'tools/list', params, { key }))
      t.strictSame(result.tools, [])
      t.match(result._meta['secure-mcp-server/emptyBecause'], /No scope of the access token allows a tool.*mcp:tool:nothing_\*/)
    }
  }
  t.ok(lines.some(({ msg, scopes }) => msg === 'tool list is empty: no scope of the token allows a tool' && String(scopes).includes('nothing')))
  const full = messageOf(await modern(app, 'tools/list', {}, { key: issuer.mint() })).result
  t.notHas(full._meta, 'secure-mcp-server/emptyBecause')
  const { key: without } = await addKey(store, { permissions: ['nothing_*'] })
  t.notHas(messageOf(await legacy(app, 'tools/list', {}, { key: without })).result, '_meta', 'keys have no scopes')
})

t.test('lets a scope hierarchy decide, in lists and in calls alike', async t => {
  const { app, issuer } = await served(t)
  const key = issuer.mint({ scope: 'mcp:server:access mcp:tool:get_*' })
  const { result } = messageOf(await modern(app, 'tools/list', {}, { key }))
  t.strictSame(result.tools.map(({ name }: { name: string }) => name), ['get_time'])
  t.equal((await modern(app, 'tools/call', { name: 'get_time', arguments: {} }, { key })).statusCode, 200)
  const [hidden, absent] = await Promise.all(['echo', 'nope'].map(name => modern(app, 'tools/call', { name, arguments: {} }, { key })))
  t.equal(hidden!.statusCode, 403)
  const withoutId = (body: string) => body.replace(/"requestId":"[^"]+"/, '')
  t.equal(withoutId(hidden!.body), withoutId(absent!.body.replaceAll('nope', 'echo')), 'a tool one may not use looks like one that is not there')
})

t.test('reads the claims of Entra, Keycloak, Auth0 and Okta by its settings', async t => {
  const map = { OAUTH2_SCOPE_MAP: 'Mcp.Use=mcp:server:access mcp:tool:*,tools-reader=mcp:server:access mcp:tool:get_*' }
  const cases: Array<[string, Record<string, string>, Json, Json]> = [
    ['Entra, delegated', { ...map, OAUTH2_TOKEN_TYP: 'jwt' }, { scope: undefined, client_id: undefined, azp: 'app', scp: 'Mcp.Use' }, { typ: 'JWT' }],
    ['Entra, app role', { ...map, OAUTH2_TOKEN_TYP: 'jwt', OAUTH2_SCOPE_CLAIMS: 'scp,roles' }, { scope: undefined, roles: ['Mcp.Use'] }, { typ: 'JWT' }],
    ['Keycloak, realm role', { ...map, OAUTH2_TOKEN_TYP: 'jwt', OAUTH2_SCOPE_CLAIMS: 'scope,realm_access.roles' }, { scope: 'email', typ: 'Bearer', realm_access: { roles: ['offline', 'Mcp.Use'] } }, { typ: 'JWT' }],
    ['Auth0, permissions', { OAUTH2_SCOPE_CLAIMS: 'permissions' }, { scope: 'openid', permissions: ALL_SCOPES.split(' '), aud: [AUDIENCE, 'https://tenant/userinfo'] }, {}],
    ['Okta', { OAUTH2_TOKEN_TYP: 'jwt' }, { scope: undefined, client_id: undefined, cid: 'okta', scp: ALL_SCOPES.split(' ') }, { typ: 'application/okta-internal-at+jwt' }],
    ['no typ at all', { OAUTH2_TOKEN_TYP: 'jwt' }, {}, { typ: undefined }]
  ]
  for (const [name, env, claims, header] of cases) {
    const { app, issuer } = await served(t, { env })
    t.equal((await echo(app, issuer.mint(claims, header))).statusCode, 200, name)
  }
})

t.test('refuses every forged token, and none of them is a failure of the server', async t => {
  const { app, issuer } = await served(t)
  const { app: rsaApp, issuer: rsa } = await served(t, { alg: 'RS256' })
  const other = await startIssuer(t)
  const stranger = makeKey()
  const key = issuer.keys[0]!
  const now = Math.floor(Date.now() / 1000)
  const good = issuer.mint()
  const [head, body, tail] = good.split('.') as [string, string, string]
  const rsaPem = rsa.keys[0]!.publicKey.export({ type: 'spki', format: 'pem' })
  const ecPem = key.publicKey.export({ type: 'spki', format: 'pem' })

  const forged: Record<string, string> = {
    'alg none': `${Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt', kid: key.kid })).toString('base64url')}.${body}.`,
    'alg None with a signature': issuer.mint({}, { alg: 'None' }),
    'no signature': `${head}.${body}.`,
    'another token’s signature': `${head}.${body}.${issuer.mint({ sub: 'eve' }).split('.')[2]}`,
    'HS256 with the public key as secret': hmacJws({ alg: 'HS256', typ: 'at+jwt', kid: key.kid }, issuer.claims(), ecPem),
    'HS256 with the JWK as secret': hmacJws({ alg: 'HS256', typ: 'at+jwt', kid: key.kid }, issuer.claims(), JSON.stringify(key.jwk)),
    'HS256 with an empty secret': hmacJws({ alg: 'HS256', typ: 'at+jwt', kid: key.kid }, issuer.claims(), ''),
    'a stranger’s key under a known kid': issuer.mint({}, { kid: key.kid }, stranger),
    'a stranger’s key under its own kid': issuer.mint({}, {}, stranger),
    'a key that the token brings (jwk)': jws({ alg: 'ES256', typ: 'at+jwt', kid: key.kid, jwk: stranger.jwk }, issuer.claims(), stranger),
    'a key from a URL in the token (jku)': jws({ alg: 'ES256', typ: 'at+jwt', kid: stranger.kid, jku: `${other.url}/jwks` }, issuer.claims(), stranger),
    'a certificate from a URL in the token (x5u)': jws({ alg: 'ES256', typ: 'at+jwt', kid: stranger.kid, x5u: `${other.url}/cert` }, issuer.claims(), stranger),
    'no kid, under a stranger’s key': issuer.mint({}, { kid: undefined }, stranger),
    'a kid that is empty': issuer.mint({}, { kid: '' }),
    'a kid that is a path': issuer.mint({}, { kid: '../../../../dev/null' }),
    'a kid that is a prototype’s': issuer.mint({}, { kid: '__proto__' }),
    'a kid that is a list': issuer.mint({}, { kid: [key.kid] }),
    'an unknown critical header': issuer.mint({}, { crit: ['exp2'], exp2: 1 }),
    'b64 false': issuer.mint({}, { crit: ['b64'], b64: false }),
    'typ of an ID token': issuer.mint({}, { typ: 'JWT' }),
    'no typ': issuer.mint({}, { typ: undefined }),
    'typ of a DPoP proof': issuer.mint({}, { typ: 'dpop+jwt' }),
    'an issuer that is not trusted': other.mint(),
    'a trusted issuer’s name under another’s key': jws({ alg: 'ES256', typ: 'at+jwt', kid: other.keys[0]!.kid }, issuer.claims(), other.keys[0]!),
    'an issuer with a slash more': issuer.mint({ iss: `${issuer.url}/` }),
    'an issuer in a list': issuer.mint({ iss: [issuer.url] }),
    'no issuer': issuer.mint({ iss: undefined }),
    'another audience': issuer.mint({ aud: 'https://other.example/mcp' }),
    'an audience with a suffix': issuer.mint({ aud: `${AUDIENCE}.evil` }),
    'an audience with a slash more': issuer.mint({ aud: `${AUDIENCE}/` }),
    'a list of other audiences': issuer.mint({ aud: ['https://a.example', `${AUDIENCE}/`, AUDIENCE.toUpperCase()] }),
    'an audience that holds ours in a list': issuer.mint({ aud: [[AUDIENCE]] }),
    'an audience that is an object': issuer.mint({ aud: { [AUDIENCE]: true } }),
    'no audience': issuer.mint({ aud: undefined }),
    'the client as audience (an ID token)': issuer.mint({ aud: 'client-1', nonce: 'n' }, { typ: 'JWT' }),
    'claims of an ID token': issuer.mint({ at_hash: 'x', nonce: 'n' }),
    'a Keycloak ID token': issuer.mint({ typ: 'ID' }),
    'a refresh token': issuer.mint({ typ: 'Refresh' }),
    expired: issuer.mint({ exp: now - 1 }),
    'expired long ago': issuer.mint({ iat: now - 7200, exp: now - 3600 }),
    'no exp': issuer.mint({ exp: undefined }),
    'exp as text': issuer.mint({ exp: String(now + 600) }),
    'exp beyond every number': jws({ alg: 'ES256', typ: 'at+jwt', kid: key.kid }, JSON.stringify(issuer.claims({ exp: 1 })).replace('"exp":1', '"exp":1e999'), key),
    'a life of years': issuer.mint({ exp: now + 100 * 86_400 }),
    'issued in the future': issuer.mint({ iat: now + 3600, exp: now + 7200 }),
    'no iat': issuer.mint({ iat: undefined }),
    'not valid yet': issuer.mint({ nbf: now + 3600 }),
    'no subject': issuer.mint({ sub: undefined }),
    'a subject that is no text': issuer.mint({ sub: { $ne: null } }),
    'a subject without end': issuer.mint({ sub: 'a'.repeat(300) }),
    'a subject that forges a log line': issuer.mint({ sub: 'ada\n{"level":"info"}' }),
    'scopes without end': issuer.mint({ scope: 'mcp:tool:x '.repeat(600).trim() }),
    'bound to a certificate': issuer.mint({ cnf: { 'x5t#S256': 'abc' } }),
    'bound to a key, as plain bearer': issuer.mint({ cnf: { jkt: 'abc' } }),
    'a fourth part': `${good}.${tail}`,
    'a space inside': `${head}.${body} .${tail}`,
    padding: `${head}=.${body}.${tail}`,
    'another spelling of the same signature': `${head}.${body}.${respelled(tail)}`,
    'claims that are a list': jws({ alg: 'ES256', typ: 'at+jwt', kid: key.kid }, [issuer.claims()], key),
    'claims that are not JSON': jws({ alg: 'ES256', typ: 'at+jwt', kid: key.kid }, 'hello', key),
    'a header that is not JSON': `eyJub3Q.${body}.${tail}`,
    'a zero signature': `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
    'a DER signature': `${head}.${body}.${randomBytes(70).toString('base64url')}`
  }
  for (const [name, token] of Object.entries(forged)) {
    const response = await echo(app, token)
    t.ok(response.statusCode === 401 || response.statusCode === 400, `${name}: ${response.statusCode}`)
    t.notMatch(response.body, /kid|audience|signature|expired/, `${name}: the answer does not say why`)
  }
  t.equal((await echo(rsaApp, hmacJws({ alg: 'HS256', typ: 'at+jwt', kid: rsa.keys[0]!.kid }, rsa.claims(), rsaPem))).statusCode, 401, 'HS256 with an RSA public key')
  t.equal((await echo(rsaApp, rsa.mint({}, { alg: 'PS256' }))).statusCode, 401, 'RS256 called PS256')
  t.equal((await echo(app, good)).statusCode, 200, 'and the good one still works')
  t.strictSame([...other.counts.keys()].filter(path => path !== '/.well-known/oauth-authorization-server' && path !== '/jwks'), [], 'no URL of a token is asked')
  t.equal(other.counts.size, 0)
  const kinds = Object.keys(forged).length + 2
  t.ok(kinds >= 30)
  t.comment(`figure: ${kinds} kinds, each answered with 401`)
})

/** The same bytes with the spare bits of the last letter set. */
function respelled (segment: string): string {
  const bytes = Buffer.from(segment, 'base64url')
  for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
    const spelled = segment.slice(0, -1) + letter
    if (spelled !== segment && Buffer.from(spelled, 'base64url').equals(bytes)) return spelled
  }
  throw new Error('there is only one spelling')
}

const MUTATIONS = cases(2000, 10_000)

t.test(`refuses ${MUTATIONS} mutations of a good token`, async t => {
  // Names of keys are among what is mutated: no fetch for them, which would be late on a busy machine.
  const { app, issuer } = await served(t, { paces: { jwks: { gapMs: 120_000 } } })
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'
  const statuses = new Map<number, number>()
  const good = issuer.mint()
  for (let i = 0; i < MUTATIONS; i += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => {
      const at = randomInt(good.length)
      const mutated = [
        () => good.slice(0, at) + good.slice(at + 1),
        () => good.slice(0, at) + letters[randomInt(letters.length)] + good.slice(at),
        () => good.slice(0, at) + letters[randomInt(letters.length)] + good.slice(at + 1),
        () => good.slice(0, at) + good.slice(at).split('').reverse().join('')
      ][randomInt(4)]!()
      return echo(app, mutated === good ? `${good}A` : mutated)
    }))
    for (const answer of answers) statuses.set(answer.statusCode, (statuses.get(answer.statusCode) ?? 0) + 1)
  }
  t.comment(`figure: ${[...statuses].map(([status, count]) => `${count} × ${status}`).join(', ')}`)
  t.strictSame([...statuses.keys()], [401])
  t.equal((await echo(app, good)).statusCode, 200)
})

t.test('takes a secret only where one is configured, and then nothing else', async t => {
  const secret = randomBytes(32).toString('base64url')
  const { app, issuer } = await served(t, { env: { OAUTH2_JWT_SECRET: secret } })
  t.equal((await echo(app, hmacJws({ alg: 'HS256', typ: 'at+jwt' }, issuer.claims(), secret))).statusCode, 200)
  t.equal((await echo(app, hmacJws({ alg: 'HS256', typ: 'at+jwt' }, issuer.claims(), secret + 'x'))).statusCode, 401)
  t.equal((await echo(app, issuer.mint())).statusCode, 401, 'a public key')
  t.notOk(issuer.counts.has('/jwks'))
})

t.test('keeps several issuers and their keys apart', async t => {
  const [a, b] = [await startIssuer(t), await startIssuer(t, { path: '/tenant' })]
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: `${a.url}, ${b.url}` } })
  t.equal((await echo(app, a.mint())).statusCode, 200)
  t.equal((await echo(app, b.mint())).statusCode, 200)
  t.equal((await echo(app, a.mint({ iss: b.url }))).statusCode, 401)
  t.equal((await echo(app, a.mint({ iss: b.url }, {}, b.keys[0]!))).statusCode, 200)
})

t.test('verifies a token without kid by the only key for its algorithm', async t => {
  const { app, issuer } = await served(t, { paces: { jwks: { gapMs: 0 }, maxFetches: 1000 } })
  const status = async (header: Json = {}, key = issuer.keys[0]!) => (await echo(app, issuer.mint({}, { kid: undefined, ...header }, key))).statusCode
  t.equal(await status(), 200)
  t.equal(await status({ kid: null }), 200, 'null is absent')

  const old = issuer.keys[0]!
  const renamed = { ...makeKey(), kid: 'other' }
  delete renamed.jwk.kid
  issuer.keys = [renamed]
  t.equal(await status(), 200, 'a key without a name replaced the only one')
  t.equal(await status({}, old), 401)

  issuer.keys = [renamed, makeKey('RS256')]
  t.equal(await status(), 200, 'a key for another algorithm is no choice')
  issuer.keys = [renamed, makeKey()]
  t.equal(await status({}, issuer.keys[1]), 401, 'two keys for the algorithm: which one?')
  t.equal(await status({ kid: issuer.keys[1]!.kid }, issuer.keys[1]), 200)
})

t.test('accepts Ed25519 and EdDSA as names of one algorithm, and holds both to everything', async t => {
  for (const [published, declared, env] of [['EdDSA', 'Ed25519', {}], ['Ed25519', 'EdDSA', {}], ['EdDSA', 'Ed25519', { OAUTH2_ALGORITHMS: 'Ed25519' }]] as const) {
    const { app, issuer } = await served(t, { alg: published, env })
    const mint = (claims: Json = {}, header: Json = {}, key = issuer.keys[0]!) => issuer.mint(claims, { alg: declared, ...header }, key)
    t.equal((await echo(app, mint())).statusCode, 200, `${declared} under a key for ${published}`)
    const now = Math.floor(Date.now() / 1000)
    const bad: Record<string, string> = {
      'a stranger’s signature': mint({}, { kid: issuer.keys[0]!.kid }, makeKey(published)),
      'another audience': mint({ aud: 'https://other.example' }),
      'a suffix of the audience': mint({ aud: `${AUDIENCE}/` }),
      expired: mint({ exp: now - 1 }),
      'no exp': mint({ exp: undefined }),
      'no iat': mint({ iat: undefined }),
      'no subject': mint({ sub: undefined }),
      'not valid yet': mint({ nbf: now + 3600 }),
      'critical header': mint({}, { crit: ['x'], x: 1 }),
      'b64 false': mint({}, { crit: ['b64'], b64: false }),
      'typ of an ID token': mint({}, { typ: 'JWT' }),
      'no typ': mint({}, { typ: undefined }),
      Ed448: mint({}, { alg: 'Ed448' }),
      'another case': mint({}, { alg: 'ed25519' })
    }
    for (const [name, token] of Object.entries(bad)) t.equal((await echo(app, token)).statusCode, 401, name)
  }
  const { app, issuer } = await served(t, { alg: 'Ed25519', env: { OAUTH2_ALGORITHMS: 'RS256,ES256' } })
  t.equal((await echo(app, issuer.mint())).statusCode, 401, 'not where it is not accepted')
})

t.test('holds keys by name and algorithm, and asks again when either is new', async t => {
  const { app, issuer } = await served(t, { alg: 'RS256', paces: { jwks: { gapMs: 0 }, maxFetches: 1000 } })
  const status = async (key: typeof issuer.keys[0]) => (await echo(app, issuer.mint({}, {}, key))).statusCode
  const rsa = issuer.keys[0]!
  t.equal(await status(rsa), 200)

  const pss = { ...rsa, alg: 'PS256', jwk: { ...rsa.jwk, alg: 'PS256' } }
  issuer.keys = [pss]
  t.equal(await status(pss), 200, 'the same key under the same name for another algorithm')
  t.equal(await status(rsa), 401, 'and no longer for the old one')

  issuer.keys = [rsa, pss]
  t.equal(await status(rsa), 200, 'both at once')
  t.equal(await status(pss), 200)

  const fresh = { ...makeKey('PS256'), kid: rsa.kid }
  fresh.jwk.kid = rsa.kid
  issuer.keys = [rsa, fresh]
  t.equal(await status(fresh), 200, 'another key under the same name for the same algorithm')
  t.equal(await status(pss), 401)
  const curve = { ...makeKey('ES256'), kid: rsa.kid }
  curve.jwk.kid = rsa.kid
  issuer.keys = [rsa, fresh, curve]
  t.equal(await status(curve), 200, 'of another type')
  t.equal(await status(rsa), 200)
})

t.test('serves an access token with a nonce, and no ID token', async t => {
  const { app, issuer } = await served(t, { env: { OAUTH2_TOKEN_TYP: 'jwt' } })
  const cases: Array<[string, Json, Json, number]> = [
    ['Keycloak before 25', { nonce: 'n', typ: 'Bearer', azp: 'app', client_id: undefined, session_state: 's' }, { typ: 'JWT' }, 200],
    ['typ at+jwt and a nonce', { nonce: 'n' }, {}, 200],
    ['a scope and a nonce', { nonce: 'n' }, { typ: 'JWT' }, 200],
    ['a type that only ends like one of an access token', {}, { typ: 'evil at+jwt' }, 401],
    ['a type glued to one of an access token', {}, { typ: 'xat+jwt' }, 401],
    ['a type of another family', {}, { typ: 'a/at+jwt' }, 401],
    ['a nonce and nothing that an access token has', { nonce: 'n', scope: undefined }, { typ: 'JWT' }, 401],
    ['Keycloak’s ID token', { nonce: 'n', typ: 'ID' }, { typ: 'JWT' }, 401],
    ['Keycloak’s refresh token', { typ: 'Refresh' }, { typ: 'JWT' }, 401],
    ['a hash of the access token', { at_hash: 'x' }, { typ: 'JWT' }, 401],
    ['an ID token that names its use', { token_use: 'id' }, { typ: 'JWT' }, 401],
    ['a refresh token that names its use', { token_use: 'refresh_token' }, { typ: 'JWT' }, 401],
    ['an access token that names its use', { token_use: 'access' }, { typ: 'JWT' }, 200],
    ['members that are null', { nonce: null, at_hash: null, jti: null, cnf: null, client_id: null, typ: null, nbf: null }, { typ: 'JWT' }, 200],
    ['a life that ends between seconds', { exp: Math.floor(Date.now() / 1000) + 60.5 }, { typ: 'JWT' }, 200],
    ['scopes as a list', { scope: ALL_SCOPES.split(' ') }, { typ: 'JWT' }, 200],
    ['a header whose typ is null', {}, { typ: null }, 200],
    ['a header whose typ is empty', {}, { typ: '' }, 401],
    ['audiences of a hundred clients', { aud: [...Array.from({ length: 100 }, (_, i) => `client-${i}`), AUDIENCE] }, { typ: 'JWT' }, 200],
    ['audiences of a hundred clients, not this server', { aud: Array.from({ length: 100 }, (_, i) => `client-${i}`) }, { typ: 'JWT' }, 401]
  ]
  for (const [name, claims, header, status] of cases) t.equal((await echo(app, issuer.mint(claims, header))).statusCode, status, name)
})

t.test('serves tokens of 16,000 characters, over a socket as well', async t => {
  const { app, issuer } = await served(t, { env: { OAUTH2_TOKEN_TYP: 'jwt' } })
  const groups = Array.from({ length: 140 }, () => randomUUID())
  const token = issuer.mint({ groups, filler: 'x'.repeat(6000) }, { typ: 'JWT' })
  const longest = issuer.mint({ groups, filler: 'x'.repeat(6000 + Math.floor((16_300 - token.length) * 3 / 4)) }, { typ: 'JWT' })
  t.ok(token.length > 8256 && longest.length > 16_000 && longest.length <= 16_384, `${token.length} and ${longest.length} characters`)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const over = await new Promise<number>((resolve, reject) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
    request({ port, path: '/mcp', method: 'POST', headers: { host: 'localhost:3000', authorization: `Bearer ${longest}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'x-filler': 'x'.repeat(8000) } },
      response => { response.resume(); resolve(response.statusCode!) }).on('error', reject).end(body)
  })
  t.equal(over, 200)
  t.equal((await echo(app, 'e'.repeat(16_385))).statusCode, 400)
})

t.test('an expired token of a good signature is answered 401, however many come from one address', async t => {
  const { app, issuer, store } = await served(t)
  const now = Math.floor(Date.now() / 1000)
  const ask = async (key: string) => (await modern(app, 'tools/list', {}, { key, address: '192.0.2.77' })).statusCode
  for (let i = 0; i < 50; i++) t.equal(await ask(issuer.mint({ sub: `user-${i}`, iat: now - 7200, exp: now - 60 })), 401)
  const same = issuer.mint({ iat: now - 7200, exp: now - 60 })
  for (let i = 0; i < 50; i++) t.equal(await ask(same), 401, 'the same one, over and over')
  const revoked = issuer.mint({ jti: 'gone' })
  await store.revocations.set('jti:gone', { since: Date.now(), until: Date.now() + 60_000 })
  for (let i = 0; i < 30; i++) t.equal(await ask(revoked), 401, 'a revoked one')
  t.equal(await ask(issuer.mint()), 200)

  const statuses = []
  for (let i = 0; i < 25; i++) statuses.push(await ask(issuer.mint({ iat: now - 7200, exp: now - 60 }, {}, { ...makeKey(), kid: issuer.keys[0]!.kid })))
  t.equal(statuses.filter(status => status === 401).length, 20, 'expired, but of another’s signature: a guess like any other')
  t.equal(statuses.at(-1), 429)
})

t.test('the log says what was seen and what was wanted; the answer does not', async t => {
  const { app, issuer, lines } = await served(t)
  const other = await startIssuer(t)
  const cases: Array<[string, string, RegExp[]]> = [
    ['another issuer', other.mint(), [/token of issuer/, new RegExp(other.url), new RegExp(`trusted: "${issuer.url}"`), /OAUTH2_AUTH_SERVER/]],
    ['no issuer', issuer.mint({ iss: undefined }), [/token of issuer none/]],
    ['another audience', issuer.mint({ aud: 'https://seen.example' }), [/"https:\/\/seen.example" seen/, new RegExp(`"${AUDIENCE}" wanted`), /OAUTH2_AUDIENCE/]],
    ['several audiences', issuer.mint({ aud: ['https://a.example', 'https://b.example'] }), [/\["https:\/\/a.example","https:\/\/b.example"\] seen/]],
    ['no audience', issuer.mint({ aud: undefined }), [/aud/]],
    ['null', issuer.mint({ aud: null }), [/^token: audience: null seen, a text or a list of texts wanted/]],
    ['null beside what is wanted', issuer.mint({ aud: [AUDIENCE, null] }), [/,null\] seen, a text or a list of texts wanted/]],
    ['a number', issuer.mint({ aud: 7 }), [/7 seen, a text or a list of texts wanted/]],
    ['another typ', issuer.mint({}, { typ: 'JWT' }), [/typ "JWT"/, /OAUTH2_TOKEN_TYP/]],
    ['another algorithm', issuer.mint({}, { alg: 'ES512' }), [/alg "ES512"/, /OAUTH2_ALGORITHMS/]],
    ['a name without end', issuer.mint({ iss: 'x'.repeat(5000) }), [/x{100}…/]],
    ['opaque', 'an-opaque-token', [/not a JWT, and no introspection is configured/]]
  ]
  for (const [name, token, patterns] of cases) {
    const before = lines.length
    const response = await echo(app, token)
    t.equal(response.statusCode, 401, name)
    const why = lines.slice(before).map(({ why }) => why).find(why => typeof why === 'string')
    for (const pattern of patterns) t.match(why, pattern, name)
    t.ok(String(why).length < 700, `${name}: a line of bounded length`)
    for (const told of ['seen', 'trusted', 'OAUTH2', issuer.url]) t.notOk(response.body.includes(told), `${name}: ${told}`)
  }
})

t.test('lets API keys and tokens live side by side', async t => {
  const { app, store, issuer } = await served(t)
  const { key } = await addKey(store)
  t.equal((await echo(app, key)).statusCode, 200)
  t.equal((await echo(app, issuer.mint())).statusCode, 200)
  t.equal((await modern(app, 'tools/list', {}, { headers: { 'x-api-key': issuer.mint() }, address: '192.0.2.9' })).statusCode, 401, 'a token is not a key')
})

t.test('counts a subject and client together, whatever token they bring', async t => {
  const { app, issuer } = await served(t, { env: { RATE_LIMIT_OAUTH2: '3' } })
  for (let i = 0; i < 3; i++) t.equal((await echo(app, issuer.mint())).statusCode, 200)
  t.equal((await echo(app, issuer.mint())).statusCode, 429)
  t.equal((await echo(app, issuer.mint({ client_id: 'client-2' }))).statusCode, 200)
  t.equal((await echo(app, issuer.mint({ sub: 'bob:client-1' }))).statusCode, 200)
})

t.test('never serves a token past its end, cached or not', async t => {
  const { app, issuer } = await served(t)
  const exp = Date.now() / 1000 + 5
  const token = issuer.mint({ exp })
  t.equal((await echo(app, token)).statusCode, 200)
  await until(() => Date.now() / 1000 > exp)
  t.equal((await echo(app, token)).statusCode, 401)
})

t.test('ends tokens by jti, subject and client at once, cached or not, and lets a newer one in', async t => {
  const { app, store, issuer } = await served(t)
  const then = Math.floor(Date.now() / 1000) - 60
  const [token, same, other] = [issuer.mint({ jti: 'one', iat: then }), issuer.mint({ jti: 'two', iat: then }), issuer.mint({ sub: 'bob', client_id: 'client-2', iat: then })]
  for (const each of [token, same, other]) t.equal((await echo(app, each)).statusCode, 200)

  await store.revocations.set('jti:one', { since: Date.now(), until: Date.now() + 60_000 })
  t.equal((await echo(app, token)).statusCode, 401)
  t.equal((await echo(app, same)).statusCode, 200)

  await store.revocations.set('sub:ada', { since: Date.now() - 20_000, until: Date.now() + 60_000 })
  t.equal((await echo(app, same)).statusCode, 401)
  t.equal((await echo(app, issuer.mint())).statusCode, 200, 'issued after')

  await store.revocations.set('client:client-2', { since: Date.now() })
  t.equal((await echo(app, other)).statusCode, 401)
  t.match(JSON.stringify(await store.revocations.entries().get('jti:one')), /until/)
})

t.test('keeps hashes of tokens, never tokens', async t => {
  const { app, lines, issuer } = await served(t, { env: { MCP_DEBUG: 'true' } })
  const [good, bad] = [issuer.mint({ jti: randomUUID() }), issuer.mint({ aud: 'x' })]
  await echo(app, good)
  await echo(app, bad)
  const log = JSON.stringify(lines)
  for (const token of [good, bad]) {
    t.notOk(log.includes(token))
    t.notOk(log.includes(token.split('.')[2]!))
    t.notOk(log.includes(createHash('sha256').update(token).digest('base64url')))
  }
})
