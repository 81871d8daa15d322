import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { redisStore } from '../../../src/state/redis/store.ts'
import { redisUrl, silent } from '../../support/app.ts'
import { startRedis } from '../../support/redis.ts'

async function open (t: Test, url: string) {
  const store = await redisStore({ url, prefix: `test:${randomUUID()}:`, commandTimeoutMs: 10_000, patienceMs: 30_000, replicas: 1, log: silent })
  t.teardown(() => store.close())
  return store
}

t.test('batches are read in both directions, by every store on the same Redis', async t => {
  const { records } = await open(t, redisUrl)
  for (let i = 0; i < 10; i++) await records!.append('a', `line ${i}\n`)
  const first = await records!.after(undefined, 4)
  t.same(first.map(({ text }) => text), ['line 0\n', 'line 1\n', 'line 2\n', 'line 3\n'])
  t.match(await records!.after(first.at(-1)!.id, 1), [{ chain: 'a', text: 'line 4\n' }])
  const last = await records!.before(undefined, 2)
  t.same(last.map(({ text }) => text), ['line 9\n', 'line 8\n'])
  t.match(await records!.before(last.at(-1)!.id, 1), [{ text: 'line 7\n' }])
})

t.test('a head never goes back, and is dropped by name', async t => {
  const { records } = await open(t, redisUrl)
  const time = new Date().toISOString()
  await records!.putHead('a', { n: 20, z: 'x', time, kid: 'k', mac: 'm' })
  await records!.putHead('a', { n: 3, z: 'y', time })
  await records!.putHead('b', { n: 1, z: 'z', time })
  t.same(Object.fromEntries(await records!.heads()), { a: { n: 20, z: 'x', time, kid: 'k', mac: 'm' }, b: { n: 1, z: 'z', time } })
  await records!.dropHeads(['b', 'c'])
  t.same([...(await records!.heads()).keys()], ['a'])
})

t.test('records take at most a quarter of the memory of Redis, in large batches and small ones', async t => {
  const redis = await startRedis({ args: ['--save', '', '--maxmemory', '16mb', '--maxmemory-policy', 'noeviction'] })
  t.teardown(() => redis.stop())
  const { records } = await open(t, redis.url)
  const held = async () => (await records!.after(undefined, 10_000)).reduce((sum, { text }) => sum + text.length, 0)
  for (let i = 0; i < 100; i++) await records!.append('a', 'x'.repeat(60_000))
  const large = await held()
  t.ok(large <= 4 * 2 ** 20 && large > 3.9 * 2 ** 20, `${large} bytes`)
  for (let i = 0; i < 2000; i++) await records!.append('a', 'y'.repeat(1000))
  const mixed = await held()
  t.ok(mixed <= 4 * 2 ** 20 && mixed > 3.9 * 2 ** 20, `${mixed} bytes`)
})

t.test('where Redis is full records make room for themselves, and for a revocation', async t => {
  const redis = await startRedis({ args: ['--save', '', '--maxmemory', '16mb', '--maxmemory-policy', 'noeviction'] })
  t.teardown(() => redis.stop())
  const store = await open(t, redis.url)
  for (let i = 0; i < 60; i++) await store.records!.append('a', 'x'.repeat(60_000))
  for (let i = 0; ; i++) {
    const ok = await store.cacheSet(`fill:${i}`, 'y'.repeat(50_000), 600_000).then(() => true, () => false)
    if (!ok) break
  }
  const results = [await store.records!.append('a', 'z'.repeat(60_000))]
  t.match(results, [{ cut: true }])
  t.match(await store.records!.before(undefined, 1), [{ text: /^z/ }])
  await store.revocations.set('jti:a', { since: 1 })
  t.ok(store.revocations.entries().has('jti:a'))
})
