import t, { type Test } from 'tap'
import { PeerTrouble, UpstreamFault } from '../../src/upstreams/messages.ts'
import { Peer, type PeerEvents } from '../../src/upstreams/peer.ts'
import { MemoryWire, type MemoryWireOptions } from '../support/memory-wire.ts'
import { ScriptedUpstream, type Script } from '../support/scripted-upstream.ts'
import { until } from '../support/until.ts'

const LONG = { deadlineMs: 30_000 }
const failing = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'it did not fail', (error: unknown) => error)

function open (t: Test, script: Script = {}, { events = {}, ...options }: MemoryWireOptions & { events?: Partial<PeerEvents> } = {}) {
  const server = new ScriptedUpstream(script)
  const wire = new MemoryWire(server, options)
  const heard: string[] = []
  const peer = new Peer(wire, {
    onNotification: method => heard.push(method),
    onQuestion: async method => { throw new UpstreamFault(-32601, `no ${method}`) },
    onClose: why => heard.push(`closed: ${why}`),
    ...events
  })
  t.teardown(() => peer.close())
  const call = (name: string, args: object = {}, how: object = {}) => peer.ask('tools/call', { name, arguments: args }, { ...LONG, ...how })
  return { server, wire, peer, heard, call }
}

t.test('answers reach those who asked, in whatever order they come', async t => {
  const { call } = open(t)
  const order: string[] = []
  await Promise.all([
    call('wait', { ms: 50 }).then(() => order.push('slow')),
    call('echo', { text: 'a' }).then(result => order.push(JSON.stringify(result.content)))
  ])
  t.same(order, ['[{"type":"text","text":"a"}]', 'slow'])
})

t.test('an error of the upstream keeps its code and data', async t => {
  const { call } = open(t)
  const error = await call('fault', { code: -32602 }).catch((error: unknown) => error)
  t.ok(error instanceof UpstreamFault)
  t.match(error, { code: -32602, message: 'a fault of a script', data: { hint: 'data' } })
})

t.test('what does not answer is given up at its deadline and told so', async t => {
  const { call, wire, peer } = open(t)
  const error = await call('hang', {}, { deadlineMs: 20 }).catch((error: unknown) => error)
  t.match(error, { kind: 'late', message: 'did not answer within 20 ms' })
  t.match(wire.sent.at(-1)?.message, { method: 'notifications/cancelled', params: { requestId: 1 } })
  t.equal(peer.waiting, 0)
})

t.test('a caller who leaves cancels, and nothing of the call is left', async t => {
  const { call, wire, peer } = open(t)
  const gone = new AbortController()
  const asked = call('hang', {}, { signal: gone.signal })
  gone.abort()
  t.match(await failing(asked), { kind: 'cancelled' })
  t.equal(wire.abandoned.length, 1)
  t.equal(peer.waiting, 0)
  t.match(await failing(call('echo', { text: 'a' }, { signal: gone.signal })), { kind: 'cancelled', sent: false })
})

t.test('over HTTP of the newer revision the end of the request cancels, and no notification does', async t => {
  const { call, wire, peer } = open(t, {}, { http: true })
  peer.cancelsByClosing = true
  await t.rejects(call('hang', {}, { deadlineMs: 20 }))
  t.equal(wire.abandoned.length, 1)
  t.equal(wire.sent.length, 1)
})

t.test('an answer is taken once, for an id that waits, as a number or its text', async t => {
  const { call, wire, peer } = open(t)
  const asked = call('hang')
  wire.say('{"jsonrpc":"2.0","id":99,"result":{"content":[]}}')
  wire.say('{"jsonrpc":"2.0","id":null,"result":{"content":[]}}')
  wire.say('{"jsonrpc":"2.0","id":"1","result":{"mine":true}}')
  wire.say('{"jsonrpc":"2.0","id":1,"result":{"mine":false}}')
  t.same(await asked, { mine: true })
  t.equal(peer.strays, 3)
})

t.test('over HTTP an answer for somebody else\'s id is no answer', async t => {
  const { call, wire, peer } = open(t, {
    tools: [
      { listed: { name: 'guess' }, run: hands => { hands.send({ jsonrpc: '2.0', id: 1, result: { forged: true } }); return { own: true } } },
      { listed: { name: 'hang' }, run: () => undefined }
    ]
  }, { http: true })
  const victim = call('hang', {}, { deadlineMs: 200 })
  t.same(await call('guess'), { own: true })
  t.match(await failing(victim), { kind: 'late' })
  t.equal(peer.strays, 1)
  t.equal(wire.noise, 0)
})

t.test('what is no message is skipped, a byte order mark or an end of line of Windows is not', async t => {
  const { call, wire } = open(t)
  const asked = call('hang')
  for (const odd of ['{}', '[]', 'null', '{"jsonrpc":"1.0","id":1,"result":{}}', '{"jsonrpc":"2.0","id":1}', '{"id":1,', '{"jsonrpc":"2.0","id":1,"result":[]}']) wire.say(odd)
  t.equal(wire.noise, 7)
  wire.say('{"jsonrpc":"2.0","id":1,"result":{"ok":true}}\r')
  t.same(await asked, { ok: true })
})

t.test('an answer that breaks a bound ends its call at once, and nothing else', async t => {
  const { call, wire } = open(t)
  const bad: Array<[string, RegExp]> = [
    [`{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`, /deeper than 64/],
    [`{"a":[${'1,'.repeat(1_000_000)}1]}`, /more than 100000 elements/],
    ['{"__proto__":{"isError":true}}', /key of that name/]
  ]
  for (const [result, message] of bad) {
    const asked = call('hang')
    const other = call('echo', { text: 'other' })
    wire.say(`{"jsonrpc":"2.0","id":${wire.sent.at(-2)!.message.id},"result":${result}}`)
    t.match(await failing(asked), { kind: 'not_mcp', message })
    t.match(await other, { content: [{ text: 'other' }] })
  }
  const asked = call('hang')
  wire.say(`{"jsonrpc":"2.0","id":${wire.sent.at(-1)!.message.id},"id":1,"result":{}}`)
  t.match(await failing(asked), { kind: 'not_mcp', message: /stands twice/ })
  t.equal(({} as { isError?: unknown }).isError, undefined)
})

t.test('progress is passed on in order while it rises, and only to whom it belongs', async t => {
  const { call } = open(t)
  const seen: number[] = []
  const others: number[] = []
  const hanging = call('hang', {}, { deadlineMs: 300, onProgress: (progress: number) => others.push(progress) })
  await call('progress', {}, { onProgress: (progress: number) => seen.push(progress) })
  t.same(seen, [1, 2, 3])
  await t.rejects(hanging)
  t.same(others, [])
})

t.test('of a flood of progress twenty a second are passed on', async t => {
  const { call, wire } = open(t)
  const seen: number[] = []
  const asked = call('hang', {}, { deadlineMs: 300, onProgress: (progress: number) => seen.push(progress) })
  const begun = performance.now()
  for (let i = 1; i <= 5000; i++) wire.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":${i}}}`)
  const seconds = Math.ceil((performance.now() - begun) / 1000)
  await t.rejects(asked)
  t.ok(seen.length >= 20 && seen.length <= 20 * (1 + seconds), `${seen.length} passed on`)
})

t.test('a question is answered that there is no such method, whatever call it came with', async t => {
  const { call } = open(t)
  const [content] = (await call('ask')).content as Array<{ text: string }>
  t.match(JSON.parse(content!.text), { error: { code: -32601 } })
})

t.test('when the wire is gone, whoever waits is told at once, and whoever asks later', async t => {
  const { call, wire, heard } = open(t)
  const waiting = [call('hang'), call('hang')]
  await until(() => wire.sent.length === 2)
  wire.break()
  for (const asked of waiting) t.match(await failing(asked), { kind: 'closed', message: 'exited with code 7' })
  t.same(heard, ['closed: exited with code 7'])
  t.match(await failing(call('echo')), { kind: 'closed', sent: false })
})

t.test('a refusal with an error of JSON-RPC in it is that error; of our credential it is not', async t => {
  const { peer, wire } = open(t, {}, { http: true })
  const body = '{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"no"}}'
  for (const [status, expected] of [[400, { code: -32602 }], [404, { code: -32602 }], [401, { kind: 'refused' }], [403, { kind: 'refused' }], [429, { kind: 'refused' }], [502, { kind: 'refused' }]] as const) {
    const send = wire.send.bind(wire)
    wire.send = (_text, exchange) => exchange!.onEnd!({ kind: 'refused', message: `answered HTTP ${status}`, sent: true, status, text: body })
    t.match(await failing(peer.ask('tools/call', {}, LONG)), expected)
    wire.send = send
  }
  wire.send = (_text, exchange) => exchange!.onEnd!()
  const silent = await peer.ask('tools/call', {}, LONG).catch((error: unknown) => error)
  t.ok(silent instanceof PeerTrouble && silent.kind === 'silent')
})
