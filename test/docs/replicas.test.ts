/** The configurations that docs/replicas.md begins with, run as they are written but for ports, addresses and the certificate. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { folder, MODERN, META, redisUrl } from '../support/app.ts'
import { certificate } from '../support/certificate.ts'
import { debianProgram } from '../support/debian.ts'
import { filesIn, secureMcp, startServer, type Served } from '../support/processes.ts'
import { freePort } from '../support/redis.ts'
import { until } from '../support/until.ts'

const PROJECT = join(import.meta.dirname, '../..')
const page = readFileSync(join(PROJECT, 'docs/replicas.md'), 'utf8')
const HOST = 'mcp.example.com'
const JSON_AND_EVENTS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

/** A block of the page, with what is of this run in place of what it names. */
function written (language: string, changes: Record<string, string>): string {
  let text = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'm').exec(page)![1]!
  for (const [from, to] of Object.entries(changes)) {
    if (!text.includes(from)) throw new Error(`the configuration of ${language} does not name ${from}`)
    text = text.replaceAll(from, to)
  }
  return text
}

const PROXIES: Record<string, (dir: string, port: number, changes: Record<string, string>) => { program: string, args: string[], env: NodeJS.ProcessEnv }> = {
  haproxy (dir, port, changes) {
    const { program, env } = debianProgram('haproxy', 'usr/sbin/haproxy')
    writeFileSync(join(dir, 'haproxy.cfg'), written('haproxy', { ...changes, 'bind :443': `bind 127.0.0.1:${port}`, '/etc/haproxy/': `${dir}/` }))
    return { program, env, args: ['-db', '-f', join(dir, 'haproxy.cfg')] }
  },
  nginx (dir, port, changes) {
    const { program, env } = debianProgram('nginx', 'usr/sbin/nginx')
    const server = written('nginx', { ...changes, 'listen 443': `listen 127.0.0.1:${port}`, '/etc/nginx/': `${dir}/` })
    const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `  ${name}_temp_path ${dir}/${name};`).join('\n')
    writeFileSync(join(dir, 'nginx.conf'), `${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;\npid ${dir}/pid;\nerror_log stderr;\nevents {}\nhttp {\n  access_log off;\n${own}\n${server}}\n`)
    return { program, env, args: ['-p', dir, '-e', 'stderr', '-c', join(dir, 'nginx.conf')] }
  }
}

interface Stage { replicas: Served[], key: string, send: (body: object, headers?: Record<string, string>, onChunk?: (text: string) => boolean) => Promise<{ status: number, text: string }> }

/** Two replicas with the settings of the README's lines, and the proxy in front. */
async function stage (t: Test, name: string): Promise<Stage> {
  const dir = folder(t)
  const ports = [await freePort(), await freePort(), await freePort()]
  const readme = /^## Run replicas\n\n```sh\n([^]*?)```$/m.exec(readFileSync(join(PROJECT, 'README.md'), 'utf8'))![1]!
  const said = Object.fromEntries([...readme.matchAll(/\b([A-Z_]+)=("[^"]*"|\S+)/g)].map(([, setting, value]) => [setting!, value!]))
  const env = { ...said, STATE_SECRET: randomBytes(32).toString('base64'), REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, MANAGEMENT_PORT: '0' }
  const made = await secureMcp(['keys', 'create', 'ada', '--json'], { cwd: dir, env })
  const { key } = JSON.parse(made.out) as { key: string }
  const replicas = await Promise.all(ports.slice(1).map(port => startServer(t, { cwd: dir, env: { ...env, ...filesIn(dir), PORT: String(port) } })))

  const { key: privateKey, cert } = certificate()
  writeFileSync(join(dir, `${HOST}.pem`), cert + privateKey)
  const { program, args, env: programEnv } = PROXIES[name]!(dir, ports[0]!, { 3001: String(ports[1]), 3002: String(ports[2]) })
  const proxy = spawn(program, args, { env: programEnv, stdio: ['ignore', 'ignore', 'pipe'] })
  let problems = ''
  proxy.stderr.on('data', (part: Buffer) => { problems += part.toString() })
  t.teardown(async () => {
    if (proxy.exitCode !== null) return
    proxy.kill('SIGTERM') // which nginx hands on to its workers
    await new Promise(resolve => proxy.once('exit', resolve))
  })

  const send: Stage['send'] = (body, headers = {}, onChunk) => new Promise((resolve, reject) => {
    const text = JSON.stringify(body)
    const sent = request({
      host: '127.0.0.1', port: ports[0], agent: false, ca: cert, checkServerIdentity: () => undefined, method: 'POST', path: '/mcp', headers: { host: HOST, ...JSON_AND_EVENTS, authorization: `Bearer ${key}`, 'content-length': Buffer.byteLength(text), ...headers }
    }, answer => {
      let heard = ''
      const done = () => resolve({ status: answer.statusCode!, text: heard })
      answer.setEncoding('utf8').on('data', (part: string) => {
        heard += part
        if (onChunk?.(heard) !== true) return
        done()
        sent.destroy()
      }).on('end', done).on('error', () => {})
    })
    sent.on('error', reject).end(text)
  })
  let last = ''
  await until(async () => {
    if (proxy.exitCode !== null) throw new Error(`${name} ended: ${problems}`)
    const answer = await send(CALL).catch((error: Error) => ({ status: 0, text: error.message }))
    if (answer.status !== 200) last = `${answer.status} ${answer.text}`
    return answer.status === 200
  }).catch((error: Error) => { throw new Error(`${last}; ${problems}`, { cause: error }) })
  return { replicas, key, send }
}

const CALL = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hello_world', arguments: { name: 'Ada' } } }

t.jobs = Object.keys(PROXIES).length // each waits for its servers

for (const name of Object.keys(PROXIES)) {
  t.test(`two replicas of the README behind ${name}, as docs/replicas.md configures it`, { timeout: 300_000 }, async t => {
    const { replicas, send } = await stage(t, name)
    const counts = () => replicas.map(({ output }) => output().split('"msg":"request"').length - 1)
    t.ok(await until(async () => {
      const { status, text } = await send(CALL, { 'x-forwarded-for': '203.0.113.7' })
      return status === 200 && text.includes('Hello, Ada') && counts().every(count => count > 1)
    }), 'both are called')
    t.notMatch(replicas.map(({ output }) => output()).join(''), '203.0.113.7', 'what a client says of its address is not believed')

    const listen = { jsonrpc: '2.0', id: 2, method: 'subscriptions/listen', params: { _meta: META, notifications: { toolsListChanged: true } } }
    const stream = await send(listen, { 'mcp-protocol-version': MODERN, 'mcp-method': 'subscriptions/listen' }, text => text.includes('notifications/subscriptions/acknowledged'))
    t.equal(stream.status, 200, 'the first event of a stream comes before its end')

    const session = await send({ jsonrpc: '2.0', id: 3, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } } })
    t.equal(session.status, 200)
    // The answer comes while the body is still sent; a connection that is reset meanwhile may take it along.
    t.ok(await until(async () => {
      const large = await send({ ...CALL, params: { name: 'echo', arguments: { text: 'x'.repeat(1_200_000) } } }).catch(() => undefined)
      return large?.status === 413 && large.text.includes('TOO_LARGE')
    }), 'a body that is too large is refused in words of ours')
    const long = await send(CALL, { authorization: `Bearer ${'x'.repeat(12_000)}` })
    t.equal(long.status, 401, 'a long token arrives')
    const foreign = await send(CALL, { host: 'evil.example' })
    t.equal(foreign.status, 403, 'another Host arrives as it was sent, and is refused')

    replicas[0]!.child.kill('SIGTERM')
    await new Promise(resolve => replicas[0]!.child.once('exit', resolve))
    for (let i = 0; i < 10; i++) t.equal((await send(CALL)).status, 200, 'one is stopped, no call fails')
  })
}
