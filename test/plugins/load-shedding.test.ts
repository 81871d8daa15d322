import { EventEmitter, once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import Type from 'typebox'
import { defineTool } from '../../src/tools/index.ts'
import { addKey, build, folder, modern } from '../support/app.ts'
import { listening, open, statusOf } from '../support/raw.ts'

/** A tool that ends when it is told to. */
function waiting () {
  const releases: Array<() => void> = []
  const tool = defineTool({
    name: 'waits',
    title: 'Waits',
    description: 'Waits until it is released.',
    input: Type.Object({}),
    run: async () => await new Promise<string>(resolve => { releases.push(() => resolve('done')) })
  })
  return { tool, release: () => { for (const one of releases.splice(0)) one() } }
}

const until = async (claim: () => boolean) => { while (!claim()) await new Promise(resolve => setTimeout(resolve, 5)) }

t.test('one caller of slow tools has a quarter of the places, and everyone else is served', async t => {
  const { tool, release } = waiting()
  const { app, store, lines } = await build(t, { env: { MAX_IN_FLIGHT: '30' }, tools: [tool] })
  const [greedy, honest] = [await addKey(store), await addKey(store)]
  const calls = Array.from({ length: 30 }, () => modern(app, 'tools/call', { name: 'waits', arguments: {} }, { key: greedy.key }))
  await until(() => app.secureMcp.traffic.inFlight === 8)
  t.equal((await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'a' } }, { key: honest.key })).statusCode, 200)

  const refused = await modern(app, 'tools/list', {}, { key: greedy.key })
  t.equal(refused.statusCode, 429)
  t.match(refused.json(), { error: { code: 429, data: { reason: 'RATE_LIMITED', retryAfterMs: 1000 } } })
  t.equal(refused.headers['retry-after'], '1')
  t.match(lines.findLast(({ msg }) => msg === 'request'), { decision: 'RATE_LIMITED', rule: 'places' })
  release()
  const statuses = (await Promise.all(calls)).map(({ statusCode }) => statusCode)
  t.equal(statuses.filter(status => status === 200).length, 8)
  t.equal(statuses.filter(status => status === 429).length, 22)
  t.equal(app.secureMcp.traffic.inFlight, 0)
  t.equal((await modern(app, 'tools/list', {}, { key: greedy.key })).statusCode, 200)
})

t.test('slow bodies count against the key that sends them, though it may use nothing', async t => {
  const { app, store } = await build(t, { env: { MAX_IN_FLIGHT: '8' } })
  const [slow, honest] = [await addKey(store, { permissions: ['!*'] }), await addKey(store)]
  const port = await listening(app)
  const connections = Array.from({ length: 12 }, () => {
    const connection = open(t, port)
    connection.socket.write(`POST /mcp HTTP/1.1\r\nHost: localhost:3000\r\nAuthorization: Bearer ${slow.key}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`)
    return connection
  })
  await until(() => connections.filter(({ text }) => statusOf(text()) === 429).length === 10)
  t.equal(app.secureMcp.traffic.inFlight, 2)
  t.equal((await modern(app, 'tools/list', {}, { key: honest.key })).statusCode, 200)
  for (const { socket } of connections) socket.destroy()
  await until(() => app.secureMcp.traffic.inFlight === 0)
})

t.test('strangers on public routes have their share by address', async t => {
  const { tool, release } = waiting()
  const { app, store } = await build(t, { env: { MCP_AUTH_ENABLED: 'false', MAX_IN_FLIGHT: '8' }, tools: [tool] })
  t.ok(store)
  const calls = Array.from({ length: 4 }, () => modern(app, 'tools/call', { name: 'waits', arguments: {} }, { address: '192.0.2.1' }))
  await until(() => app.secureMcp.traffic.inFlight === 2)
  t.equal((await modern(app, 'tools/list', {}, { address: '192.0.2.1' })).statusCode, 429)
  t.equal((await modern(app, 'tools/list', {}, { address: '192.0.2.2' })).statusCode, 200)
  release()
  await Promise.all(calls)
})

t.test('who leaves while it is identified leaves no place taken', async t => {
  const doors = new EventEmitter()
  Object.assign(globalThis, { doors })
  const file = join(folder(t), 'slow.mjs')
  // A look-up that waits until it is told to go on.
  writeFileSync(file, `import { once } from 'node:events'
    export default async () => {
      const open = once(globalThis.doors, 'open')
      globalThis.doors.emit('knock')
      await open
      return { id: 'slow', name: 'Slow', permissions: ['*'] }
    }`)
  const { app } = await build(t, { env: { MAX_IN_FLIGHT: '8', AUTHENTICATOR: file } })
  const port = await listening(app)
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })
  const heads = { whole: `Content-Length: ${body.length}\r\n\r\n${body}`, waiting: 'Content-Length: 50\r\n\r\n', chunked: 'Transfer-Encoding: chunked\r\n\r\n20\r\n{' }
  for (const [how, rest] of Object.entries(heads)) {
    const knocks = once(doors, 'knock')
    const closed = new Promise(resolve => { app.server.once('connection', socket => socket.once('close', resolve)) })
    const { socket } = open(t, port)
    socket.write(`POST /mcp HTTP/1.1\r\nHost: localhost:3000\r\nAuthorization: Bearer ${how}\r\nContent-Type: application/json\r\n${rest}`)
    await knocks
    socket.destroy()
    await closed
    doors.emit('open')
    await new Promise(resolve => setTimeout(resolve, 50))
    t.equal(app.secureMcp.traffic.inFlight, 0, how)
  }
})
