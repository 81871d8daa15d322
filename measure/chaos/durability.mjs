// What was acknowledged, after everything was started again, failed over, moved, emptied or restored.
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { hashKey, keyFor } from '../../dist/src/core/api-key.js'
import { slotOf } from '../../dist/src/state/redis/client/slots.js'
import { Names } from '../../dist/src/state/redis/names.js'
import { shippedUsers, startCluster, startNode, startSentinels } from '../../test/support/redis-cluster.ts'
import { addKey, call, count, hammer, send, sleep, tally, until } from './stage.mjs'

const LIMITLESS = { RATE_LIMIT_API_KEY: '100000000', MAX_IN_FLIGHT: '2000', REDIS_COMMAND_TIMEOUT_MS: '2000' }
const names = new Names('mcp:')
const ACCESS = { username: 'mcp', password: 'secret' }
const OPERATOR = ['user operator on >operator ~* &* +@all', 'user replica on >replica +psync +replconf +ping',
  'user sentinel on >sentinel resetchannels &* -@all +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill']
/** The users that ship, and those who watch and replicate. */
const users = set => [...shippedUsers(mkdtempSync(join(set.folder, 'users-')), ACCESS.password, OPERATOR), '--masteruser', 'replica', '--masterauth', 'replica']
const each = async (items, work, width = 20) => {
  let next = 0
  const done = []
  await Promise.all(Array.from({ length: width }, async () => { while (next < items.length) { const i = next++; done[i] = await work(items[i], i) } }))
  return done
}

/** 1,000 keys revoked, 1,000 rotated without overlap and 1,000 addresses blocked; and 100 keys that stay. */
async function change (store, n = 1000) {
  const many = Array.from({ length: n }, (_, i) => i)
  const revoked = await each(many, async () => {
    const { key, record } = await addKey(store)
    await store.changeKey(record.id, before => ({ ...before, revoked: store.now() }))
    await store.revocations.set(`key:${record.id}`, { since: store.now() })
    return key
  })
  const rotated = await each(many, async () => {
    const { key, record } = await addKey(store)
    const next = keyFor(record.id)
    await store.changeKey(record.id, before => ({ ...before, hash: hashKey(next), previous: { hash: before.hash, until: store.now() } }))
    return { before: key, after: next }
  })
  const blocked = await each(many, async i => {
    const address = `203.${i >> 8}.${i & 255}.7`
    await store.blocklist.set(`${address}/32`, { since: store.now() })
    return address
  })
  const kept = await each(many.slice(0, 100), async () => (await addKey(store)).key)
  return { revoked, rotated, blocked, kept }
}

/** How many answers of a fresh replica are wrong, of each kind. */
async function judge (set, env, { revoked, rotated, blocked, kept }) {
  const replica = await set.replica({ env: { ...LIMITLESS, ...env, TRUST_PROXY: '127.0.0.1/32' } })
  await until(async () => (await replica.ready()).status === 200, 20_000)
  let next = 0
  // Failures are limited by address: each from another one.
  const from = () => ({ 'x-forwarded-for': `198.${(next >> 16) & 255}.${(next >> 8) & 255}.${next++ & 255}` })
  const ask = (key, headers = from()) => call(replica.port, { key, headers }).then(({ status }) => status)
  const wrong = (statuses, right) => statuses.filter(status => status !== right).length
  const figures = {
    revoked: wrong(await each(revoked, key => ask(key)), 401),
    rotated: wrong(await each(rotated, ({ before }) => ask(before)), 401) + wrong(await each(rotated, ({ after }) => ask(after)), 200),
    blocked: wrong(await each(blocked, address => ask(kept[0], { 'x-forwarded-for': address })), 403),
    kept: wrong(await each(kept, key => ask(key)), 200)
  }
  replica.signal('SIGKILL')
  return { figures, sum: Object.values(figures).reduce((a, b) => a + b) }
}

const told = ({ figures: { revoked, rotated, blocked, kept } }, n = 1000) => `wrong: ${revoked} of ${n} revoked, ${rotated} of ${n} rotated, ${blocked} of ${n} blocked, ${kept} of 100 kept`

async function restartOne (set) {
  const redis = await startNode({ aof: true, args: users(set), operator: 'operator' })
  set.later(redis.stop)
  const store = await set.admin(redis.url, ACCESS)
  const changes = await change(store)
  await store.close()
  await redis.kill('SIGTERM')
  await redis.again()
  const after = await judge(set, { REDIS_URL: `redis://mcp:secret@127.0.0.1:${redis.port}` }, changes)
  return { figure: told(after), pass: after.sum === 0 }
}

async function restartSentinels (set) {
  const watched = await startSentinels({ aof: true, args: users(set), operator: 'operator', lines: ['sentinel auth-user main sentinel', 'sentinel auth-pass main sentinel'] })
  set.later(watched.stop)
  const address = { sentinels: { hosts: watched.hosts, masterName: 'main' }, ...ACCESS }
  const store = await set.admin(address)
  const changes = await change(store)
  await store.close()
  for (const node of [...watched.others, watched.master]) await node.kill('SIGTERM')
  await Promise.all([watched.master, ...watched.others].map(node => node.again()))
  const env = { REDIS_SENTINELS: watched.hosts.join(','), REDIS_MASTER_NAME: 'main', REDIS_USERNAME: 'mcp', REDIS_PASSWORD: 'secret' }
  const after = await judge(set, env, changes)
  return { figure: told(after), pass: after.sum === 0 }
}

async function clustered (set, options = {}) {
  const cluster = await startCluster({ masters: 3, replicas: 1, aof: true, args: users(set), operator: 'operator', ...options })
  set.later(cluster.stop)
  const env = { REDIS_CLUSTER_NODES: cluster.addresses.join(','), REDIS_USERNAME: 'mcp', REDIS_PASSWORD: 'secret' }
  const store = await set.admin({ clusterNodes: cluster.addresses, ...ACCESS })
  await until(async () => await (await cluster.masterOf(slotOf(names.epoch))).admin.hget(names.marks, 'slots') === '1', 20_000)
  return { cluster, env, store }
}

async function restartCluster (set) {
  const { cluster, env, store } = await clustered(set)
  const changes = await change(store)
  await store.close()
  for (const node of cluster.nodes) await node.kill('SIGTERM')
  await Promise.all(cluster.nodes.map(node => node.again()))
  await until(async () => (await Promise.all(cluster.nodes.map(({ admin }) => admin.cluster('INFO').catch(() => '')))).every(text => text.includes('cluster_state:ok')), 30_000)
  const after = await judge(set, env, changes)
  return { figure: told(after), pass: after.sum === 0 }
}

/** One master killed, then one frozen, under load and changes. */
async function clusterFailover (set) {
  const figures = []
  let pass = true
  for (const how of ['kill', 'freeze']) {
    const { cluster, env, store } = await clustered(set)
    const keys = await each(Array.from({ length: 60 }, (_, i) => i), async () => (await addKey(store)).key)
    const [replica] = await set.replicas(1, { env: { ...LIMITLESS, ...env, REDIS_COMMAND_TIMEOUT_MS: '250' } })
    const hurt = await cluster.masterOf(slotOf(names.record(hashKey(keys[0]))))
    const onHurt = new Set()
    for (const key of keys) if ((await cluster.masterOf(slotOf(names.record(hashKey(key))))).port === hurt.port) onHurt.add(key)
    const load = hammer([replica.port], { clients: 30, pauseMs: 100, options: (i, n) => ({ key: keys[(i * 7 + n) % keys.length] }) })
    const acknowledged = []
    const writing = { on: true }
    const writer = (async () => {
      for (let i = 0; writing.on; i++) {
        await store.revocations.set(`jti:${how}-${i}`, { since: i }).then(() => acknowledged.push(`jti:${how}-${i}`), () => {})
        await sleep(10)
      }
    })()
    await sleep(1500)
    const began = performance.now()
    await hurt[how]()
    const outage = await until(async () => (await each([...onHurt], key => call(replica.port, { key }))).every(({ status }) => status === 200), 25_000)
    await sleep(1000)
    writing.on = false
    await writer
    const answers = (await load.stop()).filter(({ at }) => at > began)
    const wrong = count(answers, 0, 401, 403, 500)
    const fresh = await set.admin({ clusterNodes: cluster.addresses, ...ACCESS }, { patienceMs: 15_000 })
    const lost = acknowledged.filter(id => !fresh.revocations.entries().has(id)).length
    figures.push(`${how}: all keys served after ${outage} ms (node timeout 2,000), ${answers.length} answers (${tally(answers)}), ${wrong} wrong, ${lost} of ${acknowledged.length} acknowledged revocations lost`)
    pass &&= outage <= 15_000 && wrong === 0 && lost === 0
    replica.signal('SIGKILL')
    if (how === 'freeze') hurt.thaw()
  }
  return { figure: figures.join('; '), pass }
}

/** One master of three comes back empty. */
async function clusterEmptied (set) {
  const { cluster, env, store } = await clustered(set, { replicas: 0 })
  const keys = await each(Array.from({ length: 90 }, (_, i) => i), async () => (await addKey(store)).key)
  const epochAt = (await cluster.masterOf(slotOf(names.epoch))).port
  const hurt = cluster.nodes.find(({ port }) => port !== epochAt)
  const lost = []
  for (const key of keys) if ((await cluster.masterOf(slotOf(names.record(hashKey(key))))).port === hurt.port) lost.push(key)
  const [replica] = await set.replicas(1, { env: { ...LIMITLESS, ...env } })
  await until(async () => (await replica.ready()).status === 200)
  await hurt.admin.flushall()
  const first = await each(lost, key => call(replica.port, { key }))
  await sleep(1500)
  const later = await each(keys, key => call(replica.port, { key }))
  const late = await set.replica({ env: { ...LIMITLESS, ...env } })
  const newcomer = await call(late.port, { key: lost[0] })
  const missing = (await store.missingKeys()).length
  return {
    figure: `${lost.length} of ${keys.length} keys lay there: at once ${tally(first)}; after 1.5 s ${tally(later)}; a replica started later answers ${newcomer.status}; ${missing} records reported missing`,
    pass: count(first, 503) === lost.length && count(later, 503) === keys.length && newcomer.status === 503 && missing === lost.length
  }
}

/** Slots move from one master to another under load, then one stays half moved. */
async function reshard (set) {
  const { cluster, env, store } = await clustered(set, { replicas: 0 })
  const keys = await each(Array.from({ length: 120 }, (_, i) => i), async () => (await addKey(store)).key)
  const [replica] = await set.replicas(1, { env: { ...LIMITLESS, ...env } })
  await until(async () => (await replica.ready()).status === 200)
  const load = hammer([replica.port], { clients: 30, pauseMs: 50, options: (i, n) => ({ key: keys[(i * 7 + n) % keys.length] }) })
  const slots = [...new Set(keys.map(key => slotOf(names.record(hashKey(key)))))]
  const move = async (slot, half) => {
    const from = await cluster.masterOf(slot)
    const to = cluster.nodes[(cluster.nodes.indexOf(from) + 1) % cluster.nodes.length]
    const ids = await Promise.all([from, to].map(async ({ admin }) => String(await admin.cluster('MYID'))))
    await to.admin.call('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', ids[0])
    await from.admin.call('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', ids[1])
    const inSlot = await from.admin.call('CLUSTER', 'GETKEYSINSLOT', String(slot), '100')
    for (const key of half ? inSlot.slice(0, 1) : inSlot) await from.admin.call('MIGRATE', '127.0.0.1', String(to.port), key, '0', '2000', 'AUTH2', 'operator', 'operator')
    if (half) return
    for (const node of [to, from]) await node.admin.call('CLUSTER', 'SETSLOT', String(slot), 'NODE', ids[1])
    // The others hear of it; a next move before they do could have them believe what was.
    await until(async () => (await Promise.all(cluster.nodes.map(({ admin }) => admin.cluster('SLOTS')))).every(ranges => ranges.some(([first, last, [, port]]) => first <= slot && slot <= last && port === to.port)))
  }
  await sleep(500)
  for (const slot of slots.slice(0, 40)) await move(slot, false)
  const moved = [...load.answers]
  await move(slots[100], true)
  await sleep(3000)
  const answers = await load.stop()
  const half = answers.slice(moved.length)
  return {
    figure: `40 slots moved: ${moved.length - count(moved, 200)} failed of ${moved.length}; one half moved for 3 s: ${half.length - count(half, 200)} failed of ${half.length} (${tally(half)})`,
    pass: moved.length > 200 && half.length > 200 && count(answers, 200) === answers.length
  }
}

/** docs/operations.md, "Backup": copy the folder while Redis runs; restore into an empty place. */
async function backup (set) {
  const redis = await startNode({ aof: true, args: users(set), operator: 'operator' })
  set.later(redis.stop)
  const store = await set.admin(redis.url, ACCESS)
  const changes = await change(store, 200)
  await store.close()
  const copy = join(set.folder, 'copy')
  await redis.admin.config('SET', 'auto-aof-rewrite-percentage', '0')
  await until(async () => /aof_rewrite_in_progress:0/.test(await redis.admin.info('persistence')))
  cpSync(join(redis.dir, 'appendonlydir'), copy, { recursive: true })
  await redis.admin.config('SET', 'auto-aof-rewrite-percentage', '100')
  await redis.kill()
  rmSync(join(redis.dir, 'appendonlydir'), { recursive: true })
  mkdirSync(redis.dir, { recursive: true })
  cpSync(copy, join(redis.dir, 'appendonlydir'), { recursive: true })
  await redis.again()
  const after = await judge(set, { REDIS_URL: `redis://mcp:secret@127.0.0.1:${redis.port}` }, changes)
  return { figure: told(after, 200), pass: after.sum === 0 }
}

/** Sessions fill Redis; keys are revoked and addresses blocked meanwhile. */
async function fullRevoke (set) {
  const redis = await set.redis({ args: ['--maxmemory', '12mb', '--maxmemory-policy', 'noeviction'] })
  const store = await set.admin(redis.url)
  const flooder = await addKey(store)
  const victims = await each(Array.from({ length: 100 }, (_, i) => i), () => addKey(store))
  const [replica] = await set.replicas(1, { redis, env: { ...LIMITLESS, MAX_SESSIONS: '1000000', MAX_SESSIONS_PER_PRINCIPAL: '1000000' } })
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x'.repeat(1500), version: '1' } } })
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'content-length': Buffer.byteLength(body), authorization: `Bearer ${flooder.key}` }
  const begun = await each(Array.from({ length: 6000 }, (_, i) => i), () => send(replica.port, { method: 'POST', body, headers }))
  const used = Number(/used_memory:(\d+)/.exec(await redis.admin.info('memory'))[1]) / 2 ** 20
  const outcomes = await each(victims, ({ record }, i) => Promise.all([
    store.changeKey(record.id, before => ({ ...before, revoked: store.now() })),
    store.revocations.set(`key:${record.id}`, { since: store.now() }),
    store.blocklist.set(`203.0.113.${i}/32`, { since: store.now() })
  ]).then(() => true, () => false))
  await sleep(1000)
  const after = await each(victims, ({ key }) => call(replica.port, { key }))
  return {
    figure: `${count(begun, 200)} of 6,000 sessions begun (${tally(begun)}), ${used.toFixed(1)} MB of 12; ${outcomes.filter(Boolean).length} of 100 revoked and blocked; of their keys then ${tally(after)}`,
    pass: count(begun, 200) < 6000 && used < 12.8 && outcomes.every(Boolean) && count(after, 401, 429) === 100
  }
}

async function fewReplicas (set) {
  const redis = await set.redis()
  const { key } = await addKey(await set.admin(redis.url))
  const [replica] = await set.replicas(1, { redis, env: { ...LIMITLESS, REPLICAS: '1' } })
  await redis.admin.config('SET', 'min-replicas-to-write', '1')
  const load = hammer([replica.port], { clients: 20, options: () => ({ key }) })
  await sleep(3000)
  const ready = (await replica.ready()).status
  const answers = await load.stop()
  const degraded = await replica.metric('mcp_ratelimit_degraded_total')
  return {
    figure: `min-replicas-to-write unmet: ${tally(answers)}, ${degraded} counted locally, ready ${ready}`,
    pass: count(answers, 200) === answers.length && degraded > 0 && ready === 200
  }
}

/** The clock of Redis goes back an hour while callers are at their limit, and a block is running. */
async function clockSteps (set) {
  const windowMs = 6000
  const redis = await set.redis()
  const store = await set.admin(redis.url)
  const { key } = await addKey(store, { limit: 50 })
  const blocked = '203.0.113.9'
  await store.blocklist.set(`${blocked}/32`, { since: store.now(), until: store.now() + 1_800_000 })
  const env = { ...LIMITLESS, RATE_LIMIT_WINDOW_MS: String(windowMs), TRUST_PROXY: '127.0.0.1/32' }
  const right = await set.replica({ redis, env })
  const wrong = await set.replica({ redis, env, faketime: '+3600s' })
  await until(async () => (await wrong.ready()).status === 200)
  const refusedHere = await call(right.port, { key, headers: { 'x-forwarded-for': blocked } })
  const refusedThere = await call(wrong.port, { key, headers: { 'x-forwarded-for': blocked } })
  // As Redis would have it whose clock stood an hour ahead: the same window, an hour later.
  for (let i = 0; i < 60; i++) await call(right.port, { key })
  const window = names.window(`key:${hashKey(key)}`)
  const packed = await redis.admin.getBuffer(window)
  const slices = Math.ceil(3_600_000 / Math.ceil(windowMs / 60))
  for (let at = 9; at < packed.length; at += 9) packed.writeUIntBE(packed.readUIntBE(at, 5) + slices, at, 5)
  await redis.admin.set(window, packed)
  const told = await call(right.port, { key })
  const wait = Number(told.headers['retry-after'])
  await sleep(wait * 1000)
  const served = await call(wrong.port, { key })
  return {
    figure: `a blocked address: ${refusedHere.status}, and ${refusedThere.status} at a replica an hour ahead; counted an hour ahead: ${told.status}, Retry-After ${wait} s on a window of ${windowMs / 1000} s, then ${served.status}`,
    pass: refusedHere.status === 403 && refusedThere.status === 403 && told.status === 429 && wait <= windowMs / 1000 + 1 && served.status === 200
  }
}

export default [
  { row: 50, name: 'restart-everything', target: 'users that ship, append-only file: 0 wrong of 1,000 each', run: restartOne, quick: true },
  { row: 51, name: 'restart-sentinels', target: '0 wrong of 1,000 each', run: restartSentinels },
  { row: 52, name: 'restart-cluster', target: '3 + 3 nodes: 0 wrong of 1,000 each', run: restartCluster },
  { row: 53, name: 'cluster-failover', target: 'a master killed, one frozen: 0 wrong, 0 acknowledged lost', run: clusterFailover },
  { row: 54, name: 'cluster-emptied', target: '503, never 401; missing records counted', run: clusterEmptied, quick: true },
  { row: 55, name: 'cluster-reshard', target: '0 failed while slots move and while one stays half moved', run: reshard, quick: true },
  { row: 56, name: 'backup', target: 'restored by docs/operations.md: 0 wrong of 200 each', run: backup, quick: true },
  { row: 57, name: 'full-revoke', target: 'sessions bounded by memory; 100 of 100 revoked and blocked', run: fullRevoke, quick: true },
  { row: 58, name: 'few-replicas', target: 'served, counted locally, ready', run: fewReplicas, quick: true },
  { row: 59, name: 'clock-steps', target: 'blocked stays blocked; no wait beyond the window', run: clockSteps, quick: true }
]
