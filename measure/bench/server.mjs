// One server to measure, forked by bench/load.mjs, which tells it what to be. Says `{ port, … }` when it listens, and its CPU time and memory when asked.
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import { buildApp } from '../../dist/src/app.js'
import { loadConfig } from '../../dist/src/settings/load.js'
import { createLog } from '../../dist/src/telemetry/log.js'
import { openStore } from '../../dist/src/state/open.js'
import { startSmallIssuer } from '../small-issuer.mjs'

const { bare, legacySession, also, ...what } = JSON.parse(process.argv[2])
const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const event of ['disconnect', 'SIGTERM']) process.once(event, () => process.exit())

const said = await (bare ? bareFastify() : service(what))
if (legacySession) said.session = await beginSession(said)
// Another service in the same process: what differs between the two is not the process.
if (also !== undefined) said.also = await service(also)
let delay
process.on('message', what => {
  if (what === 'blocked') {
    const blocked = (delay?.max ?? 0) / 1e6
    delay ??= monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    delay.reset()
    return process.send({ blocked })
  }
  if (what === 'memory') {
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    return process.send({ memory: { rss, used: heapUsed + external } })
  }
  const { user, system } = process.cpuUsage()
  process.send({ cpu: user + system })
})
process.send(said)

/** A port that nothing listens on. */
async function freePort () {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

/** What everything is measured against: the framework, and the body parsed and written again. */
async function bareFastify () {
  const app = Fastify()
  app.post('/mcp', async request => request.body)
  const port = await freePort()
  await app.listen({ host: '127.0.0.1', port })
  return { port }
}

/** The service as it ships, its log written to nowhere, and one route more: /bare answers as the above does, behind the same door. */
async function service ({ redisUrl, keys = 10, given = 1, tools = 5, blocked = 0, token = false, fastLane = true, mcpServers, env = {} }) {
  const port = await freePort()
  const own = mkdtempSync(join(folder, 'service-'))
  const issuer = token ? await startSmallIssuer('http://127.0.0.1/mcp') : undefined
  const settings = {
    PUBLIC_URL: 'http://127.0.0.1',
    ALLOWED_HOSTS: `127.0.0.1,127.0.0.1:${port}`,
    API_KEYS_FILE: join(own, 'api_keys.json'),
    TOOLS_DIR: own,
    STATE_SECRET: randomBytes(32).toString('base64url'),
    RATE_LIMIT_API_KEY: '1000000000',
    RATE_LIMIT_OAUTH2: '1000000000',
    ...(issuer === undefined ? {} : { OAUTH2_AUTH_SERVER: issuer.url }),
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `bench:${randomBytes(4).toString('hex')}:` }),
    ...(mcpServers === undefined ? {} : { MCP_SERVERS_FILE: join(own, 'mcp_servers.json') }),
    ...env
  }
  if (mcpServers !== undefined) writeFileSync(settings.MCP_SERVERS_FILE, JSON.stringify({ mcpServers }))
  const made = Array.from({ length: given }, () => 'sk-' + randomBytes(24).toString('base64url'))
  const hashes = made.map(key => createHash('sha256').update(key).digest('hex'))
  execFileSync(process.execPath, [fileURLToPath(new URL('./fill.mjs', import.meta.url))], { input: JSON.stringify({ env: settings, hashes, keys, blocked }) })
  const config = loadConfig(settings)
  const logger = createLog() // standard output is /dev/null here
  const store = await openStore(config, logger)
  const sources = Array.from({ length: Math.max(0, tools - 4) }, (_, i) => ({
    from: 'bench',
    definition: { kind: 'tool', tool: { name: `tool_${i}`, description: 'One of many.', input: { type: 'object', properties: { text: { type: 'string' } } }, run: ({ text }) => text } }
  }))
  const app = await buildApp({ config, store, logger, sources, fastLane, env: { ...settings, PATH: process.env.PATH } })
  app.post('/bare', { config: { secureMcp: { jsonRpc: true } } }, async request => request.body)
  await app.listen({ host: '127.0.0.1', port })
  return { port, keys: made, ...(issuer === undefined ? {} : { token: issuer.mint() }) }
}

async function beginSession ({ port, keys: [key] }) {
  const answer = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${key}` },
    body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } } })
  })
  const session = answer.headers.get('mcp-session-id')
  if (session === null) throw new Error(`no session was begun: ${await answer.text()}`)
  return session
}
