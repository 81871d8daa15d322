import t, { type Test } from 'tap'
import { RefreshingCache, type RefreshPolicy } from '../../src/resilience/refreshing-cache.ts'
import { until } from '../support/until.ts'

const SLOW: RefreshPolicy = { everyMs: 3_600_000, retryMs: 3_600_000, gapMs: 3_600_000, staleMs: Infinity, waitMs: 30_000 }

/** A server that answers what it is told to, and counts. */
function source (t: Test, policy: Partial<RefreshPolicy> = {}, first: () => Promise<number> = async () => 1) {
  const state = { answer: first, fetches: 0, troubles: [] as Array<string | undefined> }
  const cache = new RefreshingCache({
    policy: { ...SLOW, ...policy },
    fetch: async () => {
      state.fetches++
      return await state.answer()
    },
    onState: trouble => state.troubles.push(trouble?.message)
  })
  t.teardown(() => cache.close())
  return { cache, state }
}

const fails = async () => { throw new Error('down') }

t.test('is fetched before it is needed, once for all who wait', async t => {
  let finish = (_value: number) => {}
  const { cache, state } = source(t, {}, () => new Promise(resolve => { finish = resolve }))
  const waiting = [cache.get(), cache.get(), cache.refresh()]
  finish(7)
  t.strictSame(await Promise.all(waiting), [7, 7, true])
  t.equal(state.fetches, 1)
})

t.test('is asked anew only after the gap, and says whether it is fresh', async t => {
  const { cache, state } = source(t, { gapMs: 0 })
  t.equal(await cache.get(), 1)
  state.answer = async () => 2
  t.equal(await cache.refresh(), true)
  t.equal(await cache.get(), 2)
  state.answer = fails
  t.equal(await cache.refresh(), false)
  t.equal(await cache.get(), 2, 'kept while the server is in trouble')
  const { cache: rare, state: counted } = source(t)
  await rare.get()
  t.equal(await rare.refresh(), true, 'a moment ago')
  t.equal(counted.fetches, 1)
})

t.test('a caller waits for the first value no longer than its patience', async t => {
  const { cache } = source(t, { waitMs: 20 }, () => new Promise(() => {}))
  await t.rejects(cache.get(), { name: 'Unreachable', message: 'no answer in time' })
})

t.test('tells each change between well and in trouble once', async t => {
  const { cache, state } = source(t, { gapMs: 0, retryMs: 10, everyMs: 10 }, fails)
  await t.rejects(cache.get(), { message: 'down' })
  await until(() => state.fetches > 3)
  state.answer = async () => 1
  await until(async () => await cache.get().then(() => true, () => false))
  await until(() => state.fetches > 6)
  t.strictSame(state.troubles, ['down', undefined])
})

t.test('goes on, however close to the gap its timer fires', async t => {
  const caches = Array.from({ length: 50 }, () => source(t, { retryMs: 7, gapMs: 7, everyMs: 7 }, fails))
  for (const { cache } of caches) await t.rejects(cache.get(), { message: 'down' })
  for (const { state } of caches) await until(() => state.fetches > 30)
})

t.test('a value that is too old is none', async t => {
  const { cache, state } = source(t, { staleMs: 50, gapMs: 0 })
  t.equal(await cache.get(), 1)
  state.answer = fails
  await until(async () => await cache.get().then(() => false, ({ message }: Error) => message === 'down'))
})

t.test('is fetched at once when what it waited for is there, and never after its end', async t => {
  const { cache, state } = source(t, {}, fails)
  await t.rejects(cache.get())
  state.answer = async () => 5
  cache.refreshNow()
  t.equal(await cache.get(), 5)
  cache.refreshNow()
  t.equal(state.fetches, 2, 'there is a value')
  cache.close()
  await cache.refresh()
  t.equal(state.fetches, 2)
})
