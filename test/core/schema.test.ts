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
