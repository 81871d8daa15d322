/** What clients find that look for an authorization server at this origin. */
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { auth, type OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js'
import t, { type Test } from 'tap'
import { startIssuer } from '../auth/oauth2/issuer.ts'
import { addKey, build, modern, type Built } from '../support/app.ts'
import { fetched } from '../support/npm.ts'
import { freePort } from '../support/redis.ts'
import { until } from '../support/until.ts'

const HOST = { host: 'localhost:3000' }
const PLACES = ['/register', '/authorize', '/token', '/.well-known/oauth-authorization-server', '/.well-known/oauth-authorization-server/mcp', '/.well-known/openid-configuration', '/mcp/.well-known/openid-configuration']

/** The app on a port, under a name that clients can use. */
async function listening (t: Test, env: Record<string, string> = {}): Promise<Built & { origin: string }> {
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const built = await build(t, { env: { PUBLIC_URL: origin, ...env } })
  await built.app.listen({ host: '127.0.0.1', port })
  return { ...built, origin }
}

/** The least that a client keeps of its login. */
class Provider implements OAuthClientProvider {
  visited: URL | undefined
  registered: any
  verifier = ''
  readonly redirectUrl = 'http://127.0.0.1:9/callback'
  readonly clientMetadata = { redirect_uris: [this.redirectUrl], client_name: 'old', token_endpoint_auth_method: 'none' }
  clientInformation () { return this.registered }
  saveClientInformation (information: unknown) { this.registered = information }
  tokens () { return undefined }
  saveTokens () {}
  redirectToAuthorization (url: URL) { this.visited = url }
  saveCodeVerifier (verifier: string) { this.verifier = verifier }
  codeVerifier () { return this.verifier }
}

t.test('with OAuth off every place where clients look for it says that an API key is wanted', async t => {
  const { app } = await build(t)
  for (const url of [...PLACES, '/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp']) {
    for (const method of ['GET', 'POST'] as const) {
      const response = await app.inject({ method, url, headers: { ...HOST, ...(method === 'POST' ? { 'content-type': 'application/json' } : {}) }, ...(method === 'POST' ? { payload: '{"redirect_uris":[]}' } : {}) })
      t.equal(response.statusCode, 404, `${method} ${url}`)
      t.match(response.headers['content-type'], /^application\/json/)
      t.match(response.json(), { error: 'NOT_FOUND', error_description: /OAuth is off here: this server takes an API key/ })
    }
  }
  const other = await app.inject({ url: '/nothing', headers: HOST })
  t.strictSame(other.json().error_description, undefined, 'other paths have no such sentence')
})

t.test('a client with a wrong API key shows that sentence to its user', async t => {
  const { origin, app, store } = await listening(t)
  const { key } = await addKey(store)
  t.equal((await modern(app, 'tools/list', {}, { key: `${key}x`, headers: { host: new URL(origin).host } })).statusCode, 401)
  await t.rejects(auth(new Provider(), { serverUrl: `${origin}/mcp` }), { message: /OAuth is off here: this server takes an API key/ })
})

t.test('with OAuth on they name the authorization server, and lead there if the setting says so', async t => {
  const issuer = await startIssuer(t)
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url } })
  for (const url of PLACES) {
    const response = await app.inject({ url, headers: HOST })
    t.equal(response.statusCode, 404, url)
    t.match(response.json(), { error: 'NOT_FOUND', error_description: new RegExp(issuer.url) })
  }
})

t.test('a client of revision 2025-03-26 finds the authorization server by our origin', async t => {
  const issuer = await startIssuer(t, { path: '/realm' })
  const { origin } = new URL(issuer.url)
  const place = '/realm/.well-known/openid-configuration'
  issuer.bend.set('/.well-known/oauth-authorization-server/realm', issuer.json({}, 404))
  issuer.bend.set(place, issuer.json({ issuer: issuer.url, jwks_uri: `${origin}/jwks`, authorization_endpoint: `${origin}/login`, token_endpoint: `${origin}/token`, registration_endpoint: `${origin}/reg`, response_types_supported: ['code'], code_challenge_methods_supported: ['S256'] }))
  issuer.bend.set('/reg', (request, response) => issuer.json({ client_id: 'registered', ...JSON.parse(request.body) }, 201)(request, response))
  const ours = await listening(t, { OAUTH2_AUTH_SERVER: issuer.url, OAUTH2_LEGACY_DISCOVERY: 'true' })
  const redirect = async () => await fetch(`${ours.origin}/.well-known/oauth-authorization-server`, { redirect: 'manual' })
  t.ok(await until(async () => (await redirect()).status === 307))
  t.equal((await redirect()).headers.get('location'), origin + place, 'where the metadata was found')

  const sdk = join(fetched('mcp-sdk-1.10', ['@modelcontextprotocol/sdk@1.10.2']), 'node_modules/@modelcontextprotocol/sdk/dist/esm/client/auth.js')
  const old = await import(pathToFileURL(sdk).href) as { auth: (provider: Provider, options: { serverUrl: string }) => Promise<string> }
  const provider = new Provider()
  t.equal(await old.auth(provider, { serverUrl: `${ours.origin}/mcp` }), 'REDIRECT')
  t.equal(provider.registered.client_id, 'registered')
  t.equal(provider.visited!.origin + provider.visited!.pathname, `${origin}/login`)
})

t.test('a server whose metadata is not known yet is answered 503, not with a guess', async t => {
  const issuer = await startIssuer(t)
  issuer.bend.set('/.well-known/oauth-authorization-server', issuer.json({}, 404))
  issuer.bend.set('*', issuer.json({}, 404))
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url, OAUTH2_LEGACY_DISCOVERY: 'true' } })
  const response = await app.inject({ url: '/.well-known/oauth-authorization-server', headers: HOST })
  t.equal(response.statusCode, 503)
  t.ok(response.headers['retry-after'])
})
