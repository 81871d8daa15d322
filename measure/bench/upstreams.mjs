// `npm run measure upstream-bench [-- --guard]`: the same echo, by a tool of this server, by an upstream over stdio and over HTTP, and by
// other proxies in front of the same upstream. Ratios of one run: interleaved rounds, medians. `--guard` is short and fails above the agreed ratio.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { fetched } from '../../test/support/npm.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'
import { interleaved, legacyCall, load, median, modernCall, OTHER_CORE, pin, SERVER_CORE, startServer } from './load.mjs'

const { values: { guard, record } } = parseArgs({ options: { guard: { type: 'boolean', default: false }, record: { type: 'boolean', default: false } } })
const ECHO = join(import.meta.dirname, 'upstream-echo.mjs')
/** Most CPU of this server a call, as a multiple of that of its own echo. */
const MOST = { stdio: 1.5, HTTP: 2.5 }
const CONNECTIONS = 16
const PEERS = { 'mcp-proxy': '6.7.19', supergateway: '4.0.0' }

const children = []
process.once('exit', () => { for (const child of children) child.kill('SIGKILL') })

const port = await freePort()
const upstream = keep(fork(ECHO, ['http', String(port)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }))
await once(upstream, 'message')
await pin(upstream.pid, OTHER_CORE)
const gateway = await startServer(join(import.meta.dirname, 'server.mjs'), {
  mcpServers: {
    lines: { command: process.execPath, args: [ECHO, 'stdio'], pin: 'off' },
    web: { url: `http://127.0.0.1:${port}/mcp`, pin: 'off' }
  }
})
await pinUpstreamsOf(gateway.pid)

const key = { authorization: `Bearer ${gateway.keys[0]}` }
const call = name => {
  const { headers, body } = modernCall(key)
  return { headers: { ...headers, 'mcp-name': name }, body: body.replace('"name":"echo"', `"name":"${name}"`) }
}
const ways = [
  { name: 'a tool of this server', server: gateway, path: '/mcp', ...call('echo') },
  { name: 'an upstream over stdio', kind: 'stdio', server: gateway, path: '/mcp', ...call('lines_echo') },
  { name: 'an upstream over HTTP', kind: 'HTTP', server: gateway, path: '/mcp', ...call('web_echo') },
  { name: 'that upstream over HTTP, asked directly', server: { port }, path: '/mcp', ...legacyCall() },
  ...guard ? [] : await peers()
]
const rounds = await interleaved(ways, guard ? { rounds: 3, seconds: 1, connections: CONNECTIONS } : { rounds: 5, seconds: 2, connections: CONNECTIONS })
const alone = []
for (const way of ways) alone.push(await load(way, 2, { connections: 1 }))
const results = ways.map((way, i) => ({
  ...way,
  rate: median(rounds[i].map(({ rate }) => rate)),
  cpu: rounds[i][0].cpu === undefined ? undefined : median(rounds[i].map(({ cpu }) => cpu)),
  ratio: rounds[i][0].cpu === undefined ? undefined : median(rounds[i].map(({ cpu }, round) => cpu / rounds[0][round].cpu)),
  p50: alone[i].p50
}))
const table = markdownTable(['what', 'CPU a call, µs', 'of own echo', 'calls/s', 'p50 one at a time, ms', 'more than own, ms', 'more than direct, ms'], results.map(({ name, cpu, ratio, rate, p50 }) => [
  name, cpu === undefined ? '' : Math.round(cpu), ratio === undefined ? '' : `× ${ratio.toFixed(2)}`, Math.round(rate), p50.toFixed(2), (p50 - results[0].p50).toFixed(2), (p50 - results[3].p50).toFixed(2)
]))
const fastestPeer = results.slice(4).reduce((most, { rate }) => Math.max(most, rate), 0)
const verdicts = [
  ...results.filter(({ kind }) => kind !== undefined).map(({ kind, ratio }) => `- ${kind}: ${ratio.toFixed(2)} times the CPU of own echo, at most ${MOST[kind]}: ${ratio <= MOST[kind] ? 'met' : '**missed**'}`),
  ...fastestPeer === 0 ? [] : [`- over stdio: ${(results[1].rate / fastestPeer).toFixed(1)} times the fastest other proxy, wanted at least 4: ${results[1].rate >= 4 * fastestPeer ? 'met' : '**missed**'}`]
]
console.log(`${table}\n\n${verdicts.join('\n')}`)
if (verdicts.some(verdict => verdict.includes('missed'))) process.exitCode = 1
if (record) {
  writeSection('upstream-bench', [
    '## Calls to upstreams', '', circumstances('npm run measure upstream-bench -- --record'), '',
    `tools/call of echo. ${CONNECTIONS} connections kept busy by wrk, 5 interleaved rounds of 2 s, medians; then one connection. The server that is measured has one core, its upstream and wrk the other.`,
    'Calls through this server present a key, are counted, inspected and logged; the other proxies check nothing.', '', table, '', ...verdicts
  ].join('\n'))
}
process.exit() // takes the servers with it

function keep (child) {
  children.push(child)
  return child
}

/** Children of the server share its core until they are moved. */
async function pinUpstreamsOf (pid) {
  await sleep(500)
  for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)) await pin(child, OTHER_CORE)
}

/** Both in front of the same child. */
async function peers () {
  const folder = fetched('upstream-peers', Object.entries(PEERS).map(([name, version]) => `${name}@${version}`))
  const program = (name, path) => join(folder, 'node_modules', name, path)
  const child = [process.execPath, ECHO, 'stdio']
  return [
    await peer('mcp-proxy 6.7 in front of the same child', port => [program('mcp-proxy', 'dist/bin/mcp-proxy.mjs'), '--port', port, '--host', '127.0.0.1', '--server', 'stream', '--stateless', '--', ...child], false),
    await peer('supergateway 4.0 in front of the same child', port => [program('supergateway', 'dist/index.js'), '--port', port, '--outputTransport', 'streamableHttp', '--stateful', '--logLevel', 'none', '--stdio', child.join(' ')], true)
  ]
}

async function peer (name, args, stateful) {
  const port = await freePort()
  const process_ = keep(spawn(process.execPath, args(String(port)), { stdio: 'ignore' }))
  const ask = (message, more = {}) => fetch(`http://127.0.0.1:${port}/mcp`, {
    method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...more }, body: JSON.stringify({ jsonrpc: '2.0', ...message })
  })
  const begin = { id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } } }
  let begun
  for (let tries = 0; begun === undefined && tries < 100; tries++) {
    await sleep(200)
    begun = await ask(begin).catch(() => undefined)
  }
  if (begun?.status !== 200) throw new Error(`${name} did not start: ${begun?.status}`)
  await begun.text()
  const session = begun.headers.get('mcp-session-id')
  const headers = stateful && session !== null ? { 'mcp-session-id': session } : {}
  if (stateful) await (await ask({ method: 'notifications/initialized' }, headers)).text()
  await pin(process_.pid, SERVER_CORE)
  await pinUpstreamsOf(process_.pid)
  return { name, server: { port, cpu: async () => cpuOf(process_.pid) }, path: '/mcp', ...legacyCall(headers) }
}

/** µs, in steps of 10 ms. */
function cpuOf (pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}
