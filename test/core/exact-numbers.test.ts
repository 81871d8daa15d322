import fc from '../support/fast-check.ts'
import t from 'tap'
import { inexactNumberIn, inexactNumbers, markInexactNumbers } from '../../src/core/exact-numbers.ts'

t.test('a number is inexact where reading it gives another one', async t => {
  const inexact = ['725653563933458433', '-725653563933458433', '9007199254740993', '18446744073709551615', '9223372036854775807', '9223372036854775808', '12345678901234567.89', '9007199254740993.0', '1e999', '-1e400', `1${'0'.repeat(400)}`,
    '9007199254740991.4', '-9007199254740991.4', '1.00000000000000000001', '12345678.0000000001', `0.${'0'.repeat(400)}1`]
  const exact = ['0', '-0', '9007199254740991', '-9007199254740991', '9007199254740992', '10000000000000000', '100000000000000000000', '1e20', '6.02214076e23', '1.7976931348623157e308', '0.1', '3.141592653589793238', '1e-400', '0.00000000000000000001', '1.5e300', '10000000000000000.0']
  for (const number of inexact) t.strictSame(inexactNumbers(`{"a":${number}}`), [['a']], number)
  for (const number of exact) t.strictSame(inexactNumbers(`{"a":${number}}`), [], number)
})

t.test('what is echoed is the number that was written, or none', async t => {
  const written = ['9007199254740991.4', '90071992547409914e-1', '1e-400', '0.99999999999999999', '9007199254740990.6E0']
  for (const number of written) {
    for (const [text, member] of [
      [`{"id":${number},"method":"ping"}`, (value: any) => value.id],
      [`{"params":{"requestId":${number}}}`, (value: any) => value.params.requestId],
      [`{"params":{"progressToken":${number}}}`, (value: any) => value.params.progressToken],
      [`{"params":{"_meta":{"n":9007199254740993,"progressToken":${number}}}}`, (value: any) => value.params._meta.progressToken]
    ] as const) {
      const value = JSON.parse(text)
      markInexactNumbers(value, text)
      t.strictSame(member(value), NaN, text)
    }
  }
  for (const number of ['9007199254740991', '-9007199254740991', '1.0', '100', '0']) {
    const text = `{"id":${number},"params":{"x":1234567890123456}}`
    const value = JSON.parse(text)
    markInexactNumbers(value, text)
    t.equal(value.id, Number(number), number)
  }
})

t.test('text that looks like one is none', async t => {
  for (const text of ['{"a":"725653563933458433"}', '{"725653563933458433":1}', '{"a":"\\"725653563933458433"}', '{"a":["x","1e999"]}']) t.strictSame(inexactNumbers(text), [], text)
})

t.test('every object on the way knows where the first one is below it', async t => {
  const text = '{"id":1,"params":{"name":"x","_meta":{"n":9007199254740993},"arguments":{"a":[1,{"b \\u0022":[0,725653563933458433]}],"c":9007199254740995}}}'
  const value = JSON.parse(text)
  markInexactNumbers(value, text)
  t.strictSame(inexactNumberIn(value.params.arguments)?.path, ['a', 1, 'b "', 1])
  t.strictSame(inexactNumberIn(value.params.arguments.a)?.path, [1, 'b "', 1])
  t.strictSame(inexactNumberIn(value.params._meta)?.path, ['n'], 'a number elsewhere hides none')
  t.equal(inexactNumberIn({ ...value.params.arguments }), undefined, 'another object is another matter')
  for (const nothing of [undefined, null, 1, 'x', {}]) t.equal(inexactNumberIn(nothing), undefined)
})

t.test('places are those that JSON.parse gives, whatever the text', async () => {
  fc.assert(fc.property(fc.object({ maxDepth: 4, values: [fc.constant('MARK'), fc.integer(), fc.string()] }), fc.boolean(), (value, pretty) => {
    const text = JSON.stringify(value, null, pretty ? 2 : undefined).replaceAll('"MARK"', '725653563933458433')
    return inexactNumbers(text).every(path => path.reduce((inner: any, key) => inner[key], value) === 'MARK')
  }), { numRuns: 2000 })
})
