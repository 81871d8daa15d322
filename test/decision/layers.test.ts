/** Each layer by itself, with what it refuses, by what, and what it lets through. */
import t from 'tap'
import { Inspector } from '../../src/core/inspection.ts'
import { addressSet } from '../../src/core/address.ts'
import type { RateLimitResult } from '../../src/core/limit.ts'
import type { Principal } from '../../src/core/principal.ts'
import { hostCheck, originCheck } from '../../src/core/origin.ts'
import {
  judgeAddress, judgeArguments, judgeExistence, judgeInspection, judgeLimit, judgeLoad, judgeOrigin, judgeParamHeaders, judgePermission, judgePlaces,
  judgeRevocation, judgeScope, LAYERS, offeredFor, placesOf, type LayerInput
} from '../../src/decision/layers.ts'
import { ERRORS } from '../../src/errors.ts'
import { buildCatalogue, type OfferedTool } from '../../src/tools/catalogue.ts'
import { definePrompt, defineResource, defineTool, Type } from '../../src/tools/index.ts'

const input = Type.Object({ text: Type.Optional(Type.String({ 'x-mcp-header': 'Text' })) }, { additionalProperties: false })
const inspector = new Inspector()
const catalogue = buildCatalogue([
  defineTool({ name: 'say', description: 'Says.', input, run: () => 'said' }),
  defineTool({ name: 'shell', description: 'Takes commands.', input: Type.Object({ text: Type.String() }), exempt: { path_traversal: 'it takes paths' }, run: () => 'done' }),
  definePrompt({ name: 'greet', get: () => 'hello' }),
  defineResource({ uri: 'note://a', name: 'a', read: () => 'a' }),
  defineResource({ uri: 'doc://{name}', name: 'docs', read: () => 'a' })
].map(definition => ({ from: 'test', definition })), new Set(['path_traversal']))

const principal = (more: Partial<Principal> = {}): Principal =>
  ({ id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions: ['*'], authenticatedAt: 0, revocableAs: ['key:a'], ...more })
const question = (more: Partial<LayerInput> = {}): LayerInput =>
  ({ principal: principal(), method: 'tools/call', target: { kind: 'tool', name: 'say' }, args: {}, ...more })
const say = catalogue.tools.get('say') as OfferedTool
const result: RateLimitResult = { allowed: true, limit: 10, windowMs: 60_000, remaining: 9, retryAfterMs: 0, resetMs: 60_000, slice: 1 }

t.test('the list names each layer once, from the load to what runs the call', async t => {
  t.equal(new Set(LAYERS).size, LAYERS.length)
  const at = (name: typeof LAYERS[number]) => LAYERS.indexOf(name)
  const order = ['load', 'address', 'credential', 'limit', 'places', 'scope', 'permission', 'existence', 'cost', 'arguments', 'inspection', 'upstream'] as const
  t.same([...order].sort((a, b) => at(a) - at(b)), order)
})

t.test('load: a late event loop counts while half of what may be in flight is', async t => {
  t.equal(judgeLoad({ inFlight: 0, lateLooks: 1000 }, 1), undefined, 'the first is always taken, whatever the bound')
  t.equal(judgeLoad({ inFlight: 49, lateLooks: 99 }, 100), undefined)
  t.equal(judgeLoad({ inFlight: 99, lateLooks: 2 }, 100), undefined)
  t.match(judgeLoad({ inFlight: 50, lateLooks: 3 }, 100), { reason: 'OVERLOADED', layer: 'load' })
})

t.test('origin: the rule names the setting and the value that came', async t => {
  const allowed = { isHost: hostCheck(['a.example'], 'https:'), isOrigin: originCheck(['https://a.example']) }
  t.equal(judgeOrigin('A.example', undefined, allowed, false), undefined)
  t.equal(judgeOrigin('10.0.0.7:3000', undefined, allowed, true), undefined, 'a probe comes by address')
  t.match(judgeOrigin('evil.example', undefined, allowed, false), { reason: 'ORIGIN_REFUSED', rule: 'ALLOWED_HOSTS has no evil.example' })
  t.match(judgeOrigin(undefined, undefined, allowed, false), { reason: 'ORIGIN_REFUSED', rule: /no Host/ })
  t.match(judgeOrigin('a.example', 'null', allowed, false), { reason: 'ORIGIN_REFUSED', rule: 'ALLOWED_ORIGINS has no null' })
  t.ok(judgeOrigin('x'.repeat(9000), undefined, allowed, false)!.rule!.length < 200, 'what came is cut')
})

t.test('address: the rule is the range', async t => {
  t.equal(judgeAddress('10.0.0.1', addressSet()), undefined)
  t.equal(judgeAddress('192.0.2.1', addressSet(['10.0.0.0/8'])), undefined)
  t.match(judgeAddress('10.0.0.1', addressSet(['10.0.0.0/8'])), { reason: 'ADDRESS_BLOCKED', rule: '10.0.0.0/8' })
})

t.test('revocation: the rule is the entry, or the end of the credential', async t => {
  t.equal(judgeRevocation(principal({ expiresAt: 11 }), new Map([['key:b', { since: 1 }]]), 10), undefined)
  t.match(judgeRevocation(principal(), new Map([['key:a', { since: 1 }]]), 10), { reason: 'INVALID_CREDENTIAL', rule: 'revoked key:a' })
  t.match(judgeRevocation(principal({ expiresAt: 10 }), new Map(), 10), { reason: 'INVALID_CREDENTIAL', rule: 'expired' })
})

t.test('limit: the rule says whose', async t => {
  t.equal(judgeLimit(result, 'limit of the key'), undefined)
  t.match(judgeLimit({ ...result, allowed: false, retryAfterMs: 900 }, 'limit of the key'), { reason: 'RATE_LIMITED', layer: 'limit', rule: 'limit of the key', data: { retryAfterMs: 900 } })
  t.match(judgeLimit({ ...result, allowed: false }, 'rate of the tool', 'cost'), { layer: 'cost' })
})

t.test('places: a quarter for one principal, told so even where all are taken', async t => {
  t.equal(placesOf(1), 1)
  t.equal(placesOf(30), 8)
  t.equal(judgePlaces({ inFlight: 29, ofPrincipal: 7, maxInFlight: 30 }), undefined)
  t.match(judgePlaces({ inFlight: 8, ofPrincipal: 8, maxInFlight: 30 }), { reason: 'RATE_LIMITED', rule: 'places', data: { retryAfterMs: 1000 } })
  t.match(judgePlaces({ inFlight: 30, ofPrincipal: 8, maxInFlight: 30 }), { reason: 'OVERLOADED' })
  t.match(judgePlaces({ inFlight: 30, ofPrincipal: 0, maxInFlight: 30 }), { reason: 'OVERLOADED', layer: 'places', rule: 'MAX_IN_FLIGHT' })
})

t.test('scope: for tokens alone, the same for what does not exist', async t => {
  const oauth = principal({ authType: 'oauth2', permissions: ['get_*'] })
  t.equal(judgeScope(question()), undefined)
  t.equal(judgeScope(question({ principal: principal({ permissions: [] }) })), undefined, 'a key has no scopes')
  for (const name of ['say', 'nothing']) {
    const target = { kind: 'tool', name } as const
    t.match(judgeScope(question({ principal: oauth, target })), { reason: 'INSUFFICIENT_SCOPE', layer: 'scope', target, rule: 'no pattern' })
  }
})

t.test('permission: for everyone else, by the pattern or the role that decided', async t => {
  t.equal(judgePermission(question()), undefined)
  for (const name of ['say', 'nothing']) {
    const target = { kind: 'tool', name } as const
    t.match(judgePermission(question({ principal: principal({ permissions: ['*', `!${name}`] }), target })), { reason: 'ACCESS_DENIED', target, rule: `!${name}` })
  }
  t.match(judgePermission(question({ principal: principal({ role: 'operator' }) })), { reason: 'ACCESS_DENIED', rule: 'role' })
  t.match(judgePermission(question({ method: 'resources/read', target: { kind: 'resource', name: 'note://a' }, principal: principal({ permissions: ['re*'] }) })), { reason: 'FORBIDDEN', rule: 'no pattern' })
})

t.test('existence: by the methods that need it', async t => {
  const judge = (method: string, kind: 'tool' | 'prompt' | 'resource', name: string) => {
    const asked = question({ method, target: { kind, name } })
    return judgeExistence(asked, offeredFor(asked, catalogue))
  }
  for (const [method, kind, name] of [['tools/call', 'tool', 'say'], ['prompts/get', 'prompt', 'greet'], ['resources/read', 'resource', 'note://a'], ['resources/read', 'resource', 'doc://x'], ['completion/complete', 'prompt', 'nothing'], ['resources/unsubscribe', 'resource', 'note://gone']] as const) {
    t.equal(judge(method, kind, name), undefined, `${method} ${name}`)
  }
  for (const name of ['nothing', '__proto__', 'constructor', 'SAY', '']) t.match(judge('tools/call', 'tool', name), { reason: 'UNKNOWN_TOOL' }, name)
  t.match(judge('prompts/get', 'prompt', 'toString'), { reason: 'INVALID_PARAMS' })
  t.match(judge('resources/subscribe', 'resource', 'note://b'), { reason: 'INVALID_PARAMS' })
})

t.test('param-headers: only where the revision repeats arguments', async t => {
  t.equal(judgeParamHeaders(question({ args: { text: 'a' } }), say), undefined)
  t.equal(judgeParamHeaders(question({ args: { text: 'a' }, headers: { 'mcp-param-text': 'a' } }), say), undefined)
  t.match(judgeParamHeaders(question({ args: { text: 'a' }, headers: { 'mcp-param-text': 'b' } }), say), { reason: 'HEADER_MISMATCH', rule: 'mcp-param-text', data: { header: 'mcp-param-text' } })
})

t.test('arguments and inspection: what to mend, and by which pattern', async t => {
  const target = { kind: 'tool', name: 'say' } as const
  t.equal(judgeArguments(target, { text: 'a' }, say), undefined)
  t.match(judgeArguments(target, { text: 1 }, say), { reason: 'INVALID_ARGUMENTS', text: /text/ })
  t.equal(judgeInspection(target, { text: 'a' }, say, inspector), undefined)
  t.match(judgeInspection(target, { text: '../../etc/passwd' }, say, inspector), { reason: 'SUSPICIOUS_ARGUMENT', rule: 'path_traversal at text' })
  t.equal(judgeInspection(target, { text: '../../etc/passwd' }, catalogue.tools.get('shell') as OfferedTool, inspector), undefined, 'exempt')
})

t.test('every reason that a layer gives is one of the table', async t => {
  for (const reason of ['OVERLOADED', 'ORIGIN_REFUSED', 'ADDRESS_BLOCKED', 'ACCESS_DENIED', 'UNKNOWN_TOOL'] as const) t.ok(Object.hasOwn(ERRORS, reason))
})
