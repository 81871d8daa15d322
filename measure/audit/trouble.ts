/**
 * `npm run measure audit -- trouble [--seconds 30] [--rate 500] [--only redis-gone,redis-full,disk-open,disk-closed]`: callers at a
 * steady rate while there is no Redis, while it is full, and while the disk is. Nothing is lost that is not counted, in the chain, too.
 */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { startRedis } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { folder } from '../upstreams/stage.ts'
import { openDisk } from './disk.ts'
import { auditVerify, begin, Callers, keptOf, metric, SharedRecords, tally, type Asked, type Kept, type Life } from './stage.ts'

const PARTS: Readonly<Record<string, () => Promise<void>>> = {
  'redis-gone': redisGone,
  'redis-full': redisFull,
  'disk-open': () => diskFull('open'),
  'disk-closed': () => diskFull('closed')
}
const { values } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '30' }, rate: { type: 'string', default: '500' }, only: { type: 'string', default: Object.keys(PARTS).join() } }
})
const rate = Number(values.rate)
const forMs = Number(values.seconds) * 1000
/** For what waited to be sent on. */
const CATCH_UP_MS = 120_000

for (const name of values.only.split(',')) {
  const part = PARTS[name]
  if (part === undefined) throw new Error(`There is no "${name}": ${Object.keys(PARTS).join(', ')}`)
  console.log(`\n${name}, ${values.seconds} s at ${rate} calls/s`)
  await part()
}
process.exit()

function claim (what: string, holds: boolean, figure: unknown = ''): void {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}${figure === '' ? '' : `: ${String(figure)}`}`)
  if (!holds) process.exitCode = 1
}

async function redisGone (): Promise<void> {
  const dir = join(folder, 'redis')
  mkdirSync(dir)
  const args = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec']
  const first = await startRedis({ args, dir })
  const shared = await SharedRecords.of(first.url)
  const lives = await two('gone', first.url)
  const callers = new Callers(rate, () => lives)
  await sleep(3000)
  const gone = performance.now()
  await first.stop()
  await sleep(forMs)
  const waiting = await metric(lives[0], 'mcp_audit_ship_lag_seconds')
  const second = await startRedis({ args, dir, port: first.port })
  const back = performance.now()
  await sleep(3000)
  await callers.end()
  await judgeShared(lives, shared, ({ ended }) => ended < gone || ended > back + 5000)
  const caughtUp = performance.now()
  await end(lives)
  claim('what waited is told', waiting > forMs / 2000, `oldest ${waiting.toFixed(1)} s`)
  for (const life of lives) {
    const [gone, again] = ['records wait in AUDIT_DIR', 'records are sent to redis again'].map(text => count(life, text))
    claim(`${life.name} says once that records wait, and once that they are sent again`, gone === 1 && again === 1, `${gone} and ${again}`)
  }
  console.log(`     all in Redis ${((caughtUp - back) / 1000).toFixed(1)} s after it was back`)
  await shared.end()
  await second.stop()
}

async function redisFull (): Promise<void> {
  const redis = await startRedis({ args: ['--save', '', '--maxmemory', '16mb', '--maxmemory-policy', 'noeviction'] })
  const shared = await SharedRecords.of(redis.url)
  const lives = await two('full', redis.url)
  const callers = new Callers(rate, () => lives)
  await sleep(8000)
  const other = new Redis(redis.url)
  const filled = await fillRedis(other)
  const over = performance.now() + forMs
  let [revoked, longest] = [0, 0]
  while (performance.now() < over) {
    const asked = performance.now()
    while (!await shared.store.revocations.set(`jti:${revoked}`, { since: Date.now() }).then(() => true, () => false)) await sleep(50)
    revoked++
    longest = Math.max(longest, performance.now() - asked)
    await sleep(1000)
  }
  const cuts = await Promise.all(lives.map(life => metric(life, 'mcp_audit_cuts_total')))
  await callers.end()
  await judgeShared(lives, shared, () => true)
  claim('Redis was full, and older records made room', cuts.some(cut => cut > 0), `${filled} of 16 MB by another, ${cuts.join(' and ')} cuts`)
  claim('a revocation a second is taken', longest < 5000, `${revoked}, the longest wait ${Math.round(longest)} ms`)
  other.disconnect()
  await end(lives)
  await shared.end()
  await redis.stop()
}

/** Until it takes no byte more. @returns MB */
async function fillRedis (redis: Redis): Promise<string> {
  let [n, bytes] = [0, 0]
  for (let size = 100_000; size >= 100; size /= 10) {
    while (await redis.set(`other:${n++}`, 'x'.repeat(size)).then(() => true, () => false)) bytes += size
  }
  return (bytes / 1_048_576).toFixed(1)
}

async function diskFull (policy: 'open' | 'closed'): Promise<void> {
  const disk = openDisk(join(folder, `disk-${policy}`))
  const life = await begin({ name: policy, auditDir: disk.auditDir, env: { AUDIT_WHEN_FULL: policy, ...disk.env } })
  const pid = life.server.child.pid!
  const ready = async () => (await fetch(`http://127.0.0.1:${life.server.port}/readyz`)).status
  const callers = new Callers(rate, () => [life])
  await sleep(3000)
  disk.fill(pid)
  await sleep(forMs)
  const duringReady = await ready()
  disk.free(pid)
  const freed = performance.now()
  await sleep(4000)
  await callers.end()
  const after = { ready: await ready(), asked: life.asked.filter(({ began }) => began > freed + 2000) }
  const lost = await metric(life, 'mcp_audit_lost_total')
  await end([life])
  const kept = await keptOf(life)
  const served = life.asked.filter(({ status }) => status === 200).length
  const refused = life.asked.filter(({ status }) => status === 503).length
  console.log(`     ${disk.how}; ${life.asked.length} calls: ${tally([life])}`)
  claim('every call is answered', life.asked.every(({ status }) => status === 200 || (policy === 'closed' && status === 503)))
  claim('who serves without a record is ready, who does not is not', duringReady === (policy === 'open' ? 200 : 503), duringReady)
  claim('with room again all are served within 2 s', after.asked.length > 0 && after.ready === 200 && after.asked.every(({ status }) => status === 200), `${after.asked.length} calls`)
  const missing = [...life.answered].filter(([id, status]) => status === 200 && kept.missing.includes(id)).length
  if (policy === 'open') {
    claim('what has no record in the folder is what the chain and the metric say is lost', missing === kept.lost && lost === kept.lost, `${missing} of ${served}, ${kept.lost} in the chain, ${lost} by the metric`)
  } else {
    claim('every call that was served has its record', missing === 0 && kept.lost === 0, `${served} served, ${missing} without`)
    claim('the chain counts those refused', kept.refused === refused && refused > 0, `${refused} answered with 503, ${kept.refused} in the chain`)
  }
  const unlogged = [...life.answered].filter(([id, status]) => status === 200 && !life.logged.has(id)).length
  claim('the log has each that was served', unlogged === 0, `${unlogged} not`)
  await judgeChain(life, kept)
  disk.end()
}

async function two (name: string, url: string): Promise<[Life, Life]> {
  const env = { REDIS_URL: url, REPLICAS: '2' }
  return [await begin({ name: `${name}-0`, env }), await begin({ name: `${name}-1`, env })]
}

/** @param isUsual whether an answer came while nothing was wrong */
async function judgeShared (lives: readonly Life[], shared: SharedRecords, isUsual: (asked: Asked) => boolean): Promise<void> {
  const asked = lives.flatMap(life => life.asked)
  const odd = asked.filter(({ status }) => status !== 200)
  claim('every call is answered, and as ever where nothing is wrong', odd.every(one => one.status === 503 && !isUsual(one)), tally(lives))
  const served = lives.flatMap(({ answered }) => [...answered]).filter(([, status]) => status === 200).map(([id]) => id)
  const unshared = () => served.filter(id => !shared.ids.has(id)).length
  await until(() => unshared() === 0, CATCH_UP_MS).catch(() => {})
  claim('Redis was told of every call that was served', unshared() === 0, `${served.length}, ${unshared()} not`)
  for (const life of lives) {
    const kept = await keptOf(life)
    const missing = kept.missing.filter(id => life.answered.get(id) === 200).length
    claim(`every answer of ${life.name} has its record in the folder, or is counted in one`, missing === 0 && kept.count === life.asked.length, `${life.asked.length} answers, ${kept.count} recorded`)
    claim(`${life.name} lost none`, await metric(life, 'mcp_audit_lost_total') === 0 && kept.lost === 0)
    await judgeChain(life, kept)
  }
}

async function judgeChain (life: Life, { verdict }: Kept): Promise<void> {
  const { code, out } = await auditVerify(life)
  claim(`the chain of ${life.name} verifies`, verdict.whole && code === 0, out.trim())
}

function count ({ notes }: Life, text: string): number {
  return notes.filter(line => line.includes(text)).length
}

async function end (lives: readonly Life[]): Promise<void> {
  for (const { server } of lives) {
    const closed = once(server.child, 'close')
    server.child.kill('SIGTERM')
    await closed
  }
}
