/** How often an authorization server is asked: rarely enough for the worst of times, soon enough for a start in the wrong order. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { build, modern } from '../../support/app.ts'
import { until } from '../../support/until.ts'
import { makeKey, startIssuer, type Issuer } from './issuer.ts'

const fetchesOf = ({ counts }: Issuer) => [...counts.values()].reduce((sum, count) => sum + count, 0)

t.test('a server that knows none of its places is asked six times at most, however many tokens come', async t => {
  const issuer = await startIssuer(t)
  issuer.bend.set('*', (_request, response) => { response.writeHead(404).end('{}') })
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url, MAX_IN_FLIGHT: '2000' } })
  const statuses = new Set<number>()
  const until = Date.now() + 3000
  for (let i = 0; Date.now() < until; i++) {
    const answer = await modern(app, 'tools/list', {}, { key: issuer.mint({}, {}, makeKey()), address: `10.1.${i >> 8 & 255}.${i & 255}` })
    statuses.add(answer.statusCode)
    await sleep(10)
  }
  t.strictSame([...statuses], [503])
  t.comment(`figure: ${fetchesOf(issuer)} fetches`)
  t.ok(fetchesOf(issuer) >= 3 && fetchesOf(issuer) <= 6, `${fetchesOf(issuer)} fetches`)
})

t.test('a server that starts a little later is found by itself, at the paces of production', async t => {
  const issuer = await startIssuer(t)
  issuer.bend.set('*', (_request, response) => { response.destroy() })
  const { app } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url } })
  const status = async () => (await modern(app, 'tools/list', {}, { key: issuer.mint() })).statusCode
  t.equal(await status(), 503)
  await sleep(500)
  issuer.bend.clear()
  const began = performance.now()
  t.ok(await until(async () => await status() === 200))
  t.comment(`figure: found ${Math.round(performance.now() - began)} ms after it came`)
  t.ok(fetchesOf(issuer) <= 6)
})
