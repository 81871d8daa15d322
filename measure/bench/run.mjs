// `npm run measure bench`: the request path beside a bare Fastify, as ratios of one run: interleaved rounds, medians.
// `-- --growth` measures what many keys, tools and blocked addresses cost, `-- --memory` what is held, `-- --processes`
// two against one; `-- --node 24` serves with that Node, `-- --record` writes docs/measurements.md. `npm run measure bench -- --guard` is short and fails below the agreed ratio.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { nodeOf } from '../../test/support/npm.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'
import { startRedis } from '../../test/support/redis.ts'
import { CONNECTIONS, interleaved, legacyCall, load, median, modernCall, OTHER_CORE, pin, quartile, SERVER_CORE, spread, startServer } from './load.mjs'

const { values: { node, record, guard, growth, memory, processes, refusals } } = parseArgs({
  options: {
    ...Object.fromEntries(['record', 'guard', 'growth', 'memory', 'processes', 'refusals'].map(name => [name, { type: 'boolean', default: false }])),
    node: { type: 'string' }
  }
})
/** The Node that serves. */
const execPath = node === undefined ? process.execPath : nodeOf(Number(node))
/** Least share of bare Fastify, by CPU time a request: about half of what is measured, since machines differ. */
const FLOOR = { 'authentication + limit, memory': 0.45, 'tools/call echo, memory': 0.4, 'authentication + limit, Redis': 0.36, 'tools/call echo, Redis': 0.34 }

const redis = memory || processes || refusals ? undefined : await startRedis()
try {
  if (redis !== undefined) await pin(redis.process.pid, OTHER_CORE)
  if (growth) await measureGrowth()
  else if (memory) await measureMemory()
  else if (processes) await measureProcesses()
  else if (refusals) await measureRefusals()
  else await measurePath()
} finally {
  await redis?.stop()
}
process.exit() // takes the servers with it

function start (what, options) {
  return startServer(join(import.meta.dirname, 'server.mjs'), what, { execPath, ...options })
}

async function measurePath () {
  const redisUrl = redis.url
  const bare = await start({ bare: true })
  const inMemory = await start({})
  const bySdk = guard ? undefined : await start({ fastLane: false })
  const shared = await start({ redisUrl, token: true, legacySession: true })
  const byKey = ({ keys: [key] }) => modernCall({ authorization: `Bearer ${key}` })
  const byToken = modernCall({ authorization: `Bearer ${shared.token}` })
  const rows = [
    { name: 'bare Fastify', server: bare, path: '/mcp', ...modernCall() },
    { name: 'authentication + limit, memory', server: inMemory, path: '/bare', ...byKey(inMemory) },
    { name: 'tools/call echo, memory', server: inMemory, path: '/mcp', ...byKey(inMemory), least: 0.45 },
    ...(guard ? [] : [{ name: 'tools/call echo, memory, without the fast lane', server: bySdk, path: '/mcp', ...byKey(bySdk) }]),
    { name: 'authentication + limit, Redis', server: shared, path: '/bare', ...byKey(shared), least: 0.5 },
    { name: 'tools/call echo, Redis', server: shared, path: '/mcp', ...byKey(shared), least: 0.35 },
    ...(guard
      ? []
      : [
          { name: 'cached ES256 token + limit, Redis', server: shared, path: '/bare', ...byToken, least: 0.5 },
          { name: 'tools/call echo, cached ES256 token, Redis', server: shared, path: '/mcp', ...byToken, least: 0.35 },
          { name: 'tools/call echo, legacy client, session in Redis', server: shared, path: '/mcp', ...legacyCall({ authorization: `Bearer ${shared.keys[0]}`, 'mcp-session-id': shared.session }), least: 0.25 }
        ])
  ]
  const options = guard ? { rounds: 3, seconds: 1 } : { rounds: 7, seconds: 2 }
  const rounds = await interleaved(rows, options)
  const ratiosOf = (i, what) => rounds[i].map((result, round) => what(result, rounds[0][round]))
  const results = rows.map((row, i) => ({
    ...row,
    ...Object.fromEntries(['rate', 'cpu', 'p50', 'p99'].map(what => [what, median(rounds[i].map(result => result[what]))])),
    byRate: ratiosOf(i, ({ rate }, first) => rate / first.rate),
    byCpu: ratiosOf(i, ({ cpu }, first) => first.cpu / cpu)
  }))
  const table = markdownTable(
    ['what', 'requests/s', 'CPU a request, µs', 'p50, ms', 'p99, ms', 'of bare, by throughput (least to most)', 'of bare, by CPU (least to most)', 'wanted', ''],
    results.map(({ name, rate, cpu, p50, p99, byRate, byCpu, least }) => [
      name, Math.round(rate), Math.round(cpu), p50.toFixed(1), p99.toFixed(1), spread(byRate), spread(byCpu),
      least === undefined ? '' : `≥ ${least}`, least === undefined ? '' : median(byRate) >= least ? 'met' : '**missed**'
    ])
  )
  console.log(table)
  if (guard) {
    const low = results.filter(({ name, byCpu }) => median(byCpu) < FLOOR[name])
    for (const { name, byCpu } of low) console.error(`${name}: ${median(byCpu).toFixed(2)} of bare Fastify, agreed are ${FLOOR[name]}`)
    process.exitCode = low.length > 0 ? 1 : 0
  }
  keep('bench', 'The request path beside a bare Fastify', '', [
    `${CONNECTIONS} connections kept busy by wrk, ${options.rounds} interleaved rounds of ${options.seconds} s, medians; the same body of ${modernCall().body.length} bytes but for the legacy one.`,
    'The server has one core to itself; wrk and Redis share the other. The log is written, to /dev/null. Judged by throughput.'
  ], table)
}

/** Other calls than that of echo, and calls that are refused, in turn with it. */
async function measureRefusals () {
  const server = await start({})
  const key = { authorization: `Bearer ${server.keys[0]}` }
  const call = (name, args) => {
    const { headers, body } = modernCall({ ...key, 'mcp-name': name })
    const message = JSON.parse(body)
    Object.assign(message.params, { name, arguments: args })
    return { headers, body: JSON.stringify(message) }
  }
  const rows = [
    { name: 'echo', ...call('echo', { text: 'hello' }) },
    { name: 'get_time', ...call('get_time', { timezone: 'Europe/Berlin' }), most: 1.2 },
    { name: 'a tool that is not there', ...call('none', {}), most: 1 },
    { name: 'arguments that do not fit', ...call('echo', { txt: 'hello' }), most: 1 },
    { name: 'an argument that looks like an attack', ...call('echo', { text: '../../etc/passwd' }), most: 1 }
  ].map(row => ({ ...row, server, path: '/mcp' }))
  const rounds = await interleaved(rows, { rounds: 9, seconds: 1 })
  const table = markdownTable(
    ['tools/call, memory', 'requests/s', 'CPU a request, µs', 'CPU beside echo (least to most)', 'wanted', ''],
    rows.map(({ name, most }, i) => {
      const ratios = rounds[i].map(({ cpu }, round) => cpu / rounds[0][round].cpu)
      const [rate, cpu] = ['rate', 'cpu'].map(what => Math.round(median(rounds[i].map(result => result[what]))))
      return [name, rate, cpu, spread(ratios), ...(most === undefined ? ['', ''] : [`≤ ${most}`, median(ratios) <= most ? 'met' : '**missed**'])]
    })
  )
  console.log(table)
  keep('bench-refusals', 'Other calls and refusals beside echo', '--refusals', [
    `${CONNECTIONS} connections kept busy by wrk, 9 interleaved rounds of 1 s, one process, medians.`
  ], table)
}

/**
 * Few of everything and many of one thing, side by side in the same process,
 * asked in turn. The first of two is compiled for the traffic of one, the
 * second for both, and is a tenth faster: there are two processes of each kind,
 * in one the few come first, in the other the many.
 */
async function measureGrowth () {
  const kinds = [
    // What the measurement cannot tell apart.
    { kind: 'as few again', many: {} },
    { kind: '1,000,000 keys', many: { keys: 1_000_000 }, most: 1.05 },
    { kind: '500 tools', many: { tools: 500 }, most: 1.05 },
    { kind: '10,000 blocked addresses', many: { blocked: 10_000 }, most: 1.05 }
  ]
  const ways = []
  for (const [state, more] of [['memory', {}], ['Redis', { redisUrl: redis.url }]]) {
    for (const { kind, many, most } of kinds) {
      for (const fewFirst of [true, false]) {
        const server = await start({ ...more, ...(fewFirst ? {} : many), also: { ...more, ...(fewFirst ? many : {}) } })
        for (const [i, { port, keys }] of [server, server.also].entries()) {
          const what = (i === 0) === fewFirst ? 'few' : 'many'
          ways.push({ name: `${kind}, ${state}`, state, what, most, server: { ...server, port }, path: '/mcp', ...modernCall({ authorization: `Bearer ${keys[0]}` }) })
        }
      }
    }
  }
  const rounds = await interleaved(ways, { rounds: 10, seconds: 1 })
  const cpuOf = list => median(list.map(({ cpu }) => cpu))
  const results = [...new Set(ways.map(({ name }) => name))].map(name => {
    const [few, many] = ['few', 'many'].map(what => rounds.filter((_, i) => ways[i].name === name && ways[i].what === what))
    const ratios = few.map((list, process) => list.map(({ cpu }, round) => many[process][round].cpu / cpu))
    return { ...ways.find(way => way.name === name), few: few.flat(), many: many.flat(), ratios: ratios.flat(), ratio: Math.sqrt(median(ratios[0]) * median(ratios[1])) }
  })
  const table = markdownTable(
    ['beside 10 keys, 5 tools', 'requests/s', 'CPU a request, µs', 'ratio by CPU (middle half of the rounds)', 'across processes', 'wanted', ''],
    results.map(({ name, state, most, many, ratio, ratios }) => {
      const apart = cpuOf(many) / cpuOf(results.find(result => result.state === state).few)
      return [name, Math.round(median(many.map(({ rate }) => rate))), cpuOf(many).toFixed(1), `${ratio.toFixed(2)} (${quartile(ratios).toFixed(2)} to ${quartile(ratios, 3).toFixed(2)})`, apart.toFixed(2), ...(most === undefined ? ['', ''] : [`≤ ${most}`, ratio <= most ? 'met' : '**missed**'])]
    })
  )
  const of500 = ways.find(({ name, what }) => name === '500 tools, memory' && what === 'many')
  const list = JSON.parse(of500.body)
  list.method = 'tools/list'
  list.params = { _meta: list.params._meta }
  const asked = { ...of500, name: 'tools/list of 500', headers: { ...of500.headers, 'mcp-method': 'tools/list' }, body: JSON.stringify(list) }
  const [lists] = await interleaved([asked], { rounds: 9, seconds: 1, connections: 1 })
  const [p50, p99] = [lists.map(({ p50 }) => p50), lists.map(({ p99 }) => p99)]
  const line = `tools/list of 500 tools, one connection, 9 rounds: p50 ${spread(p50)} ms, p99 ${spread(p99)} ms; wanted at most 3 ms: ${median(p99) <= 3 ? 'met' : '**missed**'}`
  console.log(`${table}\n\n${line}`)
  keep('bench-growth', 'Many keys, many tools, many blocked addresses', '--growth', [
    'tools/call of echo. Each process holds two services, one with few and one with many, asked in turn for 1 s, 10 times. Their CPU time a request is compared round by round; of two processes, one where the few',
    'were made first and one where the many were, the medians are taken together (geometric mean). The column after that compares with the few of the first row, across processes, where the noise is that between processes.',
    'The first row of each state shows what either way cannot tell apart.'
  ], table, '', line)
}

async function measureMemory () {
  const execArgv = ['--expose-gc']
  const MB = 2 ** 20
  const server = await start({ given: 5000, keys: 5000, env: { MAX_STREAMS_PER_PRINCIPAL: '1000' } }, { execArgv })
  await load({ name: 'warm-up', server, path: '/mcp', ...modernCall({ authorization: `Bearer ${server.keys[0]}` }) }, 2)
  const idle = await server.memory()

  const streams = await Promise.all(Array.from({ length: 500 }, () => openStream(server)))
  const withStreams = await server.memory()
  for (const stream of streams) stream.abort()
  await new Promise(resolve => setTimeout(resolve, 500))

  const before = await server.memory()
  for (let i = 0; i < server.keys.length; i += 50) await Promise.all(server.keys.slice(i, i + 50).map(key => callOnce(server, key)))
  const active = await server.memory()

  const perStream = (withStreams.used - idle.used) / streams.length
  const perThousand = (active.used - before.used) / (server.keys.length / 1000)
  const rows = [
    ['idle, after 2 s of full load: resident', `${(idle.rss / MB).toFixed(0)} MB`, '≤ 200 MB', idle.rss <= 200 * MB],
    ['an open subscriptions/listen stream (of 500)', `${(perStream / 1024).toFixed(1)} KB`, '≤ 64 KB', perStream <= 64 * 1024],
    ['1,000 principals that called within the window (of 5,000)', `${(perThousand / 1024).toFixed(0)} KB`, '≤ 2,048 KB', perThousand <= 2 * MB]
  ]
  const table = markdownTable(['what', 'memory', 'bound', ''], rows.map(([what, figure, bound, met]) => [what, figure, bound, met ? 'met' : '**missed**']))
  console.log(table)
  keep('bench-memory', 'Memory', '--memory', ['State in the process; differences of heap and buffers after a collection.'], table)
}

async function openStream ({ port, keys: [key] }) {
  const controller = new AbortController()
  const { headers, body } = modernCall()
  const asked = JSON.parse(body)
  asked.method = 'subscriptions/listen'
  asked.params = { notifications: { toolsListChanged: true }, _meta: asked.params._meta }
  const answer = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: 'POST',
    signal: controller.signal,
    headers: { ...headers, 'mcp-method': 'subscriptions/listen', 'mcp-name': '', 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${key}` },
    body: JSON.stringify(asked)
  })
  if (answer.status !== 200) throw new Error(`a stream was refused: ${await answer.text()}`)
  await answer.body.getReader().read()
  return controller
}

async function callOnce ({ port }, key) {
  const { headers, body } = modernCall({ authorization: `Bearer ${key}` })
  const answer = await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, body })
  if (answer.status !== 200) throw new Error(`a call was refused with ${answer.status}`)
  await answer.arrayBuffer()
}

/** Where the kernel puts them: two processes on two cores, the load taking what they leave. */
async function measureProcesses () {
  // Each on a core of its own, its load on the other: left to itself, the scheduler of some machines lets both idle.
  const cores = [SERVER_CORE, OTHER_CORE]
  const servers = await Promise.all(cores.map(core => start({}, { core })))
  const way = server => ({ name: 'tools/call echo', server, path: '/mcp', ...modernCall({ authorization: `Bearer ${server.keys[0]}` }) })
  const ask = (i, seconds) => load(way(servers[i]), seconds, { core: cores[1 - i], connections: 8, pipelined: 16 })
  for (const i of [0, 1]) await ask(i, 1)
  const rounds = []
  for (let round = 0; round < 7; round++) {
    const alone = await ask(round % 2, 2)
    const both = await Promise.all([0, 1].map(i => ask(i, 2)))
    const rate = both.reduce((sum, { rate }) => sum + rate, 0)
    const cpu = both.reduce((sum, { cpu, rate }) => sum + cpu * rate, 0) / rate
    rounds.push({ one: alone.rate, two: rate, cpuOne: alone.cpu, cpuTwo: cpu, spun: await spin(2) / await spin(1) })
  }
  const of = what => rounds.map(what)
  const ratios = of(({ one, two }) => two / one)
  const machine = of(({ spun }) => spun)
  const table = markdownTable(['processes', 'requests/s', 'CPU a request, µs', 'ratio (least to most)', 'wanted', ''], [
    ['1', Math.round(median(of(({ one }) => one))), Math.round(median(of(({ cpuOne }) => cpuOne))), '', '', ''],
    ['2', Math.round(median(of(({ two }) => two))), Math.round(median(of(({ cpuTwo }) => cpuTwo))), spread(ratios), '≥ 1.6', median(ratios) >= 1.6 ? 'met' : '**missed**'],
    ['2 loops that only count, against 1', '', '', spread(machine), '', '']
  ])
  console.log(table)
  keep('bench-processes', 'Two processes against one', '--processes', [
    'tools/call of echo, state in memory; each process on its own core, its load (wrk at lower priority, 8 connections that send 16 requests at a time, so that the load itself takes little) on the other; 7 interleaved rounds of 2 s.',
    'The last row is what two cores of this machine are to one, with nobody to serve.'
  ], table)
}

/** Steps a second of so many loops at once. */
async function spin (processes) {
  const loop = 'let n = 0; const end = performance.now() + 700; while (performance.now() < end) n++; console.log(n)'
  const counts = await Promise.all(Array.from({ length: processes }, () => promisify(execFile)(process.execPath, ['-e', loop])))
  return counts.reduce((sum, { stdout }) => sum + Number(stdout), 0)
}

function keep (section, title, flag, how, ...text) {
  if (!record) return
  const command = ['npm run measure bench --', flag, node === undefined ? '' : `--node ${node}`, '--record'].filter(part => part !== '').join(' ')
  const [suffix, served] = node === undefined ? ['', ''] : [`-node-${node}`, `, with Node ${node}`]
  writeSection(section + suffix, [`## ${title}${served}`, '', circumstances(command, execPath), '', ...how, '', ...text].join('\n'))
}
