import t from 'tap'
import { retryAfterS, LATE_LOOKS, LATE_MS, sample, mayTake } from '../../src/core/load.ts'

t.test('requests in flight decide, and a late event loop only where it lasts and much is in flight', async t => {
  const cases: Array<[what: string, inFlight: number, lateLooks: number, taken: boolean]> = [
    ['nothing to do', 0, 0, true],
    ['one below the bound', 255, 0, true],
    ['the bound', 256, 0, false],
    ['beyond the bound', 1000, 0, false],
    ['much in flight and a stumble', 255, LATE_LOOKS - 1, true],
    ['half the bound and late for long', 128, LATE_LOOKS, false],
    ['less than half and late for long', 127, LATE_LOOKS, true],
    ['eight clients on a machine that hardly runs', 8, 1000, true]
  ]
  for (const [what, inFlight, lateLooks, taken] of cases) t.equal(mayTake({ inFlight, lateLooks }, 256), taken, what)
  t.equal(mayTake({ inFlight: 0, lateLooks: 1000 }, 1), true, 'the first is always taken, whatever the bound')
})

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
