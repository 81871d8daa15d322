// One server to measure, forked by bench/load.mjs, which tells it what to be. Says `{ port, … }` when it listens, and its CPU time and memory when asked.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { buildApp } from '../dist/src/app.js'
import { loadConfig } from '../dist/src/config.js'
import { createLog } from '../dist/src/log.js'
import { openStore } from '../dist/src/state/open.js'
import { freePort } from '../scripts/redis.mjs'
import { startSmallIssuer } from '../scripts/small-issuer.mjs'

const { bare, redisUrl, keys = 10, given = 1, tools = 5, blocked = 0, token = false, legacySession = false, fastLane = true, env = {} } = JSON.parse(process.argv[2])
const port = await freePort()
const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const event of ['disconnect', 'SIGTERM']) process.once(event, () => process.exit())

const { app, ...said } = bare ? { app: bareFastify() } : await service()
await app.listen({ host: '127.0.0.1', port })
process.on('message', what => {
  if (what === 'memory') {
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    return process.send({ memory: { rss, used: heapUsed + external } })
  }
  const { user, system } = process.cpuUsage()
  process.send({ cpu: user + system })
})
if (legacySession) said.session = await beginSession(said.keys[0])
process.send({ port, ...said })

/** What everything is measured against: the framework, and the body parsed and written again. */
function bareFastify () {
  const app = Fastify()
  app.post('/mcp', async request => request.body)
  return app
}

/** The service as it ships, its log written to nowhere, and one route more: /bare answers as the above does, behind the same door. */
async function service () {
  const issuer = token ? await startSmallIssuer('http://127.0.0.1/mcp') : undefined
  const file = join(folder, 'api_keys.json')
  const config = loadConfig({
    PUBLIC_URL: 'http://127.0.0.1',
    ALLOWED_HOSTS: `127.0.0.1,127.0.0.1:${port}`,
    API_KEYS_FILE: file,
    TOOLS_DIR: join(folder, 'tools'),
    STATE_SECRET: randomBytes(32).toString('base64url'),
    RATE_LIMIT_API_KEY: '1000000000',
    RATE_LIMIT_OAUTH2: '1000000000',
    ...(issuer === undefined ? {} : { OAUTH2_AUTH_SERVER: issuer.url }),
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `bench:${randomBytes(4).toString('hex')}:` }),
    ...env
  })
  // The secrets of most keys are never used: their hashes are all that is stored.
  const made = Array.from({ length: given }, () => 'sk-' + randomBytes(24).toString('base64url'))
  const hashes = function * () {
    for (const key of made) yield createHash('sha256').update(key).digest('hex')
    for (let i = given; i < keys; i++) yield randomBytes(32).toString('hex')
  }
  if (redisUrl === undefined) {
    const entries = []
    let i = 0
    for (const hash of hashes()) entries.push(`"key-${i++}":"sha256:${hash}"`)
    writeFileSync(file, `{"api_keys":{${entries.join(',')}}}`)
  }
  const logger = createLog() // standard output is /dev/null here
  const store = await openStore(config, logger)
  if (redisUrl !== undefined || blocked > 0) {
    // Patient where the service is not: a crowd of writes is not what is measured.
    const filling = redisUrl === undefined ? store : await openStore({ ...config, REDIS_COMMAND_TIMEOUT_MS: 10_000 }, logger)
    const writes = []
    const write = async promise => { if (writes.push(promise) === 500) await Promise.all(writes.splice(0)) }
    if (redisUrl !== undefined) {
      let i = 0
      for (const hash of hashes()) await write(filling.saveKey({ id: hash.slice(0, 10), name: `key-${i++}`, role: 'caller', permissions: ['*'], hash, created: Date.now() }))
    }
    for (let i = 0; i < blocked; i++) await write(filling.blocklist.set(`10.0.${i >> 8}.${i & 255}`, { since: Date.now(), until: Date.now() + 3_600_000 }))
    await Promise.all(writes)
    if (filling !== store) await filling.close()
  }
  const sources = Array.from({ length: Math.max(0, tools - 4) }, (_, i) => ({
    from: 'bench',
    definition: { kind: 'tool', tool: { name: `tool_${i}`, description: 'One of many.', input: { type: 'object', properties: { text: { type: 'string' } } }, run: ({ text }) => text } }
  }))
  const app = await buildApp({ config, store, logger, sources, fastLane })
  app.post('/bare', { config: { jsonRpc: true } }, async request => request.body)
  return { app, keys: made, ...(issuer === undefined ? {} : { token: issuer.mint() }) }
}

async function beginSession (key) {
  const answer = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${key}` },
    body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } } })
  })
  const session = answer.headers.get('mcp-session-id')
  if (session === null) throw new Error(`no session was begun: ${await answer.text()}`)
  return session
}
