// Clients that are slow, stalled, confused, or there while replicas come and go.
import { connect } from 'node:net'
import { addKey, call, count, hammer, message, percentile, sleep, tally, until } from './stage.mjs'

const LIMITLESS = { RATE_LIMIT_API_KEY: '100000000' }

async function slowloris (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: LIMITLESS })
  const head = `POST /mcp HTTP/1.1\r\nHost: mcp.test\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\n`
  const open = []
  for (let i = 0; i < 500; i++) {
    const opened = performance.now()
    const socket = connect(replica.port, '127.0.0.1')
    const one = { closed: undefined }
    open.push(one)
    socket.on('error', () => {}).on('close', () => { one.closed ??= performance.now() - opened }).resume()
    set.later(async () => socket.destroy())
    if (i % 3 === 1) socket.write(head) // headers that never end
    if (i % 3 === 2) socket.write(`${head}Content-Length: 1000\r\n\r\n{`) // a body that never comes
    const drip = i % 3 === 0 ? undefined : setInterval(() => socket.write(i % 3 === 1 ? 'X-A: b\r\n' : ' '), 1000)
    socket.on('close', () => clearInterval(drip))
    if (i % 50 === 0) await sleep(5)
  }
  const load = hammer([replica.port], { clients: 10, pauseMs: 50, options: () => ({ key }) })
  await until(() => open.every(({ closed }) => closed !== undefined), 15_000)
  const answers = await load.stop()
  const p99 = Math.round(percentile(answers.map(({ ms }) => ms), 0.99))
  const longest = Math.round(Math.max(...open.map(({ closed }) => closed ?? Infinity)))
  return {
    figure: `${open.filter(({ closed }) => closed !== undefined).length} of 500 closed, the last after ${longest} ms; honest p99 ${p99} ms, ${answers.length - count(answers, 200)} failed of ${answers.length}`,
    pass: longest <= 11_000 && p99 <= 50 && count(answers, 200) === answers.length
  }
}

async function stall (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: { ...LIMITLESS, MAX_IN_FLIGHT: '1024' }, nodeArgs: ['--expose-gc'] })
  const memory = async () => Number(message(await call(replica.port, { key, tool: 'memory', args: {} })).result.content[0].text) / 2 ** 20
  const listeners = ms => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'chatter', arguments: { ms }, _meta: { progressToken: 1 } } })
    return Array.from({ length: 200 }, () => {
      const socket = connect(replica.port, '127.0.0.1')
      socket.on('error', () => {}).pause()
      socket.write(`POST /mcp HTTP/1.1\r\nHost: mcp.test\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      set.later(async () => socket.destroy())
      return socket
    })
  }
  // The same work for readers that read: what the process needs for the work itself, its young generation above all.
  const readers = listeners(5000)
  for (const socket of readers) socket.resume()
  await sleep(6000)
  for (const socket of readers) socket.destroy()
  await sleep(1000)
  const before = await memory()
  const sockets = listeners(20_000)
  let most = 0
  const end = performance.now() + 15_000
  while (performance.now() < end) {
    await sleep(2000)
    most = Math.max(most, await memory())
  }
  const taken = await replica.metric('mcp_requests_in_flight')
  for (const socket of sockets) socket.destroy()
  const freed = await until(async () => await replica.metric('mcp_requests_in_flight') === 0, 5000)
  return {
    figure: `200 readers that read nothing of up to 3 MB/s each for 15 s: RSS ${before.toFixed(0)} MB after as many that read, at most ${most.toFixed(0)} MB; ${taken} in flight, all freed ${freed} ms after the clients went`,
    pass: most - before <= 50 && freed <= 1000
  }
}

async function rolling (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const options = { redis, env: { ...LIMITLESS, DRAIN_MS: '2500' } }
  const running = await set.replicas(3, options)
  const { port } = await set.haproxy(running)
  const load = hammer([port], { clients: 40, pauseMs: 100, options: (_, n) => n % 10 === 0 ? { key, tool: 'wait', args: { ms: 300 } } : { key } })
  await sleep(500)
  const codes = []
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 3; i++) {
      running[i].signal('SIGTERM')
      codes.push(await running[i].ended)
      running[i] = await set.replica({ ...options, port: running[i].port })
      await sleep(700)
    }
  }
  while (load.answers.length < 6000) await sleep(100)
  const answers = await load.stop()
  const failed = answers.length - count(answers, 200)
  return { figure: `${failed} failed of ${answers.length} (${tally(answers)}); 6 restarts, exit codes ${[...new Set(codes)].join(', ')}`, pass: failed === 0 && answers.length >= 6000 && codes.every(code => code === 0) }
}

async function crossTalk (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const running = await set.replicas(2, { redis, env: LIMITLESS })
  const keys = await Promise.all(Array.from({ length: 200 }, () => addKey(store)))
  let crossed = 0
  let failed = 0
  let total = 0
  await Promise.all(keys.map(async ({ key }, i) => {
    for (let n = 0; n < 50; n++) {
      const secret = `secret of ${i}, ${n}: ${key.slice(16, 40)}`
      const answer = await call(running[(i + n) % 2].port, { key, id: n % 3, args: { text: secret } })
      total++
      if (answer.status !== 200) failed++
      else {
        const { id, result } = message(answer)
        if (id !== n % 3 || !result.content[0].text.includes(secret)) crossed++
      }
    }
  }))
  return { figure: `${crossed} crossed of ${total}, 200 clients with the same ids; ${failed} failed`, pass: crossed === 0 && failed === 0 && total === 10_000 }
}

export default [
  { row: 25, name: 'slowloris', target: 'all closed ≤ 11 s, honest p99 ≤ 50 ms', run: slowloris },
  { row: 28, name: 'sse-stall', target: 'RSS ≤ +50 MB, freed ≤ 1 s', run: stall },
  { row: 29, name: 'rolling', target: '0 failed of ≥ 6,000', run: rolling },
  { row: 31, name: 'cross-talk', target: '0 crossed of 10,000', run: crossTalk, quick: true }
]
