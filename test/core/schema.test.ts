import t from 'tap'
import { compileSchema } from '../../src/core/schema.ts'

const strict = compileSchema({
  type: 'object',
  required: ['text'],
  properties: {
    text: { type: 'string' },
    how: { type: 'object', properties: {}, additionalProperties: false },
    never: false
  },
  additionalProperties: false
})

t.test('says once, and in words for the caller, what is wrong', async t => {
  const cases: Array<[unknown, string[]]> = [
    [{ text: 'hi' }, []],
    [{ text: 'hi', message: 'x' }, ['must not have the property message']],
    [{ text: 'hi', message: 'x', other: 1 }, ['must not have the properties message, other']],
    [{ text: 'hi', how: { loud: true } }, ['how must not have the property loud']],
    [{ text: 'hi', never: 1 }, ['never is not allowed']],
    [{}, ['must have required properties text']],
    [{ text: 1 }, ['text must be string']]
  ]
  for (const [value, problems] of cases) {
    t.strictSame(strict.problems(value), problems)
    t.equal(strict.fits(value), problems.length === 0)
  }
})

t.test('never repeats a value, and says no more than asked', async t => {
  const problems = strict.problems({ text: 4711, a: 'secret', how: { b: 'secret' } }, 2)
  t.equal(problems.length, 2)
  t.notMatch(problems.join(), /4711|secret/)
})

t.test('many extra properties are told, too', async t => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`extra${i}`, i]))
  const problems = strict.problems({ text: 'a', ...many })
  t.ok(problems.length > 0)
  t.match(problems[0], /extra/)
})

t.test('items that must differ are compared by what they hold, in time proportional to them', async t => {
  const { fits, problems } = compileSchema({ type: 'array', uniqueItems: true })
  for (const value of [[], [1, '1', true, null], [{ a: 1 }, { a: 2 }], ['[1]', [1]], [{ a: 1 }, [{ a: 1 }]]]) t.ok(fits(value), JSON.stringify(value))
  for (const value of [[1, 1], ['a', 'b', 'a'], [{ a: 1, b: [2] }, { b: [2], a: 1 }], [[1], [1]], [null, null]]) t.strictSame([fits(value), problems(value)], [false, ['must not have duplicate items']], JSON.stringify(value))
  const cost = (length: number) => {
    const start = process.cpuUsage()
    problems(Array.from({ length }, () => 'a'))
    return process.cpuUsage(start).user
  }
  cost(15_000)
  t.ok(cost(60_000) < 12 * Math.max(cost(15_000), 3000))
})
