import type { Test } from 'tap'
import { T0, type Open } from './store.ts'

export async function ledgersContract (t: Test, open: Open): Promise<void> {
  const clock = { now: T0 }
  const store = await open(clock)
  t.teardown(() => store.close())

  await t.test('holds shared lists, tells of changes, and leaves out what has run out', async t => {
    const changes: unknown[] = []
    const stop = store.blocklist.onChange(change => changes.push(change))
    await store.blocklist.set('10.0.0.0/8', { since: T0, note: 'x' })
    t.strictSame(store.blocklist.entries().get('10.0.0.0/8'), { since: T0, note: 'x' })
    await store.blocklist.set('10.9.9.9/32', { since: T0, until: T0 - 1 })
    t.notOk(store.blocklist.entries().has('10.9.9.9/32'))
    t.equal(await store.blocklist.delete('10.0.0.0/8'), true)
    t.equal(await store.blocklist.delete('10.0.0.0/8'), false)
    t.strictSame(changes, [{ added: ['10.0.0.0/8'], removed: [] }, { added: [], removed: ['10.0.0.0/8'] }])
    stop()
  })

  await t.test('keeps each list apart', async t => {
    await store.revocations.set('jti:a', { since: T0 })
    await store.approvals.set('tool:b', { since: T0 })
    t.strictSame([...store.revocations.entries().keys()], ['jti:a'])
    t.strictSame([...store.approvals.entries().keys()], ['tool:b'])
    t.equal(store.blocklist.entries().has('jti:a'), false)
  })
}
