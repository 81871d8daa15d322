import t from 'tap'
import { addKey, build } from '../support/app.ts'
import { bodyOf, exchange, headerOf, listening, open, statusOf, type Connection } from '../support/raw.ts'

const HOST = 'Host: localhost:3000\r\n'
const BODY = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} })
const listing = (key: string, more = '') => `POST /mcp HTTP/1.1\r\n${HOST}Authorization: Bearer ${key}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n${more}Content-Length: ${BODY.length}\r\n\r\n${BODY}`
const LISTEN = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'subscriptions/listen',
  params: { notifications: { toolsListChanged: true }, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } }
})
const stream = (key: string) => `POST /mcp HTTP/1.1\r\n${HOST}Authorization: Bearer ${key}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: ${LISTEN.length}\r\n\r\n${LISTEN}`
const ready = (connection: Connection) => connection.until(text => text.includes('\r\n\r\n'))
const later = async (ms: number) => await new Promise(resolve => setTimeout(resolve, ms))

async function served (t: Parameters<typeof build>[0], env: Record<string, string>) {
  const built = await build(t, { env })
  const { key } = await addKey(built.store)
  return { ...built, key, port: await listening(built.app) }
}

t.test('idle connections of strangers keep nobody out', async t => {
  const { port, key, lines } = await served(t, { MAX_CONNECTIONS: '30' })
  const idle = await Promise.all(Array.from({ length: 30 }, async () => {
    const connection = open(t, port)
    connection.socket.write(`GET /livez HTTP/1.1\r\n${HOST}\r\n`)
    await ready(connection)
    return connection
  }))
  await later(150)
  for (let i = 0; i < 10; i++) {
    t.equal(statusOf(await exchange(t, port, listing(key, 'Connection: close\r\n'))), 200)
    t.equal(statusOf(await exchange(t, port, `GET /livez HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`)), 200)
  }
  await idle[0]!.closed()
  t.ok(lines.some(({ msg, closed }) => String(msg).startsWith('connections were closed') && closed !== undefined), 'the log says so')
})

t.test('where all connections are streams, probes are answered, and others are told when to come back', async t => {
  const { port, key, app } = await served(t, { MAX_CONNECTIONS: '20' })
  const streams = Array.from({ length: 20 }, () => {
    const connection = open(t, port)
    connection.socket.write(stream(key))
    return connection
  })
  for (const one of streams) t.equal(statusOf(await ready(one)), 200)
  t.equal(app.secureMcp.traffic.streams, 20)
  for (let i = 0; i < 5; i++) {
    for (const path of ['/livez', '/readyz']) t.equal(statusOf(await exchange(t, port, `GET ${path} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`)), 200)
    const refused = await exchange(t, port, listing(key))
    t.equal(statusOf(refused), 503)
    t.match(headerOf(refused, 'retry-after'), /^[1-3]$/)
    t.match(JSON.parse(bodyOf(refused)), { error: { code: 503, data: { reason: 'OVERLOADED' } } })
  }
  t.equal(app.secureMcp.traffic.streams, 20, 'no stream was closed for it')
  streams[0]!.socket.destroy()
  while (app.secureMcp.traffic.streams === 20) await later(5)
  t.equal(statusOf(await exchange(t, port, listing(key, 'Connection: close\r\n'))), 200)
})

t.test('probes are answered whatever others do with their connections', async t => {
  const { port, key } = await served(t, { MAX_CONNECTIONS: '10', MAX_IN_FLIGHT: '4' })
  const flood = [
    '', 'G', `GET /livez HTTP/1.1\r\n${HOST}`, `POST /livez HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\n{`, `POST /mcp HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\n{`,
    `POST /mcp HTTP/1.1\r\n${HOST}Authorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`
  ]
  for (const bytes of flood) {
    for (let i = 0; i < 300; i++) {
      const { socket } = open(t, port)
      if (bytes !== '') socket.write(bytes)
    }
    for (let i = 0; i < 10; i++) t.equal(statusOf(await exchange(t, port, `GET /livez HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`)), 200, JSON.stringify(bytes.slice(0, 40)))
  }
})

t.test('one address holds its share of connections, and another is not touched', async t => {
  const { port, key } = await served(t, { MAX_CONNECTIONS: '40', MAX_CONNECTIONS_PER_ADDRESS: '5' })
  const other = open(t, port, '127.0.0.2')
  other.socket.write(`GET /livez HTTP/1.1\r\n${HOST}\r\n`)
  await ready(other)
  const many: Connection[] = []
  for (let i = 0; i < 8; i++) {
    const connection = open(t, port)
    connection.socket.write(`GET /livez HTTP/1.1\r\n${HOST}\r\n`)
    await ready(connection)
    many.push(connection)
    await later(120)
  }
  for (const one of many.slice(0, 3)) await one.closed()
  for (const one of [...many.slice(3), other]) t.notOk(one.socket.destroyed)
  const callers = await Promise.all(Array.from({ length: 12 }, async () => {
    const connection = open(t, port, '127.0.0.3')
    connection.socket.write(listing(key))
    t.equal(statusOf(await ready(connection)), 200)
    return connection
  }))
  await later(200)
  t.equal(callers.filter(({ socket }) => socket.destroyed).length, 0, 'whoever showed a credential is not counted')
})

t.test('a connection rests long only where a credential was accepted, or a proxy holds it', async t => {
  const { port, key } = await served(t, {})
  const probe = open(t, port)
  probe.socket.write(`GET /livez HTTP/1.1\r\n${HOST}\r\n`)
  t.equal(headerOf(await ready(probe), 'keep-alive'), 'timeout=5')
  const refused = open(t, port)
  refused.socket.write(listing('wrong'))
  t.equal(headerOf(await ready(refused), 'keep-alive'), 'timeout=5')
  const caller = open(t, port)
  caller.socket.write(listing(key))
  t.match(headerOf(await ready(caller), 'keep-alive'), /^timeout=72\b/)
  const began = Date.now()
  await Promise.all([probe.closed(), refused.closed()])
  t.ok(Date.now() - began >= 4900)
  t.notOk(caller.socket.destroyed)

  const behind = await served(t, { TRUST_PROXY: '127.0.0.0/8' })
  const proxied = open(t, behind.port)
  proxied.socket.write(`GET /livez HTTP/1.1\r\n${HOST}\r\n`)
  t.match(headerOf(await ready(proxied), 'keep-alive'), /^timeout=72\b/)
})
