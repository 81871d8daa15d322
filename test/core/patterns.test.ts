import t from 'tap'
import { PATTERNS, readPatterns } from '../../src/core/patterns.ts'

const fine = { name: 'iban', description: 'An account number.', pattern: '\\bDE\\d{20}\\b' }

t.test('patterns of the operator are read, and whatever is wrong with one is named', async t => {
  t.strictSame(readPatterns([fine]), [{ name: 'iban', description: fine.description, sources: [fine.pattern] }])
  t.strictSame(readPatterns([]), [])
  const faults: Array<[unknown, RegExp]> = [
    [{}, /must hold a list/], [null, /must hold a list/], ['x', /must hold a list/],
    [[null], /entry 1: "name" must be/], [[{ ...fine, name: 'A b' }], /entry 1: "name" must be/], [[{ ...fine, name: 'x'.repeat(65) }], /"name" must be/],
    [[fine, fine], /entry 2: there is already a pattern "iban"/], [[{ ...fine, name: 'script_tag' }], /there is already a pattern "script_tag"/],
    [[{ ...fine, description: '' }], /"iban" needs a description/], [[{ ...fine, pattern: '' }], /needs a "pattern"/], [[{ ...fine, pattern: 7 }], /needs a "pattern"/],
    [[{ ...fine, regex: 'a' }], /unknown member "regex"/], [[{ ...fine, pattern: '(' }], /"iban" is not RE2/], [[{ ...fine, pattern: '(?=a)b' }], /"iban" is not RE2/], [[{ ...fine, pattern: '(a)\\1' }], /"iban" is not RE2/],
    [[{ ...fine, pattern: 'a*' }], /matches the empty text/]
  ]
  for (const [value, fault] of faults) t.throws(() => readPatterns(value), { message: fault, name: 'UsageError' }, JSON.stringify(value))
})

t.test('each pattern says in one line what it is', async t => {
  for (const { name, description } of PATTERNS) {
    t.match(name, /^[a-z_]+$/)
    t.match(description, /^[^\n]{20,200}\.$/, name)
  }
})
