import { once } from 'node:events'
import t from 'tap'
import { connect } from '../../../../src/state/redis/client/connection.ts'
import { GuardedClient } from '../../../../src/state/redis/client/guarded-client.ts'
import { startRedis } from '../../../support/redis.ts'
import { until } from '../../../support/until.ts'

t.test('a Redis that takes the place of one that hung is asked as soon as its connection is ready', async t => {
  const first = await startRedis()
  const client = connect({ url: first.url }, 1000)
  client.on('error', () => {})
  const guarded = new GuardedClient(client, 500, () => {})
  t.teardown(() => {
    guarded.close()
    client.disconnect()
  })
  await until(async () => await guarded.ask(() => client.ping()).then(answer => answer === 'PONG', () => false))

  first.process.kill('SIGSTOP')
  await t.rejects(guarded.ask(() => client.ping()), { code: 'STATE_UNAVAILABLE' })
  t.equal(guarded.open, true, 'nothing was heard, so nothing more is asked')
  const ready = new Promise<void>(resolve => client.once('ready', () => resolve()))
  const exit = once(first.process, 'exit')
  first.process.kill('SIGKILL')
  await exit
  const second = await startRedis({ port: first.port })
  t.teardown(() => second.stop())
  await ready
  t.equal(guarded.open, false)
  t.equal(await guarded.ask(() => client.ping()), 'PONG')
})
