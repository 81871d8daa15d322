import fc from '../support/fast-check.ts'
import t, { type Test } from 'tap'
import { allowing, allows, mayUse, mayUseSome, PERMISSION_PATTERN, spelled, usableBy } from '../../src/core/permissions.ts'
import type { Principal } from '../../src/core/principal.ts'
import { definePrompt, defineResource, defineTool, Type } from '../../src/tools/index.ts'
import { startIssuer } from '../auth/oauth2/issuer.ts'
import { addKey, build, legacy, messageOf, modern } from '../support/app.ts'

const BUILT_IN = ['debug_info', 'echo', 'get_time', 'hello_world']
const NAMES = ['get_day', 'get_secret', 'get', 'set_time', 'drop', 'GET', 'a.b-c']
const URIS = ['note://get_day', 'note://get_secret', 'note://drop', 'doc://a']
const TEMPLATE = 'file://{name}'
const FILES = ['file://a', 'file://secret', 'file://a%20b']

/** Patterns near the names, so that they meet often. */
const bare = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...NAMES, ...BUILT_IN, ...URIS.map(uri => `resource:${uri}`), ...FILES.map(uri => `resource:${uri}`), ...NAMES.map(name => `prompt:${name}`)) },
  { weight: 2, arbitrary: fc.constantFrom('*', 'get*', 'get_*', 'g*', 'prompt:*', 'prompt:get_*', 'resource:*', 'resource:note://*', 'resource:file://*', 'resource:file://s*', `resource:${TEMPLATE}`, 'p*', 'r*') },
  { weight: 1, arbitrary: fc.stringMatching(/^[a-z_:/]{1,12}\*?$/) }
)
const pattern = fc.oneof({ weight: 3, arbitrary: bare }, { weight: 1, arbitrary: bare.map(text => `!${text}`) })
const patterns = fc.array(pattern, { maxLength: 6 })
const name = fc.oneof(fc.constantFrom(...NAMES, ...URIS.map(uri => `resource:${uri}`), ...NAMES.map(name => `prompt:${name}`)), fc.string({ maxLength: 20 }))

t.test('adding a pattern that takes away never gives', async () => {
  fc.assert(fc.property(patterns, bare, name, fc.nat(6), (list, extra, name, at) => {
    const more = [...list.slice(0, at), `!${extra}`, ...list.slice(at)]
    return allows(list, name) || !allows(more, name)
  }), { numRuns: 20_000 })
})

t.test('adding a pattern that gives never takes away', async () => {
  fc.assert(fc.property(patterns, bare, name, (list, extra, name) => !allows(list, name) || allows([...list, extra], name)), { numRuns: 20_000 })
})

t.test('the order of patterns and their repetition mean nothing', async () => {
  fc.assert(fc.property(patterns.chain(list => fc.tuple(fc.constant(list), fc.shuffledSubarray([...list, ...list], { minLength: list.length * 2 }))), name,
    ([list, shuffled], name) => allows(list, name) === allows(shuffled, name)), { numRuns: 20_000 })
})

t.test('says what a plain reading of the patterns says', async () => {
  const kindOf = (name: string) => /^(resource|prompt):/.exec(name)?.[0] ?? ''
  const reads = (pattern: string, name: string) => {
    if (!pattern.endsWith('*')) return pattern === name
    const prefix = pattern.slice(0, -1)
    return name.startsWith(prefix) && (prefix === '' || prefix.startsWith(kindOf(name)))
  }
  fc.assert(fc.property(patterns, name, (list, name) => {
    const given = list.filter(pattern => !pattern.startsWith('!') && reads(pattern, name))
    const taken = list.filter(pattern => pattern.startsWith('!') && reads(pattern.slice(1), name))
    const { allowed, by } = allowing(list, name)
    return allowed === (given.length > 0 && taken.length === 0) && allows(list, name) === allowed && by === (taken[0] ?? given[0] ?? 'no pattern')
  }), { numRuns: 20_000 })
})

t.test('a prefix reaches resources and prompts only if it spells their kind out', async t => {
  const principal = (...permissions: string[]): Principal => ({ id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions, authenticatedAt: 0, revocableAs: [] })
  for (const prefix of ['r*', 're*', 'resource*', 'p*', 'pr*', 'prompt*', 'resource:', 'prompt:']) {
    t.notOk(mayUse(principal(prefix), 'resource', 'note://a'), prefix)
    t.notOk(mayUse(principal(prefix), 'prompt', 'greet'), prefix)
    t.ok(mayUse(principal('*', `!${prefix}`), 'resource', 'note://a'), `!${prefix} takes no resource away`)
    t.ok(mayUse(principal('*', `!${prefix}`), 'prompt', 'greet'), `!${prefix} takes no prompt away`)
  }
  t.ok(mayUse(principal('re*'), 'tool', 'read_file'))
  t.ok(mayUse(principal('*'), 'resource', 'note://a'))
  t.ok(mayUse(principal('resource:*'), 'resource', 'note://a'))
  t.ok(mayUse(principal('resource:n*'), 'resource', 'note://a'))
  t.notOk(mayUse(principal('resource:*'), 'prompt', 'greet'))
  t.ok(mayUse(principal('prompt:gr*'), 'prompt', 'greet'))
  t.notOk(mayUse(principal('*', '!resource:*'), 'resource', 'note://a'))
})

t.test('a tool cannot pass for a resource or a prompt by its name', async t => {
  const principal: Principal = { id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions: ['resource:*', 'prompt:*'], authenticatedAt: 0, revocableAs: [] }
  for (const name of ['resource:note://a', 'prompt:greet', 'resource:', 'prompt:']) {
    t.notOk(mayUse(principal, 'tool', name), name)
    t.ok(mayUse({ ...principal, permissions: ['*'] }, 'tool', name), name)
    t.not(spelled('tool', name), name)
  }
  fc.assert(fc.property(name, name, (one, other) => spelled('tool', one) !== spelled('resource', other) && spelled('tool', one) !== spelled('prompt', other)))
})

t.test('says what decided, also where a role did', async t => {
  const principal: Principal = { id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions: ['get_*', '!get_secret'], authenticatedAt: 0, revocableAs: [] }
  t.same(usableBy(principal, 'tool', 'get_day'), { allowed: true, by: 'get_*' })
  t.same(usableBy(principal, 'tool', 'get_secret'), { allowed: false, by: '!get_secret' })
  t.same(usableBy(principal, 'tool', 'drop'), { allowed: false, by: 'no pattern' })
  t.same(usableBy({ ...principal, role: 'operator' }, 'tool', 'get_day'), { allowed: false, by: 'role' })
})

t.test('an operator may use nothing, whatever its patterns; nor may an empty list', async t => {
  const principal = (role: 'caller' | 'operator', permissions: string[]): Principal => ({ id: 'api_key:a', name: 'a', authType: 'api_key', role, permissions, authenticatedAt: 0, revocableAs: [] })
  fc.assert(fc.property(patterns, name, fc.constantFrom('tool', 'resource', 'prompt'), (list, name, kind) => !mayUse(principal('operator', [...list, '*']), kind, name)))
  fc.assert(fc.property(name, name => !allows([], name)))
  const valid = new RegExp(PERMISSION_PATTERN)
  for (const wrong of ['', '!', '**', 'a*b', '*a', '!!a', 'a b', 'a\n']) t.notOk(valid.test(wrong), JSON.stringify(wrong))
})

const noInput = Type.Object({}, { additionalProperties: false })
const OFFERED = [
  ...NAMES.map(name => defineTool({ name, description: name, input: noInput, run: () => name })),
  ...NAMES.map(name => definePrompt({ name, get: () => name })),
  ...URIS.map(uri => defineResource({ uri, name: uri.replaceAll(/\W+/g, '-'), read: () => uri })),
  defineResource({ uri: TEMPLATE, name: 'files', complete: { name: () => ['a'] }, read: ({ variables }) => variables.name! })
]

/** What a principal sees in the lists, and what comes of using every name there is. */
async function seenAndUsed (app: Awaited<ReturnType<typeof build>>['app'], send: typeof modern, key: string) {
  const ask = async (method: string, params: Record<string, unknown> = {}) => messageOf(await send(app, method, params, { key }))
  const list = async (method: string, member: string, by: string) => ((await ask(method)).result[member] as Array<Record<string, string>>).map(one => one[by]!).sort()
  const works = async (names: readonly string[], use: (name: string) => Promise<{ result?: any, error?: any }>) => {
    const can = []
    for (const name of names) {
      const { result, error } = await use(name)
      if (error === undefined && result.isError !== true) can.push(name)
    }
    return can.sort()
  }
  return {
    seen: {
      tools: await list('tools/list', 'tools', 'name'),
      prompts: await list('prompts/list', 'prompts', 'name'),
      resources: await list('resources/list', 'resources', 'uri')
    },
    used: {
      tools: await works([...NAMES, ...BUILT_IN], name => ask('tools/call', { name, arguments: name === 'echo' ? { text: 'a' } : {} })),
      prompts: await works(NAMES, name => ask('prompts/get', { name })),
      resources: await works(URIS, uri => ask('resources/read', { uri }))
    },
    templates: await list('resources/templates/list', 'resourceTemplates', 'uriTemplate'),
    files: await works(FILES, uri => ask('resources/read', { uri })),
    respelled: await works(['file://%61', 'file://secre%74', 'file://a b', 'file://a%20%62', 'file://%73ecret'], uri => ask('resources/read', { uri }))
  }
}

async function holds (t: Test, how: string, take: (patterns: string[]) => Promise<{ app: Awaited<ReturnType<typeof build>>['app'], key: string }>, numRuns: number): Promise<void> {
  for (const [era, send] of [['2026-07-28', modern], ['2025-11-25', legacy]] as const) {
    await t.test(`${how}, ${era}`, async t => {
      let some = 0
      await fc.assert(fc.asyncProperty(patterns, async list => {
        const { app, key } = await take(list)
        const { seen, used, templates, files, respelled } = await seenAndUsed(app, send, key)
        if (JSON.stringify(seen) !== JSON.stringify(used)) throw new Error(`sees ${JSON.stringify(seen)}, can use ${JSON.stringify(used)}`)
        const offered = allows(list, `resource:${TEMPLATE}`)
        const expected = offered ? FILES.filter(uri => allows(list, `resource:${uri}`)).sort() : []
        if (templates.length !== Number(offered)) throw new Error('the template is listed wrongly')
        if (JSON.stringify(files) !== JSON.stringify(expected)) throw new Error(`reads ${JSON.stringify(files)}, not ${JSON.stringify(expected)}`)
        if (respelled.length > 0) throw new Error(`reads ${JSON.stringify(respelled)}`)
        some += used.tools.length + used.prompts.length + used.resources.length
      }), { numRuns, endOnFailure: true, examples: [[['*', 'prompt:*', 'resource:*']], [['get*', '!get_secret', 'prompt:get_*']]] })
      t.ok(some >= BUILT_IN.length + 2 * NAMES.length + URIS.length, `${some} uses were allowed, so the comparison is of something`)
    })
  }
}

t.test('what a principal sees in the lists is exactly what it can use', async t => {
  const built = await build(t, { tools: OFFERED, env: { RATE_LIMIT_API_KEY: '1000000' } })
  await holds(t, 'by API key', async permissions => ({ app: built.app, key: (await addKey(built.store, { permissions: [...permissions] })).key }), 40)

  const issuer = await startIssuer(t)
  const oauth = await build(t, { tools: OFFERED, env: { OAUTH2_AUTH_SERVER: issuer.url, RATE_LIMIT_OAUTH2: '1000000' } })
  await holds(t, 'by scopes', async list => ({ app: oauth.app, key: issuer.mint({ scope: ['mcp:server:access', ...list.map(text => `mcp:tool:${text}`)].join(' ') }) }), 15)
})

t.test('a beginning may lead to something usable exactly if some name that begins so may be used', async () => {
  const uri = fc.stringMatching(/^[ab]{0,4}$/)
  const near = fc.oneof(fc.constant('*'), uri.map(text => `resource:${text}`), uri.map(text => `resource:${text}*`), fc.constantFrom('r*', 'resource*', 'prompt:*'))
  const list = fc.array(fc.tuple(fc.boolean(), near).map(([taken, text]) => taken ? `!${text}` : text), { maxLength: 4 })
  const all = ['']
  for (let length = 0, from = 0; length < 6; length++) {
    const end = all.length
    for (; from < end; from++) all.push(`${all[from]}a`, `${all[from]}b`)
  }
  fc.assert(fc.property(list, uri, (permissions, beginning) => {
    const principal: Principal = { id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions, authenticatedAt: 0, revocableAs: [] }
    const some = all.some(name => name.startsWith(beginning) && mayUse(principal, 'resource', name))
    // A hint may be too generous where single names are taken away, never too strict.
    return !some || mayUseSome(principal, 'resource', beginning)
  }), { numRuns: 3000 })
})
