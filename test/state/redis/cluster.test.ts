import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { slotOf } from '../../../src/state/redis/client/slots.ts'
import { Names } from '../../../src/state/redis/names.ts'
import { redisStore, type RedisStoreOptions } from '../../../src/state/redis/store.ts'
import type { Store } from '../../../src/state/store.ts'
import { folder, silent } from '../../support/app.ts'
import { secureMcp } from '../../support/processes.ts'
import { startCluster, startNode, startSentinels, type RedisCluster } from '../../support/redis-cluster.ts'
import { freePort } from '../../support/redis.ts'
import { until } from '../../support/until.ts'
import { aKey, rotated } from '../contract/keys.ts'

const RULE = { limit: 1000, windowMs: 60_000 }
const names = new Names('mcp:')
const UNAVAILABLE = { code: 'STATE_UNAVAILABLE' }

async function open (t: Test, more: Partial<RedisStoreOptions>): Promise<Store> {
  const store = await redisStore({ prefix: 'mcp:', commandTimeoutMs: 5000, patienceMs: 20_000, replicas: 1, log: silent, ...more })
  t.teardown(() => store.close())
  return store
}

async function cluster (t: Test, options: Parameters<typeof startCluster>[0] = {}): Promise<RedisCluster> {
  const made = await startCluster(options)
  t.teardown(() => made.stop())
  return made
}

/** A key whose record a certain node holds. */
async function keyAt (store: Store, { masterOf }: RedisCluster, port: number) {
  for (;;) {
    const { record } = aKey()
    if ((await masterOf(slotOf(names.record(record.hash)))).port !== port) continue
    await store.saveKey(record)
    return record
  }
}

t.test('slots are those of the specification', async t => {
  const { nodes: [node] } = await cluster(t, { masters: 1 })
  for (const key of ['123456789', 'foo', '{user1000}.following', 'foo{}{bar}', 'foo{{bar}}zap', 'foo{bar}{zap}', 'ключ', names.epoch, names.marks]) {
    t.equal(slotOf(key), await node!.admin.cluster('KEYSLOT', key), key)
  }
  t.equal(slotOf(names.marks), slotOf(names.epoch))
})

t.test('one master of three that lost its data closes everything, until an operator goes on', async t => {
  const { nodes, addresses, masterOf, ...rest } = await cluster(t)
  const whole = { nodes, addresses, masterOf, ...rest }
  const one = await open(t, { clusterNodes: addresses })
  // Every slot has what says that it is whole.
  await until(async () => await (await masterOf(slotOf(names.epoch))).admin.hget(names.marks, 'slots') === '1')
  const epochAt = (await masterOf(slotOf(names.epoch))).port
  const hurt = nodes.find(({ port }) => port !== epochAt)!
  const there = await keyAt(one, whole, hurt.port)
  const elsewhere = await keyAt(one, whole, epochAt)
  const before = await keyAt(one, whole, hurt.port)
  const after = await one.changeKey(before.id, key => rotated(key, Date.now() + 3_600_000))

  await hurt.admin.flushall()
  await t.rejects(one.admit(there.hash, RULE), UNAVAILABLE, 'never "unknown key"')
  await t.rejects(one.admit(before.hash, RULE), UNAVAILABLE, 'nor for the secret before the last')
  await until(() => one.health() === 'lost')
  t.equal(one.available(), false)
  const two = await open(t, { clusterNodes: addresses })
  t.equal(two.health(), 'lost', 'a replica that starts now sees it, too')
  await t.rejects(two.admit(elsewhere.hash, RULE), UNAVAILABLE)

  const missing = await two.missingKeys()
  t.ok(missing.includes(there.id))
  t.notOk(missing.includes(elsewhere.id))
  t.ok((await two.listKeys()).some(({ id }) => id === elsewhere.id), 'what is left can be looked at')
  const listed = await secureMcp(['keys', 'list'], { cwd: folder(t), env: { REDIS_CLUSTER_NODES: addresses.join(','), STATE_SECRET: randomUUID() + randomUUID() } })
  t.equal(listed.code, 1)
  t.match(listed.err, /The records of \d+ of \d+ keys are missing: Redis lost data/)
  t.match((await secureMcp(['state', 'show'], { cwd: folder(t), env: { REDIS_CLUSTER_NODES: addresses.join(','), STATE_SECRET: randomUUID() + randomUUID() } })), { code: 1, out: 'lost\n' })

  t.equal(await two.acceptLoss(), true)
  await until(() => one.health() === 'ok' && two.health() === 'ok')
  t.strictSame(await two.missingKeys(), [])
  t.match(await one.admit(elsewhere.hash, RULE), { record: elsewhere })
  await until(() => one.admit(there.hash, RULE).then(({ record }) => record === undefined, () => false))
  t.ok(after)
})

t.test('a part that is there again after a loss ends it', async t => {
  const { nodes, addresses, masterOf } = await cluster(t, { aof: true })
  const store = await open(t, { clusterNodes: addresses })
  await until(async () => await (await masterOf(slotOf(names.epoch))).admin.hget(names.marks, 'slots') === '1')
  const epochAt = (await masterOf(slotOf(names.epoch))).port
  const hurt = nodes.find(({ port }) => port !== epochAt)!
  const canaries = await hurt.admin.keys('mcp:epoch:*')
  t.ok(canaries.length > 5000)
  for (const key of canaries) await hurt.admin.rename(key, `kept:${key.slice('mcp:'.length)}`)
  await until(() => store.health() === 'lost')
  for (const key of canaries) await hurt.admin.rename(`kept:${key.slice('mcp:'.length)}`, key)
  await until(() => store.health() === 'ok')
})

/** Half of what is in a slot is at another node, and stays so. */
async function halfMove ({ nodes, masterOf }: RedisCluster, slot: number, moved: readonly string[]): Promise<void> {
  const from = await masterOf(slot)
  const to = nodes.find(({ port }) => port !== from.port)!
  const [fromId, toId] = [String(await from.admin.cluster('MYID')), String(await to.admin.cluster('MYID'))]
  await to.admin.call('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', fromId)
  await from.admin.call('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', toId)
  for (const key of moved) await from.admin.call('MIGRATE', '127.0.0.1', String(to.port), key, '0', '5000')
}

t.test('a slot that is half moved stops nobody: neither its own keys nor others', async t => {
  const made = await cluster(t, { masters: 2 })
  const store = await open(t, { clusterNodes: made.addresses })
  const { record } = aKey()
  await store.saveKey(record)
  await store.admit(record.hash, RULE)
  const others = await Promise.all(Array.from({ length: 10 }, async () => {
    const other = aKey().record
    await store.saveKey(other)
    return other
  }))
  await halfMove(made, slotOf(names.record(record.hash)), [names.window(`key:${record.hash}`)])
  const answers = await Promise.all(Array.from({ length: 60 }, async (_, i) => await store.admit((i % 2 === 0 ? record : others[i % 10])!.hash, RULE)))
  t.equal(answers.filter(({ rateLimit }) => rateLimit?.allowed === true && rateLimit.degraded !== true).length, 60)
  const mine = answers.filter(({ record: found }) => found?.id === record.id)
  t.equal(Math.min(...mine.map(({ rateLimit }) => rateLimit!.remaining)), RULE.limit - 31, 'each of them is counted once')
  t.equal(store.health(), 'ok')
})

t.test('a node that does not answer stops only what lies on it', async t => {
  const made = await cluster(t, { nodeTimeoutMs: 60_000, args: ['--cluster-require-full-coverage', 'no'] })
  const store = await open(t, { clusterNodes: made.addresses, commandTimeoutMs: 2000 })
  const epochAt = (await made.masterOf(slotOf(names.epoch))).port
  const frozen = made.nodes.find(({ port }) => port !== epochAt)!
  const [on, off] = [await keyAt(store, made, frozen.port), await keyAt(store, made, epochAt)]
  frozen.freeze()
  t.teardown(() => frozen.thaw())
  for (let i = 0; i < 8; i++) await t.rejects(store.admit(on.hash, RULE), UNAVAILABLE)
  const answers = await Promise.all(Array.from({ length: 50 }, () => store.admit(off.hash, RULE)))
  t.equal(answers.filter(({ rateLimit }) => rateLimit?.allowed).length, 50)
  frozen.thaw()
  await until(() => store.admit(on.hash, RULE).then(() => true, () => false))
})

t.test('whoever listens is told of the gap when the node that it heard from dies or says nothing', async t => {
  // A master that came back empty before its replica was elected would have lost the state, and nothing more would be told.
  const made = await cluster(t, { replicas: 1, nodeTimeoutMs: 1000, aof: true })
  const store = await open(t, { clusterNodes: made.addresses })
  let gaps = 0
  let heard = ''
  store.bus.onGap(() => gaps++)
  store.bus.listen('topic', text => { heard = text })
  // An election is held again where a busy machine was too slow for the first.
  const tell = async (text: string) => await until(async () => { await store.bus.publish('topic', text).catch(() => {}); return heard === text }, 120_000)
  await tell('before')
  t.equal(gaps, 0)
  for (const how of ['kill', 'freeze'] as const) {
    const before = gaps
    const holder = await holderOf(made)
    await made.nodes[holder]![how]()
    await until(() => gaps > before, 120_000)
    await tell(how)
    if (how === 'kill') await made.nodes[holder]!.again()
    else made.nodes[holder]!.thaw()
  }
})

/** The node that the subscription of this process is at. */
async function holderOf ({ nodes }: RedisCluster): Promise<number> {
  for (;;) {
    for (const [i, { admin }] of nodes.entries()) {
      const channels = await Promise.race([admin.pubsub('CHANNELS', 'mcp:bus:topic').catch(() => []), new Promise<[]>(resolve => setTimeout(resolve, 1000, []))])
      if (channels.length > 0) return i
    }
  }
}

t.test('an address of the wrong kind is told in one sentence, at once where waiting does not mend it', async t => {
  const made = await cluster(t, { masters: 2 })
  const plain = await startNode()
  t.teardown(() => plain.stop())
  const { hosts, stop } = await startSentinels({ sentinels: 1, replicas: 0 })
  t.teardown(stop)
  const url = `redis://127.0.0.1:${made.nodes[0]!.port}`
  for (const [address, message] of [
    [{ url }, /REDIS_URL leads to a node of a Cluster: name the nodes in REDIS_CLUSTER_NODES/],
    [{ url: `redis://127.0.0.1:${made.nodes[1]!.port}`, prefix: 'other:' }, /name the nodes in REDIS_CLUSTER_NODES/],
    [{ clusterNodes: [plain.address] }, /is no Cluster: set REDIS_URL/],
    [{ sentinels: { hosts, masterName: 'other' } }, /know no master "other": see REDIS_MASTER_NAME/],
    [{ sentinels: { hosts: [plain.address], masterName: 'main' } }, /no Sentinel/],
    [{ url: `redis://${hosts[0]!}` }, /a Sentinel goes into REDIS_SENTINELS/]
  ] as Array<[Partial<RedisStoreOptions>, RegExp]>) {
    await t.rejects(open(t, address), { name: 'UsageError', message }, String(message))
  }
})

t.test('addresses that a Cluster or Sentinels announce and that cannot be reached are named', async t => {
  const nowhere = await freePort()
  const lines: string[] = []
  const line = (data: object, message?: string) => { lines.push(`${message} ${JSON.stringify(data)}`) }
  const log = { ...silent, debug () {}, info () {}, warn: line, error: line }

  const made = await cluster(t, { masters: 2 })
  for (const { admin } of made.nodes) await admin.config('SET', 'cluster-announce-port', String(nowhere))
  await open(t, { clusterNodes: made.addresses, prefix: `x${randomUUID()}:`, patienceMs: 3000, log })
  t.match(lines.join('\n'), new RegExp(`the Cluster announces 127\\.0\\.0\\.1:${nowhere}, which cannot be reached from here: see cluster-announce-ip`))

  lines.length = 0
  const { hosts, master, stop } = await startSentinels({ sentinels: 1, replicas: 0 })
  t.teardown(stop)
  await master.kill()
  await open(t, { sentinels: { hosts, masterName: 'main' }, patienceMs: 3000, log })
  t.match(lines.join('\n'), new RegExp(`the Sentinels announce 127\\.0\\.0\\.1:${master.port} as the master, which cannot be reached`))
})
