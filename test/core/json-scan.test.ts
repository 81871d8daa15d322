import fc from '../support/fast-check.ts'
import t from 'tap'
import { MAX_DEPTH, MAX_ELEMENTS, scanJson } from '../../src/core/json-scan.ts'

const call = (args: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":${args}}}`

t.test('lets ordinary messages pass', async t => {
  for (const text of [
    call('{"text":"a \\"quoted\\" text, with { [ and , in it"}'),
    call('{"a":[{"x":1},{"x":2}],"Name":"upper case belongs to the tool","METHOD":1}'),
    call('{"constructor":"a string","prototype":{}}'),
    '{"jsonrpc":"2.0","id":1,"result":{}}',
    ' \n\t{"jsonrpc" : "2.0" , "method":"ping","id":"x"}',
    '"just a string"', '7', 'null', ''
  ]) t.equal(scanJson(text), undefined, text)
})

t.test('keys of one object say nothing about those of the next, however many they are', async t => {
  const keys = (n: number, value = '1') => Array.from({ length: n }, (_, i) => `"k${i}":${value}`).join()
  for (const n of [1, 63, 64, 65, 70, 200]) {
    t.equal(scanJson(`{"params":{"arguments":{${keys(n)}},"_meta":{${keys(n)}}}}`), undefined, `${n} keys, twice`)
    t.equal(scanJson(`{"params":{"_meta":{${keys(n)}},"capabilities":{${keys(n)}},"arguments":{${keys(n)}}}}`), undefined)
    t.equal(scanJson(`{"params":{"arguments":{${keys(n)}}},"result":{${keys(n)}},"error":{"data":{${keys(n)}}}}`), undefined)
    t.equal(scanJson(`{"params":{"arguments":{"list":[{${keys(n)}},{${keys(n)}}]}}}`), undefined)
    t.match(scanJson(`{"params":{"arguments":{${keys(n)}},"_meta":{${keys(n)},"k0":1}}}`), { reason: 'duplicate_key' }, `${n} keys and one of them again`)
    t.match(scanJson(`{"params":{"arguments":{${keys(n)},"k${n - 1}":1}}}`), { reason: 'duplicate_key' })
  }
})

t.test('refuses what parsers read differently or cannot bear', async t => {
  const cases: Array<[string, string]> = [
    ['batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]'],
    ['batch', '  []'],
    ['duplicate_key', '{"method":"tools/list","method":"tools/call"}'],
    ['duplicate_key', '{"method":"tools/list","m\\u0065thod":"tools/call"}'],
    ['duplicate_key', '{"method":"x","params":{"name":"echo","name":"admin"}}'],
    ['duplicate_key', '{"method":"x","params":{"arguments":{"a":1,"b":[1,2,{"c":1}],"a":2}}}'],
    ['duplicate_key', '{"method":"x","params":{"_meta":{"a":1,"a":1}}}'],
    ['wrong_case', '{"Method":"tools/call"}'],
    ['wrong_case', '{"jsonRPC":"2.0"}'],
    ['wrong_case', '{"method":"x","param\u017f":{}}'],
    ['wrong_case', '{"method":"x","params":{"Name":"echo"}}'],
    ['wrong_case', '{"method":"x","params":{"\\uff4eame":"echo"}}'],
    ['wrong_case', '{"method":"x","params":{"_META":{}}}'],
    ['prototype', call('{"__proto__":{"admin":true}}')],
    ['prototype', call('{"a":{"b":{"c":{"\\u005f_proto__":1}}}}')],
    ['prototype', call('{"a":{"b":{"constructor":{"prototype":{}}}}}')],
    ['too_deep', '{"a":' + '['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH) + '}'],
    ['too_deep', '{"a":'.repeat(100_000)],
    ['too_many', call(`[${'0,'.repeat(MAX_ELEMENTS)}0]`)],
    ['too_many', call(`{${Array.from({ length: MAX_ELEMENTS + 1 }, (_, i) => `"k${i}":0`).join()}}`)]
  ]
  for (const [reason, text] of cases) t.match(scanJson(text), { reason }, text.slice(0, 80))
})

t.test('echoes nothing of a key but plain characters', async t => {
  const fault = scanJson('{"method":1,"a\\u001b[31m<b>":1,"a\\u001b[31m<b>":2}')
  t.match(fault, { reason: 'duplicate_key' })
  t.match(fault!.message, /^The key "a\?\?31m\?b\?" stands twice$/)
})

t.test('finds every doubled key that JSON.parse would drop in silence', async () => {
  const key = fc.constantFrom('a', 'b', 'method', 'params', 'x y', 'é', '"', '\\', 'constructor')
  const written = (name: string, escape: boolean) => escape
    ? '"' + [...name].map(c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0')).join('') + '"'
    : JSON.stringify(name)
  const blank = fc.constantFrom('', ' ', '\n', '\t ')
  const object = (value: fc.Arbitrary<string>) => fc.array(fc.tuple(key, fc.boolean(), value, blank), { maxLength: 4 })
    .map(members => `{${members.map(([name, escape, text, space]) => space + written(name, escape) + space + ':' + text).join(',')}}`)
  const leaf = fc.constantFrom('1', '"s"', 'null', '"\\\\"', '"\\""', '[1,"a",{}]')
  const text = object(fc.oneof(leaf, object(fc.oneof(leaf, object(leaf)))))
  fc.assert(fc.property(text, text => {
    const fault = scanJson(text)
    return (fault?.reason === 'duplicate_key' || fault?.reason === 'wrong_case') === doubles(text)
  }), { numRuns: 2000 })
})

t.test('never throws and always ends, whatever the text', async () => {
  fc.assert(fc.property(fc.oneof(fc.string({ maxLength: 300 }), fc.json(), fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', 'a') })), text => {
    scanJson(text)
    return true
  }), { numRuns: 5000 })
})

/** A slow reference: parse with a reviver that counts members is not enough, so walk the text by hand. */
function doubles (text: string): boolean {
  let i = 0
  let found = false
  const blanks = () => { while (' \n\t\r'.includes(text[i] ?? '-')) i++ }
  const string = (): string => {
    const from = i++
    while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1
    i++
    return JSON.parse(text.slice(from, i)) as string
  }
  const value = (): void => {
    blanks()
    if (text[i] === '{') {
      const keys: string[] = []
      i++
      blanks()
      while (text[i] !== '}') {
        if (text[i] === ',') { i++; blanks() }
        const key = string()
        if (keys.includes(key)) found = true
        keys.push(key)
        blanks()
        i++
        value()
        blanks()
      }
      i++
    } else if (text[i] === '[') {
      i++
      blanks()
      while (text[i] !== ']') {
        if (text[i] === ',') i++
        value()
        blanks()
      }
      i++
    } else if (text[i] === '"') string()
    else while (i < text.length && !',}] \n\t'.includes(text[i]!)) i++
  }
  value()
  return found
}
