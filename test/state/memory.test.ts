import { join } from 'node:path'
import t from 'tap'
import { memoryStore } from '../../src/state/memory.ts'
import { localWindows } from '../../src/state/windows.ts'
import { folder } from '../helper.ts'
import { storeContract } from './contract.ts'

t.test('memory store', async t => {
  const dir = folder(t)
  await storeContract(t, async () => memoryStore({ keysFile: join(dir, 'api_keys.json'), folder: dir }))
})

t.test('holds a bounded number of subjects and drops the one idle longest', async t => {
  const windows = localWindows(1000)
  const rule = { limit: 5, windowMs: 60_000 }
  windows.hit('kept', rule, 5, 0)
  for (let i = 0; i < 5000; i++) {
    windows.hit(`flood-${i}`, rule, 1, 20_000 + i)
    if (i % 200 === 0) t.match(windows.hit('kept', rule, 1, 20_000 + i), { allowed: false })
  }
  t.ok(windows.size <= 1000)
})
