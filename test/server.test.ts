/** A start that cannot be right ends with 2 and says what to change. */
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { folder } from './support/app.ts'
import { secureMcp, startServer } from './support/processes.ts'
import { until } from './support/until.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'

const start = async (cwd: string, env: Record<string, string> = {}) => await secureMcp(['serve'], { cwd, env: { PORT: '0', MANAGEMENT_PORT: '0', ...env } })

t.test('a management port that was chosen is had or the start ends, whichever way it was chosen', async t => {
  const cwd = folder(t)
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const port = String((taken.address() as AddressInfo).port)
  const message = new RegExp(`127.0.0.1:${port} is taken; set MANAGEMENT_PORT to another port`)
  t.match(await start(cwd, { MANAGEMENT_PORT: port }), { code: 2, err: message })
  writeFileSync(join(cwd, 'port'), port)
  mkdirSync(join(cwd, 'config'), { recursive: true })
  writeFileSync(join(cwd, 'config.json'), JSON.stringify({ management_port: Number(port) }))
  const files = { SECURE_CONFIG_FILE: join(cwd, 'config.json') }
  for (const env of [{ MANAGEMENT_PORT_FILE: join(cwd, 'port') }, files]) {
    t.match(await secureMcp(['serve'], { cwd, env: { PORT: '0', ...env } as Record<string, string> }), { code: 2, err: message }, Object.keys(env)[0]!)
  }
})

t.test('an address that is none of this machine is named with its setting', async t => {
  const cwd = folder(t)
  for (const host of ['x86_64-conda-linux-gnu', '203.0.113.7', 'no host', '127.0.0.1:3000']) {
    t.match(await start(cwd, { HOST: host }), { code: 2, err: new RegExp(`HOST ${host} is no address of this machine; set it to 127.0.0.1`) }, host)
    t.match(await start(cwd, { HOST: host, PORT: '34567' }), { code: 2, err: /HOST .* is no address of this machine/ }, host)
  }
  t.match(await start(cwd, { MANAGEMENT_HOST: 'nowhere.invalid' }), { code: 2, err: /MANAGEMENT_HOST nowhere.invalid is no address/ })
})

t.test('files that cannot be used are named with their setting', async t => {
  const cwd = folder(t)
  writeFileSync(join(cwd, 'key'), 'x'.repeat(43))
  chmodSync(join(cwd, 'key'), 0o644)
  writeFileSync(join(cwd, 'encrypted.json'), JSON.stringify({ encrypted_port: 'v1.00000000.0000000000000000.0000000000000000000000' }))
  writeFileSync(join(cwd, 'twice.json'), JSON.stringify({ port: 1, PORT: 2 }))
  writeFileSync(join(cwd, 'typo.json'), JSON.stringify({ api_keys: { reader: 'sk-0123456789abcdef0123456789' }, key_permissions: { raeder: ['get_*'] } }))
  writeFileSync(join(cwd, 'short.json'), JSON.stringify({ api_keys: { a: 'tiger-4821' } }))
  const cases: Array<[Record<string, string>, RegExp]> = [
    [{ API_KEYS_FILE: '/proc/nowhere/api_keys.json' }, /API_KEYS_FILE: \/proc\/nowhere\/api_keys.json cannot be written: .*set API_KEYS_FILE to a file in a folder that it may write/],
    [{ API_KEYS_FILE: cwd }, /API_KEYS_FILE: .* it is a folder, not a file/],
    [{ API_KEYS_FILE: join(cwd, 'key') }, /API_KEYS_FILE: .*key is not JSON \(line 1, column 1\)/],
    [{ API_KEYS_FILE: join(cwd, 'typo.json') }, /key_permissions names "raeder", but api_keys has no such key/],
    [{ API_KEYS_FILE: join(cwd, 'short.json') }, /short enough to be guessed/],
    [{ SECURE_CONFIG_FILE: join(cwd, 'absent.json') }, /SECURE_CONFIG_FILE: .*absent.json does not exist/],
    [{ SECURE_CONFIG_FILE: cwd }, /SECURE_CONFIG_FILE: .* it is a folder/],
    [{ SECURE_CONFIG_FILE: join(cwd, 'twice.json') }, /port and PORT are the same setting/],
    [{ SECURE_CONFIG_FILE: join(cwd, 'encrypted.json') }, /there is no key: set CONFIG_ENCRYPTION_KEY, or let CONFIG_ENCRYPTION_KEY_FILE .* name the file/],
    [{ SECURE_CONFIG_FILE: join(cwd, 'encrypted.json'), CONFIG_ENCRYPTION_KEY_FILE: join(cwd, 'key') }, /can be read by others.*defaultMode: 0440/],
    [{ STATE_SECRET_FILE: join(cwd, 'absent') }, /STATE_SECRET_FILE: .*absent does not exist/]
  ]
  for (const [env, message] of cases) t.match(await start(cwd, env), { code: 2, err: message }, JSON.stringify(env))
})

t.test('a start says its version and names what looks like a setting', async t => {
  const { output } = await startServer(t, { cwd: folder(t), env: { REDIS_URI: 'redis://canary', MCP_API_KEY: '"sk-0123456789abcdef0123456789"' } })
  // The log is gathered for half a second.
  await until(() => output().includes('begins and ends'))
  t.match(output(), /"version":"\d+\.\d+\.\d+".*"msg":"starting"/)
  t.match(output(), /"level":"warn".*REDIS_URI is no setting of this release and is ignored; is REDIS_URL meant\?/)
  t.match(output(), /MCP_API_KEY begins and ends with a quotation mark/)
  t.match(output(), /secure-mcp-server \d+\.\d+\.\d+\n/)
  t.notMatch(output(), /canary|sk-0123/)
  t.match(await createMetrics({ version: '1.2.3' }).text(), `mcp_build_info{version="1.2.3",node="${process.version}"} 1`)
  t.match(await secureMcp(['--version'], { cwd: folder(t) }), { code: 0, out: /^\d+\.\d+\.\d+\n$/ })
})
