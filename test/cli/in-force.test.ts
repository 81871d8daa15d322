/** Whatever a command says it did is in force, or the command says that it is not. */
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { folder, redisUrl } from '../support/app.ts'
import { freePort } from '../support/redis.ts'
import { MAIN, secureMcp, startServer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const made = (out: string) => JSON.parse(out) as { id: string, key: string }

async function status (url: string, key: string): Promise<number> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'x-api-key': key },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} })
  })
  await response.text()
  return response.status
}

async function commands (t: Test, env: Record<string, string> = {}) {
  const cwd = folder(t)
  return { cwd, run: async (args: string, more: Record<string, string> = {}) => await secureMcp(args.split(' '), { cwd, env: { ...env, ...more } }) }
}

t.test('a revocation is in force when the command ends: the running server says so', async t => {
  const { cwd, run } = await commands(t)
  const { key } = made((await run('keys create ada --json')).out)
  const { url } = await startServer(t, { cwd })
  t.equal(await status(url, key), 200)
  const revoked = await run('keys revoke ada')
  t.match(revoked, { code: 0, err: /^Key "ada" \(\w+\) is revoked\.\n$/ })
  t.equal(await status(url, key), 401, 'at once, without waiting')
  t.match(await run('ip block 127.0.0.1'), { code: 0 })
  t.equal(await status(url, key), 403)
})

t.test('a server that made the folder itself is asked, too', async t => {
  const { cwd, run } = await commands(t)
  const { url, output } = await startServer(t, { cwd })
  await until(() => output().includes('"mcpServers"'))
  const key = /mcpk_\S+/.exec(output())![0]
  await until(() => readdirSync(join(cwd, 'config')).some(name => name.endsWith('.sock')))
  t.match(await run('keys revoke first'), { code: 0, err: /^Key "first" \(\w+\) is revoked\.\n$/ })
  t.equal(await status(url, key), 401)
})

t.test('a change beside a file that is broken is refused before anything is written', async t => {
  const { cwd, run } = await commands(t)
  const { key } = made((await run('keys create ada --json')).out)
  const { url } = await startServer(t, { cwd, env: {} })
  writeFileSync(join(cwd, 'config/revocations.json'), '{"half')
  t.match(await run('ip block 192.0.2.1'), { code: 2, err: /revocations\.json is not JSON/ })
  writeFileSync(join(cwd, 'config/revocations.json'), '{}')
  t.match(await run('ip block 192.0.2.1'), { code: 0 })
  t.equal(await status(url, key), 200)
})

t.test('without a server the command says that none uses the folder', async t => {
  const { cwd, run } = await commands(t)
  await run('keys create ada')
  t.match(await run('keys revoke ada'), { code: 0, err: new RegExp(`No running server reports that it uses ${join(cwd, 'config')}; one that starts there will`) })
  // A server that was killed leaves its socket behind, and is not waited for.
  const { child } = await startServer(t, { cwd })
  child.kill('SIGKILL')
  await new Promise(resolve => child.once('exit', resolve))
  t.match(await run('ip block 192.0.2.1'), { code: 0, err: /No running server/ })
  t.same(readdirSync(join(cwd, 'config')).filter(name => name.endsWith('.sock')), [])
})

t.test('a command of root leaves the files to the user that the service runs as', async t => {
  if (process.getuid?.() !== 0) {
    t.pass('only root can change whose file it is; test/files.test.ts holds what other users are refused')
    return
  }
  const { cwd, run } = await commands(t)
  chmodSync(cwd, 0o755)
  chownSync(cwd, 1234, 2345)
  const { key } = made((await run('keys create ada --json')).out)
  const child = spawn(process.execPath, [MAIN], { cwd, uid: 1234, gid: 2345, env: { PATH: process.env.PATH, PORT: '0', MANAGEMENT_PORT: '0' }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const url = await new Promise<string>((resolve, reject) => {
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (part: Buffer) => {
        output += part.toString()
        const found = /MCP endpoint {3}(\S+)/.exec(output)?.[1]
        if (found !== undefined) resolve(found)
      })
    }
    child.once('exit', code => reject(new Error(`ended with ${code}: ${output}`)))
  })
  t.equal(await status(url, key), 200)
  for (const args of ['keys revoke ada', 'tokens revoke --subject ada', 'ip block 192.0.2.0/24', 'keys create bob']) t.match(await run(args), { code: 0 }, args)
  t.equal(await status(url, key), 401)
  for (const name of ['api_keys.json', 'blocklist.json', 'revocations.json']) t.match(statSync(join(cwd, 'config', name)), { uid: 1234, gid: 2345 }, name)

  // Somebody else took the file away from the service: the command does not believe itself.
  chownSync(join(cwd, 'config/api_keys.json'), 0, 0)
  t.match(await run('keys revoke bob'), { code: 1, err: /api_keys\.json is written, but the running server does not use it: .*permission denied for uid 1234/ })
})

t.test('every argument is used, or the command refuses and changes nothing', async t => {
  const { cwd, run } = await commands(t)
  for (const name of ['alice', 'bob', 'carol']) await run(`keys create ${name}`)
  const before = readFileSync(join(cwd, 'config/api_keys.json'), 'utf8')
  for (const args of [
    'keys revoke alice nobody', 'keys list alice', 'keys show alice bob', 'keys rotate alice bob', 'keys create dan erin', 'keys import a b', 'keys create dan --role caller --role operator',
    'keys create dan --expires 1d --expires 2d', 'keys create dan --limit 1 --limit 2', 'keys rotate alice --overlap 1h --overlap 2h', 'keys list --json --json', 'keys revoke alice --expires 1d', 'keys show',
    'ip list 192.0.2.1', 'ip list --for 1h', 'ip block 192.0.2.1 300.0.0.1', 'ip block 192.0.2.1 --for 1h --for 2h', 'ip unblock 192.0.2.1', 'ip unblock 192.0.2.1 --for 1h', 'ip block 192.0.2.1 --note',
    'tokens list --subject ada', 'tokens list ada', 'tokens revoke', 'tokens revoke ada', 'tokens revoke --jti a --for 1h --for 2h', 'tokens unrevoke --jti a', 'tokens revoke --jti a --json=yes',
    'tools list echo', 'state show now', 'config list a', 'config get a --file b', 'config set a b', 'config rotate-key now', 'serve now', 'stdio now', '--version now', 'version --json', '-v -v', 'help nothing', '--help --serve', 'keys create dan --expires 0d', 'ip block 192.0.2.1 --for 0s', 'tokens revoke --jti a --for 0m'
  ]) {
    t.match(await run(args), { code: 2, out: '', err: /^[^\n]+\n$/ }, args)
  }
  t.equal(readFileSync(join(cwd, 'config/api_keys.json'), 'utf8'), before)
  t.same(JSON.parse((await run('ip list --json')).out), [])

  t.match(await run('keys revoke alice bob alice'), { code: 0, err: /"alice".*\n.*"bob"/ })
  t.match((await run('keys list')).out, /alice .*revoked\n.*bob .*revoked\n.*carol .*active|active/)
  t.match(await run('ip block 192.0.2.1 198.51.100.0/24 --for 1h'), { code: 0 })
  t.equal(JSON.parse((await run('ip list --json')).out).length, 2)
  t.match(await run('ip unblock 192.0.2.1 198.51.100.0/24'), { code: 0 })
  t.match(await run('tokens revoke --jti a --jti b --subject c'), { code: 0, err: /Revoked: jti:a, jti:b, sub:c\./ })
  t.match(await run('tokens unrevoke --jti b --jti absent'), { code: 2, err: /Not revoked: jti:absent/ })
  t.match(await run('tokens unrevoke --jti b --subject c'), { code: 0 })
  t.same((JSON.parse((await run('tokens list --json')).out) as Array<{ id: string }>).map(({ id }) => id).filter(id => !id.startsWith('key:')), ['jti:a'])
})

for (const backend of ['files', 'Redis']) {
  t.test(`a promised overlap lasts until its end, whatever rotates meanwhile, in ${backend}`, async t => {
    const { run } = await commands(t, backend === 'files' ? {} : { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `test:${Math.random()}:`.replace('.', ''), STATE_SECRET: 'a-state-secret-of-this-test-0123456789abcdef' })
    await run('keys create ada')
    t.match(await run('keys rotate ada --overlap 24h'), { code: 0 })
    const again = await run('keys rotate ada --overlap 1h')
    t.match(again, { code: 2, out: '', err: /still works until .*, and a rotation now would end it.*--end-previous/ })
    t.match(await run('keys rotate ada --overlap 0s --end-previous'), { code: 0, err: /The key before works no more/ })
    t.match(await run('keys rotate ada --overlap 1h'), { code: 0 }, 'nothing is promised to anybody')
    await run('keys revoke ada')
    t.match(await run('keys rotate ada'), { code: 2, err: /is revoked/ })
  })
}

t.test('a list of what cannot be asked is a failure, never an empty list', async t => {
  const { run } = await commands(t, { REDIS_URL: `redis://127.0.0.1:${await freePort()}`, STATE_SECRET: 'a-state-secret-of-this-test-0123456789abcdef' })
  const all = ['ip list', 'tokens list', 'keys list --json', 'tools list', 'ip block 192.0.2.1', 'keys create ada', 'tokens unrevoke --jti a']
  await Promise.all([
    ...all.map(async args => { t.match(await run(args), { code: 1, out: '', err: /Redis is unreachable/ }, args) }),
    run('state show').then(ran => t.match(ran, { code: 1, out: 'unreachable\n' }))
  ])
})

t.test('importing again takes nothing back: neither a revocation nor a permission', async t => {
  const { cwd, run } = await commands(t)
  const file = join(cwd, 'old.json')
  writeFileSync(file, '\ufeff' + JSON.stringify({ api_keys: { a: 'sk-0123456789abcdef0123456789', b: 'sk-abcdef0123456789abcdef0123' }, key_permissions: { a: ['*'], b: ['echo'] } }))
  t.match(await run(`keys import ${file}`), { code: 0, err: /2 keys imported/ })
  await run('keys revoke a')
  t.match(await run(`keys import ${file}`), { code: 0, err: /0 keys imported.*\nKnown before, and left as they were: a, b/ })
  t.match((await run('keys list')).out, /a .*revoked/)
  writeFileSync(file, JSON.stringify({ api_keys: { short: 'tiger-4821' } }))
  t.match(await run(`keys import ${file}`), { code: 2, err: /short enough to be guessed/ })
  t.match(await run(`keys import ${cwd}`), { code: 2, err: /it is a folder/ })
})
