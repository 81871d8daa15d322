// How much, how steadily, and for how long.
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startSmallIssuer } from '../small-issuer.mjs'
import { addKey, agent, call, count, hammer, message, percentile, program, send, sleep, tally } from './stage.mjs'

const LIMITLESS = { RATE_LIMIT_API_KEY: '100000000', RATE_LIMIT_OAUTH2: '100000000' }
const ECHO = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}}'

async function loadKey (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: LIMITLESS })
  const ask = { credentials: [key], body: ECHO }
  await wrk(set, replica.port, 3, ask)
  const { requests, seconds, refused, p99 } = await wrk(set, replica.port, 15, ask)
  const rate = Math.round(requests / seconds)
  return { figure: `${rate} req/s, p99 ${Math.round(p99)} ms, ${refused} not 2xx`, pass: rate >= 5000 && refused === 0 && p99 <= 50 }
}

async function loadJwt (set) {
  const redis = await set.redis()
  const issuer = await startSmallIssuer('http://mcp.test/mcp')
  set.later(async () => issuer.close())
  const [replica] = await set.replicas(1, { redis, env: { ...LIMITLESS, OAUTH2_AUTH_SERVER: issuer.url } })
  const cached = { credentials: [issuer.mint()], body: ECHO }
  await wrk(set, replica.port, 3, cached)
  const warm = await wrk(set, replica.port, 10, cached)
  // Each token once: none of them is in a cache.
  const cold = await wrk(set, replica.port, 5, { credentials: Array.from({ length: 40_000 }, () => issuer.mint()), body: ECHO })
  const rate = ({ requests, seconds }) => Math.round(requests / seconds)
  return {
    figure: `${rate(warm)} req/s from the cache, p99 ${Math.round(warm.p99)} ms; ${rate(cold)} req/s with a new token each, p99 ${Math.round(cold.p99)} ms; ${warm.refused + cold.refused} not 2xx`,
    pass: rate(warm) >= 5000 && rate(cold) >= 1500 && warm.refused + cold.refused === 0
  }
}

/** One request over and over on 64 connections, with each credential in turn. @returns `{ requests, refused, seconds, p99 }`; p99 in ms */
async function wrk (set, port, seconds, { credentials, body }) {
  const script = join(set.folder, 'load.lua')
  const list = join(set.folder, 'credentials.txt')
  writeFileSync(list, credentials.join('\n') + '\n', { mode: 0o600 })
  writeFileSync(script, `wrk.method = "POST"
wrk.headers = { ["Host"] = "mcp.test", ["Content-Type"] = "application/json", ["Accept"] = "application/json, text/event-stream" }
wrk.body = ${JSON.stringify(body)}
local requests, next = {}, 0
function init ()
  for credential in io.lines("${list}") do
    wrk.headers["Authorization"] = "Bearer " .. credential
    requests[#requests + 1] = wrk.format()
  end
end
function request ()
  next = next % #requests + 1
  return requests[next]
end
function done (summary, latency)
  io.write(string.format('{"requests":%d,"refused":%d,"seconds":%f,"p99":%f}', summary.requests, summary.errors.status, summary.duration / 1e6, latency:percentile(99) / 1000))
end
`)
  const { command, env } = program('wrk', 'usr/bin/wrk')
  const { stdout } = await promisify(execFile)(command, ['-t1', '-c64', `-d${seconds}s`, '-s', script, `http://127.0.0.1:${port}/mcp`], { env })
  return JSON.parse(stdout.slice(stdout.lastIndexOf('{"requests"')))
}

async function steady (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const running = await set.replicas(3, { redis, env: { ...LIMITLESS, MAX_IN_FLIGHT: '1024' } })
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

/** Sessions begun and never ended: by far more than one principal, and then all of them, may hold. */
async function initializeFlood (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const keys = await Promise.all(Array.from({ length: 4 }, () => addKey(store)))
  const env = { ...LIMITLESS, MAX_SESSIONS_PER_PRINCIPAL: '500', MAX_SESSIONS: '1500' }
  const [replica] = await set.replicas(1, { redis, env, nodeArgs: ['--expose-gc'] })
  const [{ key }] = keys
  const memory = async () => Number(message(await call(replica.port, { key, tool: 'memory', args: {} })).result.content[0].text) / 2 ** 20
  const inRedis = async () => Number(/used_memory:(\d+)/.exec(await redis.admin.info('memory'))[1]) / 2 ** 20
  const body = JSON.stringify({
    jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'flood', version: '1' } }
  })
  const total = { requests: 0, refused: 0 }
  const flood = async key => {
    const { requests, refused } = await wrk(set, replica.port, 3, { credentials: [key], body })
    total.requests += requests
    total.refused += refused
  }
  for (const { key } of keys) await flood(key) // the fourth finds the room for all taken
  const [before, redisBefore] = [await memory(), await inRedis()]
  for (let i = 0; total.requests < 100_000; i++) await flood(keys[i % keys.length].key)
  const [after, redisAfter] = [await memory(), await inRedis()]
  const begun = total.requests - total.refused
  const answers = await Promise.all(keys.map(({ key }) => send(replica.port, { method: 'POST', body, headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${key}` } })))
  const served = await call(replica.port, { key })
  return {
    figure: `${begun} sessions of ${total.requests} initialize of 4 principals, then ${tally(answers)}; RSS ${before.toFixed(0)} MB, then ${after.toFixed(0)} MB; Redis ${redisBefore.toFixed(1)} MB, then ${redisAfter.toFixed(1)} MB; a call after it: ${served.status}`,
    pass: begun === 1500 && count(answers, 429) === 4 && after - before <= 20 && redisAfter - redisBefore <= 5 && served.status === 200
  }
}

export default [
  { row: 1, name: 'load-key', target: '≥ 5,000 req/s, p99 ≤ 50 ms, 0 not 2xx', run: loadKey },
  { row: 2, name: 'load-jwt', target: '≥ 5,000 req/s from the cache, ≥ 1,500 cold', run: loadJwt },
  { row: 3, name: 'steady', target: 'p99 ≤ 15 ms, 0 errors', run: steady },
  { row: 4, name: 'soak', target: 'growth ≤ 10 MB, connections constant', run: soak },
  { row: 41, name: 'initialize-flood', target: '100,000 without DELETE: memory flat, 429 at the cap', run: initializeFlood }
]
