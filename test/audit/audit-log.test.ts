import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { AuditLog, type Keeping } from '../../src/audit/audit-log.ts'
import { sealKeys } from '../../src/audit/seal.ts'
import { verifyChain } from '../../src/audit/verify.ts'
import { Trace } from '../../src/decision/trace.ts'
import { defineTool } from '../../src/tools/index.ts'
import { addKey, build, folder } from '../support/app.ts'
import { MAIN, startServer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const KEYS = sealKeys(['a'.repeat(40)]) as Keeping['keys'] & ReturnType<typeof sealKeys>

function open (t: Parameters<typeof folder>[0], more: Partial<Keeping> = {}) {
  const dir = more.folder ?? folder(t)
  const out: string[] = []
  const log = new AuditLog({
    out: text => { out.push(text) },
    keep: { folder: dir, maxBytes: 2 ** 30, retentionMs: 86_400_000, keys: KEYS, secret: 'a'.repeat(40), privacy: 'plain', whenFull: 'open', version: '0', ...more }
  })
  t.teardown(() => log.close())
  return { dir, log, out, files: () => readdirSync(dir).sort().map(name => join(dir, name)), text: () => readdirSync(dir).sort().map(name => readFileSync(join(dir, name), 'utf8')).join('') }
}

/** A folder with what an earlier life left: all but 5 kB of so many bytes. */
function nearlyFull (t: Parameters<typeof folder>[0], maxBytes: number): { dir: string, other: string } {
  const dir = folder(t)
  const other = join(dir, 'audit-old-0000000000000000-000000000001.jsonl')
  writeFileSync(other, 'x'.repeat(maxBytes - 5000))
  return { dir, other }
}

function trace (id: string, principal: string | undefined = 'key:a'): Trace {
  const trace = new Trace(id)
  trace.principal = principal
  trace.address = '10.0.0.1'
  return trace
}

t.test('what is answered in one turn is one write, on the disk before any of it is answered', async t => {
  const { log, text, out } = open(t)
  const seen: boolean[] = []
  await Promise.all(['r-1', 'r-2', 'r-3'].map(async id => await new Promise<void>(resolve => {
    log.add(trace(id), 'request', true, () => {
      seen.push(text().includes('r-3'))
      resolve()
    })
  })))
  t.same(seen, [true, true, true])
  t.equal(text().match(/"z":/g)?.length, 2, 'the beginning, and one write')
  t.equal(out.join(''), text(), 'the log has the same text')
})

t.test('what waited is gathered without waiting for the turn', async t => {
  const { log, text } = open(t)
  await Promise.all([1, 2, 3, 4].map(async i => {
    for (let hop = 0; hop < i; hop++) await undefined
    await new Promise<void>(resolve => { log.add(trace(`r-${i}`), 'request', false, () => resolve()) })
  }))
  t.equal(text().match(/"z":/g)?.length, 2)
})

t.test('a record has the digest of the arguments and nothing of them', async t => {
  const { log, text } = open(t)
  const one = trace('r-1')
  one.args = { password: 'correct horse' }
  log.addNow(one, 'request')
  t.notMatch(text(), 'correct horse')
  t.match(text(), /"args":"[0-9a-f]{32}"/)
})

t.test('an ended chain is whole and complete, over several files', async t => {
  const { log, files } = open(t, { segmentBytes: 1000 })
  for (let i = 0; i < 20; i++) log.addNow(trace(`r-${i}`), 'request')
  log.close()
  t.ok(files().length > 2)
  t.match(await verifyChain(log.chain!, files(), { keys: KEYS }), { whole: true, complete: true, closed: true, lost: 0 })
  t.notOk((await verifyChain(log.chain!, files().toSpliced(1, 1), { keys: KEYS })).whole, 'without a whole file it is not')
})

t.test('strangers are folded beyond fifty a second and reason, and callers never', async t => {
  const { log, text } = open(t)
  for (let i = 0; i < 200; i++) {
    const one = trace(`s-${i}`)
    one.principal = undefined
    one.refuse('AUTHENTICATION_REQUIRED')
    log.addNow(one, 'request')
    log.addNow(trace(`c-${i}`), 'request')
  }
  log.close()
  const records = text().trimEnd().split('\n').map(line => JSON.parse(line))
  t.equal(records.filter(({ reqId = '' }) => reqId.startsWith('c-')).length, 200)
  const strangers = records.filter(({ reqId = '' }) => reqId.startsWith('s-'))
  t.ok(strangers.length < 200)
  t.equal(strangers.reduce((sum, { count = 1 }) => sum + count, 0), 200, 'and all are counted')
})

t.test('at its bound the policy open serves on, and counts what is lost in the chain', async t => {
  const troubles: Array<string | undefined> = []
  const { dir, other } = nearlyFull(t, 2 ** 24)
  const { log, files, out } = open(t, { folder: dir, maxBytes: 2 ** 24, onTrouble: why => { troubles.push(why) } })
  for (let i = 0; i < 10_500; i++) log.addNow(trace(`r-${i}`), 'request')
  t.equal(new Set(out.join('').match(/"reqId":"r-\d+"/g)).size, 10_500, 'the log has each, also the first that found no room')
  t.same(troubles, ['ENOSPC'])
  t.ok(log.available)
  const lost = log.lostTotal
  t.ok(lost > 0)
  const own = () => files().filter(file => file.includes(log.chain!))
  t.match(await verifyChain(log.chain!, own(), { keys: KEYS }), { whole: true })
  rmSync(other)
  await until(() => troubles.length === 2)
  t.same(troubles, ['ENOSPC', undefined])
  log.close()
  t.match(readFileSync(own().at(-1)!, 'utf8'), `"lost":${lost}`)
  t.match(await verifyChain(log.chain!, own(), { keys: KEYS }), { whole: true, complete: false, lost })
})

t.test('at its bound the policy closed refuses, and serves again when there is room', async t => {
  const { dir, other } = nearlyFull(t, 65_536)
  const { log, files } = open(t, { folder: dir, maxBytes: 65_536, whenFull: 'closed' })
  const fill = () => { for (let i = 0; i < 1000; i++) log.addNow(trace(`r-${i}`), 'request') }
  t.throws(fill, { code: 'AUDIT_UNAVAILABLE' })
  t.notOk(log.available)
  const own = () => files().filter(file => file.includes(log.chain!))
  t.match(await verifyChain(log.chain!, own(), { keys: KEYS }), { whole: true })
  rmSync(other)
  await until(() => log.available)
  log.addNow(trace('r-after'), 'request')
  t.match(readFileSync(own().at(-1)!, 'utf8'), '"reqId":"r-after"')
  t.match(await verifyChain(log.chain!, own(), { keys: KEYS }), { whole: true })
})

t.test('a call that ran is answered where its record finds no room, and those refused do not push its record out', async t => {
  const { dir, other } = nearlyFull(t, 65_536)
  const { log, files } = open(t, { folder: dir, maxBytes: 65_536, whenFull: 'closed' })
  const ran = trace('r-ran')
  ran.ran = true
  ran.args = { text: 'x'.repeat(10) }
  ran.target = 'x'.repeat(6000)
  log.addNow(ran, 'request')
  t.notOk(log.available, 'it found no room')
  for (let i = 0; i < 11_000; i++) {
    const refused = trace(`r-${i}`)
    refused.refuse('AUDIT_UNAVAILABLE')
    log.add(refused, 'request', false, () => {})
  }
  t.throws(() => log.addNow(trace('r-list'), 'request'), { code: 'AUDIT_UNAVAILABLE' }, 'what did not run is refused')
  rmSync(other)
  await until(() => log.available)
  log.close()
  const own = files().filter(file => file.includes(log.chain!))
  const lines = own.map(file => readFileSync(file, 'utf8')).join('').trimEnd().split('\n').map(line => JSON.parse(line))
  t.match(lines.find(({ msg }) => msg === 'gap'), { lost: 0, refused: 11_000, why: 'ENOSPC' })
  t.ok(lines.some(({ reqId }) => reqId === 'r-ran'))
  t.equal(log.lostTotal, 0)
  t.match(await verifyChain(log.chain!, own, { keys: KEYS }), { whole: true, complete: true, lost: 0 })
})

t.test('those refused for want of a record are counted in the chain, callers without a name, too', async t => {
  const { dir, other } = nearlyFull(t, 65_536)
  const { log, files } = open(t, { folder: dir, maxBytes: 65_536, whenFull: 'closed' })
  t.throws(() => { for (let i = 0; i < 1000; i++) log.addNow(trace(`r-${i}`), 'request') }, { code: 'AUDIT_UNAVAILABLE' })
  for (let i = 0; i < 300; i++) {
    const refused = trace(`s-${i}`)
    refused.principal = undefined
    refused.refuse('AUDIT_UNAVAILABLE')
    log.addNow(refused, 'request', { must: false })
    await new Promise<void>(resolve => { log.add(refused, 'request', false, () => resolve()) })
  }
  rmSync(other)
  await until(() => log.available)
  log.close()
  const lines = files().filter(file => file.includes(log.chain!)).map(file => readFileSync(file, 'utf8')).join('').trimEnd().split('\n').map(line => JSON.parse(line))
  t.match(lines.find(({ msg }) => msg === 'gap'), { lost: 0, refused: 600 })
  t.same(lines.filter(({ decision }) => decision === 'AUDIT_UNAVAILABLE'), [])
})

t.test('what waited for room in little pieces is written with little room', async t => {
  const { dir, other } = nearlyFull(t, 2_000_000)
  const { log, files } = open(t, { folder: dir, maxBytes: 2_000_000 })
  for (let i = 0; i < 10_000; i++) log.addNow(trace(`r-${i}`), 'request')
  rmSync(other)
  const own = () => files().filter(file => file.includes(log.chain!))
  await until(() => own().some(file => readFileSync(file, 'utf8').includes('"msg":"gap"')))
  t.match(await verifyChain(log.chain!, own(), { keys: KEYS }), { whole: true })
})

t.test('half a write is taken back: a file that takes no more holds whole writes alone', async t => {
  const dir = folder(t)
  const source = join(import.meta.dirname, '../../src')
  const program = `
    import { AuditLog } from ${JSON.stringify(join(source, 'audit/audit-log.ts'))}
    import { sealKeys } from ${JSON.stringify(join(source, 'audit/seal.ts'))}
    import { Trace } from ${JSON.stringify(join(source, 'decision/trace.ts'))}
    process.on('SIGXFSZ', () => {})
    const log = new AuditLog({ out () {}, keep: { folder: ${JSON.stringify(dir)}, maxBytes: 2 ** 30, retentionMs: 1e9, keys: sealKeys(['a'.repeat(40)]), secret: 'a'.repeat(40), privacy: 'plain', whenFull: 'open', version: '0', onTrouble: why => console.log(why) } })
    for (let i = 0; i < 1000; i++) { const trace = new Trace('r-' + i); trace.principal = 'key:a'; log.addNow(trace, 'request') }
    process.exit(0)`
  const file = join(dir, 'program.ts')
  writeFileSync(file, program)
  const loader = join(import.meta.dirname, '../../scripts/typescript.mjs')
  const { stdout, stderr } = spawnSync('bash', ['-c', 'ulimit -f 64; exec "$0" --import "$1" "$2"', process.execPath, loader, file], { encoding: 'utf8' })
  t.match(stdout, /ENOSPC|EFBIG/, stderr)
  const [written] = readdirSync(dir).filter(name => name.startsWith('audit-'))
  const text = readFileSync(join(dir, written!), 'utf8')
  t.ok(text.length <= 65_536 && text.length > 60_000)
  t.match(text, /"z":"[0-9a-f]{64}"}\n$/)
  const chain = (JSON.parse(text.split('\n', 1)[0]!) as { chain: string }).chain
  t.match(await verifyChain(chain, [join(dir, written!)], { keys: KEYS }), { whole: true, tail: 0 })
})

t.test('every answer that a killed server gave has its record, and its chain is whole', async t => {
  const cwd = folder(t)
  const key = 'sk-test-0123456789abcdefghij'
  const { child, url } = await startServer(t, { cwd, env: { MCP_API_KEY: key, RATE_LIMIT_API_KEY: '100000' } })
  const answered = new Set<string>()
  let isOver = false
  const caller = async () => {
    for (;;) {
      if (isOver) return
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${key}` },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: 'x' } } })
      }).catch(() => undefined)
      if (response?.status === 200) answered.add(response.headers.get('x-request-id')!)
    }
  }
  const callers = Array.from({ length: 8 }, caller)
  await until(() => answered.size > 300)
  child.kill('SIGKILL')
  await new Promise(resolve => child.once('close', resolve))
  isOver = true
  await Promise.all(callers)
  const [name] = readdirSync(join(cwd, 'audit'))
  const text = readFileSync(join(cwd, 'audit', name!), 'utf8')
  const recorded = new Set(text.split('\n').map(line => /"reqId":"([^"]+)"/.exec(line)?.[1]))
  t.same([...answered].filter(id => !recorded.has(id)), [])
  const verified = spawnSync(process.execPath, [MAIN, 'audit', 'verify'], { cwd, encoding: 'utf8', env: { PATH: process.env.PATH } })
  t.equal(verified.status, 0, verified.stdout + verified.stderr)
})

t.test('a call whose client left before its answer has its line', async t => {
  let finish = () => {}
  const slow = new Promise<void>(resolve => { finish = resolve })
  const { app, store, lines } = await build(t, { tools: [defineTool({ name: 'slow', description: 'Waits.', input: { type: 'object', properties: {} }, async run () { await slow; return 'done' } })] })
  const { key } = await addKey(store)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }
  const asked = request({
    port,
    host: '127.0.0.1',
    path: '/mcp',
    method: 'POST',
    headers: { host: 'localhost:3000', 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${key}` }
  }).on('error', () => {})
  asked.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'slow', arguments: {} } }))
  await until(() => app.secureMcp.traffic.inFlight === 1)
  asked.destroy()
  await sleep(20)
  finish()
  await until(() => lines.some(({ msg, target }) => msg === 'request' && target === 'slow'))
  t.equal(lines.filter(({ msg, target }) => msg === 'request' && target === 'slow').length, 1)
})

t.test('work that may change something is recorded before it starts', async t => {
  const cwd = folder(t)
  const key = 'sk-test-0123456789abcdefghij'
  mkdirSync(join(cwd, 'tools'))
  const tool = (name: string, more: string) => `import { defineTool } from '${join(import.meta.dirname, '../../dist/src/tools/index.js')}'\nexport default defineTool({ name: '${name}', description: 'A tool.', input: { type: 'object', properties: {} }, ${more} run: () => 'done' })`
  writeFileSync(join(cwd, 'tools/change.js'), tool('change', ''))
  writeFileSync(join(cwd, 'tools/look.js'), tool('look', 'annotations: { readOnlyHint: true },'))
  writeFileSync(join(cwd, 'package.json'), '{"type":"module"}')
  const { url } = await startServer(t, { cwd, env: { MCP_API_KEY: key } })
  for (const name of ['change', 'look']) {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${key}` },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } })
    })
    t.match(await response.text(), 'done')
  }
  const [name] = readdirSync(join(cwd, 'audit'))
  const records = readFileSync(join(cwd, 'audit', name!), 'utf8').trimEnd().split('\n').map(line => JSON.parse(line))
  t.same(records.filter(({ msg }) => msg === 'begun').map(({ target }) => target), ['change'])
  t.same(records.filter(({ msg }) => msg === 'request').map(({ target }) => target), ['change', 'look'])
})
