import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hashKey } from '../../../src/core/api-key.ts'
import { openKeyFile, readKeyFile, withRecord } from '../../../src/state/memory/key-file.ts'
import { folder } from '../../support/app.ts'
import { until } from '../../support/until.ts'

const READER = 'sk-0123456789abcdef0123456789'
const WRITER = 'sk-abcdef0123456789abcdef0123'
const read = (content: unknown, rules = {}) => readKeyFile(typeof content === 'string' ? content : JSON.stringify(content), 'keys.json', rules)
const may = (content: unknown) => Object.fromEntries(read(content).records.map(({ name, permissions }) => [name, permissions]))

t.test('permissions are closed on a slip', async t => {
  t.match(read({ api_keys: { reader: READER }, key_permissions: { raeder: ['get_*'] } }).problems, ['keys.json: key_permissions names "raeder", but api_keys has no such key'])
  t.same(may({ api_keys: { reader: READER }, key_permissions: { raeder: ['get_*'] } }), { reader: [] })
  t.match(read({ api_keys: { reader: READER }, key_permissions: {}, key_records: { raeder: { id: 'a', role: 'caller', created: 1 } } }).problems, [/key_records names "raeder"/])

  const some = read({ api_keys: { reader: READER, writer: WRITER }, key_permissions: { reader: ['get_*'] } })
  t.same(some.records.map(({ permissions }) => permissions), [['get_*'], []])
  t.match(some.warnings.join('\n'), /key "writer" has no entry in key_permissions.*it may use nothing/)
  t.same(may({ api_keys: { reader: READER, writer: WRITER } }), { reader: ['*'], writer: ['*'] }, 'where none has any, all may use everything')
  t.same(may({ api_keys: { reader: READER, writer: WRITER }, key_permissions: {} }), { reader: ['*'], writer: ['*'] })
  t.same(may({ api_keys: { reader: READER, writer: WRITER }, key_permissions: { writer: [] } }), { reader: [], writer: [] })
})

t.test('a misspelt member is refused where ignoring it would open keys', async t => {
  for (const [member, meant] of [['key_permission', 'key_permissions'], ['keyPermissions', 'key_permissions'], ['permissions', 'key_permissions'], ['KEY_PERMISSIONS', 'key_permissions'], ['apikeys', 'api_keys']] as const) {
    t.match(read({ api_keys: { reader: READER }, [member]: {} }).problems, [new RegExp(`"${member}"; write ${meant}`)], member)
  }
  t.match(read({ api_keys: { reader: READER }, key_records: { reader: { id: 'a', role: 'caller', created: 1, expire: 5 } } }).problems, [/"expire"; write expires/])
  t.same(read({ api_keys: { reader: READER }, comment: 'ours', key_records: { reader: { id: 'a', role: 'caller', created: 1, tenant: 'x' } } }).problems, [], 'what a newer release may have added passes')
})

t.test('two entries of one key, or of one id, are refused: their permissions would be a guess', async t => {
  t.match(read({ api_keys: { a: READER, b: READER }, key_permissions: { a: ['*'], b: [] } }), { records: [], problems: [/key "a" has the same key/, /key "b" has the same key/] })
  t.match(read({ api_keys: { a: READER, b: `sha256:${hashKey(READER)}` } }).problems.length, 2)
  const details = { id: 'same', role: 'caller', created: 1 }
  t.equal(read({ api_keys: { a: READER, b: WRITER }, key_records: { a: details, b: details } }).problems.length, 2)
})

t.test('a plain key that can be guessed is refused, or allowed with a warning', async t => {
  for (const key of ['tiger-4821', 'x'.repeat(19), 'z'.repeat(40)]) {
    t.match(read({ api_keys: { a: key } }), { records: [], problems: [/key "a" is short enough to be guessed.*ALLOW_SHORT_KEYS/] }, key)
    t.match(read({ api_keys: { a: key } }, { allowShort: true }), { records: [{ name: 'a' }], problems: [], warnings: [/plain text/, /short enough/] }, key)
    t.notMatch(read({ api_keys: { a: key } }).problems.join(), key)
  }
  for (const key of ['sk-prod-abc123def45678', 'sk-0123456789abcdefghijk']) t.match(read({ api_keys: { a: key } }), { records: [{ name: 'a' }], problems: [], warnings: [/plain text/, /short enough/] }, 'the length of the original examples goes on')
  t.equal(read({ api_keys: { a: READER } }).warnings.length, 1)
})

t.test('names of JavaScript are names like others', async t => {
  const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf']
  const text = `{"api_keys": {${names.map((name, i) => `"${name}": "${READER}${i}"`).join()}}, "key_permissions": {"constructor": ["get_*"]}}`
  t.same(read(text).records.map(({ name, permissions }) => [name, permissions]), names.map(name => [name, name === 'constructor' ? ['get_*'] : []]))
  const record = { id: 'abc', name: '__proto__', role: 'caller' as const, permissions: ['echo'], hash: 'a'.repeat(64), created: 1 }
  t.match(read(withRecord(undefined, record, 'keys.json')).records, [record])
})

t.test('the first key with permissions takes none away from those before it', async t => {
  const record = { id: 'abc', name: 'new', role: 'operator' as const, permissions: [], hash: 'a'.repeat(64), created: 1 }
  t.same(may(withRecord(JSON.stringify({ api_keys: { reader: READER } }), record, 'keys.json')), { reader: ['*'], new: [] })
})

t.test('a changed file is used as far as it can be: a slip never keeps a deleted key alive', async t => {
  const path = join(folder(t), 'keys.json')
  const warnings: string[] = []
  writeFileSync(path, JSON.stringify({ api_keys: { reader: READER, writer: WRITER }, key_permissions: { reader: ['a'], writer: ['b'] } }))
  const file = openKeyFile({ path, warn: message => warnings.push(message) })
  t.teardown(() => file.close())
  writeFileSync(path, JSON.stringify({ api_keys: { reader: READER }, key_permissions: { reader: ['a'], writer: ['b'] } }))
  t.ok(await until(() => file.byHash(hashKey(WRITER)) === undefined), 'the entry that names no key is told, and the key is gone')
  t.match(warnings.join('\n'), /key_permissions names "writer"/)

  writeFileSync(path, '{"api_keys": {')
  t.ok(await until(() => warnings.some(text => text.includes('is not used'))))
  t.ok(file.byHash(hashKey(READER)), 'a file that is broken keeps the last good state')
  t.match(file.held.look(), { problem: /ends too early/ })
  rmSync(path)
  t.ok(await until(() => file.records().length === 0))
  t.throws(() => { writeFileSync(path, JSON.stringify({ api_keys: {}, key_permissions: { a: ['*'] } })); openKeyFile({ path, warn () {} }) }, { name: 'UsageError', message: /names "a"/ }, 'a start is refused for the same')
})

t.test('changes made at once are made one after the other, and none is lost', async t => {
  const path = join(folder(t), 'keys.json')
  const record = { id: 'abc', name: 'ada', role: 'caller' as const, permissions: ['echo'], hash: 'a'.repeat(64), created: 1 }
  const files = [1, 2].map(() => openKeyFile({ path, warn () {} }))
  t.teardown(() => { for (const file of files) file.close() })
  await files[0]!.save(record)
  await Promise.all(Array.from({ length: 10 }, (_, i) => files[i % 2]!.change('abc', before => ({ ...before, permissions: [...before.permissions, `p${i}`] }))))
  t.equal(files[0]!.held.look() && files[0]!.byId('abc')!.permissions.length, 11)
  t.equal(await files[0]!.change('nobody', before => before), undefined)
  await t.rejects(files[0]!.change('abc', () => { throw new Error('no') }), /no/)
})
