import t from 'tap'
import { Sampling } from '../../src/telemetry/sampling.ts'

t.test('lets a few lines of a kind through, and the next one say how many were left out', async t => {
  const sampling = new Sampling(3, 1000)
  t.strictSame([0, 1, 2, 3, 4, 999].map(now => sampling.pass('A', now)), [0, 0, 0, undefined, undefined, undefined])
  t.equal(sampling.pass('B', 4), 0, 'another kind is not held back')
  t.equal(sampling.pass('A', 1000), 3)
  t.equal(sampling.pass('A', 1001), 0)
  t.equal(sampling.pass('A', 9000), 0, 'nothing was left out meanwhile')
})
