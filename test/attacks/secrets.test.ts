/** Secrets of every kind go through a real server, its command line and its Redis; then everything that was written or answered is searched for them. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t from 'tap'
import { freePort, startRedis } from '../support/redis.ts'
import { makeKey } from '../../src/core/api-key.ts'
import { folder, MODERN } from '../support/app.ts'
import { startIssuer } from '../auth/oauth2/issuer.ts'
import { filesIn, secureMcp, startServer } from '../support/processes.ts'
import { until } from '../support/until.ts'

/** Every spelling in which a secret could stand somewhere. */
function spellings (secret: string): string[] {
  const bytes = Buffer.from(secret)
  const base64 = [0, 1, 2].map(shift => Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64').slice(4, -4))
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), bytes.toString('hex'), ...base64, ...base64.map(text => text.replaceAll('+', '-').replaceAll('/', '_'))]
}

t.test('no secret is in a log, in Redis, in an answer, in the metrics or in what the command line says', async t => {
  const cwd = folder(t)
  const data = folder(t)
  const canary = () => `canary-${randomBytes(24).toString('base64url')}`
  const secrets = { redisPassword: canary(), envKey: `sk-${canary()}`, stateSecret: canary(), clientSecret: canary(), configValue: canary(), configKey: randomBytes(32).toString('base64url') }
  const searched: Record<string, string> = { ...secrets }

  // Nothing is packed, so that a secret in the file would be seen.
  const redis = await startRedis({ dir: data, args: ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--rdbcompression', 'no'] })
  t.teardown(() => redis.stop())
  const admin = new Redis(redis.url)
  t.teardown(() => admin.disconnect())
  await admin.config('SET', 'requirepass', secrets.redisPassword)

  const issuer = await startIssuer(t)
  mkdirSync(join(cwd, 'tools'))
  writeFileSync(join(cwd, 'tools/throws.js'), 'export default { kind: \'tool\', tool: { name: \'throws\', description: \'Throws what it was given.\', input: { type: \'object\', properties: { text: { type: \'string\' } } }, run ({ text }) { throw new Error(\'cannot use \' + text) } } }\n')
  const port = await freePort()
  const env = {
    HOST: '127.0.0.1',
    PORT: String(port),
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    MANAGEMENT_PORT: String(await freePort()),
    MCP_DEBUG: 'true',
    REDIS_URL: `redis://:${secrets.redisPassword}@127.0.0.1:${redis.port}`,
    REDIS_COMMAND_TIMEOUT_MS: '2000',
    MCP_API_KEY: secrets.envKey,
    STATE_SECRET: secrets.stateSecret,
    CONFIG_ENCRYPTION_KEY: secrets.configKey,
    OAUTH2_AUTH_SERVER: issuer.url,
    OAUTH2_CLIENT_ID: 'us',
    OAUTH2_CLIENT_SECRET: secrets.clientSecret,
    OAUTH2_AUDIENCE: `http://127.0.0.1:${port}/mcp`
  }

  const KEY = /mcpk_[\w-]+/g
  /** Everything the command line said, but for the one line in which it hands over a new key. */
  let said = ''
  const command = async (args: string[], more: Record<string, string> = {}, input = '') => {
    const ran = await secureMcp(args, { cwd, env: { ...env, ...more }, input })
    const hands = ran.code === 0 && (args[1] === 'create' || args[1] === 'rotate')
    for (const [key] of hands ? ran.out.matchAll(KEY) : []) searched[`key ${Object.keys(searched).length}`] = key
    said += ran.err + (hands ? '' : ran.out)
    return ran
  }

  // The command line: rightly used, and with secrets in every wrong place.
  const made = /mcpk_[\w-]+/.exec((await command(['keys', 'create', 'ada'])).out)![0]
  const gone = /mcpk_[\w-]+/.exec((await command(['keys', 'create', 'gone'])).out)![0]
  await command(['keys', 'revoke', gone.split('_')[1]!])
  await command(['keys', 'rotate', made.split('_')[1]!, '--overlap', '1h'])
  await command(['config', 'set', 'api_token'], {}, secrets.configValue)
  const { configValue } = secrets
  for (const wrong of [
    ['keys', 'revoke', made], ['keys', 'show', made], ['keys', 'create', 'x', '--allow', made], ['keys', 'create', 'x', '--cidr', made], ['keys', 'create', 'x', '--expires', made], ['keys', 'create', made, made], ['keys', 'rotate', made, '--overlap', made], ['keys', 'create', 'x', `--${made}`], ['keys', made], [made],
    ['config', 'set', 'api_token', configValue], ['config', 'get', made], ['config', made], ['tokens', 'revoke', '--jti', made], ['ip', 'block', made], ['state', made], ['tools', made]
  ]) await command(wrong)
  await command(['keys', 'import', join(cwd, 'no-such-file')])
  await command(['keys', 'list'])
  await command(['config', 'list'])
  await command(['tools', 'list'])
  for (const wrong of [
    { STATE_SECRET: secrets.stateSecret.slice(0, 31) }, { REDIS_URL: `rediss://:${secrets.redisPassword}@127.0.0.1:1` }, { REDIS_URL: `redis:/:${secrets.redisPassword}@x` }, { CONFIG_ENCRYPTION_KEY: secrets.configKey.slice(1) },
    { OAUTH2_CLIENT_SECRET: secrets.clientSecret, OAUTH2_AUTH_SERVER: `http://u:${secrets.clientSecret}@evil.example` }, { STATE_SECRET: secrets.envKey, MCP_API_KEY: secrets.envKey }, { PUBLIC_URL: `http://u:${secrets.clientSecret}@x` }
  ] as Array<Record<string, string>>) await command(['keys', 'list'], wrong)

  const server = await startServer(t, { cwd, env: { ...env, ...filesIn(cwd) } })
  let answers = ''
  const post = async (headers: Record<string, string>, body: string, path = '/mcp') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers }, body, redirect: 'manual' })
    const text = await response.text()
    answers += JSON.stringify([...response.headers]) + text
    return { status: response.status, text }
  }
  const call = (name: string, args: object = {}) => JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } })

  // Right ones, so that what is searched for has been through.
  const token = issuer.mint({ aud: env.OAUTH2_AUDIENCE })
  // The authorization server has a second to be found in, which a busy machine may take from it.
  await until(async () => (await post({ authorization: `Bearer ${token}` }, call('get_time'))).status === 200)
  for (const [kind, header] of Object.entries({ made, envKey: secrets.envKey, token })) {
    t.equal((await post({ authorization: `Bearer ${header}` }, call('get_time'))).status, 200, kind)
    t.equal((await post({ authorization: `Bearer ${header}`, 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': 'debug_info' }, call('debug_info'))).status < 500, true)
    t.match((await post({ authorization: `Bearer ${header}` }, call('throws', { text: header }))).text, 'Internal error')
    t.match((await post({ authorization: `Bearer ${header}` }, call('echo', { text: `<script>${header}` }))).text, 'Security validation failed')
  }
  // And wrong ones, in every place where somebody once put one.
  const forged = `${token.split('.').slice(0, 2).join('.')}.${randomBytes(48).toString('base64url')}`
  const never = makeKey().key
  const opaque = canary()
  Object.assign(searched, { made, gone, token, forged, never, opaque, signature: token.split('.')[2]!, forgedSignature: forged.split('.')[2]! })
  for (const value of [made, gone, never, opaque, forged, token, secrets.envKey]) {
    for (const headers of [
      { authorization: `Bearer ${value} x` }, { authorization: `Basic ${Buffer.from(`u:${value}`).toString('base64')}` }, { authorization: value }, { 'x-api-key': value, authorization: `Bearer ${value}` }, { 'x-api-key': `${value}x` },
      { cookie: `session=${value}` }, { 'x-api-key': secrets.envKey, 'mcp-session-id': value }, { 'x-api-key': secrets.envKey, 'mcp-protocol-version': value }, { 'x-api-key': secrets.envKey, origin: `https://${value.slice(0, 50)}.example` },
      { authorization: `DPoP ${value}`, dpop: value }, { 'user-agent': value, 'x-request-id': value }, { traceparent: value }
    ] as Array<Record<string, string>>) await post(headers, call('get_time'))
    for (const path of [`/mcp?api_key=${value}`, `/${value}`, `/oauth/callback?code=${value}&state=${value}`, `/oauth/login?scope=${value}`]) {
      await post({}, call('get_time'), path)
      answers += await (await fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual' })).text().then(text => path.startsWith('/oauth/login') ? '' : text)
    }
    // A name that is not served comes back to whoever sent it, so there only what looks like a credential is taken out.
    for (const body of [`{"jsonrpc":"2.0","id":1,"token":"${value}"`, JSON.stringify({ jsonrpc: '2.0', id: 1, method: value }), ...(value === opaque ? [] : [call(value), call('get_time', { [value]: value })])]) {
      await post({ 'x-api-key': secrets.envKey }, body)
    }
    const socket = connect(port, '127.0.0.1').on('error', () => {}).on('data', part => { answers += part.toString() })
    socket.end(`GET /mcp HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-API-Key : ${value}\r\nAuthorization: Bearer ${value}\n\r\n\r\n`)
    await once(socket, 'close')
  }
  const metrics = await (await fetch(`http://127.0.0.1:${env.MANAGEMENT_PORT}/metrics`)).text()
  t.match(metrics, 'mcp_', 'there are metrics')

  // Redis goes away under load and comes back: its errors hold commands with their arguments.
  redis.process.kill('SIGSTOP')
  await Promise.all(Array.from({ length: 5 }, () => post({ 'x-api-key': made }, call('get_time'))))
  redis.process.kill('SIGCONT')
  await admin.config('SET', 'requirepass', `${secrets.redisPassword}-changed`)
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await Promise.all(Array.from({ length: 5 }, () => post({ 'x-api-key': made }, call('get_time'))))
  await sleep(500)
  await admin.bgrewriteaof()
  server.child.kill('SIGTERM')
  await once(server.child, 'exit')

  const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(entry => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  const kept = readdirSync(join(cwd, 'config'), { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(entry => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  const places: Record<string, string> = { log: server.output(), redis: files.join('\n'), answers, metrics, 'command line': said, 'configuration files': kept.join('\n') }
  t.ok(places.redis!.includes(made.split('_')[1]!), 'Redis was searched where the key is kept')
  t.ok(places.log!.includes(made.split('_')[1]!), 'the log was searched where the key was used')

  const found: string[] = []
  for (const [place, text] of Object.entries(places)) {
    for (const [name, secret] of Object.entries(searched)) {
      // The id of a key is public, and stands in lists and logs.
      const core = secret.startsWith('mcpk_') ? secret.slice(16, 59) : secret
      if (spellings(core).some(spelling => text.includes(spelling))) found.push(`${name} in ${place}`)
    }
  }
  t.comment(`figure: ${found.length} found of ${Object.keys(searched).length} secrets in ${Object.keys(places).length} places`)
  t.strictSame(found, [])
})
