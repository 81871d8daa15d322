/**
 * Odd values in every place that somebody outside fills: each member of each
 * message, each header, each setting, each file. Names that every object has,
 * null, empty, huge, of another type, doubled. EVERYWHERE says how many cases
 * of each kind are tried; their order has a fixed seed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance } from 'fastify'
import fc from '../support/fast-check.ts'
import t from 'tap'
import { UsageError } from '../../src/errors.ts'
import { loadConfig } from '../../src/settings/load.ts'
import { Settings } from '../../src/settings/schema.ts'
import { openStore } from '../../src/state/open.ts'
import { ask, defineResource, definePrompt, defineTool, elicit, Type } from '../../src/tools/index.ts'
import { addKey, build, legacy, messageOf, META, MODERN, modern, silent } from '../support/app.ts'

const CASES = Number(process.env.EVERYWHERE ?? 600)
const SEED = 20_261_128
/** What no answer may hold: words of a validator, a stack, a place in the source, a function. */
const DUMPS = /"expected"|invalid_type|invalid_union|unrecognized_keys|ZodError|Invalid input|Not Acceptable: Client|\bat [\w.<>]+ \(|node_modules|\.[tj]s:\d|TypeError|RangeError|SyntaxError|native code|\[object/

const PROTOTYPE = Object.getOwnPropertyNames(Object.prototype)
const HUGE = 'x'.repeat(100_000)
/** As JSON text, so that what JSON can say and JavaScript cannot is among them. */
const ODD: readonly string[] = [
  ...PROTOTYPE.filter(name => name !== '__proto__').map(name => JSON.stringify(name)),
  'null', '""', '{}', '[]', '[null]', '[[]]', '[{}]', '0', '-1', '-0', '1.5', '1e999', '9007199254740993', '725653563933458433', 'true', 'false', '" "', '"\\u0000"', '"\\ud800"', '"2.0"', '"x"',
  JSON.stringify(HUGE), JSON.stringify([...Array(200).keys()]), `{${PROTOTYPE.filter(name => name !== '__proto__').map(name => `${JSON.stringify(name)}:{"a":1}`).join()}}`,
  `{${Array.from({ length: 70 }, (_, i) => `"k${i}":${i}`).join()}}`, '{"type":"ref/prompt"}', '{"a":{"a":{"a":{"a":{}}}}}', '"../../etc/passwd"', '"<script>alert(1)</script>"'
]

const TOOLS = [
  defineTool({ name: 'takes', description: 'Takes anything.', input: Type.Object({}), run: input => `${Object.keys(input).length} members` }),
  defineTool({ name: 'asks', description: 'Asks.', input: Type.Object({}), run: (_input, { answers, state }) => answers.who === undefined ? ask({ who: elicit('Who?', { type: 'object', properties: { name: { type: 'string' } } }) }, state ?? 1) : 'heard' }),
  definePrompt({ name: 'greets', description: 'Greets.', arguments: [{ name: 'who', complete: typed => [typed, 'Ada'] }], get: ({ who }) => `Hello ${who}` }),
  defineResource({ uri: 'note://{name}', name: 'note', complete: { name: typed => [typed, 'a'] }, read: ({ variables }) => JSON.stringify(variables) })
]
const BASES: ReadonlyArray<readonly [method: string, params: Record<string, unknown>]> = [
  ['initialize', { protocolVersion: '2025-11-25', capabilities: { roots: { listChanged: true }, sampling: { tools: {} }, elicitation: { form: {} }, experimental: { x: {} } }, clientInfo: { name: 'c', title: 'C', version: '1' } }],
  ['ping', {}],
  ['server/discover', {}],
  ['tools/list', { cursor: '' }],
  ['tools/call', { name: 'takes', arguments: { a: { b: [1] } } }],
  ['tools/call', { name: 'asks', arguments: {}, inputResponses: { who: { action: 'accept', content: { name: 'x' } } }, requestState: 'x' }],
  ['prompts/list', {}],
  ['prompts/get', { name: 'greets', arguments: { who: 'x' } }],
  ['resources/list', {}],
  ['resources/templates/list', {}],
  ['resources/read', { uri: 'note://a' }],
  ['resources/subscribe', { uri: 'note://a' }],
  ['resources/unsubscribe', { uri: 'note://a' }],
  ['completion/complete', { ref: { type: 'ref/prompt', name: 'greets' }, argument: { name: 'who', value: 'x' }, context: { arguments: { other: 'x' } } }],
  ['completion/complete', { ref: { type: 'ref/resource', uri: 'note://{name}' }, argument: { name: 'name', value: 'x' } }],
  ['logging/setLevel', { level: 'error' }],
  ['subscriptions/listen', { notifications: { resourceSubscriptions: [] } }],
  ['notifications/cancelled', { requestId: 'nothing', reason: 'x' }],
  ['notifications/progress', { progressToken: 1, progress: 1 }]
]
const LEGACY_META = { progressToken: 'p', traceparent: '00-1', vendor: { a: 1 } }

/** The text of a value with the member at a path replaced, doubled, or with a stranger beside it. */
function altered (value: unknown, path: readonly string[], odd: string, how: 'replace' | 'double' | 'beside'): string {
  if (path.length === 0) return odd
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const [head, ...rest] = path
  const isList = Array.isArray(value)
  const parts = Object.entries(value).flatMap(([name, inner]) => {
    const lead = isList ? '' : `${JSON.stringify(name)}:`
    const same = `${lead}${JSON.stringify(inner)}`
    if (name !== head) return [same]
    if (rest.length > 0) return [`${lead}${altered(inner, rest, odd, how)}`]
    if (how === 'double' && !isList) return [same, `${lead}${odd}`]
    if (how === 'beside' && !isList) return [same, `${JSON.stringify(PROTOTYPE[odd.length % PROTOTYPE.length])}:${odd}`]
    return [`${lead}${odd}`]
  })
  return isList ? `[${parts.join()}]` : `{${parts.join()}}`
}

function pathsOf (value: unknown, path: readonly string[] = []): Array<readonly string[]> {
  if (typeof value !== 'object' || value === null) return [path]
  return [...(path.length === 0 ? [] : [path]), ...Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, [...path, name]))]
}

/** So many of them, always the same ones. */
function some<T> (all: readonly T[], count: number): readonly T[] {
  return count >= all.length ? all : fc.sample(fc.shuffledSubarray([...all], { minLength: count, maxLength: count }), { numRuns: 1, seed: SEED })[0]!
}

interface Sent { readonly method: string, readonly body: string, readonly headers: Record<string, string> }

async function post (app: FastifyInstance, { body, headers }: Omit<Sent, 'method'>) {
  return await app.inject({ method: 'POST', url: '/mcp', headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers }, payload: body })
}

/** What is wrong with an answer; undefined for nothing. */
function fault ({ statusCode, body, headers }: { statusCode: number, body: string, headers: Record<string, unknown> }): string | undefined {
  if (statusCode >= 500 || statusCode < 200) return `status ${statusCode}`
  const dump = DUMPS.exec(body.replaceAll(HUGE, ''))?.[0]
  if (dump !== undefined) return `tells of its inside: ${dump}`
  if (statusCode === 202) return body === '' ? undefined : 'words with 202'
  if (body === '') return undefined
  const { error } = messageOf({ body, headers })
  if (error?.code === -32603) return 'an error that nobody foresaw'
  return error !== undefined && String(error.message).length > 700 ? 'a long sentence' : undefined
}

function comparable ({ statusCode, body, headers }: { statusCode: number, body: string, headers: Record<string, unknown> }): unknown {
  const message: any = body === '' ? {} : messageOf({ body, headers })
  delete message.error?.data?.requestId
  if (message.result?.requestState !== undefined) message.result.requestState = 'sealed'
  return [statusCode, message]
}

t.test('odd values in each member of each message', { timeout: 1_200_000 }, async t => {
  const { app, store, lines } = await build(t, { tools: TOOLS, env: { RATE_LIMIT_API_KEY: '10000000', MAX_SESSIONS: '100000', MAX_SESSIONS_PER_PRINCIPAL: '100000' } })
  const { key } = await addKey(store)
  // Without capabilities, as a request without a session has none: else a question would wait for its answer.
  const session = String((await legacy(app, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } }, { key })).headers['mcp-session-id'])
  const all: Array<{ method: string, params: Record<string, unknown>, path: readonly string[], odd: string, how: 'replace' | 'double' | 'beside' }> = []
  for (const [method, params] of BASES) {
    for (const path of pathsOf({ jsonrpc: '2.0', id: 7, method, params: { ...params, _meta: LEGACY_META } })) {
      for (const odd of ODD) for (const how of ['replace', 'double', 'beside'] as const) all.push({ method, params, path, odd, how })
    }
  }
  const statuses: Record<string, number> = {}
  for (const { method, params, path, odd, how } of some(all, CASES)) {
    const what = `${method} ${path.join('.')} ${how} ${odd.slice(0, 60)}`
    const older = altered({ jsonrpc: '2.0', id: 7, method, params: { ...params, _meta: LEGACY_META } }, path, odd, how)
    const newer = altered({ jsonrpc: '2.0', id: 7, method, params: { ...params, _meta: { ...LEGACY_META, ...META } } }, path, odd, how)
    const name = params.name ?? params.uri
    const mirrors = { 'mcp-protocol-version': MODERN, 'mcp-method': method, ...(typeof name === 'string' ? { 'mcp-name': name } : {}) }
    const [plain, inSession, modernly] = [
      await post(app, { body: older, headers: { 'x-api-key': key } }),
      await post(app, { body: older, headers: { 'x-api-key': key, 'mcp-session-id': session } }),
      // A subscription that is granted stays open; without a stream it is refused by itself.
      await post(app, { body: newer, headers: { 'x-api-key': key, ...mirrors, ...(how === 'replace' && path.includes('notifications') && odd === 'true' ? { accept: 'application/json' } : {}) } })
    ]
    for (const answer of [plain, inSession, modernly]) {
      statuses[answer.statusCode] = (statuses[answer.statusCode] ?? 0) + 1
      const wrong = fault(answer)
      if (wrong !== undefined) t.fail(`${what}: ${wrong}`, { body: answer.body.slice(0, 500) })
    }
    const [one, other] = [comparable(plain), comparable(inSession)]
    if (!isDeepStrictEqual(one, other)) t.fail(`${what}: a session changes the answer`, { plain: JSON.stringify(one).slice(0, 300), inSession: JSON.stringify(other).slice(0, 300) })
  }
  t.comment(`figure: ${Math.min(CASES, all.length)} of ${all.length} messages three ways, ${Object.entries(statuses).map(([status, n]) => `${n} × ${status}`).join(', ')}`)
  const failed = lines.filter(({ level }) => level === 'error' || level === 'fatal')
  t.strictSame(failed.slice(0, 3).map(({ msg }) => msg), [], 'nothing was a fault of the service')
  t.match(messageOf(await modern(app, 'tools/call', { name: 'takes', arguments: {} }, { key })).result, { content: [{ text: '0 members' }] }, 'the next caller is served')
})

const HEADERS = [
  'accept', 'content-type', 'content-encoding', 'mcp-protocol-version', 'mcp-method', 'mcp-name', 'mcp-param-x', 'mcp-session-id', 'authorization', 'x-api-key', 'origin', 'host',
  'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'last-event-id', 'cookie', 'traceparent', 'x-request-id', 'user-agent', 'dpop', 'expect', 'if-none-match', 'access-control-request-method'
]
const ODD_TEXT = [...PROTOTYPE, '', ' ', ',', ';', '=', '"', '\\', '*', '*/*', 'null', 'undefined', 'NaN', '-1', '1e999', '{}', '[]', 'application/json, application/json', 'x'.repeat(8000), ','.repeat(4000), '=?base64??=', '=?base64?AAAA?=', 'Bearer', 'Bearer  ', 'é', '\u00ff', '%00', '../../etc/passwd', '2026-07-28, 2026-07-28', '127.0.0.1', '[::1]:443']

t.test('odd values in each header', { timeout: 1_200_000 }, async t => {
  const { app, store, lines } = await build(t, { tools: TOOLS, env: { RATE_LIMIT_API_KEY: '10000000', TRUST_PROXY: '1' } })
  const { key } = await addKey(store)
  const all: Array<{ header: string, odd: string, method: 'POST' | 'GET' | 'DELETE' | 'HEAD' | 'OPTIONS' | 'PUT', url: string }> = []
  for (const header of HEADERS) for (const odd of ODD_TEXT) for (const method of ['POST', 'GET', 'DELETE', 'HEAD', 'OPTIONS', 'PUT'] as const) for (const url of ['/mcp', '/readyz', '/.well-known/oauth-protected-resource']) all.push({ header, odd, method, url })
  let sent = 0
  for (const { header, odd, method, url } of some(all, CASES)) {
    for (const newer of [false, true]) {
      const body = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'takes', arguments: {}, ...(newer ? { _meta: META } : {}) } }
      const answer = await app.inject({
        method,
        url,
        remoteAddress: `198.51.${sent >> 8}.${sent++ & 255}`,
        headers: {
          host: 'localhost:3000',
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'x-api-key': key,
          ...(newer ? { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': 'takes' } : {}),
          [header]: odd
        },
        ...(method === 'POST' || method === 'PUT' ? { payload: JSON.stringify(body) } : {})
      })
      const what = `${method} ${url}, ${header}: ${odd.slice(0, 40)}`
      if (answer.statusCode >= 500) t.fail(`${what}: status ${answer.statusCode}`, { body: answer.body.slice(0, 300) })
      const dump = DUMPS.exec(answer.body)?.[0]
      if (dump !== undefined) t.fail(`${what}: tells of its inside: ${dump}`, { body: answer.body.slice(0, 300) })
    }
  }
  t.comment(`figure: ${sent} requests with an odd header`)
  t.strictSame(lines.filter(({ level }) => level === 'error' || level === 'fatal').slice(0, 3).map(({ msg }) => msg), [])
})

t.test('odd values in each setting', async t => {
  const all = Object.keys(Settings.properties).flatMap(name => [...ODD_TEXT, '0', '1', 'true', '/', 'a=b', 'http://', 'redis://', '\u0000'].map(odd => ({ name, odd })))
  let refused = 0
  for (const { name, odd } of some(all, CASES * 2)) {
    for (const [env, file] of [[{ [name]: odd }, {}], [{}, { [name]: odd }], [{ [name]: odd }, { [name]: `${odd}x` }]] as const) {
      try {
        loadConfig(env, file)
      } catch (error) {
        refused++
        if (!(error instanceof UsageError)) t.fail(`${name}=${odd.slice(0, 40)}: ${(error as Error).stack}`)
        else if (!/[A-Z]{2,}_?[A-Z]*/.test(error.message) || error.message.length > 2000) t.fail(`${name}=${odd.slice(0, 40)}: says ${error.message.slice(0, 300)}`)
      }
    }
  }
  t.comment(`figure: ${refused} refused`)
  for (const name of PROTOTYPE) loadConfig({ [name]: 'x' }, { [name]: 'x' })
  t.pass('names that every object has are no settings')
})

t.test('odd values in the key file', { timeout: 1_200_000 }, async t => {
  const { record } = await addKey((await build(t)).store)
  const { name: _name, hash, permissions: _permissions, ...rest } = record
  const base = { api_keys: { ada: hash, plain: 'sk-0123456789abcdef0123456789abcdef' }, key_permissions: { ada: ['get_*', '!x'], plain: ['*'] }, key_records: { ada: rest } }
  const all = pathsOf(base).flatMap(path => ODD.flatMap(odd => (['replace', 'double', 'beside'] as const).map(how => ({ path, odd, how }))))
  const dir = mkdtempSync(join(tmpdir(), 'everywhere-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'api_keys.json')
  const config = loadConfig({ API_KEYS_FILE: path })
  let refused = 0
  for (const one of some(all, Math.ceil(CASES / 3))) {
    writeFileSync(path, altered(base, one.path, one.odd, one.how), { mode: 0o600 })
    try {
      const store = await openStore(config, silent)
      for (const name of ['constructor', '__proto__', 'toString', hash]) await store.findKey(name)
      await store.close()
    } catch (error) {
      refused++
      if (!(error instanceof UsageError)) t.fail(`${one.path.join('.')} ${one.how} ${one.odd.slice(0, 40)}: ${(error as Error).stack}`)
      else if (DUMPS.test(error.message.replaceAll(dir, '')) || error.message.length > 3000) t.fail(`${one.path.join('.')} ${one.how} ${one.odd.slice(0, 40)}: says ${error.message.slice(0, 400)}`)
    }
  }
  t.comment(`figure: ${refused} refused`)
})
