/** What may not be used looks and costs like what does not exist, whichever layer would have spoken. */
import fc from '../support/fast-check.ts'
import t from 'tap'
import { Inspector } from '../../src/core/inspection.ts'
import type { Principal } from '../../src/core/principal.ts'
import { decide, type Asked, type Decision, type Policy } from '../../src/decision/decide.ts'
import { buildCatalogue } from '../../src/tools/catalogue.ts'
import { definePrompt, defineResource, defineTool, Type } from '../../src/tools/index.ts'
import { addKey, build, legacy, modern } from '../support/app.ts'

const input = Type.Object({ region: Type.Optional(Type.String({ 'x-mcp-header': 'Region', maxLength: 8 })) }, { additionalProperties: false })
const TOOLS = [
  defineTool({ name: 'plain', description: 'Plain.', input, run: () => 'done' }),
  defineTool({ name: 'dear', description: 'Costs much.', input, cost: 5, run: () => 'done' }),
  defineTool({ name: 'rare', description: 'Has a limit of its own.', input, rate: { limit: 2, windowMs: 60_000 }, run: () => 'done' }),
  defineTool({ name: 'get_rare', description: 'Has both.', input, cost: 3, rate: { limit: 2, windowMs: 60_000 }, run: () => 'done' }),
  definePrompt({ name: 'greet', get: () => 'hello' }),
  defineResource({ uri: 'note://a', name: 'a', read: () => 'a' })
]
const inspector = new Inspector()
const BLOCK = { mode: 'block', inspector } as const
const catalogue = buildCatalogue(TOOLS.map(definition => ({ from: 'test', definition })), new Set())
const NAMES = ['plain', 'dear', 'rare', 'get_rare', 'absent', 'get_absent', '__proto__', 'constructor']

function principal (permissions: readonly string[], more: Partial<Principal> = {}): Principal {
  return { id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions, authenticatedAt: 0, revocableAs: [], ...more }
}

const call = (principal: Principal, name: string, args?: unknown, headers?: Asked['headers']): Asked =>
  ({ principal, method: 'tools/call', target: { kind: 'tool', name }, args, headers })

t.test('whatever is asked, a name one may not use decides and costs as an absent one', async () => {
  const pattern = fc.constantFrom('get_*', 'plain', 'dear', '!rare', '!get_*', 'p*', 'resource:*', '*', '!*', 'get_rare')
  const args = fc.oneof(fc.constant(undefined), fc.constant({ region: '../../etc/passwd' }), fc.constant({ region: 'far too long' }), fc.constant({ other: 1 }), fc.jsonValue())
  const headers = fc.constantFrom(undefined, {}, { 'mcp-param-region': 'eu' })
  const auth = fc.constantFrom<Principal['authType']>('api_key', 'oauth2', 'custom')
  fc.assert(fc.property(fc.array(pattern, { maxLength: 4 }), auth, fc.constantFrom('caller', 'operator'), fc.constantFrom(...NAMES), args, headers, (permissions, authType, role, name, args, headers) => {
    const who = principal(permissions, { authType, role: role as Principal['role'] })
    let charged = 0
    const policy: Policy = { catalogue, inspection: BLOCK, charge: async () => { charged++; return undefined } }
    const decided = decide(call(who, name, args, headers), policy)
    if (decided instanceof Promise || decided.outcome === 'allow' || (decided.layer !== 'scope' && decided.layer !== 'permission')) return true
    const absent = decide(call({ ...who, permissions: [] }, 'surely absent', args, headers), policy) as Decision
    const { target: _one, rule: _by, ...seen } = decided
    const { target: _other, rule: _byNone, ...unseen } = absent as typeof decided
    return charged === 0 && JSON.stringify(seen) === JSON.stringify(unseen)
  }), { numRuns: 5000 })
})

t.test('the first layer that refuses decides, in the order of the list', async t => {
  const policy: Policy = { catalogue, inspection: BLOCK }
  const layer = (asked: Asked) => (decide(asked, policy) as { layer?: string }).layer
  const bad = { region: '../../etc/passwd is far too long' }
  t.equal(layer(call(principal(['get_*']), 'plain', bad, {})), 'permission')
  t.equal(layer(call(principal(['*']), 'absent', bad, {})), 'existence')
  t.equal(layer(call(principal(['*']), 'plain', bad, {})), 'param-headers')
  t.equal(layer(call(principal(['*']), 'plain', bad)), 'arguments', 'before anything is inspected')
  t.equal(layer(call(principal(['*']), 'plain', { region: '../../' })), 'inspection')
  t.match(decide(call(principal(['*']), 'plain', { region: 'eu' }), policy), { outcome: 'allow', cost: 1, input: { region: 'eu' } })
})

t.test('a charge is made after permission and before arguments, and only where there is one', async t => {
  const charged: string[] = []
  const policy: Policy = { catalogue, inspection: BLOCK, charge: async ({ tool }) => { charged.push(tool.name); return undefined } }
  t.notOk(decide(call(principal(['*']), 'plain'), policy) instanceof Promise, 'a plain call needs no promise')
  t.match(await decide(call(principal(['*']), 'dear', { other: 1 }), policy), { reason: 'INVALID_ARGUMENTS' })
  t.match(await decide(call(principal(['*']), 'rare'), policy), { outcome: 'allow' })
  t.same(charged, ['dear', 'rare'])
  t.match(decide(call(principal(['*']), 'dear'), { catalogue, inspection: BLOCK }), { outcome: 'allow', cost: 5 }, 'without a charge nothing is counted')
})

t.test('what is only observed is let through and told', async t => {
  const asked = call(principal(['*']), 'plain', { region: '../../' })
  t.match(decide(asked, { catalogue, inspection: { mode: 'observe', inspector } }), { outcome: 'allow', observed: { reason: 'SUSPICIOUS_ARGUMENT', rule: 'path_traversal at region' } })
  t.match(decide(asked, { catalogue, inspection: { mode: 'off', inspector } }), { outcome: 'allow', observed: undefined })
})

t.test('calling a tool one may not use costs, answers and limits byte for byte like an absent name', async t => {
  // Without what a clock or chance writes.
  const fixed = (headers: Record<string, unknown>): Record<string, unknown> =>
    ({ ...headers, ratelimit: String(headers.ratelimit).replace(/t=\d+/, ''), 'x-ratelimit-reset': '', 'x-request-id': '', date: '' })
  for (const [era, send] of [['2026-07-28', modern], ['2025-11-25', legacy]] as const) {
    await t.test(era, async t => {
      const { app, store } = await build(t, { tools: TOOLS, env: { RATE_LIMIT_API_KEY: '40' } })
      for (const permissions of [['get_x*'], ['*', '!dear', '!rare', '!get_rare', '!absent'], []]) {
        const answers = await Promise.all(['dear', 'rare', 'get_rare', 'absent'].map(async name => {
          const { key } = await addKey(store, { permissions })
          const seen = []
          for (const args of [{}, {}, {}, {}, { region: '../../' }, { nothing: true }]) {
            const { statusCode, headers, body } = await send(app, 'tools/call', { name, arguments: args }, { key })
            seen.push({ statusCode, headers: fixed(headers), body })
          }
          return seen
        }))
        for (const other of answers.slice(0, -1)) t.same(other, answers.at(-1))
        t.equal(answers[0]!.at(-1)!.headers['x-ratelimit-remaining'], '34', 'one unit a call')
      }
    })
  }
})
