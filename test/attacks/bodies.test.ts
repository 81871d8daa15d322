/** Whatever comes as a body is answered, briefly and in words of JSON-RPC, and the next caller is served. FUZZ says how many generated ones. */
import { connect, type AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import fc from '../support/fast-check.ts'
import t, { type Test } from 'tap'
import { messageOf, META, MODERN, addKey, build, modern } from '../support/app.ts'
import { BOTH, messages, TOOLS as ALL } from '../mcp/messages.ts'

const TOOLS = ALL.filter(one => one.kind !== 'tool' || one.tool.name !== 'echo') // there is one built in
const FUZZ = Number(process.env.FUZZ ?? 2000)
const WORDS = /\bat [A-Za-z.<>]+ \(|node_modules|\.ts:\d|TypeError|RangeError|SyntaxError|ECONN/
const OPEN = { RATE_LIMIT_API_KEY: '10000000' }

/** A body as it stands, with the headers of a revision. */
async function post (app: FastifyInstance, key: string, payload: string | Buffer, headers: Record<string, string> = {}) {
  return await app.inject({ method: 'POST', url: '/mcp', headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: BOTH, 'x-api-key': key, ...headers }, payload })
}

/** Headers that agree with a body where it says anything, so that more than their comparison is reached. */
function headersFor (body: string, revision: string | undefined): Record<string, string> {
  if (revision === undefined) return {}
  if (revision !== MODERN) return { 'mcp-protocol-version': revision }
  let said: { method?: unknown, params?: { name?: unknown } } | null = null
  try { said = JSON.parse(body) } catch { /* nor does the server know */ }
  const [method, name] = [said?.method, said?.params?.name]
  const plain = (value: unknown) => typeof value === 'string' && /^[!-~]{1,99}$/.test(value)
  return {
    'mcp-protocol-version': MODERN,
    'mcp-method': plain(method) ? method as string : 'tools/call',
    ...(plain(name) ? { 'mcp-name': name as string } : {})
  }
}

/** What holds of every answer; returns what is wrong with this one. */
function fault ({ statusCode, body, headers }: { statusCode: number, body: string, headers: Record<string, unknown> }): string | undefined {
  if (statusCode >= 500 || statusCode < 200 || (statusCode >= 300 && statusCode < 400)) return `status ${statusCode}: ${body.slice(0, 200)}`
  if (WORDS.test(body)) return `tells of its inside: ${body.slice(0, 300)}`
  if (statusCode === 202) return body === '' ? undefined : 'words with 202'
  try {
    const message = messageOf({ body, headers }) as { jsonrpc?: unknown }
    return message.jsonrpc === '2.0' ? undefined : `not JSON-RPC: ${body.slice(0, 200)}`
  } catch {
    return `not JSON: ${body.slice(0, 200)}`
  }
}

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 200 }), fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', '\u0000', '\ud800', '../../etc/passwd', '{{7*7}}', '%00', 'a'.repeat(5000)))
const key = fc.oneof({ weight: 30, arbitrary: fc.string() }, { weight: 1, arbitrary: text })
const tree = fc.letrec(tie => ({
  value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, fc.constantFrom<unknown>(null, true, 0, -0, 1e21, 2 ** 53, -1), text, fc.array(tie('value'), { maxLength: 6 }), fc.dictionary(key, tie('value'), { maxKeys: 6 }))
})).value
const METHODS = ['tools/call', 'tools/list', 'initialize', 'ping', 'server/discover', 'prompts/get', 'resources/read', 'completion/complete', 'logging/setLevel', 'notifications/cancelled', 'notifications/progress', 'subscriptions/listen', 'resources/subscribe']
/** Something in the place of each part of a message. */
const shaped = fc.record({
  jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant('2.0') }, { weight: 1, arbitrary: tree }),
  id: fc.oneof({ weight: 9, arbitrary: fc.oneof(fc.integer(), text) }, { weight: 1, arbitrary: tree }),
  method: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...METHODS) }, { weight: 1, arbitrary: tree }),
  params: fc.oneof(tree, fc.record({ name: fc.oneof(fc.constantFrom('echo', 'sum', 'who'), tree), arguments: tree, uri: tree, ref: tree, argument: tree, level: tree, cursor: tree, notifications: tree, requestState: tree, inputResponses: tree, _meta: fc.oneof({ weight: 4, arbitrary: fc.constant(META) }, { weight: 1, arbitrary: tree }) }, { requiredKeys: [] }))
}, { requiredKeys: ['jsonrpc', 'method'] }).map(value => JSON.stringify(value))
/** A sound message with some of its characters exchanged, doubled or gone. */
const broken = fc.tuple(messages, fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom('', '"', '{', '}', '[', ']', ',', ':', '\\', '\\u0000', '\\ud800', '\u0000', 'é', '1e999', '-', 'null', ' ')), { maxLength: 2 }))
  .map(([{ body }, cuts]) => cuts.reduce((whole, [where, what]) => {
    const at = Math.floor(where * whole.length)
    return whole.slice(0, at) + what + whole.slice(at + (what === '' ? 3 : 1))
  }, JSON.stringify(body)))
const bodies = fc.oneof({ weight: 4, arbitrary: shaped }, { weight: 4, arbitrary: broken }, { weight: 1, arbitrary: tree.map(value => JSON.stringify(value)) }, { weight: 1, arbitrary: text })

t.test('no generated body gets an answer of 5xx, a stack or silence', { timeout: 1_200_000 }, async t => {
  const { app, store, lines } = await build(t, { tools: TOOLS, env: OPEN })
  const { key } = await addKey(store)
  let sent = 0
  const statuses: Record<number, number> = {}
  await fc.assert(fc.asyncProperty(bodies, fc.constantFrom(undefined, '2025-11-25', MODERN), async (body, revision) => {
    sent++
    // A stream that opens never ends by itself; its first bytes are all that is asked for.
    if (body.includes('subscriptions/listen')) return
    const answer = await post(app, key, body, headersFor(body, revision))
    statuses[answer.statusCode] = (statuses[answer.statusCode] ?? 0) + 1
    const wrong = fault(answer)
    if (wrong !== undefined) throw new Error(wrong)
  }), { numRuns: FUZZ })
  const failed = lines.filter(({ level, msg }) => (level === 'error' || level === 'fatal') && !/^tool /.test(String(msg)))
  t.comment(`figure: ${sent} bodies, ${Object.entries(statuses).map(([status, n]) => `${n} × ${status}`).join(', ')}, 0 × 5xx`)
  t.equal(sent, FUZZ)
  t.strictSame(failed.slice(0, 2).map(line => line.msg), [], 'nothing was an error of ours')
  t.equal(messageOf(await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'still here' } }, { key })).result.content[0].text, 'still here')
})

t.test('bodies of a megabyte that are made to fill the heap or the stack are refused', async t => {
  const { app, store } = await build(t, { tools: TOOLS, env: OPEN })
  const { key } = await addKey(store)
  const MB = 1_000_000
  const call = (args: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":${args}}}`
  const bombs: Array<[string, string, number]> = [
    ['brackets', '['.repeat(MB), 400],
    ['nested objects', call('{"a":'.repeat(MB / 5)), 400],
    ['closed nested objects', call('{"a":'.repeat(60_000) + '1' + '}'.repeat(60_000)), 400],
    ['empty objects', call(`{"text":[${'{},'.repeat(300_000)}{}]}`), 400],
    ['keys', call(`{${Array.from({ length: 90_000 }, (_, i) => `"${i}":1`).join(',')}}`), 400],
    ['one key again and again', call(`{${'"a":1,'.repeat(150_000)}"a":1}`), 400],
    ['commas', call(`[${','.repeat(MB - 200)}]`), 400],
    ['an endless string', `{"a":"${'x'.repeat(MB)}`, 400],
    ['an endless number', call('1'.repeat(MB - 200)), 200],
    ['an exponent', call('{"text":1e999999999}'), 200],
    ['escapes', call(`{"text":"${'\\u0041'.repeat(160_000)}"}`), 200],
    ['backslashes', call(`{"text":"${'\\\\'.repeat(450_000)}"}`), 200],
    ['quotes', '"'.repeat(MB), 400],
    ['white space', ' '.repeat(MB), 400],
    ['zeros', '\u0000'.repeat(MB), 400],
    ['over the limit', call(`{"text":"${'x'.repeat(1_048_576)}"}`), 413]
  ]
  for (const [what, bomb, status] of bombs) {
    const answer = await post(app, key, bomb)
    t.equal(answer.statusCode, status, what)
    t.equal(fault(answer), undefined, what)
    t.ok(answer.body.length < 2000 || status === 200, `${what}: a short answer`)
  }
})

t.test('patterns of inspection are fed what would take others minutes', async t => {
  const { app, store } = await build(t, { tools: TOOLS, env: OPEN })
  const { key } = await addKey(store)
  const pumps = ['../', '..%2f', '<', '<script ', 'union ', 'union/**/', 'select ', 'eval ', 'eval(', '(', ' ', '\t', 'a', '\'', '" or ', '; ', '$(', '%25', '&#x', '\\u', 'javascript:', 'on', 'é', '\u0301']
  for (const pump of pumps) {
    const answer = await post(app, key, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: pump.repeat(Math.floor(400_000 / JSON.stringify(pump).length)) + '!' } } }))
    t.equal(answer.statusCode, 200, JSON.stringify(pump))
    t.equal(fault(answer), undefined)
  }
})

t.test('requests that two servers could read differently are refused on the wire, and nothing follows them', async t => {
  const { app, store } = await build(t, { tools: TOOLS, env: OPEN })
  const { key } = await addKey(store)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const body = JSON.stringify({ jsonrpc: '2.0', id: 'inner', method: 'tools/call', params: { name: 'echo', arguments: { text: 'smuggled' } } })
  const inner = `POST /mcp HTTP/1.1\r\nHost: localhost:3000\r\nX-API-Key: ${key}\r\nContent-Type: application/json\r\nAccept: ${BOTH}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const head = (...lines: string[]) => ['POST /mcp HTTP/1.1', 'Host: localhost:3000', 'Content-Type: application/json', ...lines, '', ''].join('\r\n')
  const shapes: Record<string, string | Buffer> = {
    'a length and chunks': head('Content-Length: 5', 'Transfer-Encoding: chunked') + '0\r\n\r\n' + inner,
    'chunks and a length': head('Transfer-Encoding: chunked', 'Content-Length: 5') + '0\r\n\r\n' + inner,
    'two lengths': head('Content-Length: 0', `Content-Length: ${inner.length}`) + inner,
    'a list of lengths': head(`Content-Length: 0, ${inner.length}`) + inner,
    'a signed length': head('Content-Length: +0') + inner,
    'a negative length': head('Content-Length: -1') + inner,
    'a length in hexadecimal': head('Content-Length: 0x0') + inner,
    'an unknown coding': head('Transfer-Encoding: xchunked') + '0\r\n\r\n' + inner,
    'a doubled coding': head('Transfer-Encoding: chunked', 'Transfer-Encoding: identity') + '0\r\n\r\n' + inner,
    'space before the colon': head('Content-Length : 0') + inner,
    'a folded header': head('X: a', ' Content-Length: 0') + inner,
    'a bare line feed': head('Content-Length: 0').replaceAll('\r\n', '\n') + inner.replaceAll('\r\n', '\n'),
    'a bare carriage return': head('X: a\rContent-Length: 0') + inner,
    'a zero in a header': head('X: a\u0000b', 'Content-Length: 0') + inner,
    'no Host': `POST /mcp HTTP/1.1\r\nContent-Length: 0\r\n\r\n${inner}`,
    'two Hosts': head('Host: evil.example', 'Content-Length: 0') + inner,
    'a chunk size too large': head('Transfer-Encoding: chunked') + 'fffffffffffffffff\r\n' + inner,
    'a chunk size with a sign': head('Transfer-Encoding: chunked') + '-1\r\n' + inner,
    'a chunk without its end': head('Transfer-Encoding: chunked') + '1\r\nxx\r\n0\r\n\r\n' + inner,
    'another version': 'POST /mcp HTTP/9.9\r\nHost: localhost:3000\r\n\r\n' + inner,
    'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + inner,
    'a TLS greeting': Buffer.concat([Buffer.from([0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3]), Buffer.alloc(160, 7), Buffer.from(inner)]),
    'large headers': head(`X: ${'a'.repeat(40_000)}`, 'Content-Length: 0') + inner,
    'many headers': head(...Array.from({ length: 3000 }, (_, i) => `X-${i}: a`), 'Content-Length: 0') + inner,
    'a method unknown': 'FROB /mcp HTTP/1.1\r\nHost: localhost:3000\r\n\r\n' + inner,
    CONNECT: 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n' + inner
  }
  for (const [what, bytes] of Object.entries(shapes)) {
    const answer = await onSocket(t, app, bytes)
    t.match(answer, /^HTTP\/1\.1 (400|401|403|405|408|413|431|501|505) |^$/, what)
    t.notMatch(answer, /smuggled|"inner"/, `${what}: what follows is not served`)
  }
  t.match(await onSocket(t, app, inner), /^HTTP\/1\.1 200 [^]*smuggled/, 'the same by itself is')
})

/** Bytes on a socket of their own; all that came back. */
async function onSocket (t: Test, app: FastifyInstance, bytes: string | Buffer): Promise<string> {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let answer = ''
  return await new Promise(resolve => {
    socket.setEncoding('utf8').on('data', part => { answer += part }).on('error', () => {}).once('close', () => resolve(answer))
    socket.end(bytes)
  })
}

t.test('a name or method of a megabyte costs no more than reading it, for a key that may use nothing', async t => {
  const { app, store } = await build(t, { tools: TOOLS, env: OPEN })
  const { key } = await addKey(store, { permissions: [] })
  for (const pump of ['-eyJ', 'eyJa.', 'sk-', '//a@', '%', '../']) {
    const cost = async (length: number) => {
      const name = pump.repeat(length / pump.length)
      const start = process.cpuUsage()
      const answer = await post(app, key, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } }))
      t.ok(answer.body.length < 2000, 'a short answer')
      return process.cpuUsage(start).user
    }
    await cost(60_000)
    const small = Math.max(await cost(60_000), 5000)
    const large = await cost(960_000)
    t.ok(large < 40 * small, `${pump}: ${small} µs, sixteen times as long ${large} µs`)
  }
})
