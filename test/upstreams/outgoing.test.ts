import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Outgoing, UpstreamTokens, type ResolvedAuth } from '../../src/upstreams/outgoing.ts'
import { UndiciWire } from '../../src/upstreams/wire-http.ts'
import type { WireCaller, WireFailure } from '../../src/upstreams/wire.ts'

interface Seen { url: string, headers: IncomingMessage['headers'], body: string }
type Reply = (seen: Seen, response: ServerResponse, number: number) => void

/** A server that keeps every request as it came. */
async function recording (t: Test, reply: Reply): Promise<{ url: URL, seen: Seen[] }> {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    const one = { url: request.url!, headers: request.headers, body: await textOf(request) }
    reply(one, response, seen.push(one))
  }).listen(0, '127.0.0.1')
  t.teardown(() => new Promise(resolve => { server.close(resolve); server.closeAllConnections() }))
  await once(server, 'listening')
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), seen }
}

const json = (response: ServerResponse, body: object, status = 200) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
const token = (life = 3600): Reply => (_, response, number) => json(response, { access_token: `token-${number}`, token_type: 'Bearer', expires_in: life })
const answer: Reply = (_, response) => json(response, { jsonrpc: '2.0', id: 1, result: {} })

const AUTH: ResolvedAuth = { type: 'client_credentials', tokenUrl: undefined, issuer: undefined, clientId: 'gateway', clientSecret: 'c-secret', scope: undefined, resource: undefined, audience: undefined }

function tokensOf (t: Test, auth: Partial<ResolvedAuth>): UpstreamTokens {
  const tokens = new UpstreamTokens({ ...AUTH, ...auth })
  t.teardown(() => tokens.close())
  return tokens
}

function wireOf (t: Test, url: URL, outgoing: Outgoing): (caller?: WireCaller) => Promise<WireFailure | undefined> {
  const none = () => {}
  const wire = new UndiciWire({ url, network: undefined, outgoing, maxAnswerBytes: 100_000, maxInFlight: 16, log: { debug: none, info: none, warn: none, error: none } })
  t.teardown(() => wire.close())
  wire.onText = (_text, exchange) => { exchange!.answered = true; return true }
  return caller => new Promise(resolve => wire.send('{"jsonrpc":"2.0","id":1,"method":"ping"}', { ...(caller === undefined ? {} : { caller }), onEnd: resolve }))
}

const callerOf = (headers: Record<string, string>, subject?: string): WireCaller => ({ header: name => headers[name], subjectToken: () => subject })

t.test('headers of the file win over those of the caller, and credentials of a caller never go on', async t => {
  const { url, seen } = await recording(t, answer)
  const forwardHeaders = ['x-tenant', 'x-fixed', 'authorization', 'cookie', 'x-api-key', 'host', 'mcp-session-id', 'x-forwarded-for', 'x-upstream-authorization', 'proxy-authorization', 'dpop', 'connection', 'content-length', 'x-bad']
  const ask = wireOf(t, url, new Outgoing({ headers: { 'x-fixed': 'ours', authorization: 'Bearer ours' }, forwardHeaders }))
  const caller = callerOf({ ...Object.fromEntries(forwardHeaders.map(name => [name, 'theirs'])), 'x-bad': 'a\r\nx-injected: 1', 'x-other': 'theirs' })
  t.equal(await ask(caller), undefined)
  t.match(seen[0]!.headers, { 'x-tenant': 'theirs', 'x-fixed': 'ours', authorization: 'Bearer ours', host: url.host })
  t.strictSame(Object.values(seen[0]!.headers).filter(value => value === 'theirs').length, 1)
  t.equal(seen[0]!.headers['x-injected'], undefined)
})

t.test('a value with a line break is no header', async t => {
  for (const value of ['a\r\nb: c', 'a\nb', 'a\0b', 'ä€']) t.throws(() => new Outgoing({ headers: { a: value }, forwardHeaders: [] }), { message: /its header a has a character/ })
})

t.test('credentials of a client: one request for all that wait, in the form of the standard', async t => {
  const server = await recording(t, token())
  const upstream = await recording(t, answer)
  const ask = wireOf(t, upstream.url, new Outgoing({ headers: {}, forwardHeaders: [], tokens: tokensOf(t, { tokenUrl: server.url.href, scope: 'a b', resource: 'https://r.example', clientId: 'id:x' }) }))
  const failures = await Promise.all(Array.from({ length: 50 }, () => ask()))
  t.strictSame(failures.filter(Boolean), [])
  t.equal(server.seen.length, 1)
  t.strictSame(Object.fromEntries(new URLSearchParams(server.seen[0]!.body)), { grant_type: 'client_credentials', scope: 'a b', resource: 'https://r.example' })
  // RFC 6749 §2.3.1: each part is form-encoded first.
  const [scheme, encoded] = server.seen[0]!.headers.authorization!.split(' ')
  t.strictSame([scheme, ...Buffer.from(encoded!, 'base64').toString().split(':').map(decodeURIComponent)], ['Basic', 'id:x', 'c-secret'])
  t.strictSame([...new Set(upstream.seen.map(({ headers }) => headers.authorization))], ['Bearer token-1'])
})

t.test('a token is fetched anew near its end, and not used after', async t => {
  const { url, seen } = await recording(t, token(1))
  const tokens = tokensOf(t, { tokenUrl: url.href })
  t.equal(await tokens.get(undefined), 'token-1')
  await new Promise(resolve => setTimeout(resolve, 1100))
  t.equal(await tokens.get(undefined), 'token-2')
  t.equal(seen.length, 2)
})

t.test('a token that was just fetched and refused is not fetched again for each call', async t => {
  const server = await recording(t, token())
  const upstream = await recording(t, (_, response) => response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end())
  const ask = wireOf(t, upstream.url, new Outgoing({ headers: {}, forwardHeaders: [], tokens: tokensOf(t, { tokenUrl: server.url.href }) }))
  for (let i = 0; i < 5; i++) t.match(await ask(), { kind: 'refused', status: 401 })
  t.equal(server.seen.length, 1)
})

t.test('a token endpoint in trouble is asked once a second, and the call says why', async t => {
  const refusing = await recording(t, (_, response) => json(response, { error: 'invalid_client', error_description: 'secret c-secret is wrong' }, 401))
  const upstream = await recording(t, answer)
  const ask = wireOf(t, upstream.url, new Outgoing({ headers: {}, forwardHeaders: [], tokens: tokensOf(t, { tokenUrl: refusing.url.href }) }))
  for (let i = 0; i < 5; i++) t.strictSame(await ask(), { kind: 'unreachable', message: 'cannot be asked: its token endpoint refused (invalid_client)', sent: false })
  t.equal(refusing.seen.length, 1)
  t.equal(upstream.seen.length, 0)
})

t.test('an issuer of the file is discovered, and nothing it redirects to is asked', async t => {
  const thief = await recording(t, token())
  const issuer = await recording(t, ({ url }, response) => {
    const { host } = issuer.url
    if (url.startsWith('/.well-known/')) json(response, { issuer: `http://${host}`, token_endpoint: `http://${host}/token`, token_endpoint_auth_methods_supported: ['client_secret_post'] })
    else json(response, { access_token: 'token', token_type: 'bearer' })
  })
  t.equal(await tokensOf(t, { issuer: issuer.url.origin }).get(undefined), 'token')
  t.match(issuer.seen.at(-1), { url: '/token', body: /client_secret=c-secret/ })

  for (const status of [301, 307, 308]) {
    const redirecting = await recording(t, (_, response) => response.writeHead(status, { location: thief.url.href }).end())
    await t.rejects(Promise.resolve(tokensOf(t, { tokenUrl: redirecting.url.href }).get(undefined)), { name: 'TokenTrouble' })
    await t.rejects(Promise.resolve(tokensOf(t, { issuer: redirecting.url.origin }).get(undefined)), { name: 'TokenTrouble' })
  }
  const lying = await recording(t, (_, response) => json(response, { issuer: thief.url.origin, token_endpoint: thief.url.href }))
  await t.rejects(Promise.resolve(tokensOf(t, { issuer: lying.url.origin }).get(undefined)), { name: 'TokenTrouble' })
  t.strictSame(thief.seen, [])
})

t.test('an upstream that names an authorization server gets no secret there', async t => {
  const thief = await recording(t, token())
  const server = await recording(t, token())
  const upstream = await recording(t, (_, response) => response.writeHead(401, {
    'www-authenticate': `Bearer resource_metadata="${thief.url.href}.well-known/oauth-protected-resource", error="invalid_token"`, location: thief.url.href, link: `<${thief.url.href}>; rel="authorization_server"`
  }).end())
  const ask = wireOf(t, upstream.url, new Outgoing({ headers: {}, forwardHeaders: [], tokens: tokensOf(t, { tokenUrl: server.url.href }) }))
  t.match(await ask(), { status: 401 })
  t.strictSame(thief.seen, [])
})

t.test('a token in exchange for that of the caller goes to the token endpoint alone, one for each caller', async t => {
  const server = await recording(t, token())
  const upstream = await recording(t, answer)
  const ask = wireOf(t, upstream.url, new Outgoing({ headers: {}, forwardHeaders: ['x-tenant'], tokens: tokensOf(t, { type: 'token_exchange', tokenUrl: server.url.href, audience: 'jira' }) }))
  for (const subject of ['subject-a', 'subject-b', 'subject-a']) t.equal(await ask(callerOf({ authorization: `Bearer ${subject}`, 'x-tenant': '1' }, subject)), undefined)
  t.equal(server.seen.length, 2)
  t.match(Object.fromEntries(new URLSearchParams(server.seen[0]!.body)), {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: 'subject-a', subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', audience: 'jira'
  })
  t.strictSame(upstream.seen.map(({ headers }) => headers.authorization), ['Bearer token-1', 'Bearer token-2', 'Bearer token-1'])
  t.notMatch(JSON.stringify(upstream.seen), /subject-/)
  t.match(await ask(callerOf({ 'x-api-key': 'mcpk_x' })), { kind: 'unreachable', message: /needs a signed-in user/, sent: false })
  t.match(await ask(), { message: /needs a signed-in user/ })
  t.equal(upstream.seen.length, 3)
})

t.test('an exchanged token is not used after the end of what it was made from', async t => {
  const { url, seen } = await recording(t, token())
  const tokens = tokensOf(t, { type: 'token_exchange', tokenUrl: url.href })
  const subject = `x.${Buffer.from(JSON.stringify({ exp: Math.floor(Date.now() / 1000) + 1 })).toString('base64url')}.x`
  await tokens.get(callerOf({}, subject))
  await new Promise(resolve => setTimeout(resolve, 1100))
  await tokens.get(callerOf({}, subject))
  t.equal(seen.length, 2)
})
