import t from 'tap'
import { addKey, build, modern } from '../support/app.ts'

t.test('behind a proxy the client is who the proxy names, in whatever form it writes addresses', async t => {
  const { app, store, lines } = await build(t, { env: { TRUST_PROXY: '10.0.0.0/8' } })
  const { key } = await addKey(store)
  await store.blocklist.set('203.0.113.7/32', { since: Date.now() })
  await store.blocklist.set('2001:db8:1::/48', { since: Date.now() })
  const from = async (forwarded: string, peer = '10.0.0.1') => await modern(app, 'tools/list', {}, { key, address: peer, headers: { 'x-forwarded-for': forwarded } })

  for (const blocked of ['203.0.113.7', '203.0.113.7:51234', '192.0.2.1, 203.0.113.7:51234', '[2001:db8:1::5]:443', '2001:db8:1::5', '::ffff:203.0.113.7', '203.0.113.7:1, 10.9.9.9:80']) {
    const answer = await from(blocked)
    t.equal(answer.statusCode, 403, blocked)
    t.equal(answer.json().error.data.reason, 'ADDRESS_BLOCKED')
  }
  for (const other of ['203.0.113.8:51234', '203.0.113.7, 203.0.113.8', '[2001:db8:2::5]:443', '']) t.equal((await from(other)).statusCode, 200, other)
  t.equal((await from('203.0.113.7', '192.0.2.50')).statusCode, 200, 'what a stranger writes counts for nothing')

  await t.test('an entry that is no address is refused with a line that says which, and counts against nobody', async t => {
    for (const unreadable of ['unknown', 'unix:', '<script>alert(1)</script>', '203.0.113.7:port', '192.0.2.1, _hidden']) {
      for (let i = 0; i < 25; i++) {
        const answer = await modern(app, 'tools/list', {}, { key: 'wrong', address: '10.0.0.1', headers: { 'x-forwarded-for': unreadable } })
        t.equal(answer.statusCode, 400, unreadable)
      }
      t.ok(lines.some(({ why }) => String(why).includes(unreadable) && String(why).includes('TRUST_PROXY')), `the log says ${unreadable}`)
    }
    t.equal((await modern(app, 'tools/list', {}, { key: 'wrong', address: '10.0.0.1' })).statusCode, 401, 'the proxy itself is not over its failures')
  })
})

t.test('failures count by the client that the proxy names, not by the proxy', async t => {
  const { app } = await build(t, { env: { TRUST_PROXY: '1' } })
  const fail = async (forwarded: string) => (await modern(app, 'tools/list', {}, { key: 'wrong', address: '10.0.0.1', headers: { 'x-forwarded-for': forwarded } })).statusCode
  for (let i = 0; i < 20; i++) t.equal(await fail(`203.0.113.7:${40000 + i}`), 401)
  t.equal(await fail('203.0.113.7:60000'), 429)
  t.equal(await fail('203.0.113.8:60000'), 401)
})

t.test('probes are answered whoever asks, so that a blocked range restarts nothing', async t => {
  const { app, store } = await build(t, { env: { TRUST_PROXY: '10.0.0.0/8' } })
  for (const range of ['0.0.0.0/0', '0:0:0:0:0:0:0:0/0']) await store.blocklist.set(range, { since: Date.now() })
  for (const remoteAddress of ['10.0.0.1', '127.0.0.1', '203.0.113.7', '2001:db8::1']) {
    for (const forwarded of [undefined, '203.0.113.9', 'unknown']) {
      const headers = { host: 'localhost:3000', ...forwarded === undefined ? {} : { 'x-forwarded-for': forwarded } }
      for (const url of ['/livez', '/readyz']) t.equal((await app.inject({ url, remoteAddress, headers })).statusCode, 200, `${url} ${remoteAddress}`)
      for (const url of ['/mcp', '/nothing', '/livez/']) {
        const { statusCode } = await app.inject({ url, remoteAddress, headers })
        t.equal(statusCode, forwarded === 'unknown' && remoteAddress === '10.0.0.1' ? 400 : 403, `${url} ${remoteAddress}`)
      }
    }
  }
})
