// How much, how steadily, and for how long.
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { addKey, agent, call, count, hammer, message, percentile, program, sleep } from './stage.mjs'

const LIMITLESS = { RATE_LIMIT_API_KEY: '100000000' }

async function loadKey (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: LIMITLESS })
  const script = join(set.folder, 'call.lua')
  writeFileSync(script, [
    'wrk.method = "POST"',
    `wrk.headers = { ["Host"] = "mcp.test", ["Content-Type"] = "application/json", ["Accept"] = "application/json, text/event-stream", ["Authorization"] = "Bearer ${key}" }`,
    'wrk.body = \'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}}\'', ''
  ].join('\n'))
  const { command, env } = program('wrk', 'usr/bin/wrk')
  const url = `http://127.0.0.1:${replica.port}/mcp`
  const wrk = async seconds => (await promisify(execFile)(command, ['-t1', '-c64', `-d${seconds}s`, '--latency', '-s', script, url], { env })).stdout
  await wrk(3)
  const out = await wrk(15)
  const rate = Math.round(Number(/Requests\/sec:\s+([\d.]+)/.exec(out)[1]))
  const p99 = /99%\s+(\S+)/.exec(out)[1]
  const p99Ms = parseFloat(p99) * (p99.endsWith('us') ? 0.001 : p99.endsWith('ms') ? 1 : 1000)
  const failed = Number(/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0)
  return { figure: `${rate} req/s, p99 ${Math.round(p99Ms)} ms, ${failed} not 2xx`, pass: rate >= 5000 && failed === 0 && p99Ms <= 50 }
}

async function steady (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const running = await set.replicas(3, { redis, env: LIMITLESS })
  const { port } = await set.haproxy(running)
  const via = agent(256)
  const work = []
  const began = performance.now()
  // Open loop: what is late does not make the next one later.
  for (let sent = 0; sent < 25_000;) {
    const due = Math.min(25_000, Math.floor(performance.now() - began))
    while (sent < due) {
      work.push(call(port, { key, via }))
      sent++
    }
    await sleep(5)
  }
  const answers = (await Promise.all(work)).slice(5000) // the first five seconds warm up
  via.destroy()
  const times = answers.map(({ ms }) => ms)
  const p99 = percentile(times, 0.99)
  return {
    figure: `1,000 req/s for 20 s: median ${percentile(times, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${answers.length - count(answers, 200)} errors of ${answers.length}`,
    pass: p99 <= 15 && count(answers, 200) === answers.length
  }
}

async function soak (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: LIMITLESS, nodeArgs: ['--expose-gc'] })
  const memory = async () => Number(message(await call(replica.port, { key, tool: 'memory', args: {} })).result.content[0].text) / 2 ** 20
  const clients = async () => String(await redis.admin.client('LIST')).split('\n').filter(line => line.includes('name=secure-mcp')).length
  const load = hammer([replica.port], {
    clients: 30,
    pauseMs: 30,
    options: (i, n) => [{ key }, { key, tool: 'hello_world', args: { name: 'Ada' } }, { key, tool: 'none' }, { key, tool: 'echo', args: { wrong: 1 } }, { key: `sk-${'unknown'.repeat(5)}${n % 20}` }][(i + n) % 5]
  })
  await sleep(12_000)
  const [before, clientsBefore] = [await memory(), await clients()]
  await sleep(40_000)
  const [after, clientsAfter] = [await memory(), await clients()]
  const answers = await load.stop()
  return {
    figure: `RSS ${before.toFixed(0)} MB after 12 s, ${after.toFixed(0)} MB after 52 s of ${answers.length} mixed requests; Redis connections ${clientsBefore}, then ${clientsAfter}; ${count(answers, 0, 500)} × 500 or none`,
    pass: after - before <= 10 && clientsBefore === clientsAfter && count(answers, 0, 500) === 0
  }
}

export default [
  { row: 1, name: 'load-key', target: '≥ 5,000 req/s, p99 ≤ 50 ms, 0 not 2xx', run: loadKey },
  { row: 3, name: 'steady', target: 'p99 ≤ 15 ms, 0 errors', run: steady },
  { row: 4, name: 'soak', target: 'growth ≤ 10 MB, connections constant', run: soak }
]
