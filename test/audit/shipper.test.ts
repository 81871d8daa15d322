import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AuditLog, type Keeping } from '../../src/audit/audit-log.ts'
import { sealKeys } from '../../src/audit/seal.ts'
import { Trace } from '../../src/decision/trace.ts'
import { redisStore } from '../../src/state/redis/store.ts'
import type { Store } from '../../src/state/store.ts'
import { folder, redisUrl, silent } from '../support/app.ts'
import { secureMcp } from '../support/processes.ts'
import { freePort, startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const SECRET = 'Zr4k9-Qw7xT2bV8nM1pL6sD3fG5hJ0cYeUiOa'
const KEYS = sealKeys([SECRET]) as Keeping['keys'] & ReturnType<typeof sealKeys>

async function shared (t: Test, url = redisUrl): Promise<{ store: Store, env: Record<string, string> }> {
  const prefix = `test:${randomUUID()}:`
  const store = await redisStore({ url, prefix, commandTimeoutMs: 10_000, patienceMs: 30_000, replicas: 1, log: silent })
  t.teardown(() => store.close())
  return { store, env: { REDIS_URL: url, REDIS_KEY_PREFIX: prefix, STATE_SECRET: SECRET } }
}

function open (t: Test, store: Store, more: Partial<Keeping> = {}) {
  const troubles: Array<string | undefined> = []
  const dir = 'folder' in more ? more.folder : folder(t)
  const log = new AuditLog({
    out () {},
    keep: {
      folder: dir, records: store.records, maxBytes: 2 ** 30, retentionMs: 86_400_000, keys: KEYS, secret: SECRET, privacy: 'plain', whenFull: 'open', version: '0', onUnshipped: why => { troubles.push(why) }, ...more
    }
  })
  return { log, dir, troubles }
}

function add (log: AuditLog, from: number, to: number, refused = false): void {
  for (let i = from; i < to; i++) {
    const trace = new Trace(`r-${i}`)
    trace.principal = 'key:a'
    trace.address = '10.0.0.1'
    trace.target = 'echo'
    if (refused) trace.refuse('ACCESS_DENIED', '!echo')
    log.addNow(trace, 'request')
  }
}

const textIn = async (store: Store) => (await store.records!.after(undefined, 10_000)).map(({ text }) => text).join('')

t.test('records of all replicas are seen, and verified, from a machine that has none of their files', async t => {
  const { store, env } = await shared(t)
  const [one, two] = [open(t, store), open(t, store)]
  add(one.log, 0, 300)
  add(two.log, 300, 600)
  add(two.log, 600, 601, true)
  await Promise.all([one.log.end(30_000), two.log.end(30_000)])

  const cwd = folder(t)
  const refused = await secureMcp(['audit', 'tail', '--refused'], { cwd, env })
  t.match(refused.out, /ACCESS_DENIED \(!echo\) {2}key:a.*--record r-600\n$/)
  const all = await secureMcp(['audit', 'tail', '--json', '--since', '1h'], { cwd, env })
  const ids = all.out.trimEnd().split('\n').map(line => (JSON.parse(line) as { reqId: string }).reqId)
  t.same(ids.toSorted(), Array.from({ length: 601 }, (_, i) => `r-${i}`).toSorted())

  const verified = await secureMcp(['audit', 'verify', '--stream', '--json'], { cwd, env })
  t.equal(verified.code, 0, verified.out + verified.err)
  t.match(JSON.parse(verified.out), [{ whole: true, complete: true, closed: true, seals: 1, witnessed: true }, { whole: true, complete: true }])
  const exported = await secureMcp(['audit', 'export', '--stream', '--format', 'cef'], { cwd, env })
  t.equal(exported.out.trimEnd().split('\n').length, 601)
})

t.test('files whose end was cut off are found by the head in Redis', async t => {
  const { store, env } = await shared(t)
  const { log, dir } = open(t, store)
  add(log, 0, 50)
  await log.end(30_000)
  const path = join(dir!, readdirSync(dir!)[0]!)
  const ask = async () => await secureMcp(['audit', 'verify'], { cwd: dir!, env: { ...env, AUDIT_DIR: dir! } })
  t.match(await ask(), { code: 0, out: /whole, complete/ })
  writeFileSync(path, readFileSync(path, 'utf8').split('\n').slice(0, 30).join('\n') + '\n')
  t.match(await ask(), { code: 1, out: /ends at 30, and a witness saw 53/ })
})

t.test('while Redis is gone records wait in the folder, and all are sent on when it is back', async t => {
  const port = await freePort()
  const first = await startRedis({ port })
  const { store } = await shared(t, first.url)
  const { log, troubles } = open(t, store)
  add(log, 0, 10)
  await until(async () => (await textIn(store)).includes('"r-9"'))
  await first.stop()
  add(log, 10, 5000)
  await until(() => troubles.length === 1)
  t.type(troubles[0], 'string')
  t.ok(log.figures().shipLagMs > 0)
  const second = await startRedis({ port })
  t.teardown(() => second.stop())
  await until(async () => (await textIn(store).catch(() => '')).includes('"r-4999"'))
  await log.end(30_000)
  t.same(troubles.slice(1), [undefined])
  const numbers = [...(await textIn(store)).matchAll(/"reqId":"r-(\d+)"/g)].map(([, i]) => Number(i))
  t.same([...new Set(numbers)].toSorted((a, b) => a - b), Array.from({ length: 4990 }, (_, i) => i + 10), 'what came after the loss is there, each once or twice')
  t.match(log.figures(), { lost: 0 })
})

t.test('what a killed process left is sent on by the next, under its own chain and once', async t => {
  const { store, env } = await shared(t)
  const absent = { ...store, records: undefined } as Store
  const before = open(t, absent)
  add(before.log, 0, 20)
  for (let life = 0; life < 2; life++) {
    const { log } = open(t, store, { folder: before.dir })
    await until(async () => (await store.records!.heads()).has(before.log.chain!))
    await log.end(30_000)
  }
  const batches = await store.records!.after(undefined, 100)
  t.equal(batches.filter(({ chain }) => chain === before.log.chain).length, 1)
  t.match(await secureMcp(['audit', 'verify', '--stream'], { cwd: before.dir!, env }), { code: 0 })
  before.log.close()
})

t.test('without a folder records wait in memory, and what finds no room there is counted', async t => {
  const { store } = await shared(t)
  const { log } = open(t, store, { folder: undefined })
  add(log, 0, 100)
  await log.end(30_000)
  t.match(await textIn(store), /"r-99".*"msg":"closed"/s)

  const absent = { ...store, records: undefined } as Store
  const full = open(t, absent, { folder: undefined })
  add(full.log, 0, 45_000)
  t.ok(full.log.figures().lost > 0, `${full.log.figures().lost}`)
  full.log.close()
})

t.test('at its bound what Redis has goes first, oldest first, and the chain says so', async t => {
  const { store, env } = await shared(t)
  const { log, dir } = open(t, store, { maxBytes: 300_000, whenFull: 'closed' })
  for (let i = 0; i < 3000; i += 100) {
    add(log, i, i + 100)
    await until(() => log.figures().shipLagMs === 0)
  }
  await log.end(30_000)
  t.ok(log.available)
  const files = readdirSync(dir!)
  t.notOk(files.some(name => name.endsWith('-000000000001.jsonl')), 'the first segment is gone')
  t.match(await secureMcp(['audit', 'verify'], { cwd: dir!, env: { ...env, AUDIT_DIR: dir! } }), { code: 0, out: /: whole\. .*from n \d+ on/ })
  rmSync(join(dir!, files.toSorted()[0]!))
  t.match(await secureMcp(['audit', 'verify'], { cwd: dir!, env: { ...env, AUDIT_DIR: dir! } }), { code: 1, out: /no beginning, and no chain here says/ }, 'a segment that somebody took is missed')
})
