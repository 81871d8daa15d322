import t from 'tap'
import { BoundedMap } from '../../src/resilience/bounded-map.ts'

t.test('an entry ends at its time, and the one used longest ago goes first', async t => {
  const map = new BoundedMap<number>(2)
  map.set('a', 1, 100)
  map.set('b', 2, 200)
  t.equal(map.get('a', 99), 1)
  map.set('c', 3, 300)
  t.equal(map.get('b', 0), undefined, 'a was used after it')
  t.equal(map.get('a', 100), undefined, 'over')
  t.equal(map.get('a', 0), undefined, 'and gone for good')
  t.equal(map.get('__proto__', 0), undefined)
  map.set('c', 4, 400)
  t.equal(map.get('c', 350), 4, 'the later value')
})
