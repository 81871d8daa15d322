// `npm run bench`: the request path beside a bare Fastify, as ratios of one run: interleaved rounds, medians.
// `-- --growth` measures what many keys and tools cost instead, `-- --record` writes docs/measurements.md;
// `npm run bench:guard` is short and fails below the agreed ratio.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { circumstances, markdownTable, writeSection } from './measurements.mjs'
import { startRedis } from './redis.mjs'

const { values: { record, guard, growth } } = parseArgs({
  options: { record: { type: 'boolean', default: false }, guard: { type: 'boolean', default: false }, growth: { type: 'boolean', default: false } }
})
const ROUNDS = 3
const SECONDS = guard ? 1.5 : 2
const CONNECTIONS = 16
/** Least share of bare Fastify, by CPU time a request: about two thirds of what is measured, since machines differ. */
const FLOOR = { 'authentication + limit, memory': 0.23, 'tools/call echo, memory': 0.03 }

const MODERN = '2026-07-28'
const BODY = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: {
    name: 'echo',
    arguments: { text: 'hello' },
    _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} }
  }
})

// An exit in order takes Redis and the servers with it.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const children = []
const redis = guard ? undefined : await startRedis()
try {
  const ways = growth ? await manyOfThem() : await thePath()
  for (const way of ways) await load(way, 0.7) // warm-up
  const rounds = ways.map(() => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, way] of ways.entries()) rounds[i].push(await load(way, SECONDS))
  }

  // Ratios are taken within a round, so that what else the machine does falls on both sides.
  const results = ways.map(({ name, beside }, i) => {
    const against = rounds[beside === undefined ? 0 : ways.findIndex(({ name }) => name === beside)]
    return {
      name,
      beside: beside ?? ways[0].name,
      rate: median(rounds[i].map(({ rate }) => rate)),
      cpu: median(rounds[i].map(({ cpu }) => cpu)),
      p50: median(rounds[i].map(({ p50 }) => p50)),
      p99: median(rounds[i].map(({ p99 }) => p99)),
      rateRatio: rounds[i].map(({ rate }, round) => rate / against[round].rate).sort(ascending),
      cpuRatio: rounds[i].map(({ cpu }, round) => against[round].cpu / cpu).sort(ascending)
    }
  })
  const table = markdownTable(
    ['what', 'requests/s', 'CPU a request, µs', 'p50, ms', 'p99, ms', 'beside', 'ratio by throughput (least to most)', 'ratio by CPU (least to most)'],
    results.map(({ name, rate, cpu, p50, p99, beside, rateRatio, cpuRatio }) => [name, Math.round(rate), Math.round(cpu), p50, p99, beside, spread(rateRatio), spread(cpuRatio)])
  )
  console.log(table)

  if (guard) {
    const low = results.filter(({ name, cpuRatio }) => median(cpuRatio) < FLOOR[name])
    for (const { name, cpuRatio } of low) console.error(`${name}: ${median(cpuRatio).toFixed(2)} of bare Fastify, agreed are ${FLOOR[name]}`)
    process.exitCode = low.length > 0 ? 1 : 0
  }
  if (record) {
    const verdict = (what, ratios, least) => `- ${what}: ${spread(ratios)}, wanted at least ${least.toFixed(2)}: ${judged(ratios, least)}`
    const find = wanted => results.find(({ name }) => name === wanted)
    const verdicts = growth
      ? results.filter((_, i) => ways[i].beside !== undefined).map(({ name, beside, cpuRatio }) => verdict(`${name}, by CPU beside ${beside}`, cpuRatio, 0.9))
      : [verdict('authentication + limit with Redis, by throughput', find('authentication + limit, Redis').rateRatio, 0.5)]
    writeSection(growth ? 'bench-growth' : 'bench', [
      growth ? '## Many keys, many tools' : '## The request path beside a bare Fastify', '',
      circumstances(`npm run bench -- ${growth ? '--growth ' : ''}--record`), '',
      `${CONNECTIONS} connections, ${ROUNDS} interleaved rounds of ${SECONDS} s, medians; the same body of ${BODY.length} bytes everywhere; the log is written, to /dev/null.`,
      'The server shares the cores with the load and with Redis, so the ratio by CPU time of the server process is the steadier one.', '',
      table, '',
      ...verdicts
    ].join('\n'))
  }
} finally {
  for (const child of children) child.kill('SIGKILL')
  await redis?.stop()
}

async function thePath () {
  const memory = await start({})
  const shared = redis === undefined ? undefined : await start({ redisUrl: redis.url })
  return [
    { name: 'bare Fastify', server: await start({ bare: true }), path: '/mcp' },
    { name: 'authentication + limit, memory', server: memory, path: '/bare' },
    { name: 'tools/call echo, memory', server: memory, path: '/mcp' },
    ...(shared === undefined
      ? []
      : [
          { name: 'authentication + limit, Redis', server: shared, path: '/bare' },
          { name: 'tools/call echo, Redis', server: shared, path: '/mcp' }
        ])
  ]
}

async function manyOfThem () {
  const redisUrl = redis.url
  const [few, manyKeys, manyTools, fewShared, manyShared] = await Promise.all(
    [{}, { keys: 100_000 }, { tools: 500 }, { redisUrl }, { redisUrl, keys: 100_000 }].map(start)
  )
  return [
    { name: '10 keys, 5 tools, memory', server: few, path: '/mcp' },
    { name: '100,000 keys, memory', server: manyKeys, path: '/mcp', beside: '10 keys, 5 tools, memory' },
    { name: '500 tools, memory', server: manyTools, path: '/mcp', beside: '10 keys, 5 tools, memory' },
    { name: '10 keys, 5 tools, Redis', server: fewShared, path: '/mcp' },
    { name: '100,000 keys, Redis', server: manyShared, path: '/mcp', beside: '10 keys, 5 tools, Redis' }
  ]
}

async function start (what) {
  const child = fork(join(import.meta.dirname, 'bench-server.mjs'), [JSON.stringify(what)])
  children.push(child)
  const [said] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => { throw new Error(`the server ${JSON.stringify(what)} did not start`) })
  ])
  return { child, ...said }
}

/** @throws {Error} if anything but 200 is answered: a fast refusal is no result */
async function load ({ name, server, path }, duration) {
  const before = await cpuOf(server)
  const result = await autocannon({
    url: `http://127.0.0.1:${server.port}${path}`,
    method: 'POST',
    connections: CONNECTIONS,
    duration,
    sampleInt: 250,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
      host: '127.0.0.1',
      ...(server.key === undefined ? {} : { authorization: `Bearer ${server.key}` })
    },
    body: BODY
  })
  const cpu = await cpuOf(server) - before
  if (result.non2xx > 0 || result.errors > 0 || result['2xx'] === 0) throw new Error(`${name}: ${result['2xx']} answers, ${result.non2xx} refusals, ${result.errors} errors`)
  return { rate: result['2xx'] / result.duration, cpu: cpu / result['2xx'], p50: result.latency.p50, p99: result.latency.p99 }
}

async function cpuOf ({ child }) {
  child.send('cpu')
  const [{ cpu }] = await once(child, 'message')
  return cpu
}

/** A figure is only reached or missed if every round says so, and if they agree about as well as the figure is fine. */
function judged (ratios, least) {
  if (ratios.at(-1) < least) return '**not reached**'
  if (ratios[0] < least || ratios.at(-1) / ratios[0] > 1.3) return '**not decided**, the rounds differ too much'
  return 'reached'
}

function spread (ratios) {
  return `${median(ratios).toFixed(2)} (${ratios[0].toFixed(2)} to ${ratios.at(-1).toFixed(2)})`
}

function ascending (a, b) {
  return a - b
}

function median (numbers) {
  return [...numbers].sort(ascending)[Math.floor(numbers.length / 2)]
}
