/** What is explained is what is decided: the running app and the explanation are asked the same. */
import fc from '../support/fast-check.ts'
import t from 'tap'
import { originCheck, hostCheck } from '../../src/core/origin.ts'
import { hashKey } from '../../src/core/api-key.ts'
import { explain, type PoliciesNow, type Presented } from '../../src/decision/explain.ts'
import { LAYERS } from '../../src/decision/layers.ts'
import { buildRuntime } from '../../src/runtime.ts'
import { definePrompt, defineResource, defineTool, Type } from '../../src/tools/index.ts'
import { addKey, build, modern, silent } from '../support/app.ts'
import { cases } from '../support/cases.ts'
import type { ApiKeyRecord } from '../../src/core/api-key.ts'
import type { Kind } from '../../src/core/permissions.ts'

const input = Type.Object({ region: Type.Optional(Type.String({ 'x-mcp-header': 'Region', maxLength: 40 })), n: Type.Optional(Type.Integer()) }, { additionalProperties: false })
const TOOLS = [
  defineTool({ name: 'plain', description: 'Plain.', input, run: () => 'done' }),
  defineTool({ name: 'dear', description: 'Costs much.', input, cost: 5, run: () => 'done' }),
  defineTool({ name: 'rare', description: 'Has a limit of its own.', input, rate: { limit: 2, windowMs: 86_400_000 }, run: () => 'done' }),
  defineTool({ name: 'get_rare', description: 'Has both.', input, cost: 3, rate: { limit: 2, windowMs: 86_400_000 }, run: () => 'done' }),
  defineTool({ name: 'takes_paths', description: 'Is exempt.', input, exempt: { path_traversal: 'it opens nothing' }, run: () => 'done' }),
  definePrompt({ name: 'greet', arguments: [{ name: 'who' }], get: () => 'hello' }),
  defineResource({ uri: 'note://a', name: 'a', read: () => 'a' }),
  defineResource({ uri: 'doc://{name}', name: 'docs', read: () => 'a' })
]
const SOURCES = TOOLS.map(definition => ({ from: 'test', definition }))
/** A window so long that nothing leaves it while the test runs. */
const ENV = { RATE_LIMIT_WINDOW_MS: '86400000', RATE_LIMIT_API_KEY: '100000000', ALLOWED_HOSTS: 'localhost:3000' }

async function ready (t: Parameters<typeof build>[0], env: Record<string, string> = {}) {
  const built = await build(t, { tools: TOOLS, env: { ...ENV, ...env } })
  const { store, config } = built
  const runtime = await buildRuntime({ config, store, logger: silent, sources: SOURCES })
  t.teardown(() => runtime.close())
  const now: PoliciesNow = {
    store,
    catalogue: runtime.offer.current,
    inspection: runtime.inspection,
    rules: runtime.rules,
    hosts: { isHost: hostCheck(config.ALLOWED_HOSTS, 'http:'), isOrigin: originCheck(config.ALLOWED_ORIGINS) },
    seesCounts: true
  }
  return { ...built, now }
}

const CASES = cases(2000, 10_000)

t.test(`the app and the explanation agree on ${CASES} generated cases`, async t => {
  const { app, store, now, lines } = await ready(t)
  for (const range of ['192.0.2.0/24', '2001:db8:dead::/48']) await store.blocklist.set(range, { since: 1 })
  const sets = [['*'], ['get_*', 'plain'], ['*', '!rare'], ['*', '!get_*', '!resource:*'], ['resource:note://*', 'prompt:greet', 'dear'], ['absent', 'takes_*'], []]
  const kinds: Array<Partial<ApiKeyRecord>> = [
    ...sets.map(permissions => ({ permissions })), { revoked: 1 }, { expires: 1 }, { cidrs: ['10.0.0.0/8'] }, { role: 'operator' as const, permissions: [] },
    { limit: 40 }, { limit: 3 }, { previous: { hash: hashKey('the-key-before-the-last-rotation'), until: 1 } }
  ]
  const keys = await Promise.all(kinds.map(kind => addKey(store, kind)))
  const listed = await addKey(store)
  await store.revocations.set(`key:${listed.record.id}`, { since: 1 })
  const who = fc.constantFrom(...keys, listed)
  const words = fc.constantFrom('eu', '../../etc/passwd', 'x'.repeat(41), '%2e%2e%2f%2e%2e%2fetc/passwd', '<script>alert(1)</script>', 'SELECT')
  const args = fc.oneof({ weight: 3, arbitrary: fc.record({ region: words }) }, fc.constant({}), fc.record({ n: fc.constantFrom<unknown>(1, '1', 1.5, 2 ** 60) }), fc.record({ other: words }))
  const target = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom('plain', 'dear', 'rare', 'get_rare', 'takes_paths', 'absent', '__proto__', 'get_absent').map(name => ({ kind: 'tool' as Kind, name })) },
    fc.constantFrom('greet', 'nobody').map(name => ({ kind: 'prompt' as Kind, name })),
    fc.constantFrom('note://a', 'doc://x', 'doc://..', 'note://absent').map(name => ({ kind: 'resource' as Kind, name })))
  const address = fc.oneof({ weight: 9, arbitrary: fc.constantFrom('198.51.100.1', '198.51.100.2', '10.9.9.9', '2001:db8:beef::1') }, fc.constantFrom('192.0.2.7', '2001:db8:dead::1'))
  const host = fc.oneof({ weight: 19, arbitrary: fc.constantFrom('localhost:3000', 'LOCALHOST:3000') }, fc.constant('evil.example'))
  const origin = fc.oneof({ weight: 19, arbitrary: fc.constantFrom(undefined, 'http://localhost:3000') }, fc.constant('https://evil.example'))
  const header = fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, fc.constantFrom('eu', 'us'))
  const seen = new Map<string, number>()
  await fc.assert(fc.asyncProperty(who, target, args, address, host, origin, header, async ({ key, record }, { kind, name }, given, address, host, origin, region) => {
    const method = { tool: 'tools/call', prompt: 'prompts/get', resource: 'resources/read' }[kind]
    // Prompts take texts, resources nothing.
    const sent = kind === 'tool' ? given : kind === 'prompt' ? Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)])) : undefined
    const headers: Record<string, string> = { host, ...(origin === undefined ? {} : { origin }), ...(region === undefined ? {} : { 'mcp-param-region': region }), ...(sent !== undefined && 'region' in sent && region === undefined && ['plain', 'dear'].includes(name) ? { 'mcp-param-region': String(sent.region) } : {}) }
    const explained = await explain({ who: { record, hash: record.hash }, address, host, origin, method, target: { kind, name }, args: sent, headers }, now)
    const from = lines.length
    await modern(app, method, kind === 'resource' ? { uri: name } : { name, arguments: sent }, { key, address, headers })
    const line = lines.slice(from).find(({ msg }) => msg === 'request')!
    seen.set(explained.decision, (seen.get(explained.decision) ?? 0) + 1)
    if (line.decision === explained.decision && line.rule === explained.rule) return true
    throw new Error(`app ${String(line.decision)} ${String(line.rule)}, explained ${explained.decision} ${explained.rule}: ${JSON.stringify({ record, kind, name, sent, address, headers })}`)
  }), { numRuns: CASES })
  t.comment(`figure: ${JSON.stringify(Object.fromEntries(seen))}`)
  for (const reason of ['served', 'ORIGIN_REFUSED', 'ADDRESS_BLOCKED', 'INVALID_CREDENTIAL', 'TOO_MANY_FAILURES', 'RATE_LIMITED', 'ACCESS_DENIED', 'FORBIDDEN', 'UNKNOWN_TOOL', 'INVALID_PARAMS', 'HEADER_MISMATCH', 'INVALID_ARGUMENTS', 'SUSPICIOUS_ARGUMENT']) t.ok(seen.has(reason), reason)
})

t.test('explaining counts nothing', async t => {
  const { app, store, now } = await ready(t)
  const { key, record } = await addKey(store, { limit: 10 })
  const asked = { who: { record, hash: record.hash } as Presented, method: 'tools/call', target: { kind: 'tool', name: 'get_rare' } as const, args: {}, address: '198.51.100.1' }
  for (let i = 0; i < 30; i++) t.equal((await explain(asked, now)).decision, 'served')
  t.equal((await modern(app, 'tools/call', { name: 'get_rare', arguments: {} }, { key })).headers['x-ratelimit-remaining'], '7')
  t.match(await explain(asked, now), { decision: 'served' })
  await modern(app, 'tools/call', { name: 'get_rare', arguments: {} }, { key })
  t.match(await explain(asked, now), { decision: 'RATE_LIMITED', rule: 'rate of the tool', layer: 'cost', mend: [/room again in \d+ s/] })
  t.match(await explain({ ...asked, target: { kind: 'tool', name: 'dear' } }, now), { decision: 'RATE_LIMITED', rule: 'limit with the cost of the tool' })
})

t.test('layers are named in their order: passed, refused, and not asked', async t => {
  const { store, now } = await ready(t)
  const { record } = await addKey(store, { permissions: ['*', '!get_*'] })
  const explained = await explain({ who: { record, hash: record.hash }, method: 'tools/call', target: { kind: 'tool', name: 'get_rare' }, address: '198.51.100.1', host: 'localhost:3000' }, now)
  t.same(explained.layers.map(({ layer }) => layer), LAYERS)
  t.match(explained, { decision: 'ACCESS_DENIED', layer: 'permission', rule: '!get_*', mend: [/--drop '!get_\*'.*holds back: get_time/] })
  const verdict = (layer: string) => explained.layers.find(one => one.layer === layer)!.verdict
  t.equal(verdict('limit'), 'passed')
  t.equal(verdict('permission'), 'refused')
  t.equal(verdict('inspection'), 'not asked')
})

t.test('what was not named is unknown, never guessed', async t => {
  const { store, now } = await ready(t)
  const { record } = await addKey(store, { cidrs: ['10.0.0.0/8'] })
  const { layers, decision } = await explain({ who: { record, hash: record.hash }, method: 'tools/call', target: { kind: 'tool', name: 'plain' } }, { ...now, seesCounts: false })
  t.equal(decision, 'served')
  for (const layer of ['load', 'origin', 'address', 'credential', 'limit', 'places', 'cost', 'arguments', 'inspection', 'upstream']) t.equal(layers.find(one => one.layer === layer)!.verdict, 'unknown', layer)
})

t.test('each mend names what to type', async t => {
  const { store, now } = await ready(t)
  const ask = async (more: Partial<ApiKeyRecord>, name: string, args: object = {}, address = '198.51.100.1') => {
    const { record } = await addKey(store, more)
    return (await explain({ who: { record, hash: record.hash }, method: 'tools/call', target: { kind: 'tool', name }, args, address }, now)).mend.join(' ')
  }
  t.match(await ask({ name: 'ci', permissions: ['get_*'] }, 'plain'), 'npx secure-mcp-server keys change ci --allow plain')
  t.match(await ask({ role: 'operator' }, 'plain'), /caller key/)
  t.match(await ask({}, 'plian'), /is plain meant/)
  t.match(await ask({ name: 'old', expires: 1 }, 'plain'), 'keys change old --expires 90d')
  t.match(await ask({ cidrs: ['10.0.0.0/8'] }, 'plain'), /10\.0\.0\.0\/8/)
  t.match(await ask({ limit: 1, name: 'few' }, 'dear'), /raise the limit/)
  t.match(await ask({}, 'plain', { region: '../../etc/passwd' }), /exempt: \{ path_traversal/)
  t.match(await ask({}, 'plain', { other: 1 }), /must not have the property other/)
  await store.blocklist.set('192.0.2.0/24', { since: 1 })
  t.match(await ask({}, 'plain', {}, '192.0.2.1'), 'npx secure-mcp-server ip unblock 192.0.2.0/24')
})
