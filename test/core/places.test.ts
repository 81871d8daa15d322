import t from 'tap'
import { Places } from '../../src/core/places.ts'

t.test('places are counted in all and by holder, and only who holds one leaves one', async t => {
  const places = new Places()
  for (const holder of ['a', 'a', 'b']) places.take(holder)
  t.equal(places.taken, 3)
  t.equal(places.of('a'), 2)
  t.equal(places.of('c'), 0)
  places.leave('c')
  places.leave('a')
  t.equal(places.taken, 2)
  for (let i = 0; i < 3; i++) places.leave('a')
  t.equal(places.taken, 1)
  t.equal(places.of('b'), 1)
})
