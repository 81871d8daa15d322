/** What stays open is judged again while it is open, and has a longest life. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { apiKeyAuthenticator } from '../../../src/auth/api-keys.ts'
import type { Authenticator } from '../../../src/auth/authenticator.ts'
import { authenticationChain, type Caller } from '../../../src/auth/chain.ts'
import { customAuthenticator, type CustomIdentity } from '../../../src/auth/custom.ts'
import { holderOf, type Principal } from '../../../src/core/principal.ts'
import { StreamRegistry, type Open } from '../../../src/mcp/streams/registry.ts'
import { memoryStore } from '../../../src/state/memory/store.ts'
import { defineResource } from '../../../src/tools/index.ts'
import { addKey, build, folder, META, MODERN, modern } from '../../support/app.ts'
import { freePort } from '../../support/redis.ts'
import { until } from '../../support/until.ts'

const rule = { limit: 1_000_000, windowMs: 60_000 }
const rules = { none: rule, api_key: rule, oauth2: rule, custom: rule }
const HERE = { address: '192.0.2.1', method: 'POST', url: 'http://localhost:3000/mcp' }

/** A registry over a real store, and the chain that makes its callers. */
function open (t: Test, { judgeMs = 600_000, maxLifeMs = 600_000, others = [] }: { judgeMs?: number, maxLifeMs?: number, others?: readonly Authenticator[] } = {}) {
  const dir = folder(t)
  const store = memoryStore({ keysFile: join(dir, 'keys.json'), folder: dir })
  const streams = new StreamRegistry({ revocations: store.revocations, bus: store.bus, maxOfPrincipal: 3, maxLifeMs, judgeMs })
  t.teardown(async () => {
    streams.close()
    await store.close()
  })
  return { store, streams, identify: authenticationChain({ authenticators: [apiKeyAuthenticator({ store, rule }), ...others], store, required: true, rules }) }
}

/** Something open, and what became of it. */
class Held implements Open {
  readonly caller: Caller
  ended = 0
  principal: Principal | undefined

  constructor (caller: Caller) {
    this.caller = caller
  }

  tick (): void {}
  changed (principal: Principal): void { this.principal = principal }
  end (): void { this.ended++ }
  cut (): void {}
}

t.test('a key that was changed reaches what it opened as soon as that is told', async t => {
  const { store, streams, identify } = open(t)
  const { key, record } = await addKey(store, { permissions: ['*'] })
  const held = new Held(await identify({ type: 'api_key', value: key }, HERE))
  streams.open(held)
  await store.saveKey({ ...record, permissions: ['*', '!resource:*'] })
  await until(() => held.principal !== undefined)
  t.same(held.principal!.permissions, ['*', '!resource:*'])
  t.equal(held.ended, 0)
  await store.saveKey({ ...record, revoked: Date.now() })
  await until(() => held.ended > 0)
})

t.test('without a word each is judged again after a while: a key that expired, one bound to other addresses', async t => {
  const { store, streams, identify } = open(t, { judgeMs: 20 })
  for (const change of [{ expires: 1 }, { cidrs: ['10.0.0.0/8'] }]) {
    const { key, record } = await addKey(store)
    const held = new Held(await identify({ type: 'bearer', value: key }, HERE))
    streams.open(held)
    await store.saveKey({ ...record, ...change })
    await until(() => held.ended > 0)
    t.ok(held.ended, JSON.stringify(change))
  }
})

t.test('a custom caller that is no longer known, or is somebody else now, is ended; one that cannot be asked about stays for a while', async t => {
  let answer: () => CustomIdentity | undefined = () => ({ id: 'ada', permissions: ['*'] })
  let asked = 0
  const others = [customAuthenticator(() => { asked++; return answer() })]
  for (const [what, next, ends] of [
    ['unknown', () => undefined, true],
    ['somebody else', () => ({ id: 'eve', permissions: ['*'] }), true],
    ['expired', () => ({ id: 'ada', permissions: ['*'], expiresAt: 1 }), true],
    ['broken', () => { throw new Error('directory is down') }, false]
  ] as Array<[string, typeof answer, boolean]>) {
    const { streams, identify } = open(t, { judgeMs: 20, others })
    answer = () => ({ id: 'ada', permissions: ['*'] })
    const held = new Held(await identify({ type: 'bearer', value: 'whatever' }, HERE))
    streams.open(held)
    answer = next
    const before = asked
    await until(() => held.ended > 0 || asked > before + 3)
    t.equal(held.ended > 0, ends, what)
  }
})

t.test('everything has a longest life', async t => {
  const { store, streams, identify } = open(t, { maxLifeMs: 30 })
  const held = new Held(await identify({ type: 'bearer', value: (await addKey(store)).key }, HERE))
  streams.open(held)
  await until(() => held.ended > 0)
})

t.test('a subject holds so many, whatever clients it uses', async t => {
  const { streams } = open(t)
  const caller = (client: string): Caller => {
    const principal: Principal = { id: `oauth2:as:ada:${client}`, subjectId: 'oauth2:as:ada', name: 'ada', authType: 'oauth2', role: 'caller', permissions: [], authenticatedAt: 0, revocableAs: [] }
    return { principal, recheck: async () => principal } as Caller
  }
  const releases = ['a', 'b', 'c'].map(client => streams.open(new Held(caller(client))))
  t.throws(() => streams.open(new Held(caller('d'))), { code: 'TOO_MANY_STREAMS', rule: 'MAX_STREAMS_PER_PRINCIPAL' })
  releases[0]!()
  releases[0]!()
  t.doesNotThrow(() => streams.open(new Held(caller('d'))))
  t.throws(() => streams.open(new Held(caller('e'))), { code: 'TOO_MANY_STREAMS' }, 'released twice is released once')
  t.equal(holderOf(caller('a').principal), 'oauth2:as:ada')
})

t.test('a subscription hears no more of what its key lost, and ends with the key', async t => {
  const port = await freePort()
  const note = defineResource({ uri: 'note://a', name: 'a', read: (_at, { changed }) => { changed({ resource: 'note://a' }); return 'a' } })
  const { app, store } = await build(t, { tools: [note], env: { PUBLIC_URL: `http://127.0.0.1:${port}` } })
  await app.listen({ host: '127.0.0.1', port })
  const [listener, reader] = [await addKey(store), await addKey(store)]
  const response = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': MODERN, 'mcp-method': 'subscriptions/listen', authorization: `Bearer ${listener.key}` },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params: { _meta: META, notifications: { toolsListChanged: true, resourceSubscriptions: ['note://a'] } } })
  })
  let heard = ''
  let over = false
  const reading = (async () => {
    for await (const part of response.body!) heard += Buffer.from(part).toString()
    over = true
  })()
  const read = () => modern(app, 'resources/read', { uri: 'note://a' }, { key: reader.key, headers: { host: `127.0.0.1:${port}` } })
  await read()
  await until(() => heard.includes('resources/updated'))

  await store.saveKey({ ...listener.record, permissions: ['echo'] })
  await until(() => heard.includes('tools/list_changed'))
  const before = heard.length
  await read()
  await store.saveKey({ ...listener.record, revoked: Date.now() })
  await until(() => over)
  await reading
  t.notMatch(heard.slice(before), /resources\/updated/)
})
