// Load from outside the process that is measured: wrk, on a core of its own, at lower priority.
import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fetchPackage, onPath } from '../../test/support/debian.ts'

const run = promisify(execFile)
export const MODERN = '2026-07-28'
export const CONNECTIONS = 32

const folder = mkdtempSync(join(tmpdir(), 'load-'))
const servers = new Set()
process.once('exit', () => {
  for (const server of servers) server.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})
// An exit in order takes the servers with it.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const wrk = findWrk()
const pins = availableParallelism() > 1 && onPath('taskset') !== undefined
/** The core that servers run on, and the one for everything else. */
export const SERVER_CORE = 0
export const OTHER_CORE = 1

function findWrk () {
  const found = onPath('wrk')
  if (found !== undefined) return { program: found, env: process.env }
  const { root, env } = fetchPackage('wrk', ['wrk', 'libluajit-5.1-2'])
  return { program: join(root, 'usr/bin/wrk'), env }
}

/** Keep a process on one core, where that can be done. */
export async function pin (pid, core) {
  if (pins) await run('taskset', ['-a', '-p', '-c', String(core), String(pid)])
}

/** A `tools/call` of echo as a client of the newest revision sends it. */
export function modernCall (more = {}) {
  return {
    headers: { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': 'echo', ...more },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: {
        name: 'echo',
        arguments: { text: 'hello' },
        _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} }
      }
    })
  }
}

/** The same of the revision before. */
export function legacyCall (more = {}) {
  return {
    headers: { 'mcp-protocol-version': '2025-11-25', ...more },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: 'hello' } } })
  }
}

/**
 * Start a server that says `{ port, … }` once it listens and answers `cpu` and
 * `memory` when asked, on the servers' core.
 */
export async function startServer (file, what, { cwd, core = SERVER_CORE, execPath, execArgv = [] } = {}) {
  // What it writes goes with this process's own folder, however it ends.
  const child = fork(file, [JSON.stringify(what)], { cwd, execPath, execArgv, env: { ...process.env, TMPDIR: folder }, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  servers.add(child)
  child.once('exit', () => servers.delete(child))
  const [said] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => { throw new Error(`the server ${JSON.stringify(what)} did not start`) })
  ])
  if (core !== undefined) await pin(child.pid, core)
  const ask = async question => {
    child.send(question)
    return (await once(child, 'message'))[0]
  }
  return {
    ...said,
    pid: child.pid,
    /** µs of CPU so far. */
    cpu: async () => (await ask('cpu')).cpu,
    /** Bytes in use, after a collection where the server may. */
    memory: async () => (await ask('memory')).memory,
    /** How long the event loop was blocked at most since this was last asked, ms. */
    blocked: async () => (await ask('blocked')).blocked,
    async stop () {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  }
}

/**
 * Closed load on one way of asking, for some seconds.
 *
 * @param way `{ name, server, path, headers, body }`
 * @param options.pipelined requests that a connection sends at a time: more make the load itself cheaper
 * @returns `{ rate, cpu, p50, p99 }`: answers a second, µs of the server's CPU an answer, ms
 * @throws {Error} if anything but 200 is answered: a fast refusal is no result
 */
export async function load (way, seconds, { connections = CONNECTIONS, core = OTHER_CORE, pipelined = 1 } = {}) {
  const script = join(folder, `${process.pid}-${Math.random().toString(36).slice(2)}.lua`)
  writeFileSync(script, luaOf(way, pipelined), { mode: 0o600 }) // it holds the key
  const command = ['-n', '5', ...(pins && core !== undefined ? ['taskset', '-c', String(core)] : []), wrk.program, '-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, `http://127.0.0.1:${way.server.port}${way.path}`]
  const before = await way.server.cpu?.()
  const { stdout } = await run('nice', command, { env: wrk.env })
  const cpu = before === undefined ? undefined : await way.server.cpu() - before
  rmSync(script)
  const { requests, micros, refused, failed, p50, p99 } = JSON.parse(stdout.slice(stdout.lastIndexOf('{"requests"')))
  if (refused > 0 || failed > 0 || requests === 0) throw new Error(`${way.name}: ${requests} answers, ${refused} of them refusals, ${failed} failures`)
  return { rate: requests / (micros / 1e6), cpu: cpu === undefined ? undefined : cpu / requests, p50: p50 / 1000, p99: p99 / 1000 }
}

function luaOf ({ headers, body }, pipelined) {
  const all = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', Host: '127.0.0.1', ...headers }
  return `wrk.method = "POST"
wrk.body = ${JSON.stringify(body)}
${Object.entries(all).map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`).join('\n')}
${pipelined === 1
    ? ''
    : `local several
function init ()
  several = string.rep(wrk.format(), ${pipelined})
end
function request ()
  return several
end
`}function done (summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"micros":%d,"refused":%d,"failed":%d,"p50":%d,"p99":%d}',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
`
}

/** Warm up, then rounds that go through all ways in turn. @returns for each way its rounds */
export async function interleaved (ways, { rounds, seconds, connections }) {
  for (const way of ways) await load(way, 1, { connections })
  const results = ways.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, way] of ways.entries()) results[i].push(await load(way, seconds, { connections }))
  }
  return results
}

export function median (numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]
}

/** One quarter of the numbers is at most this, or so many quarters. */
export function quartile (numbers, quarters = 1) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * quarters / 4)]
}

/** Median, and least to most. */
export function spread (numbers, digits = 2) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return `${median(sorted).toFixed(digits)} (${sorted[0].toFixed(digits)} to ${sorted.at(-1).toFixed(digits)})`
}
