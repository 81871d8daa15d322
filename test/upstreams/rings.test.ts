/** Gateways that have each other, or themselves, behind them. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { gatewayName, VIA_META_KEY } from '../../src/core/via.ts'
import { UpstreamSet } from '../../src/upstreams/upstreams.ts'
import { buildCatalogue } from '../../src/tools/catalogue.ts'
import { defineTool, Type } from '../../src/tools/index.ts'
import { CurrentOffer } from '../../src/tools/offer.ts'
import { addKey, build, folder, legacy, messageOf, modern, silent } from '../support/app.ts'
import { entryOf } from '../support/entries.ts'
import { MemoryWire } from '../support/memory-wire.ts'
import { startServer } from '../support/processes.ts'
import { freePort } from '../support/redis.ts'
import { ScriptedUpstream } from '../support/scripted-upstream.ts'
import { until } from '../support/until.ts'

/** A gateway with one tool, which lists what it offers as the endpoint does. */
class Gateway {
  readonly name: string
  readonly offer: CurrentOffer
  listed = 0

  constructor (name: string) {
    this.name = name
    const own = defineTool({ name: `own-${name}`, description: 'Its own.', input: Type.Object({}), run: () => 'done' })
    this.offer = new CurrentOffer(buildCatalogue([{ from: 'test', definition: own }], new Set<string>()))
  }

  get tools (): string { return [...this.offer.current.tools.keys()].join() }

  /** Ask others what they list, again and again. */
  async follow (t: Test, others: readonly Gateway[]): Promise<UpstreamSet> {
    const set = new UpstreamSet({
      offer: this.offer,
      entries: others.map(({ name }) => entryOf(name)),
      log: silent,
      clientInfo: { name: 'test', version: '1' },
      gateway: gatewayName(this.name),
      relisting: { quietMs: 1, leastMs: 1, everyMs: 20 },
      open: ({ name }) => new MemoryWire(others.find(other => other.name === name)!.server())
    })
    t.teardown(() => set.close(0))
    await set.begin()
    return set
  }

  server (): ScriptedUpstream {
    return new ScriptedUpstream({
      capabilities: { tools: {} },
      answers: {
        'tools/list': () => {
          this.listed++
          const { tools, via } = this.offer.current
          return { tools: [...tools.values()].map(({ listed }) => listed), _meta: { [VIA_META_KEY]: via } }
        }
      }
    })
  }
}

t.test('a gateway that has itself behind it offers nothing twice, however often it asks', async t => {
  const self = new Gateway('self')
  const set = await self.follow(t, [self])
  await until(() => self.listed > 5)
  t.equal(self.tools, 'own-self')
  t.match(set.statuses(), [{ leftOut: [{ what: 'everything', why: /^it is this server/ }] }])
})

t.test('in a ring of two or three nothing comes back, and it stays so', async t => {
  for (const names of [['a', 'b'], ['a', 'b', 'c']]) {
    const ring = names.map(name => new Gateway(name))
    const sets = await Promise.all(ring.map((one, i) => one.follow(t, [ring[(i + 1) % ring.length]!])))
    t.ok(await until(() => sets.every(set => set.statuses()[0]!.leftOut.length > 0)), 'each says why')
    const [asked] = ring.map(({ listed }) => listed)
    await until(() => ring[0]!.listed > asked! + 5)
    for (const { name, tools } of ring) t.equal(tools, `own-${name}`)
  }
})

t.test('two gateways in front of a third are no ring', async t => {
  const [front, left, right, back] = ['front', 'left', 'right', 'back'].map(name => new Gateway(name))
  await left!.follow(t, [back!])
  await right!.follow(t, [back!])
  await front!.follow(t, [left!, right!])
  t.ok(await until(() => front!.tools === 'left_back_own-back,left_own-left,own-front,right_back_own-back,right_own-right'))
})

t.test('the list names the gateways behind it, to clients of both eras, and only where there are some', async t => {
  const { app, store } = await build(t, {
    upstreams: { entries: [entryOf('s')], open: () => new MemoryWire(new ScriptedUpstream()) }
  })
  await app.ready()
  const { key } = await addKey(store)
  for (const answer of [await modern(app, 'tools/list', {}, { key }), await legacy(app, 'tools/list', {}, { key })]) {
    t.match(messageOf(answer).result._meta, { [VIA_META_KEY]: [/^secure-mcp-/] })
  }
  const alone = await build(t)
  const own = await addKey(alone.store)
  t.equal(messageOf(await modern(alone.app, 'tools/list', {}, { key: own.key })).result._meta[VIA_META_KEY], undefined)
})

t.test('a server whose file names its own URL says so, and serves', async t => {
  const cwd = folder(t)
  const port = await freePort()
  const KEY = 'sk-a-key-of-the-test-of-rings'
  mkdirSync(join(cwd, 'config'))
  const self = { url: `http://127.0.0.1:${port}/mcp`, headers: { authorization: `Bearer ${KEY}` }, pin: 'off' }
  writeFileSync(join(cwd, 'config/mcp_servers.json'), JSON.stringify({ mcpServers: { self } }))
  const { url, output } = await startServer(t, { cwd, env: { MCP_API_KEY: KEY, PORT: String(port) } })
  t.ok(await until(() => output().includes('answered HTTP 508: it is this server, or leads back to it')))
  await sleep(100)
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const answer = await fetch(url, { method: 'POST', headers, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' })
  const { result } = await answer.json() as { result: { tools: Array<{ name: string }> } }
  t.ok(result.tools.length > 0 && result.tools.every(({ name }) => !name.startsWith('self_')))
})
