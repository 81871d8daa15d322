import { randomUUID } from 'node:crypto'
import t from 'tap'
import { redisStore } from '../../src/state/redis/store.ts'
import { redisUrl, silent } from '../support/app.ts'
import { storeContract } from './contract/store.ts'

t.test('redis store', async t => {
  await storeContract(t, clock => redisStore({
    url: redisUrl, prefix: `test:${randomUUID()}:`, commandTimeoutMs: 10_000, replicas: 1, log: silent, ...(clock === undefined ? {} : { clock: () => clock.now })
  }))
})
