import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { Open } from './store.ts'

export async function cataloguesContract (t: Test, open: Open): Promise<void> {
  const store = await open()
  t.teardown(() => store.close())

  await t.test('keeps texts by name, the last one that was put', async t => {
    const id = `catalogue:jira:${randomUUID()}`
    t.equal(await store.catalogues.get(id), undefined)
    await store.catalogues.put(new Map([[id, '{"a":1}'], [id + 'x', 'other']]), 60_000)
    await store.catalogues.put(new Map([[id, '{"a":2}']]), 60_000)
    t.equal(await store.catalogues.get(id), '{"a":2}')
    t.equal(await store.catalogues.get('__proto__'), undefined)
  })

  await t.test('approves many at once', async t => {
    const ids = Array.from({ length: 300 }, (_, i) => `tool:many:t${i}:${'0'.repeat(32)}`)
    await store.approvals.setMany(new Map(ids.map(id => [id, { since: 1 }])))
    t.equal(ids.filter(id => store.approvals.entries().has(id)).length, 300)
  })
}
