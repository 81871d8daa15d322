/** What replicas know of upstreams together: lists that outlive them, and tools that wait for an operator on all of them. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { UpstreamEntry } from '../../src/upstreams/entry.ts'
import { NO_LISTS } from '../../src/upstreams/listing.ts'
import { SharedCatalogue } from '../../src/upstreams/shared-catalogue.ts'
import { UpstreamSet } from '../../src/upstreams/upstreams.ts'
import { memoryStore } from '../../src/state/memory/store.ts'
import { redisStore } from '../../src/state/redis/store.ts'
import type { Store } from '../../src/state/store.ts'
import type { Log } from '../../src/telemetry/log.ts'
import { buildCatalogue } from '../../src/tools/catalogue.ts'
import { CurrentOffer } from '../../src/tools/offer.ts'
import { folder, redisUrl, silent } from '../support/app.ts'
import { entryOf } from '../support/entries.ts'
import { MemoryWire } from '../support/memory-wire.ts'
import { ScriptedUpstream, text, tool } from '../support/scripted-upstream.ts'
import { until } from '../support/until.ts'

type OpenStore = () => Promise<Store>

const reads = (description: string) => ({ tools: [tool('read', () => text('ok'), { description }), tool('list', () => text('ok'))] })

/** Replicas of one state, before one upstream that may be replaced or die. */
function system (openStore: OpenStore, more: Partial<UpstreamEntry> = {}, log: Log = silent) {
  const behind: { server: ScriptedUpstream | undefined } = { server: new ScriptedUpstream(reads('Reads a file.')) }
  const wires: MemoryWire[] = []
  const replica = async (t: Test) => {
    const store = await openStore()
    const shared = new SharedCatalogue(store, silent)
    const offer = new CurrentOffer(buildCatalogue([], new Set<string>()))
    const set = new UpstreamSet({
      offer,
      entries: [entryOf('fs', { pin: 'trust_first_use', ...more })],
      log,
      clientInfo: { name: 'test', version: '1' },
      gateway: 'secure-mcp-0123456789abcdef',
      shared,
      relisting: { quietMs: 10, leastMs: 10, everyMs: 50 },
      open () {
        if (behind.server === undefined) throw new Error('it is gone')
        const wire = new MemoryWire(behind.server)
        wires.push(wire)
        return wire
      }
    })
    t.teardown(async () => {
      await set.close(0)
      await store.close()
    })
    await set.begin()
    return { store, shared, set, offer, offered: () => [...offer.current.tools.keys()].join() }
  }
  const become = (server: ScriptedUpstream | undefined) => {
    behind.server = server
    for (const wire of wires.splice(0)) wire.break('exited')
  }
  return { replica, become }
}

function stores (t: Test): Record<string, OpenStore> {
  const dir = folder(t)
  const prefix = `test:${randomUUID()}:`
  return {
    files: async () => memoryStore({ keysFile: join(dir, 'api_keys.json'), folder: dir }),
    Redis: () => redisStore({ url: redisUrl, prefix, commandTimeoutMs: 5000, replicas: 2, log: silent })
  }
}

for (const backend of ['files', 'Redis']) {
  t.test(`one character that changes holds a tool back on every replica until it is approved, in ${backend}`, async t => {
    const { replica, become } = system(stores(t)[backend]!)
    const [a, b] = [await replica(t), await replica(t)]
    t.ok(await until(() => a.offered() === 'fs_list,fs_read' && b.offered() === 'fs_list,fs_read'), 'the first list is trusted')

    become(new ScriptedUpstream(reads('Reads a file!')))
    t.ok(await until(() => a.offered() === 'fs_list' && b.offered() === 'fs_list'), 'held back on both, the other stays')
    t.match(a.set.statuses()[0]?.leftOut, [{ what: /"read"/, why: /nobody has approved/ }])

    const entry = entryOf('fs', { pin: 'trust_first_use' })
    const { lists } = (await b.shared.read(entry))!
    const held = b.shared.judge(entry, lists.tools).filter(({ held }) => held !== undefined)
    t.match(held, [{ name: 'read' }])
    t.match(await b.shared.approvedBefore('fs', 'read'), [{ description: 'Reads a file.' }], 'what it was can be shown')
    await b.shared.approve('fs', held, 'a test')
    t.ok(await until(() => a.offered() === 'fs_list,fs_read' && b.offered() === 'fs_list,fs_read'), 'approved on one, offered on both')

    become(new ScriptedUpstream({ tools: [...reads('Reads a file!').tools, tool('delete', () => text('ok'))] }))
    await until(() => a.set.statuses()[0]!.leftOut.length > 0)
    t.equal(a.offered(), 'fs_list,fs_read', 'a new tool waits as well')
  })

  t.test(`a replica that starts while an upstream is gone offers what it listed before, in ${backend}`, async t => {
    const { replica, become } = system(stores(t)[backend]!)
    const first = await replica(t)
    t.ok(await until(() => first.offered() === 'fs_list,fs_read'))
    become(undefined)
    const begun = performance.now()
    const second = await replica(t)
    t.equal(second.offered(), 'fs_list,fs_read')
    t.ok(performance.now() - begun < 30_000, 'without waiting for it')
  })
}

t.test('what changes is told once, and again when it changes after it was approved', async t => {
  const told: unknown[] = []
  const log: Log = { debug () {}, info () {}, warn: ({ what }: { what?: unknown }) => { told.push(what) }, error () {} }
  const { replica, become } = system(stores(t).files!, {}, log)
  const held = /^tool "read" is not offered: it is new or changed/
  const count = () => told.filter(what => held.test(String(what))).length
  const a = await replica(t)
  t.ok(await until(() => a.offered() === 'fs_list,fs_read'))
  for (const [i, description] of ['Reads a file!', 'Reads a file?'].entries()) {
    become(new ScriptedUpstream(reads(description)))
    t.ok(await until(() => a.offered() === 'fs_list'))
    t.equal(count(), i + 1)
    const listedAt = () => a.set.statuses()[0]!.listedAt
    const isKept = async () => {
      const [before, catalogue] = [listedAt(), a.offer.current]
      await until(() => listedAt() !== before)
      return a.offer.current === catalogue
    }
    t.ok(await until(isKept), 'nothing is built anew for a list that is the same')
    t.equal(count(), i + 1)
    const { lists } = (await a.shared.read(entryOf('fs', { pin: 'trust_first_use' })))!
    await a.shared.approve('fs', a.shared.judge(entryOf('fs', { pin: 'trust_first_use' }), lists.tools), 'a test')
    t.ok(await until(() => a.offered() === 'fs_list,fs_read'))
  }
})

t.test('an emptied list of approvals is no first time', async t => {
  const { replica } = system(stores(t).Redis!)
  const a = await replica(t)
  t.ok(await until(() => a.offered() === 'fs_list,fs_read'))
  for (const id of [...a.store.approvals.entries().keys()]) await a.store.approvals.delete(id)
  t.ok(await until(() => a.offered() === ''))
  const b = await replica(t)
  t.equal(b.offered(), '')
})

t.test('nothing is trusted where each tool is to be approved, and what nobody can see is never trusted', async t => {
  const approve = await system(stores(t).files!, { pin: 'approve' }).replica(t)
  t.ok(await until(() => approve.set.statuses()[0]!.leftOut.length === 2))
  t.equal(approve.offered(), '')

  const { replica, become } = system(stores(t).files!)
  become(new ScriptedUpstream(reads('Reads\u200b a file.')))
  const a = await replica(t)
  t.ok(await until(() => a.offered() === 'fs_list'))
  t.match(a.set.statuses()[0]?.leftOut, [{ what: /"read"/, why: /cannot see/ }])
})

for (const trouble of ['the state is out of reach', 'the first claim does not arrive']) {
  t.test(`what is listed for the first time while ${trouble} is approved and kept when that is over`, async t => {
    const store = memoryStore()
    t.teardown(() => store.close())
    let isOver = false
    const { approvals, catalogues, now } = store
    const shared = new SharedCatalogue({
      approvals,
      catalogues,
      now,
      claim: async (id, forMs) => isOver ? await store.claim(id, forMs) : await Promise.reject(new Error('it does not arrive')),
      health: () => isOver || trouble !== 'the state is out of reach' ? 'ok' : 'unreachable'
    }, silent)
    t.teardown(() => shared.close())
    const entry = entryOf('fs', { pin: 'trust_first_use' })
    const tools = [{ name: 'read', description: 'Reads a file.', inputSchema: { type: 'object' } }]
    await shared.keep(entry, { ...NO_LISTS, tools })
    t.ok(shared.judge(entry, tools)[0]!.held, 'nothing is approved that could not be shared')
    isOver = true
    await until(() => shared.judge(entry, tools)[0]!.held === undefined)
    t.same((await shared.read(entry))?.lists.tools, tools)
  })
}
