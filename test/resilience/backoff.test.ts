import t from 'tap'
import { backoffMs } from '../../src/resilience/backoff.ts'

t.test('the pause doubles from two seconds to its end', async t => {
  t.strictSame([1, 2, 3, 4, 5, 6, 50].map(failures => backoffMs(failures, 30_000)), [2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  t.equal(backoffMs(1, 50), 50)
})
