import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { environmentKey } from '../../src/core/api-key.ts'
import { memoryStore } from '../../src/state/memory/store.ts'
import { MemoryWindows } from '../../src/state/memory/windows.ts'
import { until } from '../support/until.ts'
import { folder } from '../support/app.ts'
import { aKey } from './contract/keys.ts'
import { storeContract } from './contract/store.ts'

t.test('memory store', async t => {
  await storeContract(t, async clock => {
    const dir = folder(t)
    return memoryStore({ keysFile: join(dir, 'api_keys.json'), folder: dir, ...(clock === undefined ? {} : { clock: () => clock.now }) })
  })
})

t.test('memory store without files', async t => {
  await storeContract(t, async clock => memoryStore(clock === undefined ? {} : { clock: () => clock.now }))
})

t.test('holds a bounded number of subjects and drops the one idle longest', async t => {
  let now = 0
  const windows = new MemoryWindows(() => now, 1000)
  const rule = { limit: 5, windowMs: 60_000 }
  windows.count('kept', rule, 5)
  for (let i = 0; i < 5000; i++) {
    now = 20_000 + i
    windows.count(`flood-${i}`, rule, 1)
    if (i % 200 === 0) t.match(windows.count('kept', rule, 1), { allowed: false })
  }
  t.ok(windows.size <= 1000)
})

t.test('remembers when a key was last used, in a file beside the keys and never in it', async t => {
  const dir = folder(t)
  const keysFile = join(dir, 'api_keys.json')
  const open = (warn = (_message: string) => {}) => memoryStore({ keysFile, folder: dir, environmentKey: environmentKey(aKey().key), warn })
  const store = open()
  const { record } = aKey()
  await store.saveKey(record)
  const before = readFileSync(keysFile, 'utf8')
  const minute = 1_800_000_000_000
  store.touchKey(record, minute + 1)
  store.touchKey(record, minute + 59_999)
  t.match(await store.findKey(record.id), { lastUsed: minute })
  await store.close()
  t.equal(readFileSync(keysFile, 'utf8'), before)

  const again = open()
  t.match(await again.listKeys(), [{ id: 'default', lastUsed: undefined }, { id: record.id, lastUsed: minute }])
  await again.close()

  writeFileSync(join(dir, 'last_used.json'), '{"half')
  const warnings: string[] = []
  const third = open(message => warnings.push(message))
  t.equal((await third.findKey(record.id))?.lastUsed, undefined)
  t.match(warnings, [/last_used\.json cannot be read/])
  await third.close()
})

t.test('what a clock that was wrong for a while let run out is there again, in the file, too', async t => {
  const dir = folder(t)
  const clock = { now: 1_800_000_000_000 }
  const store = memoryStore({ keysFile: join(dir, 'api_keys.json'), folder: dir, clock: () => clock.now })
  t.teardown(() => store.close())
  await store.blocklist.set('203.0.113.9', { since: clock.now, until: clock.now + 1_800_000 })
  clock.now += 3_600_000
  await until(() => !store.blocklist.entries().has('203.0.113.9'))
  await store.blocklist.set('203.0.113.10', { since: clock.now })
  t.equal(await store.blocklist.delete('203.0.113.9'), false, 'by that clock it is gone')
  await store.blocklist.set('203.0.113.9', { since: clock.now - 3_600_000, until: clock.now - 1_800_000 })
  clock.now -= 3_600_000
  await until(() => store.blocklist.entries().has('203.0.113.9'))
  t.ok(store.blocklist.entries().has('203.0.113.10'))
})
