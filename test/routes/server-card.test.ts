/** The card of the server, for whoever has not connected yet. */
import Fastify from 'fastify'
import { join } from 'node:path'
import t from 'tap'
import secureMcp from '../../src/plugin.ts'
import { startIssuer } from '../auth/oauth2/issuer.ts'
import { build, folder } from '../support/app.ts'

const HOST = { host: 'localhost:3000' }
const NAMED = { SERVER_NAME: 'com.example/orders', SERVER_TITLE: 'Orders', SERVER_VERSION: '1.4.0', SERVER_DESCRIPTION: 'Looks up orders.', SERVER_ICONS: 'https://example.com/a.png' }
const URL = '/mcp/server-card'

t.test('everyone reads the card of a server with a name in reverse-DNS form, from pages of any origin', async t => {
  const { app, lines } = await build(t, { env: NAMED })
  const answer = await app.inject({ url: URL, headers: { ...HOST, origin: 'https://registry.example' } })
  t.equal(answer.statusCode, 200)
  t.match(answer.headers, {
    'content-type': 'application/mcp-server-card+json; charset=utf-8',
    'cache-control': 'public, max-age=3600',
    'access-control-allow-origin': '*'
  })
  t.notOk(answer.headers['vary'])
  t.same(answer.json(), {
    $schema: 'https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json',
    name: 'com.example/orders',
    version: '1.4.0',
    description: 'Looks up orders.',
    title: 'Orders',
    icons: [{ src: 'https://example.com/a.png', mimeType: 'image/png' }],
    remotes: [{
      type: 'streamable-http',
      url: 'http://localhost:3000/mcp',
      supportedProtocolVersions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'].filter(one => answer.body.includes(one)),
      headers: [{ name: 'Authorization', description: '"Bearer", a blank, and an API key of this server', isRequired: true, isSecret: true }]
    }]
  })
  t.ok(answer.body.includes('2026-07-28') && answer.body.includes('2025-11-25'))
  for (const tag of [answer.headers.etag, `W/${answer.headers.etag}`, `"a", ${answer.headers.etag}`, '*']) {
    const known = await app.inject({ url: URL, headers: { ...HOST, 'if-none-match': String(tag) } })
    t.equal(known.statusCode, 304, String(tag))
    t.equal(known.body, '')
  }
  t.equal((await app.inject({ url: URL, headers: { ...HOST, 'if-none-match': '"other"' } })).statusCode, 200)
  t.match(lines.find(({ http }) => http === `GET ${URL}`), { decision: 'served' }, 'it is logged and counted as any public path')
  t.equal((await app.inject({ url: URL, headers: { host: 'evil.example' } })).statusCode, 403, 'the Host is checked as ever')
  t.equal((await app.inject({ url: '/mcp', method: 'POST', headers: { ...HOST, origin: 'https://registry.example' } })).statusCode, 403, 'and the Origin of everything else')
})

t.test('it is counted by address', async t => {
  const { app } = await build(t, { env: { ...NAMED, RATE_LIMIT_DEFAULT: '2' } })
  const statuses = []
  for (let i = 0; i < 3; i++) statuses.push((await app.inject({ url: URL, headers: HOST })).statusCode)
  t.same(statuses, [200, 200, 429])
})

t.test('there is none without such a name', async t => {
  const { app } = await build(t, { env: { SERVER_NAME: 'orders' } })
  t.equal((await app.inject({ url: URL, headers: HOST })).statusCode, 404)
})

t.test('where OAuth2 or an app says who is calling, no key is asked for; inside an app it follows the path', async t => {
  const issuer = await startIssuer(t)
  const { app } = await build(t, { env: { ...NAMED, OAUTH2_AUTH_SERVER: issuer.url } })
  t.notOk('headers' in (await app.inject({ url: URL, headers: HOST })).json().remotes[0])
  const around = Fastify()
  t.teardown(() => around.close())
  await around.register(secureMcp, { publicUrl: 'https://shop.example', path: '/tools', prefix: '/ai', serverName: 'com.example/shop', apiKeysFile: join(folder(t), 'keys.json'), principal: () => ({ id: 'a', permissions: [] }) } as never)
  const card = await around.inject({ url: '/ai/tools/server-card', headers: { host: 'shop.example' } })
  t.match(card.json(), { name: 'com.example/shop', description: 'com.example/shop', remotes: [{ url: 'https://shop.example/ai/tools' }] })
  t.notOk('headers' in card.json().remotes[0])
})
