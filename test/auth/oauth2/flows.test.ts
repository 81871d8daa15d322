import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError, type OAuthClientProvider } from '@modelcontextprotocol/client'
import { Redis } from 'ioredis'
import { chromium as browserType } from 'playwright-core'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts'
import { chromium } from '../../support/chromium.ts'
import { freePort } from '../../support/redis.ts'
import { until } from '../../support/until.ts'
import { defineTool } from '../../../src/tools/tool.ts'
import { build, MODERN, modern, redisUrl, type Built } from '../../support/app.ts'

const SCOPES = ['mcp:server:access', 'mcp:tool:*', 'mcp:tool:echo', 'mcp:tool:get_time']
const SECRET = 'a-login-secret-of-the-test-0123456789'

/** Our server on a port, beside an authorization server that knows it. */
async function pair (t: Test, { format = 'jwt', env = {}, documents = {} }: { format?: 'jwt' | 'opaque', env?: Record<string, string>, documents?: Record<string, object> } = {}): Promise<Built & { origin: string, server: AuthorizationServer, tokens: Set<string> }> {
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const server = await startAuthorizationServer({
    resource: `${origin}/mcp`,
    scopes: SCOPES,
    format,
    documents,
    clients: [{
      client_id: 'login', client_secret: SECRET, redirect_uris: [`${origin}/oauth/callback`], grant_types: ['authorization_code', 'client_credentials', 'refresh_token'], response_types: ['code']
    }]
  })
  const built = await build(t, {
    env: { PUBLIC_URL: origin, OAUTH2_AUTH_SERVER: server.issuer, OAUTH2_CLIENT_ID: 'login', OAUTH2_CLIENT_SECRET: SECRET, ...env }
  })
  await built.app.listen({ host: '127.0.0.1', port })
  t.teardown(() => server.close())
  // On a busy machine the start takes so long that the server refuses what comes in the same breath.
  const url = `${origin}/.well-known/oauth-protected-resource`
  await until(async () => (await fetch(url)).ok)
  return { ...built, origin, server, tokens: new Set() }
}

/** A person's browser, as far as it is needed: follows redirects, keeps cookies, says yes. Stops at the client's own address. */
async function consent (start: URL, stop: string): Promise<URL> {
  const jar = new Map<string, string>()
  let url = start
  let init: RequestInit = {}
  for (let step = 0; step < 20; step++) {
    if (url.href.startsWith(stop)) return url
    const response = await fetch(url, { ...init, redirect: 'manual', headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') } })
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';', 1)[0]!.split('=', 2) as [string, string]
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    const location = response.headers.get('location')
    if (location !== null) {
      url = new URL(location, url)
      init = {}
    } else if (url.pathname.startsWith('/interaction/')) {
      init = { method: 'POST', body: new URLSearchParams({ name: 'ada' }) }
    } else {
      throw new Error(`stopped at ${url.pathname}: ${response.status} ${await response.text()}`)
    }
  }
  throw new Error('too many steps')
}

const REDIRECT = 'http://127.0.0.1:9/callback'

/** What a client keeps of its logins, in memory. */
class Provider implements OAuthClientProvider {
  visited: URL[] = []
  registered: any
  saved: any
  verifier = ''
  discovered: any
  readonly clientMetadataUrl?: string
  readonly #dpop: DpopSession | undefined

  constructor (url?: string, dpop?: DpopSession) {
    if (url !== undefined) this.clientMetadataUrl = url
    this.#dpop = dpop
  }

  get redirectUrl () { return REDIRECT }
  get clientMetadata () {
    return { client_name: 'test', redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] }
  }

  clientInformation () { return this.registered }
  saveClientInformation (information: unknown) { this.registered = information }
  tokens () { return this.saved }
  saveTokens (tokens: unknown) { this.saved = tokens }
  redirectToAuthorization (url: URL) { this.visited.push(url) }
  saveCodeVerifier (verifier: string) { this.verifier = verifier }
  codeVerifier () { return this.verifier }
  saveDiscoveryState (state: unknown) { this.discovered = state }
  discoveryState () { return this.discovered }
  async dpop () { return this.#dpop }
}

const DOCUMENT = 'https://client.example/metadata.json'

for (const era of ['modern', 'legacy'] as const) {
  for (const how of ['registration', 'a metadata document'] as const) {
    t.test(`a ${era} client that knows our URL alone logs in by ${how}, calls, steps up and calls`, async t => {
      const { origin, server, lines } = await pair(t, {
        env: { OAUTH2_LOGIN_SCOPES: 'mcp:server:access mcp:tool:get_time' },
        documents: { [DOCUMENT]: { client_id: DOCUMENT, ...new Provider().clientMetadata } }
      })
      const provider = new Provider(how === 'registration' ? undefined : DOCUMENT)
      const connect = async () => {
        const transport = new StreamableHTTPClientTransport(new URL(`${origin}/mcp`), { authProvider: provider })
        const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: era === 'modern' ? { pin: MODERN } : 'legacy' } })
        return { transport, client, connecting: client.connect(transport) }
      }

      const first = await connect()
      await t.rejects(first.connecting, UnauthorizedError)
      t.equal(provider.visited.length, 1)
      const asked = provider.visited[0]!.searchParams
      t.equal(provider.visited[0]!.origin, server.issuer)
      t.equal(asked.get('resource'), `${origin}/mcp`)
      t.equal(asked.get('code_challenge_method'), 'S256')
      t.equal(asked.get('scope')!.replace(' offline_access', ''), 'mcp:server:access mcp:tool:get_time')
      t.equal(server.counts['/reg'] ?? 0, how === 'registration' ? 1 : 0)

      await first.transport.finishAuth((await consent(provider.visited[0]!, REDIRECT)).searchParams)
      const second = await connect()
      await second.connecting
      t.strictSame((await second.client.listTools()).tools.map(({ name }) => name), ['get_time'], 'the first login is enough for a list')

      // The first call needs more than the token has: 403, all that is needed in one challenge, and again through the login.
      await t.rejects(second.client.callTool({ name: 'echo', arguments: { text: 'one' } }), UnauthorizedError)
      t.equal(provider.visited.length, 2)
      t.strictSame(provider.visited[1]!.searchParams.get('scope')!.split(' ').filter(scope => scope.startsWith('mcp:')), ['mcp:server:access', 'mcp:tool:get_time', 'mcp:tool:echo'])
      await second.transport.finishAuth((await consent(provider.visited[1]!, REDIRECT)).searchParams)

      const third = await connect()
      await third.connecting
      t.match(await third.client.callTool({ name: 'echo', arguments: { text: 'two' } }), { content: [{ text: 'two' }] })
      t.strictSame((await third.client.listTools()).tools.map(({ name }) => name), ['echo', 'get_time'])
      t.notOk(JSON.stringify(lines).includes(provider.saved.access_token))
      for (const { client } of [second, third]) await client.close()
    })
  }
}

t.test('a client that holds a key proves it with each request', async t => {
  const { origin, app } = await pair(t)
  const provider = new Provider(undefined, await DpopSession.create())
  const url = new URL(`${origin}/mcp`)
  const first = new StreamableHTTPClientTransport(url, { authProvider: provider })
  await t.rejects(new Client({ name: 'test', version: '1' }).connect(first), UnauthorizedError)
  const asked = provider.visited[0]!
  asked.searchParams.set('scope', 'mcp:server:access mcp:tool:*')
  await first.finishAuth((await consent(asked, REDIRECT)).searchParams)
  t.match(provider.saved, { token_type: 'DPoP' })

  const client = new Client({ name: 'test', version: '1' })
  await client.connect(new StreamableHTTPClientTransport(url, { authProvider: provider }))
  t.match(await client.callTool({ name: 'echo', arguments: { text: 'bound' } }), { content: [{ text: 'bound' }] })
  await client.close()
  const stolen = await modern(app, 'tools/list', {}, { key: provider.saved.access_token, headers: { host: url.host } })
  t.equal(stolen.statusCode, 401, 'the token alone opens nothing')
})

t.test('opaque tokens are introspected, and refresh tokens open nothing', async t => {
  const { app, origin, server } = await pair(t, { format: 'opaque' })
  const ask = async (fields: Record<string, string>) => await (await fetch(`${server.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`login:${SECRET}`).toString('base64')}` },
    body: new URLSearchParams({ resource: `${origin}/mcp`, ...fields })
  })).json() as { access_token: string, refresh_token?: string }
  const { access_token: token } = await ask({ grant_type: 'client_credentials', scope: 'mcp:server:access mcp:tool:*' })
  const { host } = new URL(origin)
  const call = (key: string) => modern(app, 'tools/call', { name: 'echo', arguments: { text: 'hi' } }, { key, headers: { host } })
  t.notMatch(token, /\./)
  t.equal((await call(token)).statusCode, 200)
  t.equal((await call(token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A'))).statusCode, 401)

  const provider = new Provider()
  const transport = new StreamableHTTPClientTransport(new URL(`${origin}/mcp`), { authProvider: provider })
  await t.rejects(new Client({ name: 'test', version: '1' }).connect(transport), UnauthorizedError)
  await transport.finishAuth((await consent(provider.visited[0]!, REDIRECT)).searchParams)
  t.type(provider.saved.refresh_token, 'string')
  t.equal((await call(provider.saved.refresh_token)).statusCode, 401)
})

t.test('a person logs in by browser, sees what the token may, and uses it', async t => {
  const { app, origin, lines } = await pair(t)
  const { program, env } = chromium()
  const browser = await browserType.launch({ executablePath: program, args: ['--no-sandbox', '--disable-gpu'], env: env as Record<string, string> })
  t.teardown(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 960, height: 900 } })
  const problems: string[] = []
  page.on('console', message => { if (message.type() === 'error') problems.push(message.text()) })
  const elsewhere: string[] = []
  page.on('request', request => { if (!request.url().startsWith(origin) && !request.url().startsWith('http://127.0.0.1:')) elsewhere.push(request.url()) })

  await page.goto(`${origin}/oauth/login`)
  await page.fill('input[name=name]', 'ada')
  await page.click('button')
  if (await page.locator('button').count() > 0 && !page.url().startsWith(origin)) await page.click('button')
  await page.waitForURL(`${origin}/oauth/callback**`)

  t.match(await page.locator('main').innerText(), /Logged in as ada[\s\S]*mcp:server:access[\s\S]*mcp:tool:\*[\s\S]*Valid until/)
  t.notOk(await page.locator('#token').isVisible(), 'the token is hidden')
  const shots = join(import.meta.dirname, '..', '..', '.cache', 'screenshots')
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: join(shots, 'login.png'), fullPage: true })
  await page.click('summary')
  const token = await page.locator('#token').innerText()
  await page.screenshot({ path: join(shots, 'login-token.png'), fullPage: true, mask: [page.locator('pre').nth(1), page.locator('pre').nth(2)] })
  t.ok(readFileSync(join(shots, 'login.png')).length > 10_000)
  t.strictSame(problems.filter(text => !text.includes('404')), [], 'nothing offends the policy')
  t.strictSame(elsewhere, [])

  const response = await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'hi' } }, { key: token, headers: { host: new URL(origin).host } })
  t.equal(response.statusCode, 200)
  t.notOk(JSON.stringify(lines).includes(token))
  t.notOk(JSON.stringify(lines).includes('code='))

  await page.reload()
  t.match(await page.locator('main').innerText(), /You are not logged in\.\s+This browser did not begin this login/, 'a code is good once')
})

t.test('a login that goes wrong is a page for people, and a forged answer is not exchanged', async t => {
  const { app, origin, server } = await pair(t)
  const { host } = new URL(origin)
  const visit = (url: string, cookie = '') => app.inject({ url, headers: { host, ...(cookie === '' ? {} : { cookie }) } })
  const begun = await visit('/oauth/login?scope=mcp:tool:get_*%20mcp:server:access')
  t.equal(begun.statusCode, 302)
  const sent = new URL(begun.headers.location as string)
  t.equal(sent.searchParams.get('scope'), 'mcp:tool:get_* mcp:server:access')
  const cookie = (begun.headers['set-cookie'] as string[]).map(line => line.split(';')[0]).join('; ')
  const state = encodeURIComponent(sent.searchParams.get('state')!)
  const iss = encodeURIComponent(server.issuer)

  const cases: Array<[string, string, string]> = [
    ['no state', `/oauth/callback?code=x&iss=${iss}`, cookie],
    ['another browser', `/oauth/callback?code=x&state=${state}&iss=${iss}`, ''],
    ['a state that was not made here', '/oauth/callback?code=x&state=a.b', 'oauth2-redirect-state=a.b'],
    ['another issuer', `/oauth/callback?code=x&state=${state}&iss=https%3A%2F%2Fevil.example`, cookie],
    ['no issuer where it is promised', `/oauth/callback?code=x&state=${state}`, cookie],
    ['refused', '/oauth/callback?error=access_denied&error_description=%3Cscript%3E', cookie],
    ['an error that is not one', '/oauth/callback?error=%3Cscript%3E', cookie],
    ['an error with a name that every object has', '/oauth/callback?error=constructor', cookie],
    ['a scope that is not offered', '/oauth/login?scope=admin', ''],
    ['a scope twice', '/oauth/login?scope=mcp:server:access&scope=admin', '']
  ]
  const before = server.counts['/token'] ?? 0
  for (const [name, url, cookies] of cases) {
    const response = await visit(url, cookies)
    t.equal(response.statusCode, 400, name)
    t.match(response.headers['content-type'], /^text\/html/)
    t.match(response.headers['content-security-policy'], /^default-src 'none'; style-src 'sha256-/)
    t.notMatch(response.body, /<script| {4}at |Error:|native code/, name)
  }
  t.equal(server.counts['/token'] ?? 0, before, 'nothing was exchanged')

  const wrong = await visit(`/oauth/callback?code=wrong&state=${state}&iss=${iss}`, cookie)
  t.equal(wrong.statusCode, 502)
  t.match(wrong.body, /did not give a token/)
  await server.close()
  t.equal((await visit(`/oauth/callback?code=wrong&state=${state}&iss=${iss}`, cookie)).statusCode, 502)
})

t.test('no token leaves: not to a log, not to Redis, not to what a tool asks', async t => {
  const heard: string[] = []
  const upstream = createServer((request, response) => {
    heard.push(JSON.stringify(request.headers))
    response.end('{}')
  })
  await new Promise<void>(resolve => upstream.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise<void>(resolve => { upstream.close(() => resolve()); upstream.closeAllConnections() }))
  const url = `http://127.0.0.1:${(upstream.address() as { port: number }).port}`

  for (const format of ['jwt', 'opaque'] as const) {
    const port = await freePort()
    const origin = `http://localhost:${port}`
    const server = await startAuthorizationServer({
      resource: `${origin}/mcp`, scopes: SCOPES, format, clients: [{ client_id: 'm2m', client_secret: SECRET, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }]
    })
    t.teardown(() => server.close())
    const { app, lines, config } = await build(t, {
      env: {
        PUBLIC_URL: origin, REDIS_URL: redisUrl, MCP_DEBUG: 'true', OAUTH2_AUTH_SERVER: server.issuer, OAUTH2_CLIENT_ID: 'm2m', OAUTH2_CLIENT_SECRET: SECRET
      },
      tools: [defineTool({
        name: 'ask_upstream',
        description: 'Asks something else.',
        input: Type.Object({}, { additionalProperties: false }),
        async run (_args, { caller }) {
          await fetch(url)
          return JSON.stringify(caller)
        }
      })]
    })
    const answer = await fetch(`${server.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`m2m:${SECRET}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource: `${origin}/mcp`, scope: 'mcp:server:access mcp:tool:*' })
    })
    const { access_token: token } = await answer.json() as { access_token: string }
    const headers = { host: `localhost:${port}` }
    const called = await modern(app, 'tools/call', { name: 'ask_upstream', arguments: {} }, { key: token, headers })
    t.equal(called.statusCode, 200, format)
    await modern(app, 'tools/call', { name: 'ask_upstream', arguments: {} }, { key: `${token}x`, headers })

    const redis = new Redis(redisUrl)
    t.teardown(() => redis.disconnect())
    const allNames = () => redis.keys(`${config.REDIS_KEY_PREFIX}*`)
    if (format === 'opaque') await until(async () => (await allNames()).some(name => name.includes('token:')))
    const names = await allNames()
    const dump = await Promise.all(names.map(async name => name + (await redis.dumpBuffer(name))!.toString('latin1')))
    for (const secret of [token, token.split('.').at(-1)!, SECRET]) {
      t.notOk(JSON.stringify(lines).includes(secret), 'log')
      t.notOk(dump.join('\n').includes(secret), 'redis')
      t.notOk(heard.join('\n').includes(secret), 'upstream')
      t.notOk(called.body.includes(secret), 'what the tool was told')
    }
  }
  t.equal(heard.length, 2)
})
