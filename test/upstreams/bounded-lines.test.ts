import fc from '../support/fast-check.ts'
import t from 'tap'
import { BoundedLines, idOfEnds } from '../../src/upstreams/bounded-lines.ts'

interface Read { lines: string[], tooLong: Array<{ head: string, tail?: string }> }

function read (bytes: Buffer, max: number, cuts: readonly number[] = []): Read {
  const got: Read = { lines: [], tooLong: [] }
  const lines = new BoundedLines(max, { onLine: line => got.lines.push(line), onTooLong: ends => got.tooLong.push(ends) })
  let start = 0
  for (const cut of [...new Set(cuts)].sort((a, b) => a - b)) {
    if (cut <= start || cut >= bytes.length) continue
    lines.push(bytes.subarray(start, cut))
    start = cut
  }
  lines.push(bytes.subarray(start))
  return got
}

t.test('lines are the same however the bytes are cut', async () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 40 }).map(text => text.replaceAll('\n', ' ').replaceAll('\ufeff', ''))
  fc.assert(fc.property(fc.array(line, { maxLength: 10 }), fc.array(fc.nat(400)), (texts, cuts) => {
    const { lines, tooLong } = read(Buffer.from(texts.map(text => text + '\n').join('')), 10_000, cuts)
    return tooLong.length === 0 && lines.length === texts.length && lines.every((line, i) => line === texts[i])
  }), { numRuns: 300 })
})

t.test('a line over the bound is told of twice, with its ends, and the next is read', async () => {
  fc.assert(fc.property(fc.integer({ min: 101, max: 5000 }), fc.array(fc.nat(5000), { maxLength: 20 }), (size, cuts) => {
    const long = 'a'.repeat(size - 3) + 'xyz'
    const { lines, tooLong } = read(Buffer.from(`first\n${long}\nlast\n`), 100, cuts)
    return lines.join() === 'first,last' && tooLong.length === 2 && tooLong[0]!.tail === undefined &&
      long.startsWith(tooLong[0]!.head) && tooLong[1]!.tail!.endsWith('xyz') && tooLong[1]!.tail!.length <= 256
  }))
})

t.test('an id is found in either end, as libraries write it', async t => {
  for (const [head, tail, id] of [
    ['{"jsonrpc":"2.0","id":5,"result":{"text":"x', 'x"}}', 5],
    ['{"id":5,"jsonrpc":"2.0","result":{', '}}', 5],
    ['{ "jsonrpc": "2.0", "id": "a-7", "result": {', '}}', 'a-7'],
    ['{"result":{"text":"', 'x"},"jsonrpc":"2.0","id":5}', 5],
    ['{"jsonrpc":"2.0","result":{"text":"', 'x"},"id":5}', 5],
    ['{"result":{"text":"', 'x"}, "id": 5, "jsonrpc": "2.0" }\r', 5],
    // Deeper, or within a text: not the message's own.
    ['{"result":{"items":[', '{"a":1,"id":7}]}}', undefined],
    ['{"result":{"text":"{\\"id\\":7,', '\\"id\\":7}"}}', undefined],
    ['{"jsonrpc":"2.0","id":null,"result":{', '}}', undefined],
    ['x'.repeat(256), 'x'.repeat(256), undefined]
  ] as const) t.equal(idOfEnds({ head, tail }), id, head.slice(0, 40) + ' … ' + tail)
})
