// `npm run measure audit -- cost [--record]`: the server as it is started by its command, with AUDIT and without, state in memory and
// in Redis, its standard output read by a collector at the other end of a pipe. Ratios of one run: interleaved rounds, medians.
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MAIN } from '../../test/support/processes.ts'
import { freePort, startRedis } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { CONNECTIONS, interleaved, median, modernCall, OTHER_CORE, pin, SERVER_CORE, spread } from '../bench/load.mjs'
import { makeKey } from '../operators/servers.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'

const { values: { record } } = parseArgs({ allowPositionals: true, options: { record: { type: 'boolean', default: false } } })
/** Most throughput that records may take. */
const MOST = { memory: 0.03, Redis: 0.10 }
/** Two processes of one program differ by some percent: each block has new ones. */
const BLOCKS = 4
const ROUNDS = { rounds: 5, seconds: 1 }

const folder = mkdtempSync(join(tmpdir(), 'audit-cost-'))
const children = new Set()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const redis = await startRedis()
await pin(redis.process.pid, OTHER_CORE)

const blocks = []
for (let block = 0; block < BLOCKS; block++) {
  const order = [['memory', false], ['memory', true], ['Redis', false], ['Redis', true], ['memory', false]]
  const ways = []
  for (const [state, audit] of block % 2 === 0 ? order : order.toReversed()) ways.push(await start(state, audit))
  const rounds = await interleaved(ways, ROUNDS)
  blocks.push(ways.map((way, i) => ({ ...way, rounds: rounds[i] })))
  await Promise.all(ways.map(way => way.server.stop()))
  console.log(`block ${block + 1} of ${BLOCKS}: ${ways.map(({ name }, i) => `${name} ${Math.round(median(rounds[i].map(({ rate }) => rate)))}/s`).join(', ')}`)
}

const rows = [
  { name: 'memory, the same again without', state: 'memory', audit: false, again: true },
  { name: 'memory, with records', state: 'memory', audit: true, most: MOST.memory },
  { name: 'Redis, with records', state: 'Redis', audit: true, most: MOST.Redis }
].map(row => {
  const pairs = blocks.map(ways => {
    const off = ways.find(({ state, audit }) => state === row.state && !audit)
    const on = ways.findLast(({ state, audit }) => state === row.state && audit === row.audit)
    return { off: off.rounds, on: on.rounds }
  })
  const of = (which, what) => median(pairs.flatMap(pair => pair[which].map(round => round[what])))
  const ratios = what => pairs.flatMap(({ on, off }) => on.map((round, i) => round[what] / off[i][what]))
  return { ...row, of, rate: ratios('rate'), cpu: ratios('cpu') }
})
/** What two servers of one kind differ by. */
const noise = Math.abs(1 - median(rows[0].rate))
const table = markdownTable(
  ['tools/call echo', 'requests/s without', 'with', 'CPU a request without, µs', 'with', 'throughput with, of without (least to most)', 'CPU with, of without (least to most)', 'wanted', ''],
  rows.map(({ name, of, rate, cpu, most }) => [
    name, Math.round(of('off', 'rate')), Math.round(of('on', 'rate')), of('off', 'cpu').toFixed(1), of('on', 'cpu').toFixed(1), spread(rate), spread(cpu),
    most === undefined ? '' : `≥ ${(1 - most).toFixed(2)}`, most === undefined ? '' : noise > most ? '**the machine is too noisy to tell**' : median(rate) >= 1 - most ? 'met' : '**missed**'
  ])
)
console.log(`\n${table}`)
if (record) {
  writeSection('audit-cost', [
    '## What records cost', '', circumstances('npm run measure audit -- cost --record'), '',
    `${CONNECTIONS} connections kept busy by wrk, ${BLOCKS} blocks of new processes, in each ${ROUNDS.rounds} interleaved rounds of ${ROUNDS.seconds} s, medians of the ratios round by round. The servers have one core, wrk,`,
    'Redis and the reader of their standard output the other. Without records (`AUDIT=false`) the request line is written to the log all the same. The first row is what the measurement cannot tell apart.', '', table
  ].join('\n'))
}
await redis.stop()
process.exit(rows.some(({ most, rate }) => most !== undefined && median(rate) < 1 - most) ? 1 : 0)

/** A server with a key of its own, and who reads its standard output. */
async function start (state, audit) {
  const cwd = mkdtempSync(join(folder, 'server-'))
  const port = await freePort()
  const env = {
    PORT: String(port),
    MANAGEMENT_PORT: '0',
    PUBLIC_URL: 'http://127.0.0.1',
    ALLOWED_HOSTS: `127.0.0.1,127.0.0.1:${port}`,
    STATE_SECRET: randomBytes(32).toString('base64url'),
    RATE_LIMIT_API_KEY: '1000000000',
    // On a busy machine a refusal for want of an answer would end the measurement.
    REDIS_COMMAND_TIMEOUT_MS: '10000',
    AUDIT: String(audit),
    ...(state === 'Redis' ? { REDIS_URL: redis.url, REDIS_KEY_PREFIX: `cost:${randomBytes(4).toString('hex')}:` } : {})
  }
  const { key } = await makeKey(cwd, env, ['bench'])
  const fifo = join(cwd, 'output')
  execFileSync('mkfifo', [fifo])
  const collector = keep(spawn('cat', [fifo], { stdio: ['ignore', 'ignore', 'inherit'] }))
  const output = openSync(fifo, 'w') // waits for the reader
  const server = keep(spawn(process.execPath, [MAIN], { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', output, 'ignore'] }))
  closeSync(output)
  await until(() => {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`)
    return fetch(`http://127.0.0.1:${port}/readyz`).then(({ ok }) => ok, () => false)
  })
  await pin(server.pid, SERVER_CORE)
  await pin(collector.pid, OTHER_CORE)
  return {
    name: `${state} ${audit ? 'with' : 'without'}`,
    state,
    audit,
    path: '/mcp',
    ...modernCall({ authorization: `Bearer ${key}` }),
    server: {
      port,
      cpu: async () => cpuOf(server.pid),
      async stop () {
        const exited = once(server, 'exit')
        server.kill('SIGTERM')
        await exited
      }
    }
  }
}

function keep (child) {
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

/** µs, in steps of 10 ms. */
function cpuOf (pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}
