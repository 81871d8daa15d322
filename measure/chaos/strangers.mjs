// Everything that can be done without a credential, at once, beside honest callers.
import { connect } from 'node:net'
import { addKey, call, count, percentile, probe, send, sleep, tally } from './stage.mjs'

const SLOW_BODIES = ['POST /nothing', 'OPTIONS /mcp', 'PUT /mcp', 'POST /livez', 'POST /mcp', 'DELETE /mcp', 'GET /mcp']

async function strangers (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const keys = await Promise.all(Array.from({ length: 8 }, () => addKey(store)))
  const [replica] = await set.replicas(1, { redis, env: { RATE_LIMIT_API_KEY: '100000000' } })
  const state = { on: true, opened: 0, requests: 0 }

  const socket = bytes => {
    const one = connect(replica.port, '127.0.0.1')
    one.on('error', () => {}).resume()
    if (bytes !== '') one.write(bytes)
    state.opened++
    return one
  }
  /** So many connections, each opened anew some time after it is closed. */
  const keep = (number, bytes) => {
    for (let i = 0; i < number; i++) {
      const again = () => { if (state.on) setTimeout(() => { if (state.on) socket(bytes(i)).once('close', again) }, 1000 + Math.random() * 2000) }
      socket(bytes(i)).once('close', again)
    }
  }
  keep(256, i => `${SLOW_BODIES[i % SLOW_BODIES.length]} HTTP/1.1\r\nHost: mcp.test\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`)
  for (let i = 0; i < 40; i++) {
    keep(50, () => '')
    await sleep(20)
  }
  const flood = async make => {
    while (state.on) {
      await send(replica.port, make())
      state.requests++
      await sleep(10)
    }
  }
  const floods = [
    ...Array.from({ length: 4 }, () => flood(() => ({ path: '/nothing' }))),
    ...Array.from({ length: 4 }, () => flood(() => ({ method: 'POST', headers: { authorization: `Bearer guess-${Math.random()}-of-a-plain-key` } })))
  ]

  const answers = []
  const probes = []
  const work = []
  const began = performance.now()
  for (let sent = 0; sent < 200 * 10;) {
    const due = Math.min(2000, Math.floor((performance.now() - began) / 5))
    for (; sent < due; sent++) work.push(call(replica.port, { key: keys[sent % keys.length].key }).then(answer => answers.push(answer)))
    if (sent >= probes.length * 50) {
      const at = probes.length
      probes.push(undefined)
      work.push(probe(replica.port, at % 2 === 0 ? '/livez' : '/readyz').then(answer => { probes[at] = answer }))
    }
    await sleep(5)
  }
  await Promise.all(work)
  state.on = false
  await Promise.all(floods)
  const p99 = Math.round(percentile(answers.map(({ ms }) => ms), 0.99))
  return {
    figure: `200 req/s for 10 s beside ${state.opened} connections of strangers and ${state.requests} floods: ${answers.length - count(answers, 200)} failed of ${answers.length} (${tally(answers)}), p99 ${p99} ms; probes ${tally(probes)}`,
    pass: count(answers, 200) === 2000 && p99 <= 100 && count(probes, 200) === probes.length
  }
}

export default [
  { row: 42, name: 'strangers', target: '0 honest failures, p99 ≤ 100 ms, probes 200 throughout', run: strangers, quick: true }
]
