import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { Open } from './store.ts'

export async function valuesContract (t: Test, open: Open): Promise<void> {
  const store = await open()
  t.teardown(() => store.close())

  await t.test('caches values for a while and lets exactly one claim a name', async t => {
    const key = `token:${randomUUID()}`
    await store.cacheSet(key, 'v', 10_000)
    t.equal(await store.cacheGet(key), 'v')
    t.equal(await store.cacheGet(key + 'x'), undefined)
    const claims = await Promise.all(Array.from({ length: 20 }, () => store.claim(`dpop:${key}`, 10_000)))
    t.equal(claims.filter(Boolean).length, 1)
  })
}
