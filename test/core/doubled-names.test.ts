import t from 'tap'
import { doubledNameAt } from '../../src/core/doubled-names.ts'
import { parseJson } from '../../src/core/text.ts'

t.test('a name that stands twice in one object is found, at any depth and however it is spelled', async t => {
  const cases: Array<[string, number]> = [
    ['{"a":1,"a":2}', 7], ['{"a":{"b":[{"c":1,"c":2}]}}', 18], ['{"reader":1,"r\\u0065ader":2}', 12], ['{"a" : 1 ,\n "a"\t: 2}', 12],
    ['[{"a":"a","b":"a","a":0}]', 18], ['{"__proto__":1,"__proto__":2}', 15], ['{"":1,"":2}', 6], ['{"a\\\\":1,"a\\\\":2}', 9]
  ]
  for (const [text, at] of cases) t.equal(doubledNameAt(text), at, text)
})

t.test('the same word in other places is none', async t => {
  for (const text of ['{"a":"a"}', '{"a":{"a":{"a":1}}}', '[{"a":1},{"a":2}]', '["a","a"]', '{"a":["a","a"],"b":{"a":1}}', '"a"', '7', '{"a":"{\\"a\\":1,\\"a\\":2}"}', '{"a":1,"A":2}']) {
    t.equal(doubledNameAt(text), undefined, text)
  }
})

t.test('a file that says a thing twice is told by its place, without a word of it', async t => {
  const told = parseJson('{\n  "api_keys": {"reader": "canary-1"},\n  "key_permissions": {"reader": ["get_*"], "reader": ["*"]}\n}')
  t.strictSame(told, { problem: 'has a name that stands twice in one object (line 3, column 44): leave one of them out' })
})

t.test('a large file is looked through in time proportional to its length', async t => {
  const text = JSON.stringify({ keys: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, `v${'\\'.repeat(i % 5)}`])) })
  t.equal(doubledNameAt(text), undefined)
})
