import t from 'tap'
import { accepted } from '../../src/core/accept.ts'

const rows: Array<[header: unknown, json: boolean, stream: boolean]> = [
  [undefined, true, true],
  ['', true, true],
  ['  ', true, true],
  ['application/json, text/event-stream', true, true],
  ['text/event-stream,application/json', true, true],
  ['*/*', true, true],
  ['*', true, true],
  ['application/json', true, false],
  ['APPLICATION/JSON; charset=utf-8', true, false],
  ['application/*', true, false],
  ['text/event-stream', false, true],
  ['text/*', false, true],
  ['text/html, */*;q=0.1', true, true],
  ['text/html, application/xhtml+xml', false, false],
  ['application/json;q=0', false, false],
  ['application/json;q=0, */*', false, true],
  ['*/*;q=0', false, false],
  ['*/*;q=0, application/json', true, false],
  ['application/*;q=0.000, application/json;q=0.001', true, false],
  ['text/*, text/event-stream;q=0.0', false, false],
  ['application/json;q=x', true, false],
  ['application/jsonp', false, false],
  ['json', false, false],
  [',,;;', false, false],
  [['application/json', 'text/event-stream'], true, true],
  [`${'a/b,'.repeat(100_000)}application/json`, false, false]
]

t.test('an Accept header says which forms of an answer are taken', async t => {
  for (const [header, json, stream] of rows) t.strictSame(accepted(header), { json, stream }, String(header).slice(0, 60))
})
