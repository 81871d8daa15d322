// `npm run measure redis`: how many requests one Redis can admit, and how a Cluster moves that. The script alone is
// measured, by the CPU that Redis itself says it used: clients and replicas cost what they cost elsewhere.
// --record writes docs/measurements.md.
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { SCRIPTS } from '../../dist/src/state/redis/client/scripts.js'
import { slotOf } from '../../dist/src/state/redis/client/slots.js'
import { Names } from '../../dist/src/state/redis/names.js'
import { startCluster, startNode } from '../../test/support/redis-cluster.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'

const { values: { record } } = parseArgs({ options: { record: { type: 'boolean', default: false } } })
const names = new Names('mcp:')
const [KEYS, ADMITS, PIPELINED] = [64, 60_000, 8]
const WINDOW_MS = 60_000
const LIMIT = 1_000_000_000

/** A Redis with keys of its own and windows of so many slices, and how to admit requests at it. */
async function prepare (admin, hashes, slices) {
  const redis = new Redis({ host: '127.0.0.1', port: admin.options.port })
  redis.defineCommand('admitKey', SCRIPTS.admitKey)
  const admit = (hash, now = '') => ['admitKey', names.record(hash), names.window(`key:${hash}`), LIMIT, WINDOW_MS, now]
  for (const hash of hashes) {
    await redis.hset(names.record(hash), 'json', JSON.stringify({ id: hash.slice(0, 10), name: 'measured', role: 'caller', permissions: ['*'], hash, created: 1 }))
    const now = Date.now()
    for (let i = slices; i > 0; i--) await redis.pipeline([admit(hash, now - i * WINDOW_MS / 60)]).exec()
  }
  return { redis, admit }
}

/** µs of Redis' CPU for one admission: user and system time of the process, reading and answering included. */
async function cost ({ redis, admit }, hashes) {
  const cpu = async () => [...(await redis.info('cpu')).matchAll(/^used_cpu_(?:user|sys):([\d.]+)/gm)].reduce((sum, [, seconds]) => sum + Number(seconds), 0)
  const before = await cpu()
  for (let i = 0; i < ADMITS; i += PIPELINED) await redis.pipeline(Array.from({ length: PIPELINED }, (_, n) => admit(hashes[(i + n) % hashes.length]))).exec()
  return (await cpu() - before) * 1e6 / ADMITS
}

const random = () => Array.from({ length: 64 }, () => Math.floor(Math.random() * 16).toString(16)).join('')
const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
const rows = []

async function one () {
  const node = await startNode()
  const hashes = Array.from({ length: KEYS }, random)
  const costs = {}
  for (const slices of [5, 59]) {
    await node.admin.flushall()
    const at = await prepare(node.admin, hashes, slices)
    costs[slices] = median([await cost(at, hashes), await cost(at, hashes), await cost(at, hashes)])
    at.redis.disconnect()
  }
  await node.stop()
  return costs
}

async function three () {
  const cluster = await startCluster({ masters: 3 })
  const costs = []
  for (const { admin, port } of cluster.nodes) {
    const hashes = []
    while (hashes.length < KEYS) {
      const hash = random()
      if ((await cluster.masterOf(slotOf(names.record(hash)))).port === port) hashes.push(hash)
    }
    const at = await prepare(admin, hashes, 5)
    costs.push(median([await cost(at, hashes), await cost(at, hashes), await cost(at, hashes)]))
    at.redis.disconnect()
  }
  await cluster.stop()
  return costs
}

const single = await one()
const masters = await three()
const ceiling = us => Math.round(1e6 / us)
const of = ceiling(single[5])
const sum = masters.reduce((total, us) => total + ceiling(us), 0)
rows.push(['one master, busy key for 6 s', `${single[5].toFixed(1)} µs`, `${of}/s`])
rows.push(['one master, busy key for a minute or more', `${single[59].toFixed(1)} µs`, `${ceiling(single[59])}/s`])
rows.push(['three masters of a Cluster, 6 s', `${masters.map(us => us.toFixed(1)).join(', ')} µs`, `${sum}/s, ${(sum / of).toFixed(2)} times one`])
for (const row of rows) process.stdout.write(`${row.join(': ')}\n`)
if (record) {
  writeSection('redis', ['## What one Redis admits', '', circumstances('npm run measure redis -- --record'), '',
    markdownTable(['where', 'CPU of Redis for one request with an API key', 'one core of it ends at'], rows), ''].join('\n'))
}
process.exit(0)
