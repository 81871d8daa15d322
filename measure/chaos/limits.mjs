// Limits: exact over replicas, under attack, with a wrong clock, honest, and without Redis.
import { addKey, call, count, message, sleep, tally } from './stage.mjs'

/** As many calls as that at once, spread over the ports. */
async function burst (ports, total, options, width = 200) {
  const answers = []
  let next = 0
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < total) {
      const i = next++
      answers.push(await call(ports[i % ports.length], options))
    }
  }))
  return answers
}

// Counting is looked at here, not speed: an answer of Redis that came late would be refused after it was counted.
// Nor the places that one caller may hold at once.
const PATIENT = { REDIS_COMMAND_TIMEOUT_MS: '2000', MAX_IN_FLIGHT: '4000' }

async function exact (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const plain = await addKey(store)
  const own = await addKey(store, { limit: 500 })
  const ports = (await set.replicas(3, { redis, env: PATIENT })).map(({ port }) => port)
  const open = (await set.replicas(3, { redis, env: { ...PATIENT, MCP_AUTH_ENABLED: 'false' } })).map(({ port }) => port)
  const figures = []
  let pass = true
  for (const [what, limit, where, key] of [['anonymous', 100, open], ['own limit', 500, ports, own.key], ['API key', 1000, ports, plain.key]]) {
    const answers = await burst(where, limit + 200, { key })
    figures.push(`${what} ${count(answers, 200)} of ${answers.length} at limit ${limit} (${tally(answers)})`)
    // What is too much for the processes at once is shed with 503, uncounted.
    pass &&= count(answers, 200) === limit && count(answers, 429, 503) === 200
  }
  return { figure: figures.join(', '), pass }
}

async function attack (set) {
  const windowMs = 6000
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const ports = (await set.replicas(3, { redis, env: { ...PATIENT, RATE_LIMIT_API_KEY: '100', RATE_LIMIT_WINDOW_MS: String(windowMs) } })).map(({ port }) => port)
  const answers = []
  // Late in one window, early in the next, then without pause.
  await sleep(windowMs - Date.now() % windowMs + windowMs * 0.9)
  answers.push(...await burst(ports, 150, { key }, 50))
  const end = performance.now() + windowMs * 3
  while (performance.now() < end) {
    answers.push(...await burst(ports, 6, { key }, 6))
    await sleep(60)
  }
  const admitted = answers.filter(({ status }) => status === 200)
  // Counted somewhere between the sending and the answer: what is certainly inside a window.
  const most = Math.max(...admitted.map(({ at }) => admitted.filter(other => other.at >= at && other.at + other.ms < at + windowMs).length))
  return { figure: `at most ${most} in any window of ${windowMs / 1000} s, of ${answers.length} tried (limit 100)`, pass: most <= 100 && most >= 90 }
}

async function skew (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url), { limit: 100 })
  const right = await set.replicas(2, { redis, env: PATIENT })
  const ahead = await set.replica({ redis, faketime: '+300s', env: PATIENT })
  const answers = await burst([...right, ahead].map(({ port }) => port), 300, { key })
  const there = Date.parse((await ahead.live()).headers.date) - Date.now()
  return { figure: `${count(answers, 200)} of ${answers.length} admitted at limit 100, one replica ${Math.round(there / 1000)} s ahead`, pass: count(answers, 200) === 100 && there > 290_000 }
}

async function honest (set) {
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const [replica] = await set.replicas(1, { redis, env: { RATE_LIMIT_API_KEY: '5', RATE_LIMIT_WINDOW_MS: '2000' } })
  let tried = 0
  let served = 0
  let early = 0
  await Promise.all(Array.from({ length: 10 }, async () => {
    const { key } = await addKey(store)
    for (let i = 0; i < 5; i++) {
      let refused
      do { refused = await call(replica.port, { key }) } while (refused.status === 200)
      const { retryAfterMs } = message(refused).error.data
      if (Number(refused.headers['retry-after']) * 1000 - retryAfterMs > 2000) early++
      await sleep(retryAfterMs)
      tried++
      if ((await call(replica.port, { key })).status === 200) served++
    }
  }))
  return { figure: `${served} of ${tried} served after exactly the wait that was told; ${early} told to wait more than 2 s too long`, pass: served === tried && tried === 50 && early === 0 }
}

async function degraded (set) {
  const redis = await set.redis()
  const key = 'chaos-environment-key-0123456789abcdef'
  const running = await set.replicas(3, { redis, env: { MCP_API_KEY: key, RATE_LIMIT_API_KEY: '300' } })
  await redis.kill()
  await sleep(300)
  const answers = await burst(running.map(({ port }) => port), 900, { key }, 60)
  const counted = (await Promise.all(running.map(replica => replica.metric('mcp_ratelimit_degraded_total')))).reduce((a, b) => a + b)
  const admitted = count(answers, 200)
  return { figure: `${admitted} of ${answers.length} admitted at limit 300 (${tally(answers)}); ${counted} counted as degraded`, pass: admitted <= 303 && admitted >= 150 && counted >= 900 }
}

export default [
  { row: 15, name: 'limit-exact', target: 'exactly 100, 500 and 1000, over 3 replicas', run: exact, quick: true },
  { row: 16, name: 'limit-attack', target: '≤ 100 in any window', run: attack },
  { row: 17, name: 'skew', target: 'exactly 100', run: skew },
  { row: 18, name: 'retry-honest', target: '50 of 50, never > 2 s too long', run: honest, quick: true },
  { row: 19, name: 'limit-degraded', target: 'half the limit ≤ admitted ≤ limit + 3, counted', run: degraded, quick: true }
]
