/** The records of a folder, decided again in a thread of its own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand } from '../../src/cli/run.ts'
import { progressOn } from '../../src/cli/progress.ts'
import { dryRun } from '../../src/operate/dry-run.ts'
import { classRules } from '../../src/settings/class-rules.ts'
import { addKey, build, folder, modern, redisUrl, type Built } from '../support/app.ts'

/** The records that a server keeps are its request lines. */
function kept (t: Test, lines: Built['lines']): string {
  const dir = join(folder(t), 'audit')
  mkdirSync(dir)
  const records = lines.filter(({ msg }) => msg === 'request').map(line => JSON.stringify(line))
  writeFileSync(join(dir, 'audit-test-000000000001.jsonl'), `${records.join('\n')}\n{"torn`)
  return dir
}

t.test('one at a time, a change that could not be made is refused, and nothing is changed', async t => {
  const { store, config } = await build(t)
  await addKey(store, { name: 'ci', permissions: ['echo'] })
  const context = { store, rules: classRules(config), folder: kept(t, []) }
  await t.rejects(dryRun({}, context), { message: /Say what would change/ })
  await t.rejects(dryRun({ key: { id: 'nobody', change: { limit: 1 } } }, context), { message: /no key/ })
  await t.rejects(dryRun({ key: { id: 'ci', change: { drop: ['other'] } } }, context), { message: /no pattern other/ })
  await t.rejects(dryRun({ block: ['300.1.1.1'] }, context), { message: /no address/ })
  const first = dryRun({ block: ['203.0.113.9'] }, context)
  await t.rejects(dryRun({ block: ['203.0.113.9'] }, context), { code: 'INVALID_REQUEST', message: /under way/ })
  t.match(await first, { records: 0, changes: [] })
  t.match(await store.findKey((await store.listKeys())[0]!.id), { permissions: ['echo'] })
})

t.test('the command prints what differs, and progress on a terminal alone', async t => {
  const { app, store, config, lines } = await build(t)
  const { key } = await addKey(store, { name: 'ci' })
  await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'a' } }, { key })
  const env = { API_KEYS_FILE: config.API_KEYS_FILE, TOOLS_DIR: config.TOOLS_DIR, AUDIT_DIR: kept(t, lines) }
  const said: string[] = []
  const run = async (...args: string[]) => await runCommand(['dry-run', ...args], { stdin: process.stdin, out: line => said.push(line), err: line => said.push(line), env })
  t.equal(await run('--key', 'ci', '--drop', '*', '--allow', 'get_*'), 0)
  t.match(said.join('\n'), /1 records.*served +ACCESS_DENIED +1/s)
  t.equal(await run('--key', 'ci', '--limit', '5', '--json'), 0)
  t.match(JSON.parse(said.at(-1)!), { records: 1, unchanged: 1 })
  for (const wrong of [[], ['--key', 'ci'], ['--limit', '1'], ['--block', 'here'], ['--class-limit', 'all=1'], ['--last', '0', '--block', '10.0.0.1']]) t.equal(await run(...wrong), 2, wrong.join(' '))
  for (const isTTY of [true, false]) {
    let text = ''
    const progress = progressOn('records', { isTTY, write: part => { text += part } })
    progress.at(5000, 10_000)
    progress.end()
    t.equal(text.includes('5000 of 10000 records'), isTTY)
    if (!isTTY) t.equal(text, '')
  }
})

t.test('the records of all replicas are read where they are shared', async t => {
  const { app, store, config, lines } = await build(t, { env: { REDIS_URL: redisUrl } })
  const { key } = await addKey(store, { name: 'ci' })
  for (let n = 0; n < 3; n++) await modern(app, 'tools/call', { name: 'echo', arguments: { text: 'a' } }, { key })
  const records = lines.filter(({ msg }) => msg === 'request').map(line => JSON.stringify(line))
  await store.records!.append('a', `${records[0]}\n`)
  await store.records!.append('b', `${records[1]}\n${records[2]}\n`)
  await store.records!.append('a', `${records[0]}\n`)
  const context = { store, rules: classRules(config), folder: 'nowhere' }
  t.match(await dryRun({ key: { id: 'ci', change: { permissions: ['get_*'] } } }, context), { records: 3, changes: [{ to: 'ACCESS_DENIED', count: 3 }] })
  t.match(await dryRun({ block: ['203.0.113.9'], last: 2 }, context), { records: 2 })
})
