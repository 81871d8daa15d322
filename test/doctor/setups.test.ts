/** Set-ups that are broken behind the way in, with real parts: the command names each, says what to do, and ends with 1. */
import { randomBytes } from 'node:crypto'
import { appendFileSync, chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand } from '../../src/cli/run.ts'
import type { CheckedResult } from '../../src/doctor/check.ts'
import { answerRollCalls } from '../../src/operate/roll-call.ts'
import { openAudit } from '../../src/audit/from-settings.ts'
import { Trace } from '../../src/decision/trace.ts'
import { loadConfig } from '../../src/settings/load.ts'
import { openStore } from '../../src/state/open.ts'
import { redisStore } from '../../src/state/redis/store.ts'
import { addKey, folder, redisUrl, silent } from '../support/app.ts'
import { startRedis } from '../support/redis.ts'

type Environment = Record<string, string>

/** Settings of a server of the test's own. */
function settings (t: Test, more: Environment = {}): Environment {
  const dir = folder(t)
  return { PUBLIC_URL: 'http://localhost:3000', PORT: '9', API_KEYS_FILE: join(dir, 'keys.json'), TOOLS_DIR: dir, AUDIT_DIR: join(dir, 'audit'), CONFIG_ENCRYPTION_KEY_FILE: join(dir, 'encryption.key'), ...more }
}

function onRedis (url: string): Environment {
  return { REDIS_URL: url, STATE_SECRET: randomBytes(32).toString('base64url'), REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, REDIS_COMMAND_TIMEOUT_MS: '10000' }
}

async function doctor (env: Environment, args: readonly string[] = []): Promise<{ code: number, results: CheckedResult[] }> {
  const out: string[] = []
  const code = await runCommand(['doctor', '--json', ...args], { stdin: process.stdin, out: line => out.push(line), err: () => {}, env })
  return { code, results: JSON.parse(out.join('\n')) as CheckedResult[] }
}

interface Named { readonly id: string, readonly severity: 'bad' | 'warn', readonly found: RegExp, readonly remedy: RegExp }

/** The command names it, and its exit code says how bad it is. */
async function names (t: Test, env: Environment, { id, severity, found, remedy }: Named): Promise<void> {
  const { code, results } = await doctor(env)
  t.match(results.find(result => result.id === id), { severity, found, remedy })
  t.equal(code, results.some(result => result.severity === 'bad') ? 1 : 0)
}

t.test('warnings end with 1 where --strict says so, and --only judges nothing else', async t => {
  const env = settings(t, { INSPECTION: 'observe', PUBLIC_URL: 'http://mcp.example.com' })
  t.equal((await doctor(env)).code, 1)
  t.equal((await doctor(env, ['--only', 'inspection'])).code, 0)
  t.equal((await doctor(env, ['--only', 'inspection', '--strict'])).code, 1)
})

t.test('settings that cannot be read', async t => {
  await names(t, settings(t, { RATE_LIMIT_API_KEY: 'many' }), { id: 'settings', severity: 'bad', found: /RATE_LIMIT_API_KEY/, remedy: /configuration\.md/ })
})

t.test('a Redis that is not there', async t => {
  await names(t, settings(t, onRedis('redis://127.0.0.1:9')), { id: 'state', severity: 'bad', found: /Redis|ECONNREFUSED/, remedy: /REDIS_URL/ })
})

t.test('a Redis that evicts', async t => {
  const redis = await startRedis({ args: ['--save', '', '--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru'] })
  t.teardown(() => redis.stop())
  await names(t, settings(t, onRedis(redis.url)), { id: 'state', severity: 'bad', found: /allkeys-lru/, remedy: /REDIS_URL/ })
})

t.test('a Redis whose restart forgets everything', async t => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  await names(t, settings(t, onRedis(redis.url)), { id: 'redis-persistence', severity: 'bad', found: /append-only/, remedy: /appendonly yes/ })
  await names(t, settings(t, onRedis(redis.url)), { id: 'redis-policy', severity: 'warn', found: /maxmemory is not set/, remedy: /noeviction/ })
})

t.test('a user of Redis that lacks a command, and one whose password is wrong', async t => {
  const rules = '~* &* -@all +@connection +@hash +@string +@set +@sortedset +@pubsub +@transaction +@keyspace +eval +evalsha +script|load +script|exists +time +info +acl|dryrun'
  const redis = await startRedis({ args: ['--save', '', '--user', 'mcp', 'on', '>secret', ...rules.split(' ')] })
  t.teardown(() => redis.stop())
  const url = redis.url.replace('//', '//mcp:secret@')
  await names(t, settings(t, onRedis(url)), { id: 'redis-user', severity: 'bad', found: /xadd/, remedy: /users\.acl/ })
  await names(t, settings(t, onRedis(redis.url.replace('//', '//mcp:wrong@'))), { id: 'state', severity: 'bad', found: /WRONGPASS|password/i, remedy: /password/ })
})

t.test('a Redis that lost a key', async t => {
  const env = settings(t, onRedis(redisUrl))
  const store = await openStore(loadConfig(env), silent, { patienceMs: 30_000 })
  const { record } = await addKey(store)
  await store.close()
  const { Redis } = await import('ioredis')
  const client = new Redis(redisUrl)
  await client.del(`${env.REDIS_KEY_PREFIX}{key:${record.hash}}:record`)
  await client.quit()
  await names(t, env, { id: 'state', severity: 'bad', found: /1 keys are missing/, remedy: /accept-loss/ })
})

t.test('two replicas with different settings, versions and tools, and more of them than REPLICAS says', async t => {
  const env = settings(t, { ...onRedis(redisUrl), REPLICAS: '1' })
  for (const n of [1, 2]) {
    const store = await redisStore({ url: redisUrl, prefix: env.REDIS_KEY_PREFIX!, commandTimeoutMs: 10_000, patienceMs: 30_000, replicas: 1, log: silent })
    const stop = answerRollCalls(store.bus, () => ({ name: `replica-${n}`, version: `1.0.${n}`, settings: `hash-${n}`, tools: String(n) }))
    t.teardown(async () => { stop(); await store.close() })
  }
  await names(t, env, { id: 'replica-settings', severity: 'bad', found: /hash-1 \(replica-1\), hash-2 \(replica-2\)/, remedy: /Roll out again/ })
  await names(t, env, { id: 'replica-versions', severity: 'warn', found: /1\.0\.1 and 1\.0\.2/, remedy: /rollout/ })
  await names(t, env, { id: 'replica-tools', severity: 'warn', found: /different tools/, remedy: /TOOLS_DIR/ })
  await names(t, env, { id: 'replica-count', severity: 'warn', found: /2 replicas run/, remedy: /REPLICAS/ })
})

t.test('a folder of records that cannot be written', async t => {
  const env = settings(t)
  writeFileSync(join(env.TOOLS_DIR!, 'a-file'), '')
  await names(t, { ...env, AUDIT_DIR: join(env.TOOLS_DIR!, 'a-file', 'audit') }, { id: 'audit-folder', severity: 'bad', found: /ENOTDIR|cannot be|No record/, remedy: /AUDIT_DIR/ })
})

t.test('records that somebody changed', async t => {
  const env = settings(t)
  const audit = openAudit(loadConfig(env), silent)
  for (let n = 0; n < 5; n++) audit.addNow(new Trace(`request-${n}`), 'request')
  audit.close()
  t.match((await doctor(env)).results.find(({ id }) => id === 'audit-chain'), { severity: 'ok' })
  const [name] = readdirSync(env.AUDIT_DIR!)
  const path = join(env.AUDIT_DIR!, name!)
  writeFileSync(path, readFileSync(path, 'utf8').replace('request-3', 'request-4'))
  await names(t, env, { id: 'audit-chain', severity: 'bad', found: /altered.*line/, remedy: /audit verify/ })
})

t.test('keys that everyone on the machine may read, and keys in plain text', async t => {
  const env = settings(t)
  writeFileSync(env.API_KEYS_FILE!, JSON.stringify({ api_keys: { ci: randomBytes(32).toString('base64url') } }))
  chmodSync(env.API_KEYS_FILE!, 0o644)
  await names(t, env, { id: 'files', severity: 'bad', found: /keys\.json/, remedy: /chmod 600/ })
  t.match((await doctor(env, ['--only', 'plain-keys'])).results, [{ severity: 'warn', remedy: /keys import/ }])
})

t.test('a tool that cannot be loaded', async t => {
  const env = settings(t)
  appendFileSync(join(env.TOOLS_DIR!, 'broken.mjs'), 'export default 1')
  await names(t, env, { id: 'tools', severity: 'bad', found: /broken\.mjs/, remedy: /Correct the file/ })
})

t.test('an authorization server that is another than it says, and one whose keys are of another kind', async t => {
  const server = createServer((request, response) => {
    const origin = `http://localhost:${(server.address() as AddressInfo).port}`
    const isKeys = request.url === '/jwks'
    response.setHeader('content-type', 'application/json').end(JSON.stringify(isKeys ? { keys: [] } : { issuer: request.url!.includes('other') ? 'https://elsewhere.example' : origin, jwks_uri: `${origin}/jwks`, authorization_endpoint: `${origin}/a`, token_endpoint: `${origin}/t`, response_types_supported: ['code'] }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`
  await names(t, settings(t, { OAUTH2_AUTH_SERVER: `${origin}/other` }), { id: 'issuer-metadata', severity: 'bad', found: /other/, remedy: /letter by letter/ })
  await names(t, settings(t, { OAUTH2_AUTH_SERVER: origin }), { id: 'issuer-keys', severity: 'bad', found: /no key/, remedy: /OAUTH2_ALGORITHMS/ })
})

t.test('an upstream that was never listed', async t => {
  const env = settings(t)
  const file = join(env.TOOLS_DIR!, 'servers.json')
  writeFileSync(file, JSON.stringify({ mcpServers: { files: { url: 'http://127.0.0.1:9/mcp' } } }))
  await names(t, { ...env, MCP_SERVERS_FILE: file }, { id: 'upstreams', severity: 'bad', found: /files.*never listed/, remedy: /servers test/ })
})

t.test('a server of this machine that is not ready', async t => {
  const server = createServer((_request, response) => response.writeHead(503).end('{"state":"lost"}'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.closeAllConnections(); server.close() })
  await names(t, settings(t, { PORT: String((server.address() as AddressInfo).port), HOST: '127.0.0.1' }), { id: 'ready', severity: 'bad', found: /503.*lost/, remedy: /traffic/ })
})
