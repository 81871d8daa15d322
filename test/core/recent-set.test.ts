import t from 'tap'
import { RecentSet } from '../../src/core/recent-set.ts'

t.test('the last values are held, and adding one again makes it the last', async t => {
  const set = new RecentSet(2)
  for (const value of ['a', 'b', 'a', 'c']) set.add(value)
  t.same(['a', 'b', 'c'].map(value => set.has(value)), [true, false, true])
})
