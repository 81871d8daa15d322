// Redis hangs, dies, is not there yet, flaps, fails over, or is slow.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { addKey, call, count, freePort, hammer, percentile, probe, sleep, slowProxy, startRedis, tally, until, worst } from './stage.mjs'

const unknownKey = 'sk-' + 'unknown'.repeat(6)

/** Answers of valid and of unknown keys, apart, in one load. */
function two (ports, key, { clients = 60, pauseMs = 40 } = {}) {
  const good = hammer(ports, { clients: clients - 10, pauseMs, options: () => ({ key }) })
  const bad = hammer(ports, { clients: 10, pauseMs: pauseMs * 10, options: i => ({ key: unknownKey + i }) })
  return {
    good: good.answers,
    bad: bad.answers,
    async stop () { await Promise.all([good.stop(), bad.stop()]) },
    /** 401 for a valid key, 200 for an unknown one, 500 or silence for either. */
    wrong: () => count(good.answers, 0, 401, 403, 500) + count(bad.answers, 0, 200, 500)
  }
}

const LIMITLESS = { RATE_LIMIT_API_KEY: '100000000' }

async function hang (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const { key } = await addKey(store)
  const [replica] = await set.replicas(1, { redis, env: LIMITLESS })
  const load = two([replica.port], key)
  await sleep(1500)
  const live = []
  redis.freeze()
  const frozen = performance.now()
  while (performance.now() - frozen < 3000) {
    live.push(await probe(replica.port, '/livez'))
    await sleep(50)
  }
  redis.thaw()
  const thawed = performance.now()
  await sleep(2000)
  await load.stop()
  const during = [...load.good, ...load.bad].filter(({ at }) => at >= frozen && at < thawed)
  const first = load.good.find(({ at, status }) => at >= thawed && status === 200)
  const back = first === undefined ? Infinity : Math.round(first.at + first.ms - thawed)
  const most = worst(during)
  return {
    figure: `${during.length} answers while frozen (${tally(during)}), worst ${most} ms; liveness worst ${worst(live)} ms; back after ${back} ms; ${load.wrong()} wrong decisions`,
    pass: most <= 250 && worst(live) <= 50 && back <= 1000 && load.wrong() === 0
  }
}

async function kill (set) {
  const redis = await set.redis({ aof: true })
  const store = await set.admin(redis.url)
  const { key } = await addKey(store)
  const [replica] = await set.replicas(1, { redis, env: LIMITLESS })
  const load = two([replica.port], key, { clients: 40, pauseMs: 60 })

  const acknowledged = { keys: [], revoked: [] }
  const writing = { on: true }
  const writers = Promise.all(Array.from({ length: 24 }, async (_, w) => {
    for (let i = 0; writing.on; i++) {
      try {
        acknowledged.keys.push((await addKey(store)).record.id)
        const id = `jti:${w}-${i}`
        await store.revocations.set(id, { since: Date.now() })
        acknowledged.revoked.push(id)
      } catch {
        await sleep(50) // not acknowledged: not counted
      }
    }
  }))
  await until(() => acknowledged.revoked.length >= 6000, 20_000)
  const killed = performance.now()
  await redis.kill()
  await sleep(3000)
  await redis.again()
  const restarted = performance.now()
  await until(() => acknowledged.revoked.length >= 10_000, 20_000)
  writing.on = false
  await writers
  await load.stop()

  const fresh = await set.admin(redis.url)
  const known = new Set((await fresh.listKeys()).map(({ id }) => id))
  const lost = acknowledged.keys.filter(id => !known.has(id)).length + acknowledged.revoked.filter(id => !fresh.revocations.entries().has(id)).length
  const down = [...load.good, ...load.bad].filter(({ at }) => at >= killed && at < restarted)
  const first = load.good.find(({ at, status }) => at >= restarted && status === 200)
  const back = first === undefined ? Infinity : Math.round(first.at + first.ms - restarted)
  return {
    figure: `${down.length} answers while down, worst ${worst(down)} ms; back ${back} ms after the restart; ${lost} lost of ${acknowledged.keys.length} keys and ${acknowledged.revoked.length} revocations acknowledged; ${load.wrong()} wrong decisions`,
    pass: worst(down) <= 100 && back <= 1500 && lost === 0 && acknowledged.revoked.length >= 10_000 && acknowledged.keys.length >= 10_000 && load.wrong() === 0
  }
}

async function boot (set) {
  const figures = []
  let pass = true
  for (const how of ['absent', 'frozen']) {
    const redis = await set.redis({ aof: true })
    const { key } = await addKey(await set.admin(redis.url))
    if (how === 'absent') await redis.kill()
    else redis.freeze()
    const [replica] = await set.replicas(1, { redis })
    const [live, ready, answer] = [await replica.live(), await replica.ready(), await call(replica.port, { key })]
    await sleep(1000)
    if (how === 'absent') await redis.again()
    else redis.thaw()
    const served = await until(async () => (await call(replica.port, { key })).status === 200)
    const readied = await until(async () => (await replica.ready()).status === 200)
    figures.push(`${how}: up in ${Math.round(replica.upMs)} ms, live ${live.status}, ready ${ready.status}, call ${answer.status}, serves ${served} ms after the cure`)
    pass &&= replica.upMs <= 3000 && live.status === 200 && ready.status === 503 && answer.status === 503 && served <= 1500 && readied <= 1500
  }
  return { figure: figures.join('; '), pass }
}

async function flap (set) {
  const redis = await set.redis({ aof: true })
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: LIMITLESS })
  const load = two([replica.port], key, { clients: 40 })
  for (let i = 0; i < 10; i++) {
    await sleep(1500)
    await redis.kill()
    await sleep(1000)
    await redis.again()
  }
  await sleep(2000)
  await load.stop()
  const list = String(await redis.admin.client('LIST')).split('\n').filter(line => line.includes('name=secure-mcp')).length - 2
  const all = [...load.good, ...load.bad]
  return {
    figure: `${all.length} answers (${tally(all)}), worst ${worst(all)} ms; ${load.wrong()} wrong decisions; ${list} connections of the replica at the end`,
    pass: load.wrong() === 0 && list <= 3
  }
}

/** Three Sentinels over a master and two replicas. */
async function sentinels (set) {
  const master = await set.redis({ aof: true })
  const others = []
  for (let i = 0; i < 2; i++) others.push(await set.redis({ aof: true, args: ['--replicaof', '127.0.0.1', String(master.port)] }))
  await until(async () => /connected_slaves:2/.test(await master.admin.info('replication')), 10_000)
  const hosts = []
  for (let i = 0; i < 3; i++) {
    const port = await freePort()
    const file = join(set.folder, `sentinel-${port}.conf`)
    writeFileSync(file, [
      `port ${port}`, 'bind 127.0.0.1', `dir ${set.folder}`, 'logfile ""', `sentinel monitor main 127.0.0.1 ${master.port} 2`,
      'sentinel down-after-milliseconds main 1000', 'sentinel failover-timeout main 3000', 'sentinel parallel-syncs main 2', ''
    ].join('\n'))
    const sentinel = await startRedis({ port, args: [file, '--sentinel'], sentinel: true })
    set.later(() => sentinel.stop())
    hosts.push(`127.0.0.1:${port}`)
  }
  await sleep(3000) // they find the replicas and one another
  return { master, others, hosts }
}

/** Milliseconds until a Sentinel names another master than this one: before that, nobody can be back. */
async function switched (set, address, port) {
  const sentinel = new Redis(`redis://${address}`)
  set.later(async () => sentinel.disconnect())
  return await until(async () => {
    const [, named] = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main')
    return Number(named) !== port
  }, 12_000)
}

async function failover (set) {
  const figures = []
  let pass = true
  for (const how of ['kill', 'freeze']) {
    const { master, hosts } = await sentinels(set)
    const address = { sentinels: { hosts, masterName: 'main' } }
    const store = await set.admin(address, { prefix: `${how}:` })
    const { key } = await addKey(store)
    const [replica] = await set.replicas(1, { env: { REDIS_SENTINELS: hosts.join(','), REDIS_MASTER_NAME: 'main', REDIS_KEY_PREFIX: `${how}:`, ...LIMITLESS } })
    const load = two([replica.port], key, { clients: 30 })
    const acknowledged = []
    const writing = { on: true }
    const writer = (async () => {
      for (let i = 0; writing.on; i++) {
        await store.revocations.set(`jti:${i}`, { since: i }).then(() => acknowledged.push(`jti:${i}`), () => {})
        await sleep(5)
      }
    })()
    await sleep(2000)
    const began = performance.now()
    await master[how]()
    const switching = switched(set, hosts[0], master.port)
    const isBack = () => load.good.some(({ at, status }) => at > began + 600 && status === 200)
    await sleep(600)
    const outage = await until(isBack, 12_000) + 600
    await sleep(1500)
    writing.on = false
    await writer
    await load.stop()
    const fresh = await set.admin(address, { prefix: `${how}:` })
    const lost = acknowledged.filter(id => !fresh.revocations.entries().has(id)).length
    const leaked = [...load.good, ...load.bad].filter(({ text }) => text?.includes('READONLY')).length
    const during = [...load.good, ...load.bad].filter(({ at }) => at > began)
    figures.push(`${how}: out for ${outage} ms, the Sentinels themselves for ${await switching}, worst answer ${worst(during)} ms, ${lost} of ${acknowledged.length} acknowledged revocations lost, ${load.wrong()} wrong decisions, READONLY seen by ${leaked}`)
    pass &&= outage <= 3000 && lost === 0 && load.wrong() === 0 && leaked === 0
    replica.signal('SIGKILL')
    if (how === 'freeze') master.thaw()
  }
  return { figure: figures.join('; '), pass }
}

async function slow (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const proxy = await slowProxy(redis.port, 100)
  set.later(proxy.close)
  const [replica] = await set.replicas(1, { redis: { url: `redis://127.0.0.1:${proxy.port}` }, env: LIMITLESS })
  await until(async () => (await call(replica.port, { key })).status === 200)
  const load = hammer([replica.port], { clients: 40, pauseMs: 100, options: () => ({ key }) })
  await sleep(5000)
  const calm = [...load.answers]
  for (let i = 0; i < 15; i++) {
    await call(replica.port, { key, tool: 'block', args: { ms: 150 } })
    await sleep(200)
  }
  const early = percentile(calm.slice(0, calm.length / 2).map(({ ms }) => ms), 0.5)
  const late = percentile(calm.slice(calm.length / 2).map(({ ms }) => ms), 0.5)
  const all = await load.stop()
  const p99 = Math.round(percentile(calm.map(({ ms }) => ms), 0.99))
  return {
    figure: `+100 ms: p99 ${p99} ms of ${calm.length}, median ${Math.round(early)} ms early and ${Math.round(late)} ms late; with the loop blocked 15 times for 150 ms ${count(all, 503)} false 503 of ${all.length}`,
    pass: p99 <= 250 && late < early * 1.5 && count(all, 200) === all.length
  }
}

export default [
  { row: 5, name: 'redis-hang', target: 'answers ≤ 250 ms, liveness ≤ 50 ms, back ≤ 1 s, 0 wrong', run: hang },
  { row: 6, name: 'redis-kill', target: 'answers ≤ 100 ms, back ≤ 1.5 s, 0 of 10,000 acknowledged lost', run: kill },
  { row: 7, name: 'boot', target: 'up ≤ 3 s, live 200, ready 503, serves ≤ 1.5 s after the cure', run: boot },
  { row: 8, name: 'redis-flap', target: '0 wrong decisions, 0 × 500, ≤ 3 connections', run: flap },
  { row: 9, name: 'failover', target: 'out ≤ 3 s, 0 acknowledged lost, no READONLY', run: failover },
  { row: 14, name: 'slow-redis', target: 'p99 ≤ 250 ms, no queue, 0 false 503', run: slow }
]
