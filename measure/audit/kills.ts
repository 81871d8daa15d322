/**
 * `npm run measure audit -- kills [--times 30] [--rate 500]`: three replicas on one Redis, callers at a steady rate; kill -9 of one of
 * them at a random moment, again and again. What it answered has its record, its chain verifies, and the others answer all they are asked.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startRedis } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { percentile } from '../upstreams/stage.ts'
import { auditVerify, begin, Callers, keptOf, SharedRecords, tally, type Life } from './stage.ts'

const { values } = parseArgs({ allowPositionals: true, options: { times: { type: 'string', default: '30' }, rate: { type: 'string', default: '500' } } })
const times = Number(values.times)
const REPLICAS = 3
/** Before the exit of a process is seen, it may be gone for so long, ms. */
const SEEN_MS = 250

const redis = await startRedis()
const shared = await SharedRecords.of(redis.url)
const env = { REDIS_URL: redis.url, REPLICAS: String(REPLICAS) }
const serving: Life[] = []
for (let i = 0; i < REPLICAS; i++) serving.push(await begin({ name: `replica-${i}`, env }))
const lives = [...serving]
const callers = new Callers(Number(values.rate), () => serving)
const began = performance.now()

let [missing, broken, failures, cut] = [0, 0, 0, 0]
for (let n = 1; n <= times; n++) {
  await sleep(200)
  const at = Math.floor(Math.random() * REPLICAS)
  const life = serving[at]!
  const { server, name } = life
  // By a process of its own: at a moment that has nothing to do with the turns of this one.
  spawn('sh', ['-c', `sleep ${(Math.random() * 3).toFixed(4)}; kill -9 ${server.child.pid}`], { stdio: 'ignore' })
  await once(server.child, 'exit')
  const gone = performance.now()
  life.isOver = true
  await until(() => life.pending === 0)
  const kept = await keptOf(life)
  const early = life.asked.filter(({ status, ended }) => status !== 200 && ended < gone - SEEN_MS)
  const cutOff = life.asked.filter(({ status }) => status !== 200).length - early.length
  missing += kept.missing.length
  failures += early.length
  cut += cutOff
  if (!kept.verdict.whole) broken++
  const next = await begin({ name, env, port: server.port })
  serving[at] = next
  lives.push(next)
  console.log(`${n}. ${name}: ${life.answered.size} answered, ${kept.missing.length} without a record; ${kept.count} records, ${kept.verdict.whole ? 'whole' : 'NOT whole'}; ${cutOff} cut off; up again after ${((performance.now() - gone) / 1000).toFixed(1)} s`)
  if (!kept.verdict.whole) console.error(JSON.stringify(kept.verdict.fault))
}
await sleep(1000)
const rate = await callers.end()
const seconds = (performance.now() - began) / 1000
for (const life of serving) {
  missing += (await keptOf(life)).missing.length
  failures += life.asked.filter(({ status }) => status !== 200).length
}

const answers = lives.flatMap(({ answered }) => [...answered.keys()])
const unshared = () => answers.filter(id => !shared.ids.has(id)).length
await until(() => unshared() === 0).catch(() => {})
const verified = await Promise.all([...serving.map(life => auditVerify(life)), auditVerify(serving[0]!, ['--stream'])])
const bad = verified.filter(({ code }) => code !== 0)
const all = lives.flatMap(({ asked }) => asked)
console.log(`${times} kills in ${Math.round(seconds)} s at ${Math.round(rate)} calls/s: ${answers.length} answers (${tally(lives)}), ${missing} without a record in the folder, ${unshared()} that Redis never had`)
console.log(`${times - broken} of ${times} chains verify at once; audit verify of ${REPLICAS} folders and of the stream: ${verified.length - bad.length} of ${verified.length} whole, ${verified.reduce((sum, { out }) => sum + (out.match(/: whole/g)?.length ?? 0), 0)} chains`)
console.log(`${failures} failures where nothing was killed, ${cut} calls cut off by the kills; p99 of answers ${percentile(all.filter(({ status }) => status === 200).map(({ began, ended }) => ended - began), 0.99).toFixed(1)} ms`)
for (const { out } of bad) console.error(out)
const isWell = missing === 0 && broken === 0 && failures === 0 && unshared() === 0 && bad.length === 0
await shared.end()
await redis.stop()
process.exit(isWell ? 0 : 1)
