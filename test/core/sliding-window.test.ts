import fc from '../support/fast-check.ts'
import t from 'tap'
import { emptyWindow, giveBack, slide, sliceMs } from '../../src/core/sliding-window.ts'

const T0 = 1_800_000_000_000

t.test('never admits more than the limit in any window, whatever the sequence', async () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 50 }),
    fc.constantFrom(1000, 6000, 60_000, 7777),
    fc.array(fc.record({ wait: fc.integer({ min: 0, max: 4000 }), cost: fc.integer({ min: 1, max: 5 }) }), { minLength: 1, maxLength: 200 }),
    (limit, windowMs, steps) => {
      const window = emptyWindow()
      const admitted: Array<[at: number, cost: number]> = []
      let now = T0
      for (const { wait, cost } of steps) {
        now += wait
        if (slide(window, { limit, windowMs }, cost, now).allowed) admitted.push([now, cost])
      }
      for (const [begin] of admitted) {
        const inView = admitted.filter(([at]) => at >= begin && at < begin + windowMs).reduce((sum, [, cost]) => sum + cost, 0)
        if (inView > limit) return false
      }
      return true
    }), { numRuns: 300 })
})

t.test('holds against a late burst and a trickle, which doubles simpler windows', async t => {
  const rule = { limit: 100, windowMs: 60_000 }
  const window = emptyWindow()
  const times: number[] = []
  for (let i = 0; i < 200; i++) if (slide(window, rule, 1, T0 + 59_000 + i * 5).allowed) times.push(T0 + 59_000 + i * 5)
  for (let at = T0 + 60_000; at < T0 + 240_000; at += 50) if (slide(window, rule, 1, at).allowed) times.push(at)
  const worst = Math.max(...times.map(begin => times.filter(at => at >= begin && at < begin + 60_000).length))
  t.equal(worst, 100)
  t.ok(times.length >= 300, 'and an honest rate is not starved')
})

t.test('waiting exactly as told is enough, a millisecond less is not, and nobody is told to wait longer than the window', async () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 0, max: 1500 }), { minLength: 5, maxLength: 60 }), fc.integer({ min: 1, max: 4 }),
    (waits, cost) => {
      const rule = { limit: 4, windowMs: 10_000 }
      const window = emptyWindow()
      let now = T0
      for (const wait of waits) {
        now += wait
        const verdict = slide(window, rule, cost, now)
        if (verdict.retryAfterMs > rule.windowMs || verdict.resetMs > rule.windowMs) return false
        if (verdict.allowed) continue
        const copy = () => ({ at: [...window.at], count: [...window.count], lastMs: window.lastMs })
        if (slide(copy(), rule, cost, now + verdict.retryAfterMs - 1).allowed) return false
        if (!slide(copy(), rule, cost, now + verdict.retryAfterMs).allowed) return false
      }
      return true
    }), { numRuns: 500 })
})

t.test('does not count a refusal', async t => {
  const window = emptyWindow()
  slide(window, { limit: 3, windowMs: 1000 }, 3, T0)
  const before = structuredClone(window)
  t.match(slide(window, { limit: 3, windowMs: 1000 }, 1, T0 + 1), { allowed: false, remaining: 0 })
  t.strictSame(window, before)
})

t.test('counts in the newest slice when the clock goes back', async t => {
  const window = emptyWindow()
  slide(window, { limit: 3, windowMs: 1000 }, 2, T0)
  t.match(slide(window, { limit: 3, windowMs: 1000 }, 1, T0 - 500), { allowed: true, remaining: 0 })
  t.equal(window.at.length, 1)
})

t.test('gives back only what is still there', async t => {
  const window = emptyWindow()
  const { slice } = slide(window, { limit: 3, windowMs: 1000 }, 3, T0)
  giveBack(window, slice + 1, 2)
  giveBack(window, slice, 5)
  t.strictSame(window.count, [0])
})

t.test('keeps at most one counter a slice, so a window has a size', async t => {
  const window = emptyWindow()
  for (let i = 0; i < 10_000; i++) slide(window, { limit: 1e9, windowMs: 60_000 }, 1, T0 + i * 37)
  t.ok(window.at.length <= 61)
  t.equal(sliceMs(60_000), 1000)
})
