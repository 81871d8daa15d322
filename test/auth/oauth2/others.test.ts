/** Clients and authorization servers of others: each client logs in at each server, sees tools and calls one. */
import t, { type Test } from 'tap'
import { startBetterAuth } from '../../support/authorization-servers/better-auth.ts'
import { Browser, type OtherServer } from '../../support/authorization-servers/browser.ts'
import { startGlewlwyd } from '../../support/authorization-servers/glewlwyd.ts'
import { startOidcProvider } from '../../support/authorization-servers/oidc-provider.ts'
import { build, modern, type Built } from '../../support/app.ts'
import { LOGIN_CLIENTS } from '../../support/login-clients.ts'
import { freePort } from '../../support/redis.ts'
import { until } from '../../support/until.ts'

const SERVERS = { 'oidc-provider': startOidcProvider, 'better-auth': startBetterAuth, glewlwyd: startGlewlwyd }

/** Ours on a port, beside a server that knows it. */
async function pair (t: Test, start: (resource: string) => Promise<OtherServer>, env: (server: OtherServer, origin: string) => Promise<Record<string, string>> = async () => ({})): Promise<Built & { origin: string, server: OtherServer }> {
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const server = await start(`${origin}/mcp`)
  t.teardown(() => server.close())
  const built = await build(t, { env: { PUBLIC_URL: origin, OAUTH2_AUTH_SERVER: server.issuer, ...await env(server, origin) } })
  await built.app.listen({ host: '127.0.0.1', port })
  await until(async () => (await fetch(`${origin}/.well-known/oauth-protected-resource`)).ok)
  return { ...built, origin, server }
}

for (const [name, start] of Object.entries(SERVERS)) {
  t.test(`${name}: clients that know our address alone log in, see tools and call one`, async t => {
    const { origin, server } = await pair(t, start)
    for (const [client, logIn] of Object.entries(LOGIN_CLIENTS)) {
      const { scope, tools, said } = await logIn(`${origin}/mcp`, url => server.login(url))
      t.match(scope, /\bmcp:server:access mcp:tool:\*/, `${client}: asks for what shows tools`)
      t.ok(tools.includes('echo') && tools.length >= 4, `${client}: sees ${tools.join(', ')}`)
      t.match(said, [{ type: 'text', text: 'logged in' }], `${client}: calls one`)
    }
  })

  // oidc-provider does not answer about its JWTs; flows.test.ts asks it about opaque tokens.
  for (const validation of name === 'oidc-provider' ? ['auto'] : ['auto', 'introspection']) {
    t.test(`${name}: a person logs in by browser, and the token works, checked by ${validation}`, async t => {
      const { app, origin, server } = await pair(t, start, async (server, origin) => {
        const { id, secret } = await server.register(`${origin}/oauth/callback`)
        return { OAUTH2_CLIENT_ID: id, OAUTH2_CLIENT_SECRET: secret, OAUTH2_VALIDATION: validation }
      })
      const browser = new Browser()
      await until(async () => (await fetch(`${origin}/oauth/login`, { redirect: 'manual' })).status === 302)
      const { location } = await browser.visit(`${origin}/oauth/login`)
      const there = new URL(location!)
      t.equal(there.origin, new URL(server.issuer).origin, 'the browser goes to the authorization server and nowhere else')
      const { status, text } = await browser.visit(await server.login(there))
      t.equal(status, 200)
      t.match(text, /Logged in/)
      const token = /<pre id="token">([^<]+)</.exec(text)![1]!
      const called = await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'hi' } }, { key: token, headers: { host: new URL(origin).host } })
      t.equal(called.statusCode, 200)
    })
  }
}

t.test('glewlwyd with the issuer that its documentation advises is found by a setting', async t => {
  const { app, origin, server } = await pair(t, async resource => await startGlewlwyd(resource, ''), async (server, origin) => {
    const { id, secret } = await server.register(`${origin}/oauth/callback`)
    return { OAUTH2_CLIENT_ID: id, OAUTH2_CLIENT_SECRET: secret, OAUTH2_METADATA_URL: (server as Awaited<ReturnType<typeof startGlewlwyd>>).metadataUrl }
  })
  await until(async () => (await fetch(`${origin}/oauth/login`, { redirect: 'manual' })).status === 302)
  const browser = new Browser()
  const { location } = await browser.visit(`${origin}/oauth/login`)
  const { text } = await browser.visit(await server.login(new URL(location!)))
  const token = /<pre id="token">([^<]+)</.exec(text)![1]!
  const called = await modern(app, 'tools/list', {}, { key: token, headers: { host: new URL(origin).host } })
  t.equal(called.statusCode, 200)
})
