import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { sessionOwner, type SessionRule } from '../../../src/core/session.ts'
import type { Open } from './store.ts'

const RULE: SessionRule = { idleMs: 60_000, maxMs: 120_000, maxOfOwner: 3, maxTotal: 1000 }
const RECORD = { initialize: { protocolVersion: '2025-11-25' }, began: 1 }

export async function sessionsContract (t: Test, open: Open): Promise<void> {
  const { sessions, close } = await open().then(store => ({ sessions: store.sessions, close: () => store.close() }))
  t.teardown(close)
  const owner = sessionOwner(randomUUID(), '/mcp')
  const other = sessionOwner(randomUUID(), '/mcp')

  await t.test('is found under its owner alone, until it is ended', async t => {
    t.strictSame(await sessions.start(owner, 'a', RECORD, RULE), { started: true })
    t.strictSame(await sessions.find(owner, 'a', RULE), { record: RECORD, level: undefined })
    t.equal(await sessions.find(other, 'a', RULE), undefined)
    t.equal(await sessions.end(other, 'a'), false)
    t.equal(await sessions.end(owner, 'a'), true)
    t.equal(await sessions.end(owner, 'a'), false)
    t.equal(await sessions.find(owner, 'a', RULE), undefined)
  })

  await t.test('holds an owner, and all of them, to a number', async t => {
    for (const id of ['b', 'c', 'd']) t.match(await sessions.start(owner, id, RECORD, RULE), { started: true })
    t.match(await sessions.start(owner, 'e', RECORD, RULE), { started: false, inAll: false })
    t.match(await sessions.start(other, 'f', RECORD, { ...RULE, maxTotal: 1 }), { started: false, inAll: true })
    await sessions.end(owner, 'b')
    t.match(await sessions.start(owner, 'e', RECORD, RULE), { started: true })
  })

  await t.test('holds a holder to the same number, whatever owners it has', async t => {
    const holder = sessionOwner(randomUUID(), '/mcp')
    const owners = Array.from({ length: 4 }, () => sessionOwner(randomUUID(), '/mcp'))
    const held = { ...RULE, holder }
    for (const owner of owners.slice(0, 3)) {
      t.match(await sessions.start(owner, `${owner}-1`, RECORD, held), { started: true })
      t.ok(await sessions.find(owner, `${owner}-1`, held))
    }
    t.match(await sessions.start(owners[3]!, 'too many', RECORD, held), { started: false, inAll: false })
    t.match(await sessions.start(owners[3]!, 'of nobody else', RECORD, RULE), { started: true }, 'others are not touched')
    await sessions.end(owners[0]!, `${owners[0]}-1`, holder)
    t.match(await sessions.start(owners[3]!, 'again', RECORD, held), { started: true })
  })

  await t.test('notes a level and watched resources, of a session that is there, up to a number', async t => {
    t.equal(await sessions.setLevel(owner, 'c', 'error'), true)
    t.match(await sessions.find(owner, 'c', RULE), { level: 'error' })
    t.equal(await sessions.setLevel(owner, 'nothing', 'error'), false)
    t.equal(await sessions.watch(owner, 'c', 'note://1', 2), true)
    t.equal(await sessions.watch(owner, 'c', 'note://2', 2), true)
    t.equal(await sessions.watch(owner, 'c', 'note://3', 2), false)
    t.equal(await sessions.watch(owner, 'c', 'note://1', 2), true, 'one that is watched already')
    t.equal(await sessions.watch(owner, 'nothing', 'note://1', 2), false)
    await sessions.unwatch(owner, 'c', 'note://1')
    t.strictSame(await sessions.watched(owner, 'c'), ['note://2'])
    t.equal(await sessions.watched(owner, 'nothing'), undefined)
  })

  await t.test('watches no more than a few thousand bytes of URIs', async t => {
    t.equal(await sessions.watch(owner, 'd', `note://${'x'.repeat(3000)}`, 200), true)
    t.equal(await sessions.watch(owner, 'd', `note://${'y'.repeat(3000)}`, 200), false)
    t.equal(await sessions.watch(owner, 'd', 'note://z', 200), true)
  })
}
