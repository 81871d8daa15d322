import fc from '../support/fast-check.ts'
import t from 'tap'
import { linearPattern, requireNoBacktracking } from '../../src/core/linear-pattern.ts'
import { compileSchema } from '../../src/core/schema.ts'

/** Those that published collections call slow, and a few beside them. */
const SLOW: ReadonlyArray<readonly [pattern: string, pump: string]> = [
  ['^([a-z]+)+$', 'a'], ['^(a|aa)+$', 'a'], ['^(a|a?)+$', 'a'], ['(.*a){12}', 'a'], ['^(([a-z])+.)+[A-Z]([a-z])+$', 'a'], ['\\s+$', ' '], ['^\\s*(.*?)\\s*$', ' '], ['x*y*z*x*$', 'x'], ['(a*)*b', 'a'],
  ['^([a-zA-Z0-9_\\-\\.]+)@([a-zA-Z0-9_\\-\\.]+)\\.([a-zA-Z]{2,5})$', 'a'], ['^([a-zA-Z0-9])(([\\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$', '0'],
  ['^\\w+([-+.]\\w+)*@\\w+([-.]\\w+)*\\.\\w+([-.]\\w+)*$', 'a'], ['(https?:\\/\\/)?([\\da-z\\.-]+)\\.([a-z\\.]{2,6})([\\/\\w \\.-]*)*\\/?$', 'a'], ['^(?:\\d+,?)+$', '1'], ['"([^"\\\\]|\\\\.)*"x', '\\\\"'], ['a+b', 'a'], ['[a-z]+@', 'a']
]

t.test('patterns that backtrack run in time proportional to the text', async t => {
  for (const [pattern, pump] of SLOW) {
    const { fits } = compileSchema({ type: 'string', pattern })
    const cost = (length: number) => {
      const text = pump.repeat(length / pump.length) + '!'
      const start = process.cpuUsage()
      fits(text)
      return process.cpuUsage(start).user
    }
    cost(64_000)
    const small = Math.max(cost(64_000), 3000)
    const large = cost(1_000_000)
    t.ok(large < 40 * small, `${pattern}: ${small} µs, sixteen times as long ${large} µs`)
  }
})

t.test('they mean what they mean to the engine of Node', async t => {
  const patterns = [
    ...SLOW.map(([pattern]) => pattern),
    '^(\\s\\S)+$', '(a.)+b', '^(.+)\\n(.+)$', '[^\\s]+x+', '(\\bab\\b)+', '^(\\u0041|\\u{42})+$', '^([\\u0041-\\u0043-]+)+$', '^(\\x41|\\cJ|\\0)+$', '(\\p{L}\\p{Lu})+', '^(\\p{Script=Greek}|\\d)+$',
    '^(\\ud83d\\ude00)+$', '([]|a)+', '^([^]b)+$', '(a|b)*?c', '^(?:a{2,3}b?)+$', '(?<year>\\d{2})+-', '^([\\]a[-]+)+$', '([.*+?^${}()|])+', '^(a|b|)+$', '(\\/|-)+', '(^a|b$)+'
  ]
  const alphabet = fc.constantFrom('a', 'b', 'c', 'A', 'B', 'Z', '0', '1', '2', ' ', '\n', '\r', '\u2028', '\u00a0', '\ufeff', '\v', '-', '.', '@', ',', '_', '/', '\\', '"', ']', '[', '$', '{', '😀', 'é', 'Ω', '\0', '\b', 'x', 'y')
  for (const pattern of patterns) {
    const native = new RegExp(pattern, 'u')
    const linear = linearPattern(pattern)
    fc.assert(fc.property(fc.array(alphabet, { maxLength: 14 }).map(letters => letters.join('')), text => linear.test(text) === native.test(text)), { numRuns: 1500 })
    fc.assert(fc.property(fc.stringMatching(/^[^]{0,1}$/), text => linear.test(text) === native.test(text)), { numRuns: 20 })
    t.pass(pattern)
  }
})

t.test('a pattern that is wrong under the flag u is read without it', async t => {
  for (const [pattern, good, bad] of [['^https\\:\\/\\/', 'https://a', 'http://a'], ['^[\\w\\-\\.\\_]+$', 'a-b', 'a b'], ['^(\\@\\i)+$', '@i@i', '@'], ['^a{,2}$', 'a{,2}', 'aa'], ['^[\\_a]+(\\:b)*$', 'a_:b', ':b'], ['^\\a+(b)+$', 'aabb', 'b']] as const) {
    const { fits } = compileSchema({ type: 'string', pattern })
    t.strictSame([fits(good), fits(bad)], [true, false], pattern)
  }
})

t.test('what cannot be run so is refused with the reason', async t => {
  const refused: Array<[string, RegExp]> = [
    ['^(?=.*[A-Z]).+$', /looks around .*allOf/], ['(?!x)a', /looks around/], ['(?<=a)b', /looks around/], ['(a+)\\1', /refers back/], ['(?<n>a)\\k<n>', /refers back/],
    ['^(\\w{1,2000}\\.)+$', /cannot be run in time proportional/], ['[', /no regular expression/], ['a{2,1}', /no regular expression/]
  ]
  for (const [pattern, fault] of refused) t.throws(() => compileSchema({ type: 'string', pattern }), { message: fault }, pattern)
  t.throws(() => compileSchema({ type: 'object', properties: { a: { type: 'array', items: { anyOf: [{ pattern: '(a)\\1' }] } } } }), /refers back/, 'wherever it stands')
  t.doesNotThrow(() => compileSchema({ type: 'object', default: { pattern: '(?=a)' }, properties: { pattern: { type: 'string' } } }), 'data is no schema')
})

t.test('patterns of keys have a form that cannot backtrack', async t => {
  for (const pattern of ['^.*$', '^x-', '^S_[a-z]+$', '_id$', '^(?:0|[1-9][0-9]*)$', '^[a-z]{1,64}$', 'plain']) t.doesNotThrow(() => requireNoBacktracking(pattern), pattern)
  for (const pattern of ['(a+)+', '^(a|b)*$', '\\s+$', '^a+b+$', '^a+|b+$', '(a)\\1', '^(?=a)']) t.throws(() => compileSchema({ type: 'object', patternProperties: { [pattern]: {} } }), /in proportion/, pattern)
})
