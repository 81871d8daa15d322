// `npm run measure conformance`: the official suite against this server with the tools of test/conformance/tools, authentication on.
// Usage: npm run measure conformance [-- --replicas 2] [-- --plugin] [-- --behind] [-- --capture]; --plugin serves from inside an app of somebody else, --behind puts the server behind another one that has no tools of its own, the last keeps the suite's messages for test/mcp/lanes.test.ts. The suite needs Node 22 and is installed into .cache, apart from our dependencies.
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { fetched, nodeOf } from '../../test/support/npm.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'
import { freePort, startRedis } from '../../test/support/redis.ts'

const SUITE = '0.2.0-alpha.12'
const ROOT = resolve(import.meta.dirname, '../..')
const { values: { replicas: wanted, plugin, behind, record, verbose, capture } } = parseArgs({
  options: {
    replicas: { type: 'string', default: '1' },
    plugin: { type: 'boolean', default: false },
    behind: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    capture: { type: 'boolean', default: false }
  }
})
const replicas = Number(wanted)
/** How many scenarios each revision requires. */
const REQUIRED = { '2025-11-25': 30, '2026-07-28': 37 }

const node = nodeOf(22)
const suite = join(fetched('conformance', [`@modelcontextprotocol/conformance@${SUITE}`]), 'node_modules/@modelcontextprotocol/conformance/dist/index.js')
const folder = mkdtempSync(join(tmpdir(), 'conformance-'))
const redis = replicas > 1 ? await startRedis() : undefined
const key = 'sk-' + randomBytes(24).toString('base64url')
const stateSecret = randomBytes(32).toString('base64url')
const proxy = createServer()
const port = await listening(proxy)
const servers = []
const references = []
const captured = new Set()
try {
  if (behind) servers.push(await startServer({ BUILT_IN_TOOLS: 'false', MCP_SERVERS_FILE: fileOf(await startReference()), TOOLS_DIR: undefined }))
  else for (let i = 0; i < replicas; i++) servers.push(await startServer())
  roundRobin(proxy, servers.map(({ port }) => port))

  const rows = []
  for (const revision of Object.keys(REQUIRED)) rows.push([revision, await run(revision)])
  const fine = rows.every(([revision, { passed, failed }]) => passed >= REQUIRED[revision] && failed.length === 0)
  const where = plugin ? ', through the plugin inside a foreign app' : behind ? ', behind another one, prefix off' : ''
  const what = (replicas > 1 ? `${replicas} replicas on one Redis, round robin, no affinity` : 'one process') + where
  for (const [revision, { passed, failed }] of rows) console.log(`${revision}: ${passed}/${REQUIRED[revision]} required (${what})${failed.length > 0 ? `; failed: ${failed.join(', ')}` : ''}`)
  if (record) {
    writeSection(plugin ? 'conformance-plugin' : behind ? 'conformance-behind' : replicas > 1 ? 'conformance-replicas' : 'conformance', [
      `## Conformance, ${what}`, '', circumstances(`npm run measure conformance${plugin ? ' -- --plugin' : behind ? ' -- --behind' : replicas > 1 ? ` -- --replicas ${replicas}` : ''}`) + `, suite ${SUITE}`, '',
      markdownTable(['revision', 'required scenarios passed', 'failed'], rows.map(([revision, { passed, failed }]) => [revision, `${passed}/${REQUIRED[revision]}`, failed.join(', ') || 'none']))
    ].join('\n'))
  }
  if (capture) writeFileSync(join(ROOT, 'test/mcp/conformance-messages.jsonl'), [...captured, ''].join('\n'))
  process.exitCode = fine ? 0 : 1
} finally {
  proxy.close()
  proxy.closeAllConnections()
  for (const { child } of [...servers, ...references]) child.kill('SIGKILL')
  await redis?.stop()
  rmSync(folder, { recursive: true, force: true })
}

async function startReference () {
  const reference = await startServer({ PUBLIC_URL: undefined })
  references.push(reference)
  return reference
}

/** A file with this server and no prefix. */
function fileOf ({ port }) {
  const file = join(folder, 'mcp_servers.json')
  const headers = { authorization: `Bearer ${key}` }
  writeFileSync(file, JSON.stringify({ mcpServers: { reference: { url: `http://127.0.0.1:${port}/mcp`, headers, prefix: '', pin: 'off', share: 'caller' } } }))
  return file
}

async function startServer (env = {}) {
  const own = await freePort()
  const program = plugin
    ? ['--import', join(ROOT, 'scripts/typescript.mjs'), join(ROOT, 'measure/conformance/plugin-app.ts')]
    : [join(ROOT, 'dist/src/cli/main.js'), 'serve']
  const child = spawn(process.execPath, program, {
    cwd: folder,
    stdio: ['ignore', verbose ? 'inherit' : 'ignore', verbose ? 'inherit' : 'ignore'],
    env: {
      PATH: process.env.PATH,
      PORT: String(own),
      MANAGEMENT_PORT: '0',
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      TOOLS_DIR: join(ROOT, 'test/conformance/tools'),
      MCP_API_KEY: key,
      RATE_LIMIT_API_KEY: '1000000',
      ...(redis === undefined ? {} : { REDIS_URL: redis.url, STATE_SECRET: stateSecret }),
      ...env
    }
  })
  const until = Date.now() + 20_000
  while (Date.now() < until) {
    if (child.exitCode !== null) throw new Error(`the server ended with code ${child.exitCode}; run again with --verbose`)
    const ready = await fetch(`http://127.0.0.1:${own}/readyz`).then(({ ok }) => ok, () => false)
    if (ready) return { child, port: own }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error('the server was not ready within twenty seconds')
}

/** Adds the key, since the suite sends none, and hands each request to the next server. */
function roundRobin (server, ports) {
  let next = 0
  server.on('request', (incoming, outgoing) => {
    const upstream = request({
      host: '127.0.0.1', port: ports[next++ % ports.length], method: incoming.method, path: incoming.url, headers: { ...incoming.headers, authorization: `Bearer ${key}` }
    }, answer => {
      outgoing.writeHead(answer.statusCode, answer.headers)
      answer.pipe(outgoing)
    })
    upstream.on('error', () => outgoing.destroy())
    outgoing.on('close', () => upstream.destroy())
    incoming.pipe(upstream)
    if (capture && incoming.method === 'POST') {
      const parts = []
      incoming.on('data', part => parts.push(part)).once('end', () => keep(incoming.headers, Buffer.concat(parts).toString()))
    }
  })
}

/** A message with the headers that say what it is, once; which session it was is of no account. */
function keep (headers, text) {
  let body
  try {
    body = JSON.parse(text)
  } catch {
    return // never gets as far as a lane
  }
  const telling = Object.entries(headers).filter(([name]) => name === 'accept' || name === 'content-type' || name.startsWith('mcp-'))
  captured.add(JSON.stringify({ headers: Object.fromEntries(telling.map(([name, value]) => [name, name === 'mcp-session-id' ? 'session' : value])), body }))
}

function listening (server) {
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
}

/** Run the scenarios that a revision requires; the proxy of this process answers meanwhile. */
async function run (revision) {
  const text = await new Promise(resolve => {
    execFile(node, [suite, 'server', '--url', `http://127.0.0.1:${port}/mcp`, '--requirements', revision, '-o', join(folder, revision)], {
      encoding: 'utf8', maxBuffer: 2 ** 26, timeout: 240_000
    }, (_error, stdout, stderr) => resolve(stdout + stderr))
  })
  if (verbose) console.log(text)
  return summary(text)
}

/** The suite's lines, `✓ name: 2 passed, 0 failed`, without those that it says are not scored. */
function summary (text) {
  const unscored = new Set([...text.matchAll(/^ {2}[✓✗] (\S+) \(/gm)].map(([, name]) => name))
  const scored = [...text.matchAll(/^([✓✗]) (\S+): \d+ passed/gm)].filter(([, , name]) => !unscored.has(name))
  return {
    passed: scored.filter(([, mark]) => mark === '✓').length,
    failed: scored.filter(([, mark]) => mark === '✗').map(([, , name]) => name)
  }
}
