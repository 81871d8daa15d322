import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { freePort, startRedis } from '../support/redis.ts'
import { startCluster } from '../support/redis-cluster.ts'
import { environmentKey } from '../../src/core/api-key.ts'
import { UsageError } from '../../src/errors.ts'
import { RedisClock } from '../../src/state/redis/client/clock.ts'
import { connect, keepConnected } from '../../src/state/redis/client/connection.ts'
import { deadlines } from '../../src/resilience/deadline.ts'
import { redisStore, type RedisStoreOptions } from '../../src/state/redis/store.ts'
import type { Store } from '../../src/state/store.ts'
import { certificate } from '../support/certificate.ts'
import { folder, silent } from '../support/app.ts'
import { until } from '../support/until.ts'
import { aKey } from './contract/keys.ts'
import { storeContract } from './contract/store.ts'

const RULE = { limit: 30, windowMs: 60_000 }
const UNAVAILABLE = { code: 'STATE_UNAVAILABLE', headers: { 'retry-after': '2' } }

interface Stage {
  redis: Awaited<ReturnType<typeof startRedis>>
  admin: Redis
  open: (more?: Partial<RedisStoreOptions>) => Promise<Store>
}

/** A Redis of the test's own, to be hurt. */
async function stage (t: Test, args: string[] = []): Promise<Stage> {
  const redis = await startRedis({ args: ['--save', '', '--appendonly', 'no', ...args] })
  const admin = new Redis(redis.url)
  admin.on('error', () => {})
  t.teardown(async () => {
    admin.disconnect()
    await redis.stop()
  })
  return {
    redis,
    admin,
    async open (more = {}) {
      const store = await redisStore({ url: redis.url, prefix: 'mcp:', commandTimeoutMs: 2000, replicas: 3, log: silent, ...more })
      t.teardown(() => store.close())
      return store
    }
  }
}

t.test('a Redis that hangs closes authentication, degrades limits, and is used again as soon as it answers', async t => {
  const { redis, open } = await stage(t)
  let degraded = 0
  const store = await open({ onDegraded: () => degraded++ })
  const { record } = aKey()
  await store.saveKey(record)
  await store.blocklist.set('10.0.0.0/8', { since: 1 })

  redis.process.kill('SIGSTOP')
  await t.rejects(store.admit(record.hash, RULE), UNAVAILABLE)
  const counts = await Promise.all(Array.from({ length: 20 }, () => store.hit('sub:none:a', RULE)))
  t.equal(counts.filter(({ allowed }) => allowed).length, 10, 'a third of the limit, for three replicas')
  t.match(counts[0], { degraded: true, limit: 30 })
  t.equal(degraded, 20)
  t.ok(store.blocklist.entries().has('10.0.0.0/8'), 'what was blocked stays blocked')
  t.equal(store.health(), 'unreachable')
  t.equal(store.available(), true, 'one short failure does not make a replica unready')
  await t.rejects(store.saveKey(aKey().record), UNAVAILABLE)

  redis.process.kill('SIGCONT')
  await until(() => store.admit(record.hash, RULE).then(() => true, () => false))
  await until(() => store.health() === 'ok')
  t.notOk((await store.hit('sub:none:b', RULE)).degraded)
})

t.test('a connection that the client gave up begins again, until it is let go', async t => {
  const { redis } = await stage(t)
  const connection = connect({ url: redis.url }, 10_000)
  connection.on('error', () => {})
  t.teardown(() => connection.disconnect())
  const letGo = keepConnected(connection, silent)
  await once(connection, 'ready')
  connection.disconnect()
  await once(connection, 'end')
  await once(connection, 'ready')
  t.equal(await connection.ping(), 'PONG')

  letGo()
  connection.disconnect()
  await once(connection, 'end')
  await new Promise(resolve => setTimeout(resolve, 400))
  t.equal(connection.status, 'end')
})

t.test('starts with Redis absent, is not ready, and serves when it comes', async t => {
  const port = await freePort()
  const store = await redisStore({ url: `redis://127.0.0.1:${port}`, prefix: 'mcp:', commandTimeoutMs: 2000, replicas: 1, log: silent })
  t.teardown(() => store.close())
  t.equal(store.available(), false)
  await t.rejects(store.admit('0'.repeat(64), RULE), UNAVAILABLE)
  t.ok(store.revocations.ageMs() > 30_000, 'no revocation was ever read')
  const redis = await startRedis({ port })
  t.teardown(() => redis.stop())
  await until(() => store.available())
  t.match(await store.admit('0'.repeat(64), RULE), { record: undefined })
})

t.test('refuses everything after its data is gone, on replicas that start later too, until an operator goes on', async t => {
  const { admin, open } = await stage(t)
  const one = await open()
  const { record } = aKey()
  await one.saveKey(record)
  await one.revocations.set('jti:stolen', { since: 1 })

  await admin.flushall()
  await t.rejects(one.admit(record.hash, RULE), UNAVAILABLE, 'never "unknown key"')
  await until(() => one.health() === 'lost')
  t.equal(one.available(), false)
  t.ok(one.revocations.entries().has('jti:stolen'), 'what was revoked stays revoked')

  const two = await open()
  t.equal(two.health(), 'lost')
  await t.rejects(two.admit(record.hash, RULE), UNAVAILABLE)
  await t.rejects(two.hit('sub:x', RULE), UNAVAILABLE)

  t.equal(await two.acceptLoss(), true)
  t.equal(await two.acceptLoss(), false)
  await until(() => one.health() === 'ok')
  t.match(await one.admit(record.hash, RULE), { record: undefined })
  await until(() => two.revocations.entries().has('jti:stolen'))
  await one.saveKey(record)
  t.match(await two.admit(record.hash, RULE), { record })
})

t.test('takes lost data that was restored as it was', async t => {
  const { admin, open } = await stage(t)
  const store = await open()
  const epoch = await admin.get('mcp:epoch')
  await admin.del('mcp:epoch')
  await until(() => store.health() === 'lost')
  t.equal(await admin.get('mcp:epoch'), `lost:${epoch}`)
  await admin.set('mcp:epoch', epoch!)
  await until(() => store.health() === 'ok')
})

t.test('writes revocations again where Redis went back in time', async t => {
  const { admin, open } = await stage(t)
  const store = await open()
  await store.revocations.set('jti:a', { since: 1 })
  const before = await admin.dumpBuffer('mcp:revocations')
  await store.revocations.set('jti:b', { since: 2 })
  await admin.restore('mcp:revocations', 0, before, 'REPLACE')
  await until(() => admin.hexists('mcp:revocations', 'jti:b').then(Boolean))
  t.ok(store.revocations.entries().has('jti:b'))
})

t.test('many changes at once are not taken for lost ones', async t => {
  const { open } = await stage(t)
  const said: string[] = []
  const log = { ...silent, debug () {}, info () {}, warn () {}, error (_data: object, message?: string) { said.push(message ?? '') } }
  const [a, b] = [await open({ log, commandTimeoutMs: 10_000 }), await open({ log })]
  const end = Date.now() + 3000 // both look at the list three times meanwhile
  let made = 0
  while (Date.now() < end) await Promise.all(Array.from({ length: 200 }, () => a.blocklist.set(`10.0.${made >> 8}.${made++ & 255}`, { since: 1 })))
  await until(() => b.blocklist.entries().size === made)
  t.equal(a.blocklist.entries().size, made)
  t.strictSame(said, [])
})

t.test('other replicas hear of each change, and of those they missed', async t => {
  const { admin, open } = await stage(t)
  const [a, b] = [await open(), await open()]
  await Promise.all(Array.from({ length: 200 }, (_, i) => a.revocations.set(`jti:${i}`, { since: i })))
  await until(() => b.revocations.entries().size === 200)
  await a.revocations.delete('jti:7')
  await until(() => !b.revocations.entries().has('jti:7'))
  // By hand and without a message: found by looking.
  await admin.hset('mcp:revocations', 'jti:hand', 'not json', '#', 999)
  await until(() => b.revocations.entries().has('jti:hand'))
})

t.test('a full Redis still says who a key is, and limits go on in this process', async t => {
  const { admin, open } = await stage(t, ['--maxmemory-policy', 'noeviction'])
  const store = await open()
  const { record } = aKey({ limit: 6 })
  await store.saveKey(record)
  await admin.config('SET', 'maxmemory', '1')
  const admissions = await Promise.all(Array.from({ length: 10 }, () => store.admit(record.hash, RULE)))
  t.equal(admissions.filter(({ rateLimit: verdict }) => verdict?.allowed).length, 2, 'a third of its own limit')
  t.match(admissions[0], { record, rateLimit: { degraded: true, limit: 6 } })
  t.match(await store.hit('sub:x', RULE), { degraded: true })
  await t.rejects(store.saveKey(aKey().record), { ...UNAVAILABLE, message: /may have been made/ })
  await admin.config('SET', 'maxmemory', '0')
  t.notOk((await store.hit('sub:x', RULE)).degraded)
})

t.test('an entry that ended long ago leaves the list, and none that was written again or may count', async t => {
  const { admin, open } = await stage(t)
  const now = Date.now()
  const day = 86_400_000
  const entries = { old: now - 2 * day, older: now - 400 * day, recent: now - day / 2, ahead: now + day }
  for (const [id, until] of Object.entries(entries)) await admin.hset('mcp:revocations', `jti:${id}`, JSON.stringify({ since: 1, until }))
  await admin.hset('mcp:revocations', 'jti:ever', '{"since":1}', 'jti:unreadable', 'x', '#', '6')
  const store = await open()
  await until(async () => await admin.hexists('mcp:revocations', 'jti:old') === 0 && await admin.hexists('mcp:revocations', 'jti:older') === 0)
  t.same((await admin.hkeys('mcp:revocations')).sort(), ['#', 'jti:ahead', 'jti:ever', 'jti:recent', 'jti:unreadable'])
  t.equal(await admin.hget('mcp:revocations', '#'), '6', 'which is no change')
  t.same([...store.revocations.entries().keys()].sort(), ['jti:ahead', 'jti:ever', 'jti:unreadable'])

  const ended = JSON.stringify({ since: 1, until: 1 })
  await admin.hset('mcp:blocklist', '10.0.0.1/32', '{"since":2}', '10.0.0.2/32', ended, '#', '2')
  const forget = ['eval', readFileSync(join(import.meta.dirname, '../../src/state/redis/lua/forget-entries.lua'), 'utf8'), 1, 'mcp:blocklist'] as const
  t.equal(await admin.call(...forget, '10.0.0.1/32', ended, '10.0.0.2/32', ended, '10.0.0.3/32', ended), 1)
  t.same((await admin.hkeys('mcp:blocklist')).sort(), ['#', '10.0.0.1/32'], 'what was blocked anew meanwhile stays')
})

t.test('with Redis full of sessions no more is begun, whatever else a script wrote first, and keys and addresses can still be closed', async t => {
  const { admin, open } = await stage(t, ['--maxmemory-policy', 'noeviction'])
  const store = await open()
  const [ada, bob] = [aKey().record, aKey().record]
  for (const record of [ada, bob]) await store.saveKey(record)
  const rule = { idleMs: 60_000, maxMs: 600_000, maxOfOwner: 100_000, maxTotal: 100_000 }
  const record = { initialize: { clientInfo: 'x'.repeat(2000) }, began: 1 }
  const begin = (i: number) => store.sessions.start('owner', `id-${i}`, record, rule)
  await begin(0)
  // What has ended is cleared away by the script that begins: its first write needs no memory.
  for (let i = 0; i < 50; i++) await admin.zadd('mcp:session:{owner}', 1, `gone-${i}`)
  const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))![1])
  await admin.config('SET', 'maxmemory', String(used + 200_000))
  let begun = 0
  for (let i = 1; i < 2000; i++) begun += await begin(i).then(() => 1, () => 0)
  t.ok(begun < 200, `${begun} of 1999 begun`)
  const [now, most] = [/used_memory:(\d+)/, /maxmemory:(\d+)/].map(form => async () => Number(form.exec(await admin.info('memory'))![1]))
  t.ok(await now!() < await most!() + 100_000, 'and Redis holds no more than it may')
  await t.rejects(begin(5000), UNAVAILABLE)

  t.match(await store.changeKey(ada.id, key => ({ ...key, revoked: 1 })), { revoked: 1 })
  await store.revocations.set(`key:${ada.id}`, { since: 1, note: 'x'.repeat(500) })
  await store.blocklist.set('203.0.113.0/24', { since: 1 })
  t.equal(await store.revocations.delete(`key:${ada.id}`), true)
  const other = await open()
  t.ok(other.blocklist.entries().has('203.0.113.0/24'))
  t.match(await other.admit(ada.hash, RULE), { record: { revoked: 1 }, rateLimit: undefined })
  t.match(await other.admit(bob.hash, RULE), { record: bob })
  await t.rejects(store.saveKey(aKey().record), UNAVAILABLE, 'a new key waits for memory')
})

t.test('a Redis with too few replicas serves by local limits, and says so once', async t => {
  const lines: Array<[object, string]> = []
  const line = (data: object, message = '') => { lines.push([data, message]) }
  const { admin, open } = await stage(t)
  const store = await open({ log: { ...silent, debug () {}, info () {}, warn: line, error: line } })
  const { record } = aKey()
  await store.saveKey(record)
  await admin.config('SET', 'min-replicas-to-write', '1')
  const answers = await Promise.all(Array.from({ length: 12 }, () => store.admit(record.hash, RULE)))
  t.equal(answers.filter(({ rateLimit }) => rateLimit?.degraded).length, 12)
  t.equal(answers.filter(({ rateLimit }) => rateLimit?.allowed).length, 10, 'a third of the limit')
  t.match(await store.hit('sub:x', RULE), { degraded: true })
  t.equal(store.available(), true)
  t.equal(store.health(), 'ok')
  t.match(lines, [[{ why: /min-replicas-to-write/ }, /takes no writes/]])
  t.equal(lines.length, 1)
  await admin.config('SET', 'min-replicas-to-write', '0')
  t.notOk((await store.admit(record.hash, RULE)).rateLimit?.degraded)
  t.match(lines.slice(1), [[{ forMs: Number }, /takes writes again/]])
})

t.test('the key of the environment is served while Redis is away, though nobody used it before', async t => {
  const { redis, open } = await stage(t)
  const environment = environmentKey(aKey().key)
  const store = await open({ environmentKey: environment, commandTimeoutMs: 300 })
  redis.process.kill('SIGSTOP')
  t.match(await store.admit(environment.record.hash, RULE), { record: { id: 'default' }, rateLimit: { allowed: true, degraded: true } })
})

t.test('one line says when Redis goes out of reach, and one when it is back, with how long that was', async t => {
  const lines: Array<[object, string]> = []
  const line = (data: object, message = '') => { lines.push([data, message]) }
  const { redis, open } = await stage(t)
  const store = await open({ commandTimeoutMs: 300, log: { ...silent, debug () {}, info () {}, warn: line, error: line } })
  redis.process.kill('SIGSTOP')
  await until(() => store.health() === 'unreachable')
  await until(() => lines.some(([, text]) => text === 'redis is out of reach'))
  await Promise.all(Array.from({ length: 200 }, () => store.admit('0'.repeat(64), RULE).catch(() => {})))
  redis.process.kill('SIGCONT')
  await until(() => lines.some(([, text]) => text === 'redis is ok again'))
  t.equal(lines.filter(([, text]) => text === 'redis is out of reach').length, 1)
  t.match(lines.find(([, text]) => text === 'redis is ok again'), [{ before: 'unreachable', forMs: Number }])
  t.ok(lines.length < 8, 'and few besides')
})

t.test('a replica whose clock is wrong or set neither unblocks nor forgets', async t => {
  const { open } = await stage(t)
  const store = await open()
  const { record } = aKey({ expires: Date.now() + 1_800_000 })
  await store.saveKey(record)
  await store.blocklist.set('203.0.113.9', { since: store.now(), until: store.now() + 1_800_000 })
  const real = Date.now
  t.teardown(() => { Date.now = real })
  for (const ahead of [3_600_000, -3_600_000]) {
    Date.now = () => real() + ahead
    await store.blocklist.set(`10.0.0.${ahead > 0 ? 1 : 2}`, { since: 1 })
    t.ok(Math.abs(store.now() - real()) < 5000, 'the time is that of Redis')
    t.ok(store.blocklist.entries().has('203.0.113.9'))
    t.match(await store.admit(record.hash, RULE), { rateLimit: { allowed: true } })
    const started = await store.sessions.start('owner', String(ahead), { initialize: {}, began: 1 }, { idleMs: 60_000, maxMs: 60_000, maxOfOwner: 10, maxTotal: 10 })
    t.match(started, { started: true })
  }
  Date.now = real
  t.equal(await store.sessions.find('owner', '3600000', { idleMs: 60_000, maxMs: 60_000, maxOfOwner: 10, maxTotal: 10 }).then(found => found?.record.began), 1)
  t.match(await store.sessions.start('owner', 'third', { initialize: {}, began: 1 }, { idleMs: 60_000, maxMs: 60_000, maxOfOwner: 10, maxTotal: 2 }), { started: false, inAll: true }, 'those that a wrong clock began or counted are counted')
})

t.test('the clock of Redis is followed, and a step of it is told from a slow answer', t => {
  const clock = new RedisClock()
  const at = (ms: number) => [String(Math.floor(ms / 1000)), String(ms % 1000 * 1000)]
  const t0 = Date.now()
  t.equal(clock.follow(at(t0 + 500_000), performance.now()), false, 'the first look is no step')
  t.ok(Math.abs(clock.now() - t0 - 500_000) < 1000)
  t.equal(clock.follow(at(t0 + 500_000), performance.now() - 3000), false, 'an answer that took three seconds')
  t.equal(clock.follow(at(t0 + 500_000 + 3_600_000), performance.now()), true)
  t.equal(clock.follow(at(t0 + 500_000), performance.now()), true)
  t.ok(Math.abs(clock.now() - t0 - 500_000) < 5000)
  t.end()
})

t.test('a master that was demoted is not believed', async t => {
  const { admin, open } = await stage(t)
  const store = await open()
  const { record } = aKey()
  await store.saveKey(record)
  await admin.replicaof('127.0.0.1', '1')
  await t.rejects(store.admit(record.hash, RULE), UNAVAILABLE)
  t.match(await store.hit('sub:x', RULE), { degraded: true })
  await admin.replicaof('NO', 'ONE')
  await until(() => store.admit(record.hash, RULE).then(({ record }) => record !== undefined, () => false))
})

t.test('scripts that Redis forgot are sent again', async t => {
  const { admin, open } = await stage(t)
  const store = await open()
  for (let i = 0; i < 5; i++) {
    await admin.script('FLUSH')
    const counts = await Promise.all(Array.from({ length: 10 }, () => store.hit(`sub:${i}`, { limit: 100, windowMs: 60_000 })))
    t.equal(counts.filter(({ degraded }) => degraded).length, 0)
    t.equal(Math.min(...counts.map(({ remaining }) => remaining)), 90)
  }
})

t.test('a busy process does not take its own delay for that of Redis', async t => {
  const limits = deadlines(200)
  t.teardown(() => limits.close())
  const answers = Array.from({ length: 20 }, () => limits.within(new Promise(resolve => setTimeout(resolve, 120))))
  const end = performance.now() + 300
  while (performance.now() < end);
  await Promise.all(answers)
  await t.rejects(limits.within(new Promise(() => {})), { name: 'TooLate' })
})

t.test('says in one line what is wrong with an address', async t => {
  const { redis, admin, open } = await stage(t)
  await admin.config('SET', 'requirepass', 'right')
  const wrong = async (url: string, message: RegExp) => {
    const error = await open({ url }).then(() => undefined, (error: unknown) => error) as Error
    t.type(error, UsageError)
    t.match(error.message, message)
    t.notMatch(error.message, /wrong|\n/)
  }
  await wrong(`redis://:wrong@127.0.0.1:${redis.port}`, /refuses the user or password/)
  await wrong(redis.url, /refuses the user or password/)
  await wrong(`redis://:right@127.0.0.1:${redis.port}/99`, /no database of that number/)
})

t.test('refuses a Redis that may evict keys', async t => {
  const { open } = await stage(t, ['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'])
  await t.rejects(open({ patienceMs: 20_000 }), { name: 'UsageError', message: /noeviction or volatile-ttl/ })
})

t.test('on Cluster every script keeps to one slot and redirections are followed', async t => {
  const cluster = await startCluster({ masters: 2 })
  t.teardown(() => cluster.stop())
  await storeContract(t, clock => redisStore({
    clusterNodes: [cluster.addresses[0]!], prefix: `test:${randomUUID()}:`, commandTimeoutMs: 10_000, replicas: 1, log: silent, ...(clock === undefined ? {} : { clock: () => clock.now })
  }))
})

t.test('Sentinels and the Redis they name, and a Cluster, are asked over TLS, with the password of each', async t => {
  const dir = folder(t)
  const { key, cert } = certificate()
  const [keyFile, certFile] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  writeFileSync(keyFile, key)
  writeFileSync(certFile, cert)
  const files = ['--tls-key-file', keyFile, '--tls-cert-file', certFile, '--tls-ca-cert-file', certFile, '--tls-auth-clients', 'no']
  const tlsPorts = [await freePort(), await freePort(), await freePort()]
  const started = async (options: Parameters<typeof startRedis>[0]) => {
    const redis = await startRedis(options)
    t.teardown(() => redis.stop())
    const admin = new Redis(redis.url)
    t.teardown(() => { admin.disconnect() })
    return admin
  }
  const plain = ['--save', '', '--appendonly', 'no', ...files]
  const master = await started({ args: [...plain, '--tls-port', String(tlsPorts[0])] })
  await master.call('ACL', 'SETUSER', 'mcp', 'on', '>of-redis', '~*', '&*', '+@all')
  await master.config('SET', 'requirepass', 'of-nobody')

  const sentinelPort = await freePort()
  const conf = join(dir, 'sentinel.conf')
  writeFileSync(conf, [
    `port ${sentinelPort}`, `tls-port ${tlsPorts[1]}`, 'tls-replication yes', `tls-key-file ${keyFile}`, `tls-cert-file ${certFile}`, `tls-ca-cert-file ${certFile}`, 'tls-auth-clients no',
    'bind 127.0.0.1', `dir ${dir}`, `sentinel monitor main 127.0.0.1 ${tlsPorts[0]} 1`, 'sentinel auth-user main mcp', 'sentinel auth-pass main of-redis', ''
  ].join('\n'))
  const sentinel = await started({ port: sentinelPort, args: [conf, '--sentinel'], sentinel: true })
  await sentinel.call('ACL', 'SETUSER', 'watcher', 'on', '>of-the-sentinel', '&*', '+@all')
  await sentinel.call('ACL', 'SETUSER', 'default', 'off')

  const cluster = await started({ args: [...plain, '--tls-port', String(tlsPorts[2]), '--cluster-enabled', 'yes', '--tls-cluster', 'yes', '--cluster-announce-ip', '127.0.0.1'] })
  await cluster.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await until(async () => (await cluster.cluster('INFO')).includes('cluster_state:ok'))
  await cluster.config('SET', 'requirepass', 'of-the-cluster')

  const open = async (more: Partial<RedisStoreOptions>) => {
    const store = await redisStore({ tls: true, ca: cert, prefix: `test:${randomUUID()}:`, commandTimeoutMs: 10_000, patienceMs: 20_000, replicas: 1, log: silent, ...more })
    t.teardown(() => store.close())
    return store
  }
  const watched = { hosts: [`127.0.0.1:${tlsPorts[1]}`], masterName: 'main', username: 'watcher', password: 'of-the-sentinel' }
  for (const [name, address] of Object.entries({
    Sentinel: { sentinels: watched, username: 'mcp', password: 'of-redis' },
    Cluster: { clusterNodes: [`127.0.0.1:${tlsPorts[2]}`], password: 'of-the-cluster' },
    'one by its address': { url: `rediss://mcp:of-redis@127.0.0.1:${tlsPorts[0]}`, tls: false }
  })) {
    const store = await open(address)
    await until(() => store.available())
    const { record } = aKey()
    await store.saveKey(record)
    t.match(await store.admit(record.hash, RULE), { record }, name)
  }
  await t.rejects(open({ sentinels: watched, username: 'mcp', password: 'wrong' }), { name: 'UsageError', message: /refuses the user or password/ })
  await t.rejects(open({ url: `rediss://mcp:of-redis@127.0.0.1:${tlsPorts[0]}`, tls: false, ca: certificate().cert }), { name: 'UsageError', message: /certificate of Redis is not trusted/ })
})
