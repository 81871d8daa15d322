/** A dry run says what the change would have decided, and says where it cannot know. */
import t from 'tap'
import { DryRun, type ReplayedRecord } from '../../src/decision/dry-run.ts'
import { changedKey, changeKey, type KeyChange } from '../../src/operate/keys.ts'
import { classRules } from '../../src/settings/class-rules.ts'
import { addKey, build, modern, type Built } from '../support/app.ts'

type Change = ConstructorParameters<typeof DryRun>[1]

/** Of the records that a server keeps, which are its request lines. */
async function dryRun ({ store, config, lines }: Built, change: Change) {
  const run = new DryRun({ keys: await store.listKeys(), rules: classRules(config), blocked: [] }, change)
  for (const line of lines.filter(({ msg }) => msg === 'request')) run.take(line as unknown as ReplayedRecord)
  return run.result()
}

async function keyChange ({ store }: Built, id: string, change: KeyChange): Promise<Change> {
  return { key: changedKey((await store.findKey(id))!, change) }
}

t.test('what a change of a key would refuse is what it refuses', async t => {
  const built = await build(t)
  const { app, store, lines } = built
  const { key, record } = await addKey(store, { name: 'ci' })
  const other = await addKey(store)
  const calls: Array<[string, string]> = [['echo', key], ['get_time', key], ['echo', other.key], ['nothing', key]]
  const all = async () => {
    for (const [name, key] of calls) await modern(app, 'tools/call', { name, arguments: name === 'echo' ? { text: 'a' } : {} }, { key })
    await modern(app, 'tools/list', {}, { key })
  }
  await all()
  const ofKey = async (id: string, change: KeyChange) => await dryRun(built, await keyChange(built, id, change))

  const permissions = await ofKey(record.id, { permissions: ['get_*'] })
  t.match(permissions, { records: 5, unchanged: 3, byPrincipal: { [`key:${record.id}`]: 2 }, unknown: {} })
  t.same(permissions.changes, [{ from: 'served', to: 'ACCESS_DENIED', count: 1 }, { from: 'UNKNOWN_TOOL', to: 'ACCESS_DENIED', count: 1 }])
  t.match(permissions.examples[0], { principal: `key:${record.id}`, target: 'echo', rule: String, reqId: String })

  t.match((await dryRun(built, { block: ['127.0.0.0/8'] })).changes, [{ to: 'ADDRESS_BLOCKED' }])
  t.match(await ofKey(record.id, { cidrs: ['203.0.113.0/24'] }), { byPrincipal: { [`key:${record.id}`]: 4 } })
  t.match((await ofKey(other.record.id, { limit: 1 })).changes, [], 'one call fits')
  t.match((await dryRun(built, { limits: { api_key: 2 } })).changes.reduce((sum, { to, count }) => sum + (to === 'RATE_LIMITED' ? count : 0), 0), 2, 'the third and fourth of the key')

  const before = lines.length
  await changeKey(store, 'ci', { permissions: ['get_*'] })
  await all()
  t.equal(lines.slice(before).filter(({ msg, decision }) => msg === 'request' && decision === 'ACCESS_DENIED').length, 2, 'as the app decides then')
})

t.test('what was refused and would not be is known as far as it was asked', async t => {
  const built = await build(t)
  const { app, store } = built
  const { key, record } = await addKey(store, { name: 'ci', permissions: ['get_*'] })
  await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'a' } }, { key })
  await modern(app, 'tools/call', { name: 'get_time', arguments: {} }, {})
  const result = await dryRun(built, await keyChange(built, record.id, { allow: ['echo'] }))
  t.match(result, { records: 2, unchanged: 1, changes: [{ from: 'ACCESS_DENIED', to: 'unknown', count: 1 }], unknown: { 'what comes after ACCESS_DENIED was not asked then': 1 } })
})
