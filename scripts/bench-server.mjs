// One server to measure, forked by scripts/bench.mjs, which tells it what to be. Says `{ port, key }` when it listens, and its CPU time when asked.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import pino from 'pino'
import { buildApp } from '../dist/src/app.js'
import { loadConfig } from '../dist/src/config.js'
import { hashKey, makeKey } from '../dist/src/core/api-key.js'
import { createLog } from '../dist/src/log.js'
import { openStore } from '../dist/src/state/open.js'

const { bare, redisUrl, keys = 10, tools = 5 } = JSON.parse(process.argv[2])
const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
process.once('disconnect', () => process.exit())

const { app, key } = bare ? { app: bareFastify() } : await service()
await app.listen({ host: '127.0.0.1', port: 0 })
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send({ cpu: user + system })
})
process.send({ port: app.server.address().port, key })

/** What everything is measured against: the framework, and the body parsed and written again. */
function bareFastify () {
  const app = Fastify()
  app.post('/mcp', async request => request.body)
  return app
}

/** The service as it ships, its log written to nowhere, and one route more: /bare answers as the above does, behind the same door. */
async function service () {
  const made = Array.from({ length: keys }, (_, i) => {
    const { id, key } = makeKey()
    return { key, record: { id, name: `key-${i}`, role: 'caller', permissions: ['*'], hash: hashKey(key), created: Date.now() } }
  })
  const file = join(folder, 'api_keys.json')
  const config = loadConfig({
    PUBLIC_URL: 'http://127.0.0.1',
    ALLOWED_HOSTS: '127.0.0.1',
    API_KEYS_FILE: file,
    TOOLS_DIR: join(folder, 'tools'),
    STATE_SECRET: randomBytes(32).toString('base64url'),
    RATE_LIMIT_API_KEY: '1000000000',
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `bench:${randomBytes(4).toString('hex')}:` })
  })
  if (redisUrl === undefined) {
    writeFileSync(file, JSON.stringify({ api_keys: Object.fromEntries(made.map(({ record: { name, hash } }) => [name, `sha256:${hash}`])) }))
  }
  const logger = createLog({ destination: pino.destination({ dest: '/dev/null', sync: false, minLength: 4096 }) })
  const store = await openStore(config, logger)
  if (redisUrl !== undefined) {
    // Patient where the service is not: a crowd of writes is not what is measured.
    const filling = await openStore({ ...config, REDIS_COMMAND_TIMEOUT_MS: 10_000 }, logger)
    for (let i = 0; i < made.length; i += 250) await Promise.all(made.slice(i, i + 250).map(({ record }) => filling.saveKey(record)))
    await filling.close()
  }
  const sources = Array.from({ length: tools }, (_, i) => ({
    from: 'bench',
    definition: { kind: 'tool', tool: { name: `tool_${i}`, description: 'One of many.', input: { type: 'object', properties: { text: { type: 'string' } } }, run: ({ text }) => text } }
  }))
  const app = await buildApp({ config, store, logger, sources })
  app.post('/bare', { config: { jsonRpc: true } }, async request => request.body)
  return { app, key: made[Math.floor(keys / 2)].key }
}
