import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { RateLimit } from '../../../src/core/limit.ts'
import { emptyWindow, slide } from '../../../src/core/sliding-window.ts'
import { T0, type Open } from './store.ts'

const RULE: RateLimit = { limit: 10, windowMs: 60_000 }

export async function windowsContract (t: Test, open: Open): Promise<void> {
  const clock = { now: T0 }
  const store = await open(clock)
  t.teardown(() => store.close())
  const hitAt = (now: number, ...args: Parameters<typeof store.hit>) => {
    clock.now = now
    return store.hit(...args)
  }

  await t.test('allows up to the limit, then says when to retry, and lets in after exactly that wait', async t => {
    const subject = `sub:${randomUUID()}`
    for (let i = 0; i < 10; i++) t.match(await hitAt(T0 + i * 100, subject, RULE), { allowed: true, remaining: 9 - i, retryAfterMs: 0 })
    const refused = await hitAt(T0 + 2000, subject, RULE)
    t.match(refused, { allowed: false, remaining: 0, limit: 10, windowMs: 60_000 })
    t.match(await hitAt(T0 + 2000 + refused.retryAfterMs - 1, subject, RULE), { allowed: false, retryAfterMs: 1 })
    t.match(await hitAt(T0 + 2000 + refused.retryAfterMs, subject, RULE), { allowed: true })
  })

  await t.test('counts a cost whole or not at all, and one over the limit never', async t => {
    const subject = `sub:${randomUUID()}`
    t.match(await hitAt(T0, subject, RULE, { cost: 7 }), { allowed: true, remaining: 3 })
    t.match(await hitAt(T0, subject, RULE, { cost: 4 }), { allowed: false, remaining: 3 })
    t.match(await hitAt(T0, subject, RULE, { cost: 3 }), { allowed: true, remaining: 0 })
    t.match(await hitAt(T0, subject, RULE, { cost: 11 }), { allowed: false, retryAfterMs: 60_000 })
    t.match(await hitAt(T0, subject, RULE, { cost: 0 }), { allowed: true, remaining: 0 })
  })

  await t.test('gives units back to the slice they were counted in', async t => {
    const subject = `sub:${randomUUID()}`
    const { slice } = await hitAt(T0, subject, RULE, { cost: 10 })
    await store.giveBack(subject, slice, { cost: 4 })
    t.match(await hitAt(T0, subject, RULE, { cost: 1 }), { allowed: true, remaining: 3 }, 'within the slice')
    t.match(await hitAt(T0 + 5000, subject, RULE, { cost: 3 }), { allowed: true, remaining: 0 })
    await store.giveBack(subject, slice - 500, { cost: 4 })
    t.match(await hitAt(T0 + 5000, subject, RULE), { allowed: false })
    await store.giveBack(subject, slice, { cost: 100 })
    t.match(await hitAt(T0 + 5000, subject, RULE, { cost: 7 }), { allowed: true, remaining: 0 }, 'no more than was counted')
  })

  await t.test('keeps a tool\'s window apart from its subject\'s', async t => {
    const subject = `sub:${randomUUID()}`
    t.match(await hitAt(T0, subject, { limit: 1, windowMs: 60_000 }, { tool: 'a' }), { allowed: true })
    t.match(await hitAt(T0, subject, { limit: 1, windowMs: 60_000 }, { tool: 'a' }), { allowed: false })
    t.match(await hitAt(T0, subject, { limit: 1, windowMs: 60_000 }, { tool: 'b' }), { allowed: true })
    t.match(await hitAt(T0, subject, RULE), { allowed: true, remaining: 9 })
  })

  await t.test('counts what was counted ahead of the clock as now: nobody waits longer than a window', async t => {
    for (const back of [1000, 30_000, 90_000, 3_600_000]) {
      const subject = `sub:${randomUUID()}`
      for (let i = 0; i < 10; i++) await hitAt(T0 + i * 3000, subject, RULE)
      const now = T0 + 27_000 - back
      const refused = await hitAt(now, subject, RULE)
      t.equal(refused.allowed, false, `${back} ms back`)
      t.ok(refused.retryAfterMs <= 60_000, `${refused.retryAfterMs} ms to wait`)
      t.match(await hitAt(now + refused.retryAfterMs - 1, subject, RULE), { allowed: false })
      t.match(await hitAt(now + refused.retryAfterMs, subject, RULE), { allowed: true }, 'the wait that was told is enough')
    }
  })

  await t.test('gives the numbers of the pure arithmetic, to the millisecond', async t => {
    // Windows that last: Redis forgets one by its own clock, however the test's goes.
    // A fixed seed: every run and every store sees the same sequence.
    let seed = 42
    const random = (below: number) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % below }
    for (const rule of [{ limit: 5, windowMs: 30_000 }, { limit: 40, windowMs: 60_000 }, { limit: 1_000_000_000, windowMs: 77_777 }]) {
      const subject = `sub:${randomUUID()}`
      const reference = emptyWindow()
      let now = T0
      for (let i = 0; i < 300; i++) {
        now += random(rule.windowMs / 8 | 0)
        if (i % 3 === 0) now += random(5) // and often the same slice
        const cost = random(5)
        const got = await hitAt(now, subject, rule, { cost })
        const expected = slide(reference, rule, cost, now)
        t.strictSame(got, expected, `${rule.limit}: ${i}`)
        if (i % 7 === 6 && expected.allowed) {
          await store.giveBack(subject, got.slice, { cost })
          reference.count[reference.at.indexOf(expected.slice)]! -= cost
        }
      }
    }
  })
}
