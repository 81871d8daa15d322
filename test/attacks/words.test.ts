/** Whatever a caller says is looked at before an author's code reads it, wherever it reaches it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ask, definePrompt, defineResource, defineTool, elicit, Type } from '../../src/tools/index.ts'
import { addKey, build, folder, legacy, messageOf, modern } from '../support/app.ts'

/** What authors' code was given. */
const heard: unknown[] = []
const hear = (said: unknown) => { heard.push(said); return 'heard' }

const TOOLS = [
  defineTool({ name: 'short', description: 'Takes little.', input: Type.Object({ text: Type.String({ maxLength: 64 }) }), run: hear }),
  defineTool({ name: 'long', description: 'Takes anything.', input: Type.Object({}, { additionalProperties: true }), run: hear }),
  defineTool({ name: 'shell', description: 'Runs scripts.', input: Type.Object({ text: Type.String() }), exempt: { command_substitution: 'It is what it is for.' }, run: hear }),
  definePrompt({ name: 'greet', arguments: [{ name: 'name', complete: (typed, others) => { hear({ typed, others }); return [] } }], get: values => hear(values) }),
  definePrompt({ name: 'html', exempt: { script_tag: 'Explains HTML.' }, arguments: [{ name: 'text' }], get: values => hear(values) }),
  defineResource({ uri: 'doc://{name}', name: 'doc', complete: { name: (typed, others) => { hear({ typed, others }); return [] } }, read: ({ variables }) => hear(variables) }),
  defineResource({ uri: 'page://{name}', name: 'page', exempt: { path_traversal: 'Names are looked up in a table.' }, read: ({ variables }) => hear(variables) })
]

const SUSPICIOUS = ['<script>fetch("//evil")</script>', '../../etc/passwd', "' OR '1'='1", '; rm -rf /', '%3Cscript%3E', '{"a":"\\\\u003cscript>"}', '＜script＞']
/** As a template spells a value. */
const spelled = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, letter => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)

t.test('arguments of prompts, variables of templates and values that are completed', async t => {
  const { app, store, lines } = await build(t, { tools: TOOLS, env: { RATE_LIMIT_API_KEY: '100000' } })
  const { key } = await addKey(store)
  for (const [era, send] of [['2026-07-28', modern], ['2025-11-25', legacy]] as const) {
    for (const text of SUSPICIOUS) {
      const places: Array<[string, Record<string, unknown>, string]> = [
        ['prompts/get', { name: 'greet', arguments: { name: text } }, 'name'],
        ['resources/read', { uri: `doc://${spelled(text)}` }, 'name'],
        ['completion/complete', { ref: { type: 'ref/prompt', name: 'greet' }, argument: { name: 'name', value: text } }, 'name'],
        ['completion/complete', { ref: { type: 'ref/prompt', name: 'greet' }, argument: { name: 'name', value: 'a' }, context: { arguments: { other: text } } }, 'other'],
        ['completion/complete', { ref: { type: 'ref/resource', uri: 'doc://{name}' }, argument: { name: 'name', value: text } }, 'name']
      ]
      for (const [method, params, argument] of places) {
        heard.length = 0
        const response = await send(app, method, params, { key })
        t.match(messageOf(response), { error: { code: 403, message: /^Security validation failed\. The argument "\w+" looks like \w+\./, data: { reason: 'SUSPICIOUS_ARGUMENT', argument, pattern: String } } }, `${era} ${method} ${text}`)
        t.equal(response.statusCode, 200)
        t.same(heard, [], 'nobody heard it')
        t.match(lines.at(-1), { decision: 'SUSPICIOUS_ARGUMENT' })
      }
    }
    heard.length = 0
    await send(app, 'prompts/get', { name: 'greet', arguments: { name: 'Ada, see ../README.md' } }, { key })
    await send(app, 'prompts/get', { name: 'html', arguments: { text: '<script>' } }, { key })
    await send(app, 'resources/read', { uri: `doc://${spelled('a b')}` }, { key })
    await send(app, 'resources/read', { uri: `page://${spelled('../a')}` }, { key })
    await send(app, 'completion/complete', { ref: { type: 'ref/prompt', name: 'greet' }, argument: { name: 'name', value: 'A' }, context: { arguments: { other: 'b' } } }, { key })
    t.same(heard, [{ name: 'Ada, see ../README.md' }, { text: '<script>' }, { name: 'a b' }, { name: '../a' }, { typed: 'A', others: { other: 'b' } }], 'the rest is heard, exemptions as well')
  }
})

t.test('a suspicious argument of a tool is named with its pattern, ordinary text is heard', async t => {
  const { app, store } = await build(t, { tools: TOOLS })
  const { key } = await addKey(store)
  const call = async (args: object, name = 'long') => messageOf(await modern(app, 'tools/call', { name, arguments: args }, { key })).result
  t.match(await call({ a: { list: ['x', '; rm -rf /'] } }), {
    isError: true,
    content: [{ type: 'text', text: 'Security validation failed' }, { type: 'text', text: 'The argument "a.list.1" looks like command_substitution. Write it otherwise, or leave it out.' }]
  })
  t.match(await call({ '<script>': 1 }), { isError: true, content: [{ text: 'Security validation failed' }, { text: /"\(key\)" looks like script_tag/ }] })
  t.match(await call({ text: '; rm -rf /' }, 'shell'), { content: [{ text: 'heard' }] }, 'exempt')
  t.match(await call({ text: '<script>' }, 'shell'), { isError: true }, 'and from nothing else')
  for (const text of [
    'Which operating system(s) do you support?', 'The column `id` must not be null.', 'Use `cat` to see the file.', "I read 'Dune' and people like it.", 'see ../README.md',
    "SELECT name FROM people WHERE name = 'Ann' AND age = 30"
  ]) t.match(await call({ text }), { content: [{ text: 'heard' }] }, text)
})

t.test('answers to questions, of the newer revision, before a handler reads them', async t => {
  const form = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] }
  const asking = [
    defineTool({ name: 'asks', description: 'Asks.', input: Type.Object({}), run: (_input, { answers }) => answers.who === undefined ? ask({ who: elicit('Who?', form) }) : hear(answers.who) as string }),
    definePrompt({ name: 'asks', get: (_values, { answers }) => answers.who === undefined ? ask({ who: elicit('Who?', form) }) : hear(answers.who) as string }),
    defineResource({ uri: 'note://asks', name: 'asks', read: (_at, { answers }) => answers.who === undefined ? ask({ who: elicit('Who?', form) }) : hear(answers.who) as string })
  ]
  const { app, store } = await build(t, { tools: asking })
  const { key } = await addKey(store)
  const _meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }
  for (const [method, params] of [['tools/call', { name: 'asks', arguments: {} }], ['prompts/get', { name: 'asks' }], ['resources/read', { uri: 'note://asks' }]] as const) {
    const { requestState } = messageOf(await modern(app, method, { ...params, _meta }, { key })).result
    const answer = async (name: unknown) => messageOf(await modern(app, method, { ...params, _meta, requestState, inputResponses: { who: { action: 'accept', content: { name } } } }, { key }))
    heard.length = 0
    const refused = await answer('; rm -rf /')
    t.match(refused.result ?? refused.error, method === 'tools/call'
      ? { isError: true, content: [{ text: 'Security validation failed' }, { text: /"who\.content\.name" looks like command_substitution/ }] }
      : { code: 403, data: { reason: 'SUSPICIOUS_ARGUMENT', argument: 'who.content.name' } }, method)
    t.match((await answer(7)).error, { code: -32602 }, 'and held to what was asked')
    t.same(heard, [])
    await answer('Ada')
    t.match(heard, [{ action: 'accept', content: { name: 'Ada' } }])
  }
})

t.test('arguments are held to the schema before anything is looked for in them', async t => {
  const { app, store } = await build(t, { tools: TOOLS })
  const { key } = await addKey(store)
  for (const pump of ['a<', '<!doctype ', '&amp;lt;a', '\ufdfa', 'Die Straße ist lang. ', '<script>']) {
    const text = pump.repeat(1_000_000 / Buffer.byteLength(pump))
    const { result } = messageOf(await modern(app, 'tools/call', { name: 'short', arguments: { text } }, { key }))
    t.match(result, { isError: true, content: [{ text: /^Invalid arguments: text/ }] }, pump)
  }
})

t.test('while a megabyte is looked at, others are served', async t => {
  const { app, store } = await build(t, { tools: TOOLS, env: { RATE_LIMIT_API_KEY: '100000' } })
  const { key } = await addKey(store)
  const text = 'Die Straße ist lang; das Haus (rot) = 5, <b>alt</b>. '.repeat(17_000)
  let done = false
  const long = Promise.all(Array.from({ length: 4 }, async () => await modern(app, 'tools/call', { name: 'long', arguments: { text } }, { key }))).then(answers => { done = true; return answers })
  let served = 0
  const progress = { get done () { return done } }
  while (!progress.done) {
    await modern(app, 'tools/call', { name: 'short', arguments: { text: 'a' } }, { key })
    served++
  }
  for (const answer of await long) t.match(messageOf(answer), { result: { content: [{ text: 'heard' }] } })
  t.ok(served > 10, `${served} others in the meantime`)
  t.match(messageOf(await modern(app, 'tools/call', { name: 'long', arguments: { text: text + '<script>' } }, { key })), { result: { isError: true } }, 'at its very end, too')
})

t.test('an operator chooses the level and adds patterns', async t => {
  const file = join(folder(t), 'patterns.json')
  writeFileSync(file, JSON.stringify([{ name: 'iban', description: 'An account number.', pattern: '\\bDE\\d{20}\\b' }]))
  const exempt = defineTool({ name: 'pay', description: 'Pays.', input: Type.Object({ text: Type.String() }), exempt: { iban: 'It pays.' }, run: hear })
  const { app, store } = await build(t, { tools: [...TOOLS, exempt], env: { INSPECTION_LEVEL: 'strict', INSPECTION_PATTERNS_FILE: file } })
  const { key } = await addKey(store)
  const call = async (name: string, text: string) => messageOf(await modern(app, 'tools/call', { name, arguments: { text } }, { key })).result.content.map((part: { text: string }) => part.text).join(' ')
  t.match(await call('long', 'see ../README.md'), /path_traversal/)
  t.match(await call('long', 'to DE02120300000000202051'), /"text" looks like iban/)
  t.match(await call('pay', 'to DE02120300000000202051'), /heard/)

  for (const [content, fault] of [['{', /INSPECTION_PATTERNS_FILE/], ['{}', /must hold a list/], ['[{"name":"a","description":"b","pattern":"(?=a)"}]', /pattern "a" is not RE2/]] as const) {
    writeFileSync(file, content)
    await t.rejects(build(t, { env: { INSPECTION_PATTERNS_FILE: file } }), { name: 'UsageError', message: fault })
  }
  await t.rejects(build(t, { env: { INSPECTION_PATTERNS_FILE: `${file}.absent` } }), { message: /INSPECTION_PATTERNS_FILE: there is no file/ })
})

t.test('what is only observed is served, and told in the log', async t => {
  const { app, store, lines } = await build(t, { tools: TOOLS, env: { INSPECTION: 'observe' } })
  const { key } = await addKey(store)
  t.match(messageOf(await modern(app, 'prompts/get', { name: 'greet', arguments: { name: '<script>' } }, { key })), { result: { messages: Array } })
  t.match(lines.find(({ msg }) => msg === 'suspicious argument'), { pattern: 'script_tag', path: 'name', blocked: false })
})
