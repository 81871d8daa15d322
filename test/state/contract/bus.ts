import type { Test } from 'tap'
import { until } from '../../support/until.ts'
import type { Open } from './store.ts'

export async function busContract (t: Test, open: Open): Promise<void> {
  const store = await open()
  t.teardown(() => store.close())

  await t.test('tells whoever listens to a topic, and nobody else', async t => {
    const heard: string[] = []
    const stops = ['a', 'b'].map(topic => store.bus.listen(topic, text => heard.push(`${topic} ${text}`)))
    // A subscription takes a moment to reach Redis.
    await until(async () => { await store.bus.publish('a', 'try'); return heard.includes('a try') })
    await until(async () => { await store.bus.publish('b', 'try'); return heard.includes('b try') })
    await store.bus.publish('a', 'one')
    await until(() => heard.includes('a one'))
    stops[0]!()
    await store.bus.publish('a', 'two')
    await store.bus.publish('b', 'three')
    await until(() => heard.includes('b three'))
    t.notOk(heard.includes('a two'))
    stops[1]!()
  })
}
