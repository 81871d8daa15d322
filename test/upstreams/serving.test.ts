/** The server as a process, with a file that names a program and a service: as an operator starts it. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { folder, META, MODERN } from '../support/app.ts'
import { startServer } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { startHttpUpstream } from '../support/upstream-http.ts'

const ROOT = join(import.meta.dirname, '../..')
const PROGRAM = {
  command: process.execPath,
  args: ['--import', join(ROOT, 'scripts/typescript.mjs'), join(ROOT, 'test/support/upstream-program.ts')]
}
const KEY = 'sk-a-key-of-the-test-of-upstreams'

async function open (t: Test, mcpServers: object, env: Record<string, string> = {}) {
  const cwd = folder(t)
  mkdirSync(join(cwd, 'config'))
  const file = join(cwd, 'config/mcp_servers.json')
  const write = (content: string) => {
    writeFileSync(`${file}.new`, content)
    renameSync(`${file}.new`, file)
  }
  write(JSON.stringify({ mcpServers }))
  const served = await startServer(t, { cwd, env: { MCP_API_KEY: KEY, RATE_LIMIT_API_KEY: '100000', ...env } })
  const ask = async (method: string, params: Record<string, unknown> = {}) => {
    const response = await fetch(served.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${KEY}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': MODERN,
        'mcp-method': method,
        ...(typeof params.name === 'string' ? { 'mcp-name': params.name } : {})
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: META } })
    })
    return await response.json() as { result?: any, error?: any }
  }
  const call = async (name: string, args: object = {}) => (await ask('tools/call', { name, arguments: args })).result
  const names = async () => (await ask('tools/list')).result.tools.map(({ name }: { name: string }) => name) as string[]
  return { ...served, cwd, write, ask, call, names }
}

t.test('a program and a service of the file are listed and called, and their secrets stay here', async t => {
  const web = await startHttpUpstream(t, { streams: true })
  const { call, names, output, child } = await open(t, {
    local: { ...PROGRAM, env: { UPSTREAM_BANNER: 'Welcome!', OWN: '${VALUE}' } },
    web: { type: 'http', url: web.url, headers: { authorization: 'Bearer ${TOKEN}' } }
  }, { VALUE: 'a-value', TOKEN: 'a-long-secret-token', STATE_SECRET: 'a secret of this server of many characters' })
  await until(async () => (await names()).includes('local_echo'))
  t.ok((await names()).includes('web_echo'))
  t.equal((await call('local_echo', { text: 'a' })).content[0].text, 'a')
  t.equal((await call('web_echo', { text: 'b' })).content[0].text, 'b')
  const environment = (await call('local_environment')).content[0].text
  t.match(JSON.parse(environment), { OWN: 'a-value' })
  t.notMatch(environment, /secret of this server|sk-a-key|a-long-secret/)
  t.ok(web.heads.every(({ authorization }) => authorization === 'Bearer a-long-secret-token'))
  t.notMatch(JSON.stringify(web.heads), KEY)
  t.notMatch(output(), /a-long-secret-token/)
  const pid = Number((await call('local_pid')).content[0].text)
  child.kill('SIGTERM')
  await until(() => child.exitCode !== null)
  t.ok(await until(() => { try { process.kill(pid, 0); return false } catch { return true } }), 'the program is gone')
})

t.test('the file is followed: what is wrong changes nothing, what is right is in force, and no call is dropped', async t => {
  const web = await startHttpUpstream(t)
  const { write, call, names, output, child } = await open(t, { one: { url: web.url } })
  t.ok((await names()).includes('one_echo'))
  let failed = 0
  const writing = new AbortController()
  const calling = (async () => {
    for (let n = 0; !writing.signal.aborted; n++) if ((await call('one_echo', { text: String(n) }))?.content[0].text !== String(n)) failed++
  })()
  for (const wrong of ['', '{"mcpServers": {"one": {"url": 7}}}', '{"mcpServers": ', 'null']) {
    write(wrong)
    await sleep(700)
  }
  await until(() => output().includes('stays in force'))
  const told = () => output().split('stays in force').length
  const before = told()
  child.kill('SIGHUP')
  await until(() => told() > before)
  write(JSON.stringify({ mcpServers: { one: { url: web.url, timeoutMs: 20_000 }, two: { url: web.url } } }))
  await until(async () => (await names()).includes('two_echo'))
  write(JSON.stringify({ mcpServers: { one: { url: web.url + '?again' }, two: { url: web.url, disabled: true } } }))
  await until(async () => !(await names()).includes('two_echo'))
  writing.abort()
  await calling
  t.equal(failed, 0)
  t.ok((await names()).includes('one_echo'))
})

t.test('calls that wait for an upstream hold no place, and an end in order waits for them', async t => {
  const web = await startHttpUpstream(t)
  const { call, child } = await open(t, { web: { url: web.url, timeoutMs: 5000 } }, { MAX_IN_FLIGHT: '8' })
  await until(async () => (await call('web_echo', { text: 'a' }))?.content[0].text === 'a')
  const hung = Array.from({ length: 20 }, () => call('web_hang'))
  await until(() => (web.server.calls.get('hang') ?? 0) === 20)
  t.equal((await call('echo', { text: 'own' })).content[0].text, 'own')
  t.equal((await call('web_echo', { text: 'theirs' })).content[0].text, 'theirs')
  for (const { isError, content } of await Promise.all(hung)) t.match({ isError, content }, { isError: true, content: [{ text: /web/ }] })

  const last = call('web_wait', { ms: 1500 })
  await until(() => web.server.calls.get('wait') === 1)
  child.kill('SIGTERM')
  t.equal((await last).content[0].text, 'waited')
})

t.test('a service that is killed is named, stays listed, and is used again when it is back', async t => {
  const web = await startHttpUpstream(t)
  const { call, names } = await open(t, { web: { url: web.url } })
  await call('web_echo', { text: 'a' })
  await web.close()
  await until(async () => /^Upstream "web" /.test((await call('web_echo', { text: 'a' })).content[0].text))
  t.ok((await names()).includes('web_echo'))
  await startHttpUpstream(t, { port: Number(new URL(web.url).port) })
  await until(async () => (await call('web_echo', { text: 'back' })).content[0].text === 'back')
})

t.test('a session that the service forgot is opened anew, for all at once, and each call is made once', async t => {
  const web = await startHttpUpstream(t)
  const { call } = await open(t, { web: { url: web.url } })
  await call('web_echo', { text: 'a' })
  const before = web.server.received.filter(({ method }) => method === 'initialize').length
  web.sessions.clear()
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => call('web_echo', { text: String(n) })))
  t.same(answers.map(({ content }) => content[0].text), answers.map((_, n) => String(n)))
  t.equal(web.server.received.filter(({ method }) => method === 'initialize').length, before + 1)
  t.equal(web.server.calls.get('echo'), 21)
})
