import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import t, { type Test } from 'tap'
import { freePort } from '../support/redis.ts'
import { addKey, build, folder, redisUrl } from '../support/app.ts'
import { MAIN, secureMcp } from '../support/processes.ts'

const INFO = { name: 'test', version: '1.0.0' }

/** The app on a port, with a key that may use `get_*` and `echo`. */
async function served (t: Test, env: Record<string, string> = {}): Promise<{ url: URL, key: string }> {
  const port = await freePort()
  const { app, store } = await build(t, { env: { PUBLIC_URL: `http://127.0.0.1:${port}`, ...env } })
  const { key } = await addKey(store, { permissions: ['get_*', 'echo'] })
  await app.listen({ host: '127.0.0.1', port })
  return { url: new URL(`http://127.0.0.1:${port}/mcp`), key }
}

for (const backend of ['memory', 'Redis']) {
  const env: Record<string, string> = backend === 'memory' ? {} : { REDIS_URL: redisUrl }
  for (const mode of ['auto', 'legacy', { pin: '2026-07-28' }] as const) {
    t.test(`the SDK's client lists and calls, ${JSON.stringify(mode)}, state in ${backend}`, async t => {
      const { url, key } = await served(t, env)
      const client = new Client(INFO, { versionNegotiation: { mode } })
      await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers: { authorization: `Bearer ${key}` } } }))
      t.teardown(() => client.close())
      t.same((await client.listTools()).tools.map(({ name }) => name), ['echo', 'get_time'])
      t.match(await client.callTool({ name: 'echo', arguments: { text: 'ahoy' } }), { content: [{ text: /ahoy/ }] })
      t.match(await client.callTool({ name: 'get_time', arguments: {} }), { structuredContent: { time_zone: 'UTC' } })
      t.match(await client.callTool({ name: 'hello_world', arguments: {} }), { isError: true, content: [{ text: 'Access denied' }] })
    })
  }

  t.test(`the client of SDK 1.32 lists and calls, state in ${backend}`, async t => {
    const { url, key } = await served(t, env)
    const client = new OlderClient(INFO)
    await client.connect(new OlderTransport(url, { requestInit: { headers: { 'x-api-key': key } } }) as Parameters<OlderClient['connect']>[0])
    t.teardown(() => client.close())
    t.same((await client.listTools()).tools.map(({ name }) => name), ['echo', 'get_time'])
    t.match(await client.callTool({ name: 'echo', arguments: { text: 'ahoy' } }), { content: [{ text: /ahoy/ }] })
    t.match(await client.callTool({ name: 'hello_world', arguments: {} }), { isError: true })
  })
}

t.test('a client without a key is told how to go on', async t => {
  const { url } = await served(t)
  const client = new Client(INFO)
  await t.rejects(client.connect(new StreamableHTTPClientTransport(url)))
})

t.test('a client that starts the server itself lists and calls within its permissions', async t => {
  const cwd = folder(t)
  const { key } = JSON.parse((await secureMcp(['keys', 'create', 'desk', '--allow', 'get_*', '--json'], { cwd })).out)
  const connect = async (env: Record<string, string>) => {
    const client = new Client(INFO)
    await client.connect(new StdioClientTransport({ command: process.execPath, args: [MAIN, 'stdio'], cwd, env: { PATH: process.env.PATH!, ...env }, stderr: 'ignore' }))
    t.teardown(() => client.close())
    return client
  }
  const client = await connect({ MCP_API_KEY: key })
  t.ok((await client.listTools()).tools.some(({ name }) => name === 'get_time'))
  t.match(await client.callTool({ name: 'get_time', arguments: {} }), { structuredContent: { time_zone: 'UTC' } })

  const nobody = await connect({})
  await t.rejects(nobody.listTools(), /Authentication required/)
})

t.test('standard output bears nothing but protocol, whatever comes in', async t => {
  const cwd = folder(t)
  const key = 'sk-' + randomBytes(24).toString('base64url')
  const child = spawn(process.execPath, [MAIN, 'stdio'], {
    cwd, stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env.PATH, MCP_API_KEY: key, MCP_DEBUG: 'true', RATE_LIMIT_API_KEY: '5', API_KEYS_FILE: join(cwd, 'none.json') }
  })
  let log = ''
  child.stderr.on('data', part => { log += String(part) })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', line => lines.push(line))
  const send = (value: unknown) => child.stdin.write((typeof value === 'string' ? value : JSON.stringify(value)) + '\n')

  send({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: INFO } })
  send({ jsonrpc: '2.0', method: 'notifications/initialized' })
  send('{not json')
  send('[]')
  send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: '../../etc/passwd' } } })
  send({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'echo', arguments: { text: 'fine' }, _meta: { auth: { type: 'api_key', api_key: 'wrong' } } } })
  for (let id = 3; id < 12; id++) send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: { text: 'fine' } } })
  child.stdin.end()
  t.same(await once(child, 'exit'), [0, null])

  const messages = lines.map(line => JSON.parse(line) as { jsonrpc: string, id: unknown, result?: any, error?: any })
  t.ok(messages.every(({ jsonrpc }) => jsonrpc === '2.0'))
  const answer = (id: unknown) => messages.find(message => message.id === id)
  t.ok(messages.some(({ error }) => error?.code === -32700), 'what is not JSON is told so')
  t.match(answer(1)?.result, { isError: true, content: [{ text: 'Security validation failed' }] })
  t.match(answer(2)?.error, { code: 401 })
  t.ok(messages.some(({ error }) => error?.data?.reason === 'RATE_LIMITED'), 'limits hold here too')
  t.notMatch(lines.join('\n') + log, key)
})
