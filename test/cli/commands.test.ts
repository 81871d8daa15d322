import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { folder, redisUrl } from '../support/app.ts'
import { secureMcp, startServer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const COMMANDS = ['serve', 'stdio', 'keys', 'config', 'ip', 'tokens', 'tools', 'call', 'servers', 'state', 'doctor', 'status', 'dry-run', 'why']

/** What a person with curl sends. */
async function call (url: string, key: string | undefined, name = 'hello_world') {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...(key === undefined ? {} : { 'x-api-key': key }) },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } })
  })
  return { status: response.status, text: await response.text() }
}

t.test('every command explains itself with an example', async t => {
  const cwd = folder(t)
  const overview = await secureMcp(['--help'], { cwd })
  t.equal(overview.code, 0)
  for (const name of COMMANDS) {
    t.match(overview.out, new RegExp(`^ {2}${name} `, 'm'))
    const { code, out, err } = await secureMcp([name, '--help'], { cwd })
    t.equal(code, 0, name)
    t.match(out, /^Usage: secure-mcp .*Example/s, name)
    t.equal(err, '', name)
  }
})

t.test('wrong use ends with code 2 and one line that says how to mend it', async t => {
  const cwd = folder(t)
  const wrong: string[][] = [
    ['fly'], ['serve', '--port', '1'], ['stdio', 'now'], ['keys'], ['keys', 'steal'], ['keys', 'create'], ['keys', 'create', 'two words'],
    ['keys', 'create', 'a', '--allow', 'get*tool'], ['keys', 'create', 'a', '--allow', '!get_time'], ['keys', 'create', 'a', '--expires', 'soon'],
    ['keys', 'create', 'a', '--cidr', '10.0.0.0/99'], ['keys', 'create', 'a', '--limit', '-1'], ['keys', 'create', 'a', '--role', 'king'], ['keys', 'create', 'a', '--colour', 'red'],
    ['keys', 'show', 'nobody'], ['keys', 'rotate'], ['keys', 'revoke', 'nobody'], ['keys', 'import', 'no-such-file'], ['keys', '__proto__'],
    ['config'], ['config', 'set'], ['config', 'set', 'redis_url'], ['config', 'set', 'redis_url', 'value-as-argument'], ['config', 'get', 'none'],
    ['ip'], ['ip', 'block'], ['ip', 'block', '300.1.1.1'], ['ip', 'unblock', '192.0.2.1'], ['ip', 'block', '192.0.2.1', '--for', 'ever'],
    ['tools'], ['tools', 'fly'], ['tools', 'approve'], ['tools', 'diff', 'nobody'], ['servers'], ['servers', 'import'], ['servers', 'import', 'no-such-file'], ['tokens'], ['state'],
    ['status'], ['status', 'now'], ['doctor', 'now'], ['doctor', '--key'], ['doctor', '--through', 'here'], ['doctor', '--only', 'nothing'], ['why'], ['why', '--key', 'nobody', '--tool', 'echo'], ['why', '--key', 'a', '--token', 'b'], ['why', '--key', 'a', '--args', '[]'], ['why', '--token', 'no-such-file'],
    ['keys', 'change'], ['keys', 'change', 'nobody', '--allow', '*'], ['keys', 'change', 'a'], ['keys', 'change', 'a', '--drop', 'x', '--limit', '0']
  ]
  for (const args of wrong) {
    const { code, out, err } = await secureMcp(args, { cwd })
    t.equal(code, 2, args.join(' '))
    t.equal(out, '', args.join(' '))
    t.match(err, /^[^\n]+\n$/, args.join(' '))
    t.notMatch(err, /value-as-argument|at .*\.js:/, args.join(' '))
  }
})

for (const backend of ['files', 'Redis']) {
  t.test(`a key lives and dies at the command line, in ${backend}`, async t => {
    const cwd = folder(t)
    const env: Record<string, string> = backend === 'files'
      ? {}
      : { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, STATE_SECRET: randomBytes(32).toString('base64url') }
    const keys = async (...args: string[]) => {
      const ran = await secureMcp(['keys', ...args], { cwd, env })
      t.equal(ran.code, 0, `keys ${args.join(' ')}: ${ran.err}`)
      return ran
    }
    const made = JSON.parse((await keys('create', 'ci', '--allow', 'get_*', '--deny', 'get_secret', '--expires', '90d', '--cidr', '127.0.0.0/8', '--limit', '50', '--owner', 'team a', '--json')).out)
    t.match(made, { name: 'ci', role: 'caller', permissions: ['get_*', '!get_secret'], cidrs: ['127.0.0.0/8'], limit: 50, owner: 'team a', status: 'active', key: /^mcpk_/ })
    const listed = await keys('list')
    t.match(listed.out, /ci .*get_\* !get_secret .*active/)
    t.notMatch(listed.out, made.key)
    t.notMatch((await keys('show', 'ci')).out, /hash|mcpk_/)

    const { url } = await startServer(t, { cwd, env })
    t.equal((await call(url, made.key, 'get_time')).status, 200)
    t.match((await call(url, made.key, 'echo')).text, 'Access denied')
    const explained = await secureMcp(['why', '--key', 'ci', '--tool', 'echo', '--args', '{}', '--address', '127.0.0.1'], { cwd, env })
    t.match(explained.out, /ACCESS_DENIED by permission, no pattern.*To mend it: .*keys change ci --allow echo/s, explained.err)
    await keys('change', 'ci', '--allow', 'echo', '--drop', '!get_secret', '--limit', 'class', '--expires', 'never')
    t.ok(await until(async () => !(await call(url, made.key, 'echo')).text.includes('Access denied')), 'a change is in force at once')
    t.match((await keys('show', 'ci')).out, /^(?!.*(limit|expires|!get_secret)).*echo/s)
    t.equal((await secureMcp(['keys', 'change', 'ci', '--drop', 'get_nothing'], { cwd, env })).code, 2)

    const next = JSON.parse((await keys('rotate', 'ci', '--overlap', '1h', '--json')).out)
    t.equal(next.id, made.id)
    t.not(next.key, made.key)
    t.ok(await until(async () => (await call(url, next.key, 'get_time')).status === 200), 'the new key works')
    t.equal((await call(url, made.key, 'get_time')).status, 200, 'so does the old one, for a while')

    await keys('revoke', 'ci')
    t.ok(await until(async () => (await call(url, next.key, 'get_time')).status === 401), 'both end')
    t.equal((await call(url, made.key, 'get_time')).status, 401)
    t.match((await keys('list')).out, /ci .*revoked/)

    const plain = join(cwd, 'old.json')
    writeFileSync(plain, JSON.stringify({ api_keys: { old: 'sk-an-older-key-of-thirty-characters' }, key_permissions: { old: ['echo'] } }))
    const imported = await keys('import', plain)
    t.match(imported.err, /plain text/)
    t.notMatch(imported.err, 'sk-an-older')
    // A value that is not known yet counts as a guess: few enough of them that the address is still heard.
    t.ok(await until(async () => {
      await sleep(500)
      return (await call(url, 'sk-an-older-key-of-thirty-characters', 'echo')).status === 200
    }))
    t.match((await call(url, 'sk-an-older-key-of-thirty-characters')).text, 'Access denied', 'with the permissions of the file')
  })

  t.test(`an address is blocked and let in again, in ${backend}`, async t => {
    const cwd = folder(t)
    const env: Record<string, string> = backend === 'files'
      ? {}
      : { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, STATE_SECRET: randomBytes(32).toString('base64url') }
    const { url } = await startServer(t, { cwd, env })
    t.equal((await secureMcp(['ip', 'block', '127.0.0.0/8', '--for', '1h', '--note', 'drill'], { cwd, env })).code, 0)
    t.ok(await until(async () => (await call(url, undefined)).text.includes('ADDRESS_BLOCKED')))
    t.match(JSON.parse((await secureMcp(['ip', 'list', '--json'], { cwd, env })).out), [{ range: '127.0.0.0/8', note: 'drill' }])
    t.equal((await secureMcp(['ip', 'unblock', '127.0.0.0/8'], { cwd, env })).code, 0)
    t.ok(await until(async () => (await call(url, undefined)).status === 401))
  })
}

t.test('tools list shows who may call what', async t => {
  const cwd = folder(t)
  await secureMcp(['keys', 'create', 'reader', '--allow', 'get_*'], { cwd })
  await secureMcp(['keys', 'create', 'boss', '--role', 'operator'], { cwd })
  const rows = JSON.parse((await secureMcp(['tools', 'list', '--json'], { cwd })).out) as Array<{ tool: string, callers: string[] }>
  t.same(rows.find(({ tool }) => tool === 'get_time')?.callers, ['reader'])
  t.same(rows.find(({ tool }) => tool === 'echo')?.callers, [])
})

t.test('a first run makes one key, keeps its hash alone, and what it prints works when pasted', async t => {
  const cwd = folder(t)
  const { url, output } = await startServer(t, { cwd })
  t.ok(await until(async () => output().includes('"mcpServers"')))
  const key = /mcpk_\S+/.exec(output())![0]
  t.equal((await call(url, key)).status, 200)
  const file = join(cwd, 'config/api_keys.json')
  t.notMatch(readFileSync(file, 'utf8'), key)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.notMatch(output().split('\n').filter(line => line.startsWith('{"level"')).join('\n'), key, 'never in the log')
})

t.test('a server that cannot start says why in one message and ends with 2', async t => {
  const cwd = folder(t)
  mkdirSync(join(cwd, 'tools'))
  const start = async (env: Record<string, string>, before = () => {}) => {
    before()
    return await secureMcp(['serve'], { cwd, env: { PORT: '0', MANAGEMENT_PORT: '0', ...env } })
  }
  const canary = 'canary-value-7f3a'
  const cases: Array<[string, Record<string, string>, RegExp, (() => void)?]> = [
    ['every wrong setting at once', { PORT: canary, INSPECTION: canary, TRUST_PROXY: '0.0.0.0/0' }, /PORT.*INSPECTION.*TRUST_PROXY/s],
    ['no authentication in public', { MCP_AUTH_ENABLED: 'false', HOST: '0.0.0.0' }, /loopback/],
    ['Redis without a secret', { REDIS_URL: redisUrl }, /STATE_SECRET is required/],
    ['a secret of a tutorial', { REDIS_URL: redisUrl, STATE_SECRET: 'changeme' }, /STATE_SECRET must be random/],
    ['a tool module that is none', {}, /broken\.mjs.*default export/, () => writeFileSync(join(cwd, 'tools/broken.mjs'), 'export default 1')],
    ['a tool module that does not parse', {}, /absurd\.mjs.*cannot be loaded/, () => writeFileSync(join(cwd, 'tools/absurd.mjs'), 'export default {')],
    ['a key file that is not JSON', { API_KEYS_FILE: join(cwd, 'keys.json') }, /keys\.json is not JSON/, () => writeFileSync(join(cwd, 'keys.json'), `{"api_keys": {"a": "${canary}`)]
  ]
  for (const [what, env, message, before] of cases) {
    const { code, err } = await start(env, before)
    t.equal(code, 2, what)
    t.match(err, message, what)
    t.notMatch(err, canary, what)
    t.notMatch(err, /\n {4}at /, what)
  }
})
