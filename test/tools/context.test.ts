/** What handlers see of a request: who calls, chosen headers, its id; and the hook around a call. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import secureMcp from '../../src/plugin.ts'
import { loadConfig } from '../../src/settings/load.ts'
import { defineResource, defineTool, ToolError, Type, type ToolHook } from '../../src/tools/index.ts'
import { startIssuer } from '../auth/oauth2/issuer.ts'
import { addKey, build, folder, legacy, messageOf, modern } from '../support/app.ts'

const EMPTY = Type.Object({}, { additionalProperties: false })
const seen = defineTool({
  name: 'get_seen',
  description: 'What it sees.',
  input: EMPTY,
  run: (_input, { caller, headers, requestId }) => ({ claims: caller.claims, headers, requestId })
})
/** The same on the SDK's way, which takes over where a tool says something. */
const seenAloud = defineTool({
  name: 'get_aloud',
  description: 'What it sees.',
  input: EMPTY,
  run (_input, { caller, headers, requestId, message }) {
    message('info', 'said')
    return { claims: caller.claims, headers, requestId }
  }
})
const seenResource = defineResource({ uri: 'seen://a', name: 'a', read: (_at, { caller, headers, requestId }) => JSON.stringify({ claims: caller.claims, headers, requestId }) })
const TOOLS = [seen, seenAloud, seenResource]

type Ask = (name: string) => ReturnType<typeof modern>

/** What a handler saw, whichever way it was reached. */
async function views (ask: { tool: Ask, old: Ask, resource: () => ReturnType<typeof modern> }) {
  const answers = [await ask.tool('get_seen'), await ask.tool('get_aloud'), await ask.old('get_seen'), await ask.old('get_aloud'), await ask.resource()]
  return answers.map(answer => {
    const { result } = messageOf(answer)
    const { claims, headers, requestId } = result.structuredContent ?? JSON.parse(result.contents[0].text)
    return { claims, headers, isItsOwn: requestId === answer.headers['x-request-id'] }
  })
}

function asking (app: Parameters<typeof modern>[0], key: string, headers: Record<string, string> = {}) {
  return {
    tool: (name: string) => modern(app, 'tools/call', { name, arguments: {} }, { key, headers }),
    old: (name: string) => legacy(app, 'tools/call', { name, arguments: {} }, { key, headers }),
    resource: () => modern(app, 'resources/read', { uri: 'seen://a' }, { key, headers })
  }
}

t.test('handlers see a key\'s owner, the headers that are listed, and the id of the answer, on every way', async t => {
  const { app, store } = await build(t, { tools: TOOLS, env: { TOOL_HEADERS: 'Accept-Language, x-tenant, x-absent' } })
  const { key } = await addKey(store, { owner: 'Ada' })
  for (const view of await views(asking(app, key, { 'accept-language': 'de', 'x-tenant': 'a', 'x-other': 'unseen' }))) {
    t.same(view, { claims: { owner: 'Ada' }, headers: { 'accept-language': 'de', 'x-tenant': 'a' }, isItsOwn: true })
  }
  const { key: nobodys } = await addKey(store)
  t.same((await views(asking(app, nobodys)))[0], { claims: {}, headers: {}, isItsOwn: true })
})

t.test('of a token they see what OAUTH2_CLAIMS lists, and nothing else', async t => {
  const issuer = await startIssuer(t)
  const env = { OAUTH2_AUTH_SERVER: issuer.url, OAUTH2_CLAIMS: 'email, org.id,roles,absent' }
  const { app } = await build(t, { tools: TOOLS, env })
  const scope = 'mcp:server:access mcp:tool:* mcp:tool:resource:*'
  const token = issuer.mint({ scope, email: 'ada@example.com', org: { id: 7, secret: 'unseen' }, roles: ['a'], other: 'unseen' })
  for (let i = 0; i < 2; i++) { // the second from the cache
    for (const { claims } of await views(asking(app, token))) t.same(claims, { email: 'ada@example.com', 'org.id': 7, roles: ['a'] })
  }
  const plain = issuer.mint({ scope })
  t.same((await views(asking(app, plain)))[0]!.claims, {})
  const long = issuer.mint({ scope, email: 'a'.repeat(9000) })
  t.equal((await modern(app, 'tools/list', {}, { key: long })).statusCode, 401, 'too much to be kept is no token that half is known of')
})

t.test('no tool can change what the next call reads', async t => {
  const issuer = await startIssuer(t)
  const spoil = defineTool({
    name: 'spoil',
    description: 'Tries.',
    input: EMPTY,
    run (_input, { caller }) {
      try { (caller.claims.roles as string[]).push('admin') } catch {}
      try { (caller.claims as Record<string, unknown>).roles = ['admin'] } catch {}
      return { roles: caller.claims.roles }
    }
  })
  const { app } = await build(t, { tools: [spoil], env: { OAUTH2_AUTH_SERVER: issuer.url, OAUTH2_CLAIMS: 'roles' } })
  const token = issuer.mint({ roles: ['a'] })
  for (let i = 0; i < 2; i++) t.same(messageOf(await modern(app, 'tools/call', { name: 'spoil', arguments: {} }, { key: token })).result.structuredContent, { roles: ['a'] })
})

t.test('what an app says of its caller is there, too', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(secureMcp, {
    publicUrl: 'http://localhost:3000',
    apiKeysFile: join(folder(t), 'keys.json'),
    tools: TOOLS,
    toolHeaders: 'x-tenant',
    principal: () => ({ id: 'ada', permissions: ['*'], claims: { org: 'a' } })
  })
  for (const view of await views(asking(app as never, '', { 'x-tenant': 'b' }))) t.same(view, { claims: { org: 'a' }, headers: { 'x-tenant': 'b' }, isItsOwn: true })
})

t.test('headers that can hold a credential stop the start', async t => {
  for (const name of ['authorization', 'Cookie', 'x-api-key', 'proxy-authorization', 'mcp-session-id', 'dpop', 'x-auth-token', 'x-amz-security-token', 'my-secret', 'x-goog-api-key', 'x-csrf-token']) {
    t.throws(() => loadConfig({ TOOL_HEADERS: `x-tenant,${name}` }), /TOOL_HEADERS may not name/, name)
  }
  t.throws(() => loadConfig({ TOOL_HEADERS: 'a b' }), /TOOL_HEADERS must be a comma list/)
  t.same(loadConfig({ TOOL_HEADERS: 'X-Author, x-tenant' }).TOOL_HEADERS, ['x-author', 'x-tenant'])
})

t.test('a hook runs around every call that was let through, and around no other', async t => {
  const tenants = new AsyncLocalStorage<string>()
  const calls: string[] = []
  const toolHook: ToolHook = async (call, next) => {
    calls.push(`${call.tool} ${JSON.stringify(call.arguments)} ${call.caller.id} ${call.headers['x-tenant']} ${call.requestId.length > 0}`)
    if (call.headers['x-tenant'] === 'closed') throw new ToolError('This tenant is closed')
    if (call.headers['x-tenant'] === 'broken') throw new Error('canary')
    if (call.headers['x-tenant'] === 'silent') return 'a cached answer'
    if (call.headers['x-tenant'] === 'twice') await next()
    await tenants.run(call.headers['x-tenant'] ?? 'none', next)
    return 'what it returns is nobody\'s'
  }
  let runs = 0
  const tenant = defineTool({ name: 'get_tenant', description: 'Whose.', input: Type.Object({ a: Type.Optional(Type.Number()) }, { additionalProperties: false }), run: () => `${tenants.getStore()} ${++runs}` })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(secureMcp, {
    publicUrl: 'http://localhost:3000',
    apiKeysFile: join(folder(t), 'keys.json'),
    tools: [tenant],
    toolHeaders: 'x-tenant',
    toolHook,
    principal: () => ({ id: 'ada', permissions: ['get_*'] })
  })
  const call = async (as: typeof modern | typeof legacy, name: string, args: object, tenant = 'a') =>
    messageOf(await as(app as never, 'tools/call', { name, arguments: args }, { headers: { 'x-tenant': tenant } })).result
  t.equal((await call(modern, 'get_tenant', { a: 1 })).content[0].text, 'a 1')
  t.equal((await call(legacy, 'get_tenant', {})).content[0].text, 'a 2')
  t.same(calls, ['get_tenant {"a":1} custom:ada a true', 'get_tenant {} custom:ada a true'])
  t.equal((await call(modern, 'get_tenant', {}, 'twice')).content[0].text, 'undefined 3', 'the tool runs once')

  t.same(await call(modern, 'get_tenant', {}, 'closed').then(({ content, isError }) => [content[0].text, isError]), ['This tenant is closed', true])
  t.equal((await call(modern, 'get_tenant', {}, 'broken')).content[0].text, 'Internal error')
  t.equal((await call(modern, 'get_tenant', {}, 'silent')).content[0].text, 'Internal error', 'it cannot answer in the tool\'s place')
  t.equal(runs, 3)

  const before = calls.length
  t.equal((await call(modern, 'delete_tenant', {})).content[0].text, 'Access denied')
  t.equal((await call(modern, 'get_tenant', { b: 1 })).isError, true)
  t.equal((await call(modern, 'get_tenant', { a: '../../etc/passwd' })).isError, true)
  t.equal(calls.length, before, 'what was refused never reaches it')
})

t.test('a hook that waits for nothing ends no process, and hides no failure', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const fails = defineTool({ name: 'get_failing', description: 'Fails.', input: EMPTY, run: async () => { throw new ToolError('in its words') } })
  let unhandled = 0
  const count = () => { unhandled++ }
  process.on('unhandledRejection', count)
  t.teardown(() => { process.off('unhandledRejection', count) })
  await app.register(secureMcp, {
    publicUrl: 'http://localhost:3000',
    apiKeysFile: join(folder(t), 'keys.json'),
    tools: [fails],
    toolHeaders: 'x-throws',
    toolHook (call, next) {
      next().catch(() => {})
      next()
      if (call.headers['x-throws'] !== undefined) throw new Error('before it ended')
    },
    principal: () => ({ id: 'ada', permissions: ['*'] })
  })
  const call = async (headers: Record<string, string>) => messageOf(await modern(app as never, 'tools/call', { name: 'get_failing', arguments: {} }, { headers })).result.content[0].text
  t.equal(await call({}), 'in its words')
  t.equal(await call({ 'x-throws': 'yes' }), 'Internal error')
  await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(unhandled, 0)
})

t.test('a module can be the hook, and one that is none stops the start', async t => {
  const dir = folder(t)
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const { app, store } = await build(t, { tools: [seen], env: { TOOL_HOOK: file('hook.mjs', "export default (call, next) => { if (call.caller.claims.owner === 'Eve') throw Object.assign(new Error('no'), {}); return next() }") } })
  const { key } = await addKey(store)
  const { key: eves } = await addKey(store, { owner: 'Eve' })
  t.notOk(messageOf(await modern(app, 'tools/call', { name: 'get_seen', arguments: {} }, { key })).result.isError)
  t.equal(messageOf(await modern(app, 'tools/call', { name: 'get_seen', arguments: {} }, { key: eves })).result.isError, true)
  await t.rejects(build(t, { env: { TOOL_HOOK: join(dir, 'absent.mjs') } }), /TOOL_HOOK: cannot load/)
  await t.rejects(build(t, { env: { TOOL_HOOK: file('none.mjs', 'export const a = 1') } }), /TOOL_HOOK: the default export .* must be a function/)
})
