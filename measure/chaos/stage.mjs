// What a row plays on: real Redis processes, real replicas, HAProxy, and clients; all ended when the row ends.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createWriteStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { hashKey, makeKey } from '../../dist/src/core/api-key.js'
import { redisStore } from '../../dist/src/state/redis/store.js'
import { fetchPackage, onPath } from '../../test/support/debian.ts'
import { freePort, startRedis } from '../../test/support/redis.ts'

export { sleep, freePort, startRedis }

const ROOT = resolve(import.meta.dirname, '../..')
const HOST = 'mcp.test'
const MODERN = '2026-07-28'
const MODERN_META = { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} }
const quiet = { trace () {}, debug () {}, info () {}, warn () {}, error () {} }

/** A program of Debian's, on the path or fetched. */
export function program (name, path) {
  const found = onPath(name)
  if (found !== undefined) return { command: found, env: process.env }
  const { root, env } = fetchPackage(name)
  return { command: join(root, path), env }
}

function fakedClock () {
  const { root } = fetchPackage('faketime', ['faketime', 'libfaketime'])
  return readdirSync(root, { recursive: true, withFileTypes: true }).filter(({ name }) => name === 'libfaketimeMT.so.1').map(file => join(file.parentPath, file.name))[0]
}

export function stage () {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-'))
  const secret = randomBytes(32).toString('base64url')
  const ends = []
  const later = end => { ends.push(end) }

  /** A Redis; `aof` keeps its data through a kill. `again()` starts it anew on its port and data. */
  async function redis ({ aof = false, args = [] } = {}) {
    const port = await freePort()
    const dir = mkdtempSync(join(folder, 'redis-'))
    const settings = { port, dir, args: ['--save', '', '--appendonly', aof ? 'yes' : 'no', '--appendfsync', 'everysec', ...args] }
    let running = await startRedis(settings)
    const admin = new Redis(port, { retryStrategy: () => 100 })
    admin.on('error', () => {})
    later(async () => { admin.disconnect(); await running.stop() })
    return {
      port,
      url: running.url,
      admin,
      freeze: () => running.process.kill('SIGSTOP'),
      thaw: () => running.process.kill('SIGCONT'),
      kill: () => running.stop('SIGKILL'),
      async again () { running = await startRedis(settings) }
    }
  }

  /** A replica as a process; of the release that was built in `home`. */
  async function replica ({ env = {}, faketime, redis, port, nodeArgs = [], home = ROOT } = {}) {
    port ??= await freePort()
    const management = await freePort()
    const log = join(folder, `replica-${port}.log`)
    const settings = {
      PATH: process.env.PATH,
      PORT: String(port),
      MANAGEMENT_PORT: String(management),
      PUBLIC_URL: `http://${HOST}`,
      STATE_SECRET: secret,
      API_KEYS_FILE: join(folder, 'api_keys.json'),
      TOOLS_DIR: join(ROOT, 'measure/chaos/tools'),
      REPLICAS: '3',
      ...(redis === undefined ? {} : { REDIS_URL: redis.url }),
      ...env
    }
    const command = [process.execPath, ...nodeArgs, join(home, 'dist/src/cli/main.js'), 'serve']
    // The program of that name looks for its library where it was installed; a fetched one stands elsewhere.
    if (faketime !== undefined) Object.assign(settings, { LD_PRELOAD: fakedClock(), FAKETIME: faketime })
    const began = performance.now()
    const child = spawn(command[0], command.slice(1), { cwd: folder, env: settings, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const out = createWriteStream(log, { flags: 'a' })
    child.stdout.pipe(out, { end: false })
    child.stderr.pipe(out, { end: false })
    const ended = new Promise(resolve => child.once('exit', (code, signal) => resolve(code ?? signal)))
    const signal = name => { try { process.kill(-child.pid, name) } catch { /* it has ended */ } }
    later(async () => { signal('SIGKILL'); await ended })
    const self = {
      port,
      management,
      pid: child.pid,
      signal,
      ended,
      log: () => readFileSync(log, 'utf8'),
      ready: () => probe(port, '/readyz'),
      live: () => probe(port, '/livez'),
      metric: async name => Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(await text(management, '/metrics'))?.[1] ?? NaN)
    }
    while ((await self.live()).status !== 200) {
      if (child.exitCode !== null) throw new Error(`a replica ended at its start: ${self.log()}`)
      if (performance.now() - began > 15_000) throw new Error('a replica did not come up')
      await sleep(20)
    }
    self.upMs = performance.now() - began
    return self
  }

  const replicas = (count, options) => Promise.all(Array.from({ length: count }, () => replica(options)))

  /** HAProxy in front, round robin, no retries. */
  async function haproxy (targets) {
    const port = await freePort()
    const file = join(folder, 'haproxy.cfg')
    const { command, env } = program('haproxy', 'usr/sbin/haproxy')
    writeFileSync(file, [
      'global', '  maxconn 2000', 'defaults', '  mode http', '  retries 0', '  timeout connect 1s', '  timeout client 30s', '  timeout server 30s',
      '  option httpchk GET /readyz', 'listen mcp', `  bind 127.0.0.1:${port}`, '  balance roundrobin', '  default-server check inter 300 fall 2 rise 1',
      ...targets.map(({ port }, i) => `  server r${i} 127.0.0.1:${port}`), ''
    ].join('\n'))
    const child = spawn(command, ['-f', file, '-db'], { env, stdio: 'ignore' })
    const ended = new Promise(resolve => child.once('exit', resolve))
    later(async () => { child.kill('SIGKILL'); await ended })
    while ((await probe(port, '/livez')).status !== 200) {
      if (child.exitCode !== null) throw new Error('haproxy ended at its start')
      await sleep(50)
    }
    return { port }
  }

  /** An operator's hand on the state. */
  async function admin (address, more = {}) {
    const store = await redisStore({ ...(typeof address === 'string' ? { url: address } : address), prefix: 'mcp:', commandTimeoutMs: 1000, replicas: 1, log: quiet, ...more })
    later(() => store.close())
    return store
  }

  async function end () {
    for (const end of ends.reverse()) await end().catch(() => {})
    if (existsSync(folder)) rmSync(folder, { recursive: true, force: true })
  }
  return { folder, later, redis, replica, replicas, haproxy, admin, end }
}

/** A key in the store. */
export async function addKey (store, more = {}) {
  const { id, key } = makeKey()
  const record = { id, name: `k-${id}`, role: 'caller', permissions: ['*'], hash: hashKey(key), created: Date.now(), ...more }
  await store.saveKey(record)
  return { key, record }
}

/** A TCP proxy that holds every byte from `to` back for `delayMs`. */
export async function slowProxy (to, delayMs) {
  const sockets = new Set()
  const server = createServer(client => {
    const upstream = connect(to, '127.0.0.1')
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true)
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => { client.destroy(); upstream.destroy(); sockets.delete(socket) })
    }
    client.on('data', data => upstream.write(data))
    upstream.on('data', data => setTimeout(() => { if (!client.destroyed) client.write(data) }, delayMs))
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return { port: server.address().port, close: async () => { server.close(); for (const socket of sockets) socket.destroy() } }
}

export const agent = (sockets = Infinity) => new Agent({ keepAlive: true, maxSockets: sockets })
const shared = agent()

/** One request. `status` 0 is no answer at all. */
export function send (port, { method = 'GET', path = '/mcp', headers = {}, body, via = shared, timeoutMs = 10_000 }) {
  return new Promise(resolve => {
    const began = performance.now()
    const done = more => resolve({ at: began, ms: performance.now() - began, ...more })
    const sent = request({ host: '127.0.0.1', port, method, path, headers: { host: HOST, ...headers }, agent: via }, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', chunk => { text += chunk }).on('end', () => done({ status: answer.statusCode, headers: answer.headers, text }))
        .on('error', error => done({ status: 0, error: error.code }))
    })
    sent.setTimeout(timeoutMs, () => sent.destroy(Object.assign(new Error('no answer'), { code: 'NO_ANSWER' })))
    sent.on('error', error => done({ status: 0, error: error.code, text: '' }))
    sent.end(body)
  })
}

export const probe = (port, path) => send(port, { path, headers: { host: '127.0.0.1' }, via: undefined, timeoutMs: 2000 })
const text = async (port, path) => (await send(port, { path, headers: { host: '127.0.0.1' }, via: undefined })).text

let ids = 0

/** One tool call. `status` 0 is no answer at all. */
export async function call (port, { key, tool = 'echo', args = { text: 'x' }, id = ++ids, headers = {}, meta, via, timeoutMs } = {}) {
  const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: tool, arguments: args, ...(meta === undefined ? {} : { _meta: meta }) } })
  return await send(port, {
    method: 'POST',
    body,
    via,
    timeoutMs,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'content-length': Buffer.byteLength(body),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...headers
    }
  })
}

/** The JSON-RPC message of an answer. */
export function message ({ text }) {
  const data = text.startsWith('{') ? text : text.split('\n').filter(line => line.startsWith('data: {')).at(-1)?.slice(6)
  return data === undefined ? undefined : JSON.parse(data)
}

/** A stream of notifications. @returns once it is open, `{ status, ended }`: when it ended, performance.now(), as a promise */
export function listenTo (port, { key }) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: ++ids, method: 'subscriptions/listen', params: { notifications: { toolsListChanged: true }, _meta: MODERN_META } })
  const headers = {
    host: HOST, authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'content-length': Buffer.byteLength(body), 'mcp-protocol-version': MODERN, 'mcp-method': 'subscriptions/listen'
  }
  return new Promise(resolve => {
    const sent = request({ host: '127.0.0.1', port, method: 'POST', path: '/mcp', headers }, answer => {
      const ended = new Promise(resolve => answer.resume().on('error', () => {}).once('close', () => resolve(performance.now())))
      resolve({ status: answer.statusCode, ended, end: () => sent.destroy() })
    })
    sent.on('error', () => resolve({ status: 0 }))
    sent.end(body)
  })
}

/** Clients that call in turn, each with a pause, until told to stop. */
export function hammer (ports, { clients = 60, pauseMs = 40, options = () => ({}) } = {}) {
  const answers = []
  const load = { on: true }
  const via = agent()
  const work = Promise.all(Array.from({ length: clients }, async (_, i) => {
    await sleep(Math.random() * pauseMs)
    for (let n = 0; load.on; n++) {
      answers.push(await call(ports[(i + n) % ports.length], { via, ...options(i, n) }))
      await sleep(pauseMs * (0.5 + Math.random()))
    }
  }))
  return {
    answers,
    async stop () {
      load.on = false
      await work
      via.destroy()
      return answers
    }
  }
}

export function percentile (numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

export const worst = answers => Math.round(answers.reduce((most, { ms }) => Math.max(most, ms), 0))
export const count = (answers, ...statuses) => answers.filter(({ status }) => statuses.includes(status)).length
/** How many of each status, for people. */
export function tally (answers) {
  const counts = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return Object.entries(counts).map(([status, n]) => `${n} × ${status === '0' ? 'none' : status}`).join(', ')
}

/** ms until the claim holds, or Infinity. */
export async function until (claim, ms = 5000) {
  const began = performance.now()
  while (performance.now() - began < ms) {
    if (await claim()) return Math.round(performance.now() - began)
    await sleep(20)
  }
  return Infinity
}
