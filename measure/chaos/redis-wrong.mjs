// Redis answers, but forgets its scripts, is full, evicts, or has lost everything.
import { addKey, call, count, hammer, sleep, tally, until } from './stage.mjs'

const LIMITLESS = { RATE_LIMIT_API_KEY: '100000000' }

async function noScript (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: LIMITLESS })
  const load = hammer([replica.port], { clients: 30, options: () => ({ key }) })
  for (let i = 0; i < 50; i++) {
    await redis.admin.script('FLUSH')
    await sleep(100)
  }
  const answers = await load.stop()
  return { figure: `${answers.length - count(answers, 200)} errors of ${answers.length}`, pass: answers.length > 100 && count(answers, 200) === answers.length }
}

async function full (set) {
  const redis = await set.redis({ args: ['--maxmemory-policy', 'noeviction'] })
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: { ...LIMITLESS, REPLICAS: '1' } })
  await redis.admin.config('SET', 'maxmemory', '1')
  const load = hammer([replica.port], { clients: 30, options: () => ({ key }) })
  const unknown = await call(replica.port, { key: 'sk-' + 'unknown'.repeat(6) })
  await sleep(4000)
  const answers = await load.stop()
  const degraded = await replica.metric('mcp_ratelimit_degraded_total')
  return {
    figure: `${tally(answers)} with a valid key, ${unknown.status} with an unknown one; ${degraded} counted locally`,
    pass: count(answers, 200) === answers.length && unknown.status === 401 && degraded > 0
  }
}

async function evict (set) {
  const redis = await set.redis({ args: ['--maxmemory', '6mb', '--maxmemory-policy', 'volatile-ttl'] })
  const store = await set.admin(redis.url)
  const keys = await Promise.all(Array.from({ length: 1000 }, () => addKey(store)))
  for (let i = 0; i < 1000; i++) await store.revocations.set(`jti:${i}`, { since: i })
  const rule = { limit: 100, windowMs: 60_000 }
  for (let i = 0; i < 400; i++) await Promise.all(Array.from({ length: 100 }, (_, j) => store.hit(`sub:none:10.${i >> 8}.${i & 255}.${j}`, rule)))
  const evicted = Number(/evicted_keys:(\d+)/.exec(await redis.admin.info('stats'))[1])
  const fresh = await set.admin(redis.url)
  const left = (await fresh.listKeys()).length
  const admitted = (await Promise.all(keys.map(({ record }) => fresh.admit(record.hash, rule)))).filter(({ record }) => record !== undefined).length
  const revoked = fresh.revocations.entries().size
  return {
    figure: `${evicted} counters evicted; ${Math.min(left, admitted)} of 1000 keys and ${revoked} of 1000 revocations remain`,
    pass: evicted > 1000 && left === 1000 && admitted === 1000 && revoked === 1000
  }
}

async function wiped (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const { key } = await addKey(store)
  const running = await set.replicas(2, { redis, env: LIMITLESS })
  const load = hammer(running.map(({ port }) => port), { clients: 30, options: () => ({ key }) })
  await sleep(1500)
  const wiping = performance.now()
  await redis.admin.flushall()
  const wiped = performance.now()
  await sleep(2000)
  const late = await set.replica({ redis, env: LIMITLESS })
  const newcomer = await call(late.port, { key })
  const answers = await load.stop()
  const after = answers.filter(({ at }) => at > wiped)
  const across = answers.filter(({ at, ms }) => at + ms >= wiping)
  const alerted = running.filter(replica => replica.log().includes('redis lost its data')).length
  await store.acceptLoss()
  const again = await until(async () => (await call(running[0].port, { key })).status === 401, 3000)
  return {
    figure: `${after.length} answers after FLUSHALL (${tally(after)}), ${count(across, 401)} × 401; a replica started later answers ${newcomer.status}; alert in ${alerted} of 2 logs; goes on ${again} ms after accept-loss`,
    pass: after.length > 50 && count(after, 503) === after.length && count(across, 401) === 0 && newcomer.status === 503 && alerted === 2 && again < 2000
  }
}

export default [
  { row: 10, name: 'no-script', target: '0 errors', run: noScript, quick: true },
  { row: 11, name: 'redis-full', target: 'authentication 100 %, limits degraded and counted, 0 × 500', run: full, quick: true },
  { row: 12, name: 'evict-attack', target: '1000 of 1000 keys, 1000 of 1000 revocations', run: evict, quick: true },
  { row: 13, name: 'state-wiped', target: '503, never 401 or 200; alert logged', run: wiped, quick: true }
]
