import t from 'tap'
import { retryAfterS, LATE_MS, sample } from '../../src/core/load.ts'

t.test('looks count while each one is late, and one in time ends the run', async t => {
  let looks = 0
  for (const lateMs of [LATE_MS, LATE_MS * 3, LATE_MS]) looks = sample(looks, lateMs)
  t.equal(looks, 3)
  t.equal(sample(looks, LATE_MS - 1), 0)
  t.equal(sample(looks, -1), 0, 'one that comes early, after one that was late')
})

t.test('those who are refused come back at different times', async t => {
  t.strictSame([0, 0.34, 0.67, 0.999].map(retryAfterS), [1, 2, 3, 3])
})
