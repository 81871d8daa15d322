import fc from '../support/fast-check.ts'
import t from 'tap'
import { FetchQuota, MAX_FETCHES, WINDOW_MS } from '../../src/resilience/fetch-quota.ts'

t.test('never more than six fetches in any minute, and always six when none was made', async t => {
  t.strictSame([MAX_FETCHES, WINDOW_MS], [6, 60_000])
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 40_000 }), { minLength: 1, maxLength: 200 }), gaps => {
    const quota = new FetchQuota()
    const made: number[] = []
    let now = 0
    for (const gap of gaps) {
      now += gap
      const inWindow = made.filter(at => now - at < WINDOW_MS).length
      if (quota.take(now) !== (inWindow < MAX_FETCHES)) return false
      if (inWindow < MAX_FETCHES) made.push(now)
    }
    return made.every((at, i) => i < MAX_FETCHES || at - made[i - MAX_FETCHES]! >= WINDOW_MS)
  }))
})

t.test('some of a window can be kept for others', async t => {
  const quota = new FetchQuota(3, 1000)
  t.strictSame([0, 1, 2].map(now => quota.take(now, 2)), [true, false, false])
  t.strictSame([3, 4, 5].map(now => quota.take(now)), [true, true, false])
  t.equal(quota.take(1000), true, 'the first is out of the window')
})
