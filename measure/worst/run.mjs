// `npm run measure worst [-- --record]`: requests of 1 MB, and how long each keeps the event loop from everybody else.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { median, modernCall, startServer } from '../bench/load.mjs'
import { circumstances, markdownTable, writeSection } from '../report.ts'

const { values: { record } } = parseArgs({ options: { record: { type: 'boolean', default: false } } })
const ROUNDS = 5
const MOST_MS = 100
/** Bytes of a body; the server takes 1,048,576. */
const SIZE = 1_040_000

/** What begins an attack, a number, an escape or a word that some pattern looks for, again and again. */
const PIECES = [
  'a', ' ', '\n', '"', '\\', '\u00e9', '\ud83d\ude00', '\u200b', '0', '9007199254740993 ', "' or ", '" or 1', "'||", '<', '<script ', '<a href=', '<!--', '<![CDATA[', 'on', ' on', 'onerror=',
  '../', '..\\', '%2e', '%25', '/etc/', 'union ', 'union all select ', 'select ', 'select a from b union ', '--', '/*', '*/', ';', '; cat ', '|', '&', '`', '$(', '${', '{{', '{%', '<%', '#{', 'eval', 'eval (',
  'exec(', 'system (', 'require(', '__import__(', 'data:', 'javascript:', 'j a v a', 'jndi:', '${${', 'AAAA', 'YWJj', '\\u0041', '\\x41', '&#x41;', '&lt;', 'constructor.', 'sk-', 'eyJ.', 'Bearer ', 'http://a@', '1=1 ', 'sleep(', 'waitfor '
]

const fill = (piece, size = SIZE) => piece.repeat(Math.floor(size / (Buffer.byteLength(JSON.stringify(piece)) - 2)))
const keys = (count, value) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value]))

/** @returns pairs of a name and the arguments of a call, as JSON */
function shapes () {
  const texts = PIECES.map(piece => [`echo of ${JSON.stringify(piece)} again and again`, { text: fill(piece) }])
  const long = 'x'.repeat(90)
  return [
    ...texts,
    ['9,900 keys that the tool does not know', keys(9900, long)],
    ['9,900 keys of 90 letters', Object.fromEntries(Array.from({ length: 9900 }, (_, i) => [`${long}${i}`, 1]))],
    ['9,900 texts in a list', { text: Array.from({ length: 9900 }, () => long) }],
    ['9,900 texts that begin like attacks', { text: Array.from({ length: 9900 }, (_, i) => `${PIECES[i % PIECES.length]}${'a'.repeat(80)}`) }],
    ['60 levels around a long text', { text: Array.from({ length: 50 }).reduce(inner => ({ a: inner }), fill('ab ', 1_000_000)) }],
    ['9,900 numbers of 90 digits', { text: Array.from({ length: 9900 }, () => 'NUMBER') }]
  ].map(([name, args]) => [name, JSON.stringify(args).replaceAll('"NUMBER"', '9'.repeat(90))])
}

const server = await startServer(join(import.meta.dirname, '../bench/server.mjs'), {})
const { headers, body } = modernCall({ authorization: `Bearer ${server.keys[0]}` })
const results = []
for (const [name, args] of shapes()) {
  const text = body.replace('{"text":"hello"}', () => args).slice(0, 1_048_576)
  const times = []
  let status = 0
  for (let round = 0; round < ROUNDS; round++) {
    await server.blocked()
    const answer = await fetch(`http://127.0.0.1:${server.port}/mcp`, {
      method: 'POST', headers: { ...headers, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, body: text
    })
    await answer.text()
    status = answer.status
    times.push(await server.blocked())
  }
  results.push({ name, bytes: text.length, status, times })
}
await server.stop()
const worst = results.sort((a, b) => median(b.times) - median(a.times)).slice(0, 10)
const table = markdownTable(
  ['a call of 1 MB', 'bytes', 'status', 'event loop blocked, ms: median of 5 (most)', 'wanted', ''],
  worst.map(({ name, bytes, status, times }) =>
    [name, bytes, status, `${median(times).toFixed(0)} (${Math.max(...times).toFixed(0)})`, `≤ ${MOST_MS}`, median(times) <= MOST_MS ? 'met' : '**missed**'])
)
console.log(`the ten worst of ${results.length} shapes\n\n${table}`)
if (record) {
  writeSection('worst', ['## The worst request of 1 MB', '', circumstances('npm run measure worst -- --record'), '',
    `The ten worst of ${results.length} shapes; the event loop is looked at each millisecond.`, '', table].join('\n'))
}
process.exit(median(worst[0].times) <= MOST_MS ? 0 : 1)
