import type { Test } from 'tap'
import { hashKey, keyFor, makeKey, type ApiKeyRecord } from '../../../src/core/api-key.ts'
import type { RateLimit } from '../../../src/core/limit.ts'
import { T0, type Open } from './store.ts'

const RULE: RateLimit = { limit: 10, windowMs: 60_000 }

export function aKey (more: Partial<ApiKeyRecord> = {}): { key: string, record: ApiKeyRecord } {
  const { id, key } = makeKey()
  return { key, record: { id, name: `n-${id}`, role: 'caller', permissions: ['*'], hash: hashKey(key), created: T0, ...more } }
}

/** The record with a new secret; the one before is good until `until`. */
export function rotated (record: ApiKeyRecord, until: number): ApiKeyRecord {
  return { ...record, hash: hashKey(keyFor(record.id)), previous: { hash: record.hash, until } }
}

export async function keysContract (t: Test, open: Open): Promise<void> {
  const clock = { now: T0 }
  const store = await open(clock)
  t.teardown(() => store.close())

  await t.test('admits a key and counts it in one step, by its own limit if it has one', async t => {
    const plain = aKey()
    const own = aKey({ limit: 2 })
    await store.saveKey(plain.record)
    await store.saveKey(own.record)
    t.match(await store.admit(plain.record.hash, RULE), { record: plain.record, rateLimit: { allowed: true, limit: 10, remaining: 9 } })
    t.match(await store.admit(own.record.hash, RULE), { record: own.record, rateLimit: { allowed: true, limit: 2, remaining: 1 } })
    await store.admit(own.record.hash, RULE)
    t.match(await store.admit(own.record.hash, RULE), { rateLimit: { allowed: false, remaining: 0 } })
  })

  await t.test('counts nothing for an unknown, revoked, expired or address-bound key', async t => {
    t.strictSame(await store.admit(hashKey(keyFor('abcdefghij')), RULE), { record: undefined, rateLimit: undefined })
    for (const more of [{ revoked: T0 }, { expires: T0 }, { cidrs: ['10.0.0.0/8'] }]) {
      const { record } = aKey(more)
      await store.saveKey(record)
      t.strictSame(await store.admit(record.hash, RULE), { record, rateLimit: undefined })
    }
  })

  await t.test('leads a rotated key to its successor until the overlap ends, in one window', async t => {
    const { record } = aKey()
    await store.saveKey(record)
    // Redis ends an overlap by its own clock, too.
    const now = clock.now = Date.now()
    const next = rotated(record, now + 3_600_000)
    await store.saveKey(next)
    t.match(await store.admit(next.hash, RULE), { record: next, rateLimit: { remaining: 9 } })
    t.match(await store.admit(record.hash, RULE), { record: next, rateLimit: { remaining: 8 } })
    clock.now = now + 3_600_000
    t.equal((await store.admit(record.hash, RULE)).rateLimit, undefined)
    clock.now = now
    await store.saveKey({ ...next, revoked: now })
    t.equal((await store.admit(record.hash, RULE)).rateLimit, undefined)
    t.equal((await store.listKeys()).filter(({ id }) => id === record.id).length, 1)
    clock.now = T0
  })

  await t.test('a key that comes with its predecessor is found by both', async t => {
    clock.now = Date.now()
    const { record } = aKey()
    const next = rotated(record, clock.now + 3_600_000)
    await store.saveKey(next)
    t.match(await store.admit(record.hash, RULE), { record: next, rateLimit: { allowed: true } })
    clock.now = T0
  })

  await t.test('finds and lists keys by id and name', async t => {
    const a = aKey({ name: 'zz-b' })
    const b = aKey({ name: 'zz-a', owner: 'ada', role: 'operator', permissions: [] })
    await store.saveKey(a.record)
    await store.saveKey(b.record)
    t.strictSame(await store.findKey(b.record.id), b.record)
    t.equal(await store.findKey('nobody'), undefined)
    t.strictSame((await store.listKeys()).map(({ name }) => name).filter(name => name.startsWith('zz-')), ['zz-a', 'zz-b'])
    t.strictSame(await store.missingKeys(), [])
  })

  await t.test('changes what is there, tells what became of it, and passes on why an edit refuses', async t => {
    const { record } = aKey()
    await store.saveKey(record)
    t.match(await store.changeKey(record.id, key => ({ ...key, owner: 'ada' })), { id: record.id, owner: 'ada' })
    t.match(await store.findKey(record.id), { owner: 'ada' })
    t.equal(await store.changeKey('nobody', key => key), undefined)
    await t.rejects(store.changeKey(record.id, () => { throw new Error('not this one') }), { message: 'not this one' })
    t.match(await store.findKey(record.id), { owner: 'ada' })
  })

  await t.test('of changes at once none is lost: a key that one revokes and another rotates stays revoked', async t => {
    clock.now = Date.now()
    for (let i = 0; i < 20; i++) {
      const { record } = aKey()
      await store.saveKey(record)
      const successors: string[] = []
      const outcomes = await Promise.allSettled([
        store.changeKey(record.id, key => ({ ...key, revoked: clock.now })),
        store.changeKey(record.id, key => {
          if (key.revoked !== undefined) throw new Error('is revoked')
          const next = rotated(key, clock.now + 60_000)
          successors.push(next.hash)
          return next
        }),
        ...Array.from({ length: 3 }, (_, n) => store.changeKey(record.id, key => ({ ...key, permissions: [...key.permissions, `t${n}`] })))
      ])
      t.equal(outcomes.filter(({ status }, n) => n !== 1 && status === 'rejected').length, 0)
      const left = await store.findKey(record.id)
      t.ok(left?.revoked !== undefined, 'revoked')
      t.strictSame([...left!.permissions].sort(), ['*', 't0', 't1', 't2'])
      for (const hash of [record.hash, ...successors]) t.equal((await store.admit(hash, RULE)).rateLimit, undefined, 'neither the old secret nor the new one is served')
    }
    clock.now = T0
  })
}
