// `npm run measure peers [-- --record]`: the same tool served by others from npm, on the same machine, in turn.
// They are installed into .cache, apart from our own dependencies. The record is a table in docs/measurements.md and docs/peers.svg.
import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { npm } from '../../test/support/npm.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'
import { CONNECTIONS, interleaved, legacyCall, median, modernCall, OTHER_CORE, pin, spread, startServer } from './load.mjs'

const ROOT = resolve(import.meta.dirname, '../..')
const { values: { record } } = parseArgs({ options: { record: { type: 'boolean', default: false } } })
const ROUNDS = 5
const SECONDS = 2
const FIXED_SECONDS = 3
const FIXED_PASSES = 3
/** After one that could not keep up, what it left behind is not to be the next one's. */
const PAUSE_MS = 1500

process.env.PEER_KEY = 'sk-' + randomBytes(24).toString('base64url')
const key = { authorization: `Bearer ${process.env.PEER_KEY}`, 'x-api-key': process.env.PEER_KEY }
const folder = install()

const own = await startServer(join(import.meta.dirname, 'server.mjs'), {})
const mine = { authorization: `Bearer ${own.keys[0]}` }
const peer = async (name, file, what, call, secured) => ({ name, secured, server: await startServer(join(folder, file), what, { cwd: folder }), path: '/mcp', ...call })
const older = legacyCall({ ...key, 'mcp-protocol-version': '2025-06-18' })
const ways = [
  { name: 'secure-mcp-server: API key, limits, inspection, log', ours: true, secured: true, server: own, path: '/mcp', ...modernCall(mine) },
  { name: 'the same, client of 2025-11-25', ours: true, secured: true, server: own, path: '/mcp', ...legacyCall(mine) },
  await peer('SDK 2.4 on Fastify, no security', 'sdk2-fastify.mjs', { secured: false }, modernCall(key), false),
  await peer('SDK 2.4 on Fastify, bearer check, @fastify/rate-limit', 'sdk2-fastify.mjs', { secured: true }, modernCall(key), true),
  await peer('SDK 1.32 on Express, its bearer middleware, express-rate-limit', 'sdk1-express.mjs', {}, legacyCall(key), true),
  await peer('mcp-lite 0.10 on Hono, bearerAuth, hono-rate-limiter', 'mcp-lite.mjs', {}, older, true),
  await peer('fastmcp 4.20, authenticate (has no limiter)', 'fastmcp.mjs', {}, legacyCall(key), false),
  await peer('mcp-proxy 6.7, API key (has no limiter)', 'mcp-proxy.mjs', {}, legacyCall(key), false)
]
const rounds = await interleaved(ways, { rounds: ROUNDS, seconds: SECONDS })
const results = []
for (const [i, way] of ways.entries()) {
  const of = what => median(rounds[i].map(result => result[what]))
  results.push({ ...way, rate: of('rate'), cpu: of('cpu'), p50: of('p50'), p99: of('p99'), rss: (await way.server.memory()).rss })
}
const bare = results.findIndex(({ name }) => name.endsWith('no security'))
const best = results.reduce((best, { ours, secured, rate }, i) => !ours && secured && rate > (results[best]?.rate ?? 0) ? i : best, -1)
const ratios = i => rounds[0].map(({ rate }, round) => rate / rounds[i][round].rate)

// The rate that the fastest of the secured peers bears with ease.
const fixed = Math.round(results[best].rate / 2 / 10) * 10
await pin(process.pid, OTHER_CORE)
await atRate(results[0], fixed) // warms the load itself up
for (const result of results) result.passes = []
for (let pass = 0; pass < FIXED_PASSES; pass++) {
  for (const result of results) {
    await sleep(PAUSE_MS)
    result.passes.push(await atRate(result, fixed))
  }
}
for (const result of results) result.fixed = Object.fromEntries(['rate', 'p50', 'p99'].map(what => [what, median(result.passes.map(pass => pass[what]))]))

const table = markdownTable(
  ['what', 'requests/s', 'ours in its place', 'CPU a request, µs', 'p50, ms', 'p99, ms', 'resident, MB', `at ${fixed}/s: answered/s`, 'p50, ms', 'p99, ms'],
  results.map(({ name, rate, cpu, p50, p99, rss, fixed }, i) => [
    name, Math.round(rate), i === 0 ? '' : `× ${spread(ratios(i), 1)}`, Math.round(cpu), p50.toFixed(1), p99.toFixed(1), Math.round(rss / 2 ** 20), Math.round(fixed.rate), fixed.p50, fixed.p99
  ])
)
const verdicts = [
  `- beside SDK 2.x on Fastify without any security: ${spread(ratios(bare), 1)} times its throughput, wanted at least 4: ${median(ratios(bare)) >= 4 ? 'met' : '**missed**'}`,
  `- beside the fastest peer with authentication and limit (${results[best].name}): ${spread(ratios(best), 1)} times, wanted at least 4: ${median(ratios(best)) >= 4 ? 'met' : '**missed**'}`,
  `- p99 at ${fixed}/s: ${results[0].fixed.p99} ms beside its ${results[best].fixed.p99} ms, wanted lower: ${results[0].fixed.p99 < results[best].fixed.p99 ? 'met' : '**missed**'}`
]
console.log(`${table}\n\n${verdicts.join('\n')}`)
if (record) {
  writeFileSync(join(ROOT, 'docs', 'peers.svg'), chart(results))
  writeSection('peers', [
    '## Beside others', '', circumstances('npm run measure peers -- --record'), '',
    `tools/call of the same echo tool. ${CONNECTIONS} connections kept busy by wrk, ${ROUNDS} interleaved rounds of ${SECONDS} s, medians; each server alone on one core, the load on the other.`,
    `Then ${FIXED_PASSES} passes of ${FIXED_SECONDS} s at one rate for all, by autocannon, which counts the time that an answer came late from when its request was due.`,
    'Each speaks the newest revision that it serves. State is in the process everywhere. @platformatic/mcp is not on npm under that name; ContextForge, ToolHive and agentgateway do not come from npm.', '',
    '![Requests a second, on one core](peers.svg)', '', table, '', ...verdicts
  ].join('\n'))
}
process.exit() // takes the servers with it

function install () {
  const from = join(import.meta.dirname, 'peers')
  const to = join(ROOT, '.cache', 'peers')
  mkdirSync(to, { recursive: true })
  const wanted = readFileSync(join(from, 'package.json'), 'utf8')
  const stale = !existsSync(join(to, 'node_modules')) || readFileSync(join(to, 'package.json'), 'utf8') !== wanted
  cpSync(from, to, { recursive: true })
  if (stale) {
    npm(['install', '--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--loglevel=error'], to)
  }
  return to
}

async function atRate ({ name, server, path, headers, body }, rate) {
  const result = await autocannon({
    url: `http://127.0.0.1:${server.port}${path}`,
    method: 'POST',
    connections: CONNECTIONS,
    duration: FIXED_SECONDS,
    overallRate: rate,
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', host: '127.0.0.1', ...headers },
    body
  })
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${name}: ${result.non2xx} refusals, ${result.errors} errors`)
  return { rate: result['2xx'] / result.duration, p50: result.latency.p50, p99: result.latency.p99 }
}

/** Bars in both schemes of colour, labelled in text. */
function chart (results) {
  const [width, bar, gap, left] = [860, 22, 14, 420]
  const most = Math.max(...results.map(({ rate }) => rate))
  const height = results.length * (bar + gap) + 44
  const rows = results.map(({ name, rate, ours }, i) => {
    const y = 34 + i * (bar + gap)
    const long = Math.max(2, Math.round(rate / most * (width - left - 80)))
    return `  <text x="${left - 10}" y="${y + 15}" text-anchor="end">${name.replaceAll('&', '&amp;')}</text>
  <rect x="${left}" y="${y}" width="${long}" height="${bar}" rx="3" class="${ours ? 'ours' : 'peer'}"/>
  <text x="${left + long + 8}" y="${y + 15}">${Math.round(rate).toLocaleString('en')}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="Requests a second on one core">
  <style>text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.ours{fill:#0969da}.peer{fill:#8c959f}@media (prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#4493f8}.peer{fill:#6e7681}}</style>
  <text x="10" y="20" class="title">tools/call, requests a second on one core</text>
${rows.join('\n')}
</svg>
`
}
