/** What every Store must do. Called by memory.test.ts and redis.test.ts. */
import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { hashKey, keyFor, makeKey, type ApiKeyRecord } from '../../src/core/api-key.ts'
import type { RateLimit } from '../../src/core/limit.ts'
import { emptyWindow, slide } from '../../src/core/sliding-window.ts'
import type { Store } from '../../src/state/store.ts'

const RULE: RateLimit = { limit: 10, windowMs: 60_000 }
const T0 = 1_800_000_000_000

export function aKey (more: Partial<ApiKeyRecord> = {}): { key: string, record: ApiKeyRecord } {
  const { id, key } = makeKey()
  return { key, record: { id, name: `n-${id}`, role: 'caller', permissions: ['*'], hash: hashKey(key), created: T0, ...more } }
}

export async function storeContract (t: Test, open: () => Promise<Store>): Promise<void> {
  const store = await open()
  t.teardown(() => store.close())

  await t.test('allows up to the limit, then says when to retry, and lets in after exactly that wait', async t => {
    const subject = `sub:${randomUUID()}`
    for (let i = 0; i < 10; i++) t.match(await store.hit(subject, RULE, { now: T0 + i * 100 }), { allowed: true, remaining: 9 - i, retryAfterMs: 0 })
    const refused = await store.hit(subject, RULE, { now: T0 + 2000 })
    t.match(refused, { allowed: false, remaining: 0, limit: 10, windowMs: 60_000 })
    t.match(await store.hit(subject, RULE, { now: T0 + 2000 + refused.retryAfterMs - 1 }), { allowed: false, retryAfterMs: 1 })
    t.match(await store.hit(subject, RULE, { now: T0 + 2000 + refused.retryAfterMs }), { allowed: true })
  })

  await t.test('counts a cost whole or not at all, and one over the limit never', async t => {
    const subject = `sub:${randomUUID()}`
    t.match(await store.hit(subject, RULE, { cost: 7, now: T0 }), { allowed: true, remaining: 3 })
    t.match(await store.hit(subject, RULE, { cost: 4, now: T0 }), { allowed: false, remaining: 3 })
    t.match(await store.hit(subject, RULE, { cost: 3, now: T0 }), { allowed: true, remaining: 0 })
    t.match(await store.hit(subject, RULE, { cost: 11, now: T0 }), { allowed: false, retryAfterMs: 60_000 })
    t.match(await store.hit(subject, RULE, { cost: 0, now: T0 }), { allowed: true, remaining: 0 })
  })

  await t.test('gives units back to the slice they were counted in', async t => {
    const subject = `sub:${randomUUID()}`
    const { slice } = await store.hit(subject, RULE, { cost: 10, now: T0 })
    await store.giveBack(subject, slice, { cost: 4 })
    t.match(await store.hit(subject, RULE, { cost: 4, now: T0 + 5000 }), { allowed: true, remaining: 0 })
    await store.giveBack(subject, slice - 500, { cost: 4 })
    t.match(await store.hit(subject, RULE, { now: T0 + 5000 }), { allowed: false })
  })

  await t.test('keeps a tool\'s window apart from its subject\'s', async t => {
    const subject = `sub:${randomUUID()}`
    t.match(await store.hit(subject, { limit: 1, windowMs: 1000 }, { tool: 'a', now: T0 }), { allowed: true })
    t.match(await store.hit(subject, { limit: 1, windowMs: 1000 }, { tool: 'a', now: T0 }), { allowed: false })
    t.match(await store.hit(subject, { limit: 1, windowMs: 1000 }, { tool: 'b', now: T0 }), { allowed: true })
    t.match(await store.hit(subject, RULE, { now: T0 }), { allowed: true, remaining: 9 })
  })

  await t.test('gives the numbers of the pure arithmetic, to the millisecond', async t => {
    // A fixed seed: every run and every store sees the same sequence.
    let seed = 42
    const random = (below: number) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % below }
    for (const rule of [{ limit: 5, windowMs: 1000 }, { limit: 40, windowMs: 60_000 }, { limit: 1_000_000_000, windowMs: 7777 }]) {
      const subject = `sub:${randomUUID()}`
      const reference = emptyWindow()
      let now = T0
      for (let i = 0; i < 150; i++) {
        now += random(rule.windowMs / 8 | 0)
        const cost = 1 + random(4)
        t.strictSame(await store.hit(subject, rule, { cost, now }), slide(reference, rule, cost, now), `${rule.limit}: ${i}`)
      }
    }
  })

  await t.test('admits a key and counts it in one step, by its own limit if it has one', async t => {
    const plain = aKey()
    const own = aKey({ limit: 2 })
    await store.saveKey(plain.record)
    await store.saveKey(own.record)
    t.match(await store.admit(plain.record.hash, RULE, T0), { record: plain.record, rateLimit: { allowed: true, limit: 10, remaining: 9 } })
    t.match(await store.admit(own.record.hash, RULE, T0), { record: own.record, rateLimit: { allowed: true, limit: 2, remaining: 1 } })
    await store.admit(own.record.hash, RULE, T0)
    t.match(await store.admit(own.record.hash, RULE, T0), { rateLimit: { allowed: false, remaining: 0 } })
  })

  await t.test('counts nothing for an unknown, revoked, expired or address-bound key', async t => {
    t.strictSame(await store.admit(hashKey(keyFor('abcdefghij')), RULE, T0), { record: undefined, rateLimit: undefined })
    for (const more of [{ revoked: T0 }, { expires: T0 }, { cidrs: ['10.0.0.0/8'] }]) {
      const { record } = aKey(more)
      await store.saveKey(record)
      t.strictSame(await store.admit(record.hash, RULE, T0), { record, rateLimit: undefined })
    }
  })

  await t.test('leads a rotated key to its successor until the overlap ends, in one window', async t => {
    const { record } = aKey()
    await store.saveKey(record)
    const now = Date.now()
    const next = { ...record, hash: hashKey(keyFor(record.id)), previous: { hash: record.hash, until: now + 3_600_000 } }
    await store.saveKey(next)
    t.match(await store.admit(next.hash, RULE, now), { record: next, rateLimit: { remaining: 9 } })
    t.match(await store.admit(record.hash, RULE, now), { record: next, rateLimit: { remaining: 8 } })
    t.equal((await store.admit(record.hash, RULE, now + 3_600_000)).rateLimit, undefined)
    await store.saveKey({ ...next, revoked: now })
    t.equal((await store.admit(record.hash, RULE, now)).rateLimit, undefined)
    t.equal((await store.listKeys()).filter(({ id }) => id === record.id).length, 1)
  })

  await t.test('finds and lists keys by id and name', async t => {
    const a = aKey({ name: 'zz-b' })
    const b = aKey({ name: 'zz-a', owner: 'ada', role: 'operator', permissions: [] })
    await store.saveKey(a.record)
    await store.saveKey(b.record)
    t.strictSame(await store.findKey(b.record.id), b.record)
    t.equal(await store.findKey('nobody'), undefined)
    t.strictSame((await store.listKeys()).map(({ name }) => name).filter(name => name.startsWith('zz-')), ['zz-a', 'zz-b'])
  })

  await t.test('holds shared lists, tells of changes, and forgets what has run out', async t => {
    const changes: unknown[] = []
    const stop = store.blocklist.onChange(change => changes.push(change))
    await store.blocklist.set('10.0.0.0/8', { since: T0, note: 'x' })
    t.strictSame(store.blocklist.entries().get('10.0.0.0/8'), { since: T0, note: 'x' })
    await store.blocklist.set('10.9.9.9/32', { since: T0, until: Date.now() - 1 })
    t.notOk(store.blocklist.entries().has('10.9.9.9/32'))
    t.equal(await store.blocklist.delete('10.0.0.0/8'), true)
    t.equal(await store.blocklist.delete('10.0.0.0/8'), false)
    t.strictSame(changes, [{ added: ['10.0.0.0/8'], removed: [] }, { added: [], removed: ['10.0.0.0/8'] }])
    stop()
  })

  await t.test('caches values for a while and lets exactly one claim a name', async t => {
    const key = `token:${randomUUID()}`
    await store.cacheSet(key, 'v', 10_000)
    t.equal(await store.cacheGet(key), 'v')
    t.equal(await store.cacheGet(key + 'x'), undefined)
    const claims = await Promise.all(Array.from({ length: 20 }, () => store.claim(`dpop:${key}`, 10_000)))
    t.equal(claims.filter(Boolean).length, 1)
  })
}
