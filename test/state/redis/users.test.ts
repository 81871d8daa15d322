import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { REPLAYED } from '../../../src/state/redis/client/replay.ts'
import { redisStore, type RedisStoreOptions } from '../../../src/state/redis/store.ts'
import type { Store } from '../../../src/state/store.ts'
import { folder, silent } from '../../support/app.ts'
import { startCluster, startNode, startSentinels, shippedUsers } from '../../support/redis-cluster.ts'
import { until } from '../../support/until.ts'
import { aKey, rotated } from '../contract/keys.ts'

const LUA = join(import.meta.dirname, '../../../src/state/redis/lua')
const RULE = { limit: 100, windowMs: 60_000 }
const OPERATOR = 'user operator on >operator ~* &* +@all'
/** What a Sentinel and a replica may do; docs/operations.md gives the same. */
const WATCHERS = [
  'user replica on >replica +psync +replconf +ping',
  'user sentinel on >sentinel resetchannels &* -@all +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill'
]
const ACCESS = { username: 'mcp', password: 'secret' }

interface Told { lines: string[], log: RedisStoreOptions['log'] }

function told (): Told {
  const lines: string[] = []
  const line = (_data: object, message?: string) => { lines.push(message ?? '') }
  return { lines, log: { ...silent, debug () {}, info () {}, warn: line, error: line } }
}

async function open (t: Test, more: Partial<RedisStoreOptions>): Promise<Store> {
  const store = await redisStore({ prefix: 'mcp:', commandTimeoutMs: 5000, patienceMs: 20_000, replicas: 1, log: silent, ...ACCESS, ...more })
  t.teardown(() => store.close())
  return store
}

/** Each thing that an operator may do, and one that a client may. */
async function useEverything (t: Test, store: Store): Promise<void> {
  const { record } = aKey()
  await store.saveKey(record)
  t.match(await store.admit(record.hash, RULE), { record, rateLimit: { remaining: 99 } })
  await store.changeKey(record.id, key => ({ ...key, owner: 'ada' }))
  t.match((await store.listKeys()).filter(({ id }) => id === record.id), [{ owner: 'ada' }])
  const { slice } = await store.hit('sub:x', RULE)
  await store.giveBack('sub:x', slice)
  await store.revocations.set('jti:x', { since: 1 })
  t.equal(await store.revocations.delete('jti:x'), true)
  const rule = { idleMs: 60_000, maxMs: 60_000, maxOfOwner: 10, maxTotal: 10 }
  t.match(await store.sessions.start('owner', 'id', { initialize: {}, began: 1 }, rule), { started: true })
  t.equal(await store.sessions.watch('owner', 'id', 'note://1', 10), true)
  t.match(await store.sessions.find('owner', 'id', rule), { record: { began: 1 } })
  t.equal(await store.sessions.end('owner', 'id'), true)
  t.equal(await store.claim('claim', 1000), true)
  const heard: string[] = []
  store.bus.listen('topic', text => heard.push(text))
  await until(async () => { await store.bus.publish('topic', 'x'); return heard.length > 0 })
  t.equal(store.health(), 'ok')
}

t.test('the users that ship are enough for one Redis, for Sentinels and for a Cluster', async t => {
  const dir = folder(t)
  const users = shippedUsers(dir, ACCESS.password, [OPERATOR, ...WATCHERS])
  const replicating = [...users, '--masteruser', 'replica', '--masterauth', 'replica']

  await t.test('one', async t => {
    const redis = await startNode({ args: users, operator: 'operator' })
    t.teardown(() => redis.stop())
    await useEverything(t, await open(t, { url: redis.url }))
  })
  await t.test('Sentinels', async t => {
    const { hosts, stop } = await startSentinels({ sentinels: 1, replicas: 1, args: replicating, operator: 'operator', lines: ['sentinel auth-user main sentinel', 'sentinel auth-pass main sentinel'] })
    t.teardown(stop)
    await useEverything(t, await open(t, { sentinels: { hosts, masterName: 'main' } }))
  })
  await t.test('a Cluster', async t => {
    const { addresses, stop } = await startCluster({ masters: 3, replicas: 1, args: replicating, operator: 'operator' })
    t.teardown(stop)
    await useEverything(t, await open(t, { clusterNodes: addresses }))
  })
})

t.test('what was revoked, rotated and blocked stays so when Redis and every replica start again', async t => {
  const redis = await startNode({ aof: true, args: shippedUsers(folder(t), ACCESS.password, [OPERATOR]), operator: 'operator' })
  t.teardown(() => redis.stop())
  const store = await open(t, { url: redis.url })
  const [kept, revoked, before] = [aKey().record, aKey().record, aKey().record]
  for (const record of [kept, revoked, before]) await store.saveKey(record)
  await store.changeKey(revoked.id, key => ({ ...key, revoked: 1 }))
  const after = await store.changeKey(before.id, key => rotated(key, 0))
  await store.revocations.set(`key:${revoked.id}`, { since: 1 })
  await store.blocklist.set('203.0.113.9', { since: 1 })
  await store.close()
  await redis.kill('SIGTERM')
  await redis.again()

  const fresh = await open(t, { url: redis.url })
  await until(() => fresh.health() === 'ok')
  t.match(await fresh.admit(kept.hash, RULE), { record: kept, rateLimit: { allowed: true } })
  t.match(await fresh.admit(revoked.hash, RULE), { record: { revoked: 1 }, rateLimit: undefined })
  t.match(await fresh.admit(before.hash, RULE), { record: undefined })
  t.match(await fresh.admit(after!.hash, RULE), { rateLimit: { allowed: true } })
  t.ok(fresh.revocations.entries().has(`key:${revoked.id}`))
  t.ok(fresh.blocklist.entries().has('203.0.113.9'))
})

/** The shipped file with another line for `default`, or without a right of `mcp`. */
function changedUsers (t: Test, change: (rules: string) => string): string[] {
  const dir = folder(t)
  const args = shippedUsers(dir, ACCESS.password, [OPERATOR])
  const file = join(dir, 'users.acl')
  writeFileSync(file, change(readFileSync(file, 'utf8')))
  return args
}

const DENIED = 'user default off resetpass resetkeys resetchannels -@all'
const denied = (rules: string) => rules.replace(/^user default.*$/m, DENIED)

t.test('a Redis that would forget what scripts wrote is refused at the start, and told of where that cannot be known', async t => {
  const sure = await startNode({ aof: true, args: changedUsers(t, denied), operator: 'operator' })
  t.teardown(() => sure.stop())
  await t.rejects(open(t, { url: sure.url }), { name: 'UsageError', message: /"default" may not run SET: load the users\.acl/ })

  // One right is missing: that is enough.
  const partly = await startNode({ aof: true, args: changedUsers(t, rules => rules.replace(/^user default.*$/m, 'user default off resetpass ~* &* +@all -hdel')), operator: 'operator' })
  t.teardown(() => partly.stop())
  await t.rejects(open(t, { url: partly.url }), { name: 'UsageError', message: /may not run HDEL/ })

  const { lines, log } = told()
  const unknown = await startNode({ aof: true, args: changedUsers(t, rules => denied(rules).replace(' +acl|dryrun', '')), operator: 'operator' })
  t.teardown(() => unknown.stop())
  await open(t, { url: unknown.url, log })
  t.match(lines, [/it cannot be told whether Redis keeps what it acknowledged/])

  const quiet = told()
  const volatile = await startNode({ args: changedUsers(t, denied), operator: 'operator' })
  t.teardown(() => volatile.stop())
  await open(t, { url: volatile.url, log: quiet.log })
  t.strictSame(quiet.lines, [], 'without an append-only file nothing is played back')
})

t.test('changes that a restart lost are noticed by a replica that never saw them, until an operator goes on', async t => {
  const cases: Record<string, (store: Store) => Promise<unknown>> = {
    revoked: store => store.revocations.set('jti:x', { since: 1 }),
    blocked: store => store.blocklist.set('203.0.113.9', { since: 1 }),
    rotated: async store => {
      const { record } = aKey()
      await store.saveKey(record)
      await store.changeKey(record.id, key => rotated(key, Date.now() + 60_000))
    }
  }
  for (const [what, change] of Object.entries(cases)) {
    const redis = await startNode({ aof: true, args: changedUsers(t, rules => denied(rules).replace(' +acl|dryrun', '')), operator: 'operator' })
    t.teardown(() => redis.stop())
    const store = await open(t, { url: redis.url })
    await change(store)
    await store.close()
    await redis.kill('SIGTERM')
    await redis.again()
    const { lines, log } = told()
    const fresh = await open(t, { url: redis.url, log })
    t.equal(fresh.health(), 'lost', what)
    t.match(lines.join('\n'), /redis lost a part of its data/)
    await t.rejects(fresh.admit('0'.repeat(64), RULE), { code: 'STATE_UNAVAILABLE' })
    t.equal(await fresh.acceptLoss(), true)
    await until(() => fresh.health() === 'ok')
    await fresh.close()
  }
})

t.test('a list that went backwards by hand is noticed by a fresh replica, and mended by one that remembers', async t => {
  const redis = await startNode()
  t.teardown(() => redis.stop())
  const access = { username: undefined, password: undefined }
  const remembers = await open(t, { url: redis.url, ...access })
  await remembers.revocations.set('jti:a', { since: 1 })
  await remembers.close()
  await redis.admin.del('mcp:revocations')
  const fresh = await open(t, { url: redis.url, ...access })
  t.equal(fresh.health(), 'lost')
  t.equal(await fresh.acceptLoss(), true)
  await until(() => fresh.health() === 'ok')

  await fresh.revocations.set('jti:b', { since: 1 })
  await redis.admin.del('mcp:revocations')
  await until(() => redis.admin.hexists('mcp:revocations', 'jti:b').then(Boolean))
  await until(() => fresh.health() === 'ok')
  const later = await open(t, { url: redis.url, ...access })
  t.equal(later.health(), 'ok')
  t.ok(later.revocations.entries().has('jti:b'))
})

t.test('every command of the scripts is allowed to mcp, and those that write are known to be played back', async t => {
  const redis = await startNode({ args: shippedUsers(folder(t), ACCESS.password, [OPERATOR]), operator: 'operator' })
  t.teardown(() => redis.stop())
  const used = new Set(readdirSync(LUA).flatMap(file => [...readFileSync(join(LUA, file), 'utf8').matchAll(/redis\.p?call\('([A-Z]+)'/g)].map(([, name]) => name!)))
  t.ok(used.size > 15)
  const commands = await redis.admin.call('COMMAND', 'INFO', ...used) as Array<[string, number, string[]]>
  const writing = commands.filter(([, , flags]) => [...flags].some(flag => String(flag) === 'write')).map(([name]) => name.toUpperCase())
  t.strictSame([...writing].sort(), REPLAYED.map(([name]) => name).sort())
  for (const [name, arity] of commands) {
    t.equal(await redis.admin.call('ACL', 'DRYRUN', 'mcp', name, ...Array<string>(Math.abs(arity) - 1).fill('mcp:bus:x')), 'OK', name)
  }
})

t.test('a right that is missing is named, with where the rights are listed', async t => {
  const start = async (change: (rules: string) => string, log: RedisStoreOptions['log'] = silent) => {
    const redis = await startNode({ args: changedUsers(t, change), operator: 'operator' })
    t.teardown(() => redis.stop())
    return await open(t, { url: redis.url, log })
  }
  await t.rejects(start(rules => rules.replace(' +@string', '')), { name: 'UsageError', message: /does not let this user run GET: give it what the ACL file/ })
  await t.rejects(start(rules => rules.replace(' +@pubsub', '')), { name: 'UsageError', message: /run SUBSCRIBE: / })
  await t.rejects(start(rules => rules.replace(' ~mcp:*', ' ~other:*')), { name: 'UsageError', message: /reach one of the keys: .*REDIS_KEY_PREFIX/ })

  // What only a request needs is told when one needs it.
  const { lines, log } = told()
  const store = await start(rules => rules.replace(' +@sortedset', ''), log)
  await t.rejects(store.sessions.start('owner', 'id', { initialize: {}, began: 1 }, { idleMs: 1000, maxMs: 1000, maxOfOwner: 1, maxTotal: 1 }), { code: 'STATE_UNAVAILABLE' })
  t.match(lines, [/does not let this user run ZREMRANGEBYSCORE/])

  const cluster = await startCluster({ masters: 1, args: changedUsers(t, rules => rules.replace(' +cluster|slots', '')), operator: 'operator' })
  t.teardown(() => cluster.stop())
  await t.rejects(open(t, { clusterNodes: cluster.addresses }), { name: 'UsageError', message: /does not let this user run CLUSTER SLOTS/ })
})
