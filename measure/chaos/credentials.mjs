// Revocation and rotation while everyone is calling.
import { hashKey, keyFor } from '../../dist/src/core/api-key.js'
import { addKey, call, count, hammer, listenTo, sleep, tally, until } from './stage.mjs'

const LIMITLESS = { RATE_LIMIT_API_KEY: '100000000' }

async function revoke (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const ports = (await set.replicas(2, { redis, env: LIMITLESS })).map(({ port }) => port)
  const lasts = []
  const last = []
  const ends = []
  let served = 0
  for (let run = 0; run < 100; run++) {
    const { key, record } = await addKey(store)
    const load = hammer(ports, { clients: 8, pauseMs: 5, options: () => ({ key }) })
    await until(() => count(load.answers, 200) > 0)
    if (count(load.answers, 200) > 0) served++
    const streams = await Promise.all(ports.map(port => listenTo(port, { key })))
    const now = Date.now()
    await store.saveKey({ ...record, revoked: now })
    await store.revocations.set(`key:${record.id}`, { since: now })
    const acknowledged = performance.now()
    await sleep(80)
    for (const { status, ended, end } of streams) {
      ends.push(status === 200 ? await Promise.race([ended, sleep(2000).then(() => Infinity)]) - acknowledged : NaN)
      end?.()
    }
    const answers = await load.stop()
    const accepted = answers.filter(({ status, at }) => status === 200 && at > acknowledged)
    lasts.push(Math.max(0, ...accepted.map(({ at }) => at - acknowledged)))
    // 401 or, as an address that goes on with wrong keys gets, 429.
    last.push(...await Promise.all(ports.map(port => call(port, { key }))))
  }
  return {
    figure: `100 keys, ${served} served before; of the last 200 requests, one to each replica, ${count(last, 401, 429)} refused (${tally(last)}); the last accepted one was sent ${Math.round(Math.max(...lasts))} ms after the acknowledgement at worst; ${ends.filter(ms => ms <= 1000).length} of ${ends.length} open streams ended, the last after ${Math.round(Math.max(...ends))} ms`,
    pass: served === 100 && count(last, 401, 429) === 200 && Math.max(...lasts) <= 1000 && ends.every(ms => ms <= 1000)
  }
}

async function rotate (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  let { key, record } = await addKey(store)
  const ports = (await set.replicas(2, { redis, env: LIMITLESS })).map(({ port }) => port)
  const load = hammer(ports, { clients: 40, pauseMs: 40, options: () => ({ key }) })
  for (let i = 0; i < 5; i++) {
    await sleep(1500)
    const next = keyFor(record.id)
    record = { ...record, hash: hashKey(next), previous: { hash: record.hash, until: Date.now() + 60_000 } }
    await store.saveKey(record)
    await sleep(500) // clients still hold the one before
    key = next
  }
  while (load.answers.length < 5000) await sleep(100)
  const answers = await load.stop()
  return { figure: `${answers.length - count(answers, 200)} failed of ${answers.length} (${tally(answers)}), 5 rotations`, pass: count(answers, 200) === answers.length && answers.length >= 5000 }
}

export default [
  { row: 20, name: 'revoke-speed', target: '≤ 1 s, 100 of 100, open streams ended', run: revoke },
  { row: 24, name: 'rotate-live', target: '0 failed of ≥ 5,000', run: rotate }
]
