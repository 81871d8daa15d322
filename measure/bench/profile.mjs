// `npm run measure profile [-- --record]`: where the time of a tools/call goes, with the fast lane and without,
// by V8's sampling profiler. The record is docs/flame-before.svg, docs/flame-after.svg and a table in docs/measurements.md.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { circumstances, markdownTable, writeSection } from '../report.ts'
import { startRedis } from '../../test/support/redis.ts'
import { load, modernCall, OTHER_CORE, pin, startServer } from './load.mjs'

const DOCS = resolve(import.meta.dirname, '../../docs')
const SECONDS = 6
const { values: { record } } = parseArgs({ options: { record: { type: 'boolean', default: false } } })

/** Whose work a sample is: the innermost frame that one of these names. Node's own frames belong to who called them. */
const PARTS = [
  ['log line', /plugins\/audit|src\/audit|src\/log|node_modules\/(pino|sonic-boom|@pinojs)/],
  ['metrics', /plugins\/metrics|src\/metrics|node_modules\/(prom-client|tdigest)/],
  ['Redis client and script', /src\/state\/redis|node_modules\/(ioredis|standard-as-callback|cluster-key-slot)/],
  ['pre-scan and JSON', /plugins\/inspection|src\/core\/json-scan/],
  ['authentication and count', /plugins\/auth|src\/auth|src\/core\/(api-key|credential|revocation|sliding-window)|src\/state/],
  ['limit headers, @fastify/rate-limit', /plugins\/rate-limit|@fastify\/rate-limit/],
  ['host, origin, address, load', /plugins\/(origin|address|traffic)|src\/core\/(origin|address|load)/],
  ['the SDK', /@modelcontextprotocol|node_modules\/zod|undici|src\/mcp\/sdk-server/],
  ['the tool, its checks, its answer', /src\/tools|src\/core\/(inspection|schema|permissions)|src\/mcp|routes\/mcp|node_modules\/typebox/],
  ['Fastify', /node_modules\//],
  ['Node: HTTP, sockets, promises', /./]
]

const redis = await startRedis()
await pin(redis.process.pid, OTHER_CORE)
const before = await profile({ fastLane: false })
const after = await profile({})
const shared = await profile({ redisUrl: redis.url })
await redis.stop()

const parts = [before, after, shared].map(partsOf)
const table = markdownTable(
  ['µs of a tools/call', 'without the fast lane, memory', 'memory', 'Redis'],
  [...PARTS.map(([name]) => [name, ...parts.map(part => part.get(name)?.toFixed(0) ?? '0')]),
    ['garbage collector', ...parts.map(part => part.get('garbage collector')?.toFixed(0) ?? '0')],
    ['all', ...[before, after, shared].map(({ cpu }) => cpu.toFixed(0))]]
)
console.log(table)
if (record) {
  writeFileSync(join(DOCS, 'flame-before.svg'), flame(before, 'tools/call by the SDK'))
  writeFileSync(join(DOCS, 'flame-after.svg'), flame(after, 'tools/call by the fast lane'))
  writeSection('profile', ['## Where each microsecond goes', '', circumstances('npm run measure profile -- --record'), '',
    `CPU time of the server a request, split by the profiler's samples over ${SECONDS} s of full load; the profiler itself takes a part. docs/performance.md shows the pictures.`, '', table].join('\n'))
}
process.exit() // takes the servers with it

async function profile (what) {
  const folder = mkdtempSync(join(tmpdir(), 'profile-'))
  const server = await startServer(join(import.meta.dirname, 'server.mjs'), what, { execArgv: ['--cpu-prof', '--cpu-prof-interval', '250', `--cpu-prof-dir=${folder}`] })
  const way = { name: 'tools/call', server, path: '/mcp', ...modernCall({ authorization: `Bearer ${server.keys[0]}` }) }
  await load(way, 3)
  const { cpu } = await load(way, SECONDS)
  await server.stop()
  const { nodes, samples, timeDeltas, endTime } = JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]), 'utf8'))
  rmSync(folder, { recursive: true })
  return { cpu, ...lastSeconds({ nodes, samples, timeDeltas, endTime }) }
}

/** The samples under load, as stacks from the outermost frame in, with their µs. */
function lastSeconds ({ nodes, samples, timeDeltas, endTime }) {
  const byId = new Map(nodes.map(node => [node.id, node]))
  const parents = new Map(nodes.flatMap(node => (node.children ?? []).map(child => [child, node.id])))
  const stackOf = id => {
    const stack = []
    for (let at = id; at !== undefined; at = parents.get(at)) stack.unshift(nameOf(byId.get(at).callFrame))
    return stack.slice(1)
  }
  const stacks = new Map()
  let at = endTime - timeDeltas.reduce((sum, delta) => sum + delta, 0)
  samples.forEach((id, i) => {
    at += timeDeltas[i]
    if (at > endTime - (SECONDS - 0.5) * 1e6) stacks.set(id, (stacks.get(id) ?? 0) + timeDeltas[i])
  })
  const all = [...stacks].map(([id, micros]) => ({ stack: stackOf(id), micros })).filter(({ stack }) => stack[0] !== '(idle)')
  return { stacks: all, total: all.reduce((sum, { micros }) => sum + micros, 0) }
}

function nameOf ({ functionName, url }) {
  const file = url.replace(/^.*\/(node_modules\/)/, '$1').replace(/^.*\/dist\//, '').replace(/^node:(internal\/)?/, 'node:')
  return `${functionName || '(anonymous)'} ${file}`.trim()
}

function partsOf ({ stacks, total, cpu }) {
  const parts = new Map()
  for (const { stack, micros } of stacks) {
    const part = stack[0].startsWith('(garbage') ? 'garbage collector' : partOf(stack)
    parts.set(part, (parts.get(part) ?? 0) + micros / total * cpu)
  }
  return parts
}

function partOf (stack) {
  const named = PARTS.slice(0, -1)
  const innermost = stack.findLast(frame => named.some(([, pattern]) => pattern.test(frame)))
  return (innermost === undefined ? PARTS.at(-1) : named.find(([, pattern]) => pattern.test(innermost)))[0]
}

/** Outermost frames at the bottom, as is the custom; a pointer over a frame tells its share. */
function flame ({ stacks, total }, title) {
  const root = { name: title, micros: total, children: new Map() }
  for (const { stack, micros } of stacks) {
    let at = root
    for (const name of stack) {
      let next = at.children.get(name)
      if (next === undefined) at.children.set(name, next = { name, micros: 0, children: new Map() })
      next.micros += micros
      at = next
    }
  }
  const [width, row] = [1200, 17]
  const boxes = []
  let deepest = 0
  const draw = ({ name, micros, children }, x, depth) => {
    const wide = micros / total * width
    if (wide < 1.5) return
    deepest = Math.max(deepest, depth)
    boxes.push({ name, x, wide, depth, share: micros / total * 100 })
    for (const child of [...children.values()].sort((a, b) => b.micros - a.micros)) {
      draw(child, x, depth + 1)
      x += child.micros / total * width
    }
  }
  draw(root, 0, 0)
  const escape = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const hue = name => /^\S+ (plugins|src|routes)\//.test(name) ? '#f5a742' : name.includes('@modelcontextprotocol') || name.includes('zod') ? '#d9695f' : name.includes('node_modules') ? '#8ab4d8' : '#c9ced4'
  const shapes = boxes.map(({ name, x, wide, depth, share }) => {
    const y = (deepest - depth) * row + 24
    const letters = Math.floor((wide - 4) / 6.2)
    const text = letters < 4 ? '' : `<text x="${(x + 2).toFixed(1)}" y="${y + 12}">${escape(name.length > letters ? name.slice(0, letters - 1) + '…' : name)}</text>`
    return `<g><title>${escape(name)}: ${share.toFixed(1)} %</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.5, wide - 0.5).toFixed(1)}" height="${row - 1}" fill="${hue(name)}"/>${text}</g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${(deepest + 1) * row + 30}" role="img" aria-label="${escape(title)}">
<style>text{font:10.5px ui-monospace,monospace;fill:#1f2328}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="6" y="15" style="font:600 13px system-ui,sans-serif">${escape(title)}. Orange: this project; red: the SDK; blue: other packages; grey: Node.</text>
${shapes.join('\n')}
</svg>
`
}
