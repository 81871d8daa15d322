/** Answers of upstreams, valid and wrong, mean to the lane what they mean to the SDK's client. More: `npm run measure upstreams -- oracle`. */
import t from 'tap'
import { compareAnswers } from '../../measure/upstreams/oracle.ts'

t.test('the lane passes on what the SDK\'s client takes, refuses what is broken, and differs where it is said', async t => {
  const { unexplained, same, kept, refused, lenient, compared, bounded } = await compareAnswers(250)
  t.same(unexplained, [])
  t.equal(same + kept + refused + lenient + bounded, compared)
  t.ok(same > 100 && refused > 50, 'there are enough of both kinds')
})
