/** The browser login beside authorization servers whose metadata is odd. */
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { build } from '../support/app.ts'
import { startIssuer, type Json } from '../auth/oauth2/issuer.ts'

/** The app beside an issuer that publishes this. */
async function served (t: Test, metadata: (origin: string) => Json, env: Record<string, string> = {}) {
  const issuer = await startIssuer(t)
  issuer.bend.set('/.well-known/oauth-authorization-server', (request, response) => issuer.json({
    issuer: issuer.url, jwks_uri: `${issuer.url}/jwks`, authorization_endpoint: `${issuer.url}/authorize`, token_endpoint: `${issuer.url}/token`, ...metadata(issuer.url)
  })(request, response))
  const built = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url, OAUTH2_CLIENT_ID: 'login', OAUTH2_CLIENT_SECRET: 'a-login-secret-of-the-test-0123456789', ...env } })
  return { issuer, ...built }
}

const visit = (app: FastifyInstance, url: string, cookie = '') => app.inject({ url, headers: { host: 'localhost:3000', ...(cookie === '' ? {} : { cookie }) } })

async function begin (app: FastifyInstance): Promise<{ status: number, to: URL, cookie: string }> {
  const { statusCode, headers } = await visit(app, '/oauth/login')
  const cookie = ([headers['set-cookie'] ?? []].flat()).map(line => line.split(';')[0]).join('; ')
  return { status: statusCode, to: new URL(headers.location ?? 'none:'), cookie }
}

t.test('the browser goes to the authorization endpoint as it is written, and the code to the token endpoint', async t => {
  const paths = ['//api/oidc/auth', '/a?tenant=x&p=B2C_1%20a', '///', '/%2F%2Fevil.example', '/a//b/?x=//evil.example', '//evil.example/..//@x']
  for (const path of paths) {
    const token = path.replace('auth', 'token')
    const { app, issuer } = await served(t, origin => ({ authorization_endpoint: origin + path, token_endpoint: origin + token }))
    const { status, to, cookie } = await begin(app)
    const expected = new URL(issuer.url + path)
    t.equal(status, 302, path)
    t.strictSame([to.origin, to.pathname], [expected.origin, expected.pathname], path)
    for (const [name, value] of expected.searchParams) t.equal(to.searchParams.get(name), value, `${path}: ${name}`)
    t.equal(to.searchParams.get('response_type'), 'code')

    const where = new URL(issuer.url + token).pathname
    let sent = ''
    issuer.bend.set(where, (request, response) => {
      sent = request.body
      // JSON under whatever type: not every server says what it sends.
      response.writeHead(200, { 'content-type': paths.indexOf(path) % 2 === 0 ? 'application/json' : 'text/plain' }).end(JSON.stringify({ access_token: issuer.mint(), token_type: 'Bearer', expires_in: null }))
    })
    const done = await visit(app, `/oauth/callback?code=c0de&state=${encodeURIComponent(to.searchParams.get('state')!)}`, cookie)
    t.equal(done.statusCode, 200, path)
    t.match(done.body, /Logged in/)
    t.equal(new URLSearchParams(sent).get('code'), 'c0de', `${path}: the code went to ${where}`)
  }
})

t.test('an endpoint of another host is used where https allows it', async t => {
  const { app } = await served(t, () => ({ authorization_endpoint: 'https://login.example:8443//api/oidc/auth' }))
  const { to } = await begin(app)
  t.equal(to.origin + to.pathname, 'https://login.example:8443//api/oidc/auth')
})

t.test('an endpoint that may not be used ends the login with a page, and the log names it', async t => {
  const odd = (origin: string): unknown[] => [
    undefined, null, 7, [`${origin}/authorize`], {}, '/authorize', '//api/oidc/auth', 'javascript:alert(1)', 'http://as.example/a', 'ftp://as.example/a',
    origin.replace('//', '//user:secret@'), `${origin}/authorize#x`
  ]
  for (const name of ['authorization_endpoint', 'token_endpoint']) {
    for (let i = 0; i < odd('http://x').length; i++) {
      const { app, lines } = await served(t, origin => ({ [name]: odd(origin)[i] }))
      const { statusCode, headers } = await visit(app, '/oauth/login')
      t.equal(statusCode, 502, `${name} ${JSON.stringify(odd('http://x')[i])}`)
      t.notOk(headers.location)
      t.ok(lines.some(({ why }) => String(why).includes(name)), 'the log names the endpoint')
    }
  }
})

t.test('the log names the error of the authorization server, and nothing that was sent to it', async t => {
  const { app, issuer, lines } = await served(t, () => ({}))
  const answers: Array<[number, Json | string, RegExp]> = [
    [400, { error: 'invalid_grant', error_description: 'code is too old' }, /"invalid_grant", "code is too old"/],
    [401, { error: 'invalid_client' }, /"invalid_client"/],
    [400, { error: ['a'], error_description: { b: 1 } }, /400/],
    [400, '<html>Bad Request</html>', /./],
    [200, { error: 'slow_down' }, /./],
    [500, { error: 'x'.repeat(5000) }, /x{150}/]
  ]
  for (const [status, body, expected] of answers) {
    const { to, cookie } = await begin(app)
    issuer.bend.set('/token', typeof body === 'string' ? (_request, response) => { response.writeHead(status, { 'content-type': 'text/html' }).end(body) } : issuer.json(body, status))
    const before = lines.length
    const { statusCode } = await visit(app, `/oauth/callback?code=c0de-of-the-login&state=${encodeURIComponent(to.searchParams.get('state')!)}`, cookie)
    t.equal(statusCode, 502)
    const said = lines.slice(before).map(({ why }) => why).find(why => typeof why === 'string') as string
    t.match(said, expected)
    t.ok(said.length < 600)
    for (const secret of ['c0de-of-the-login', 'a-login-secret']) t.notOk(JSON.stringify(lines.slice(before)).includes(secret))
  }
  const before = lines.length
  await visit(app, '/oauth/callback?error=invalid_scope&error_description=unknown%20scope%20mcp:tool:*%0aforged')
  t.match(lines.slice(before).map(({ why }) => why).find(why => typeof why === 'string'), /^invalid_scope, "unknown scope mcp:tool:\*\\nforged"$/)
})
