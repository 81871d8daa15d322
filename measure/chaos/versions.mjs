// Two releases side by side: every rollout runs the one before and this one on one Redis, and a rollback must start.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { hashKey, keyFor } from '../../dist/src/core/api-key.js'
import { shippedUsers, startNode } from '../../test/support/redis-cluster.ts'
import { addKey, call, count, hammer, send, sleep, tally } from './stage.mjs'

const ROOT = resolve(import.meta.dirname, '../..')
/** The last commit of the release before. */
const BEFORE = 'e452dd4'
const LIMITLESS = { RATE_LIMIT_API_KEY: '100000000', DRAIN_MS: '2500' }

/** The release before, built into a folder of its own with the packages of this one. */
function releaseBefore (set) {
  const home = mkdtempSync(join(set.folder, 'before-'))
  const archive = execFileSync('git', ['archive', BEFORE], { cwd: ROOT, maxBuffer: 2 ** 28 })
  execFileSync('tar', ['-x', '-C', home], { input: archive })
  symlinkSync(join(ROOT, 'node_modules'), join(home, 'node_modules'))
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: home, stdio: 'pipe' })
  execFileSync(process.execPath, ['scripts/copy-assets.mjs'], { cwd: home, stdio: 'pipe' })
  return home
}

const headers = key => ({ 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${key}` })

/** @returns the id of a session begun at this port */
async function session (port, key) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } })
  return (await send(port, { method: 'POST', body, headers: headers(key) })).headers?.['mcp-session-id']
}

async function useSession (port, key, id) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/list', params: {} })
  return (await send(port, { method: 'POST', body, headers: { ...headers(key), 'mcp-session-id': String(id), 'mcp-protocol-version': '2025-11-25' } })).status
}

async function sideBySide (set) {
  const before = releaseBefore(set)
  const { redisStore: storeBefore } = await import(join(before, 'dist/src/state/redis.js'))
  const users = shippedUsers(mkdtempSync(join(set.folder, 'users-')), 'secret', ['user operator on >operator ~* &* +@all'])
  const redis = await startNode({ aof: true, args: users, operator: 'operator' })
  set.later(redis.stop)
  const url = `redis://mcp:secret@127.0.0.1:${redis.port}`
  const quiet = { trace () {}, debug () {}, info () {}, warn () {}, error () {} }
  const old = await storeBefore({ url, prefix: 'mcp:', commandTimeoutMs: 2000, replicas: 1, log: quiet })
  set.later(() => old.close())
  const { key } = await addKey(old)
  const options = { redis: { url }, env: LIMITLESS }
  const running = [await set.replica({ ...options, home: before }), await set.replica({ ...options, home: before })]
  const { port } = await set.haproxy(running)
  const store = await set.admin(url)
  const load = hammer([port], { clients: 20, pauseMs: 100, options: () => ({ key }) })
  const wrong = []
  const expect = (what, seen, right) => { if (seen !== right) wrong.push(`${what}: ${seen}`) }
  const both = async (what, ask, right) => { for (const { port } of running) expect(what, (await call(port, { key: ask })).status, right) }

  /** What the release of one store changes holds at both replicas, whichever they are. */
  async function changes (by, name) {
    const revoked = await addKey(by)
    const rotated = await addKey(by)
    const limited = await addKey(by, { limit: 40 })
    await both(`${name}: a new key`, revoked.key, 200)
    await by.saveKey({ ...revoked.record, revoked: Date.now() })
    await by.revocations.set(`key:${revoked.record.id}`, { since: Date.now() })
    const next = keyFor(rotated.record.id)
    await by.saveKey({ ...rotated.record, hash: hashKey(next), previous: { hash: rotated.record.hash, until: Date.now() + 60_000 } })
    await both(`${name}: revoked`, revoked.key, 401)
    await both(`${name}: rotated, the one before`, rotated.key, 200)
    await both(`${name}: rotated, the new one`, next, 200)
    const answers = await Promise.all(Array.from({ length: 80 }, (_, i) => call(running[i % 2].port, { key: limited.key })))
    expect(`${name}: of a limit of 40`, count(answers, 200), 40)
    const id = await session(running[0].port, key)
    for (const { port } of running) expect(`${name}: a session`, await useSession(port, key, id), 200)
    return id
  }

  const sessions = []
  const codes = []
  for (const [i, home] of [[0, ROOT], [1, ROOT], [0, before], [1, before]]) {
    running[i].signal('SIGTERM')
    codes.push(await running[i].ended)
    running[i] = await set.replica({ ...options, home, port: running[i].port })
    await sleep(1000)
    sessions.push(await changes(old, 'by the one before'), await changes(store, 'by this one'))
    for (const id of sessions) expect('a session of long ago', await useSession(running[i].port, key, id), 200)
  }
  const answers = await load.stop()
  const files = await ofFiles(set, before)
  for (const line of files) wrong.push(line)
  const failed = answers.length - count(answers, 200)
  return {
    figure: `there and back: ${failed} failed of ${answers.length} (${tally(answers)}), exit codes ${[...new Set(codes)].join(', ')}; ${wrong.length} wrong of keys, rotations, revocations, limits, sessions and files${wrong.length === 0 ? '' : `: ${wrong.slice(0, 3).join('; ')}`}`,
    pass: failed === 0 && answers.length > 500 && wrong.length === 0 && codes.every(code => code === 0)
  }
}

/** The files of one release are read by the other. @returns what went wrong */
async function ofFiles (set, before) {
  const wrong = []
  for (const [writes, reads, name] of [[before, ROOT, 'files of the one before'], [ROOT, before, 'files of this one']]) {
    const dir = join(set.folder, `files-${randomBytes(4).toString('hex')}`)
    mkdirSync(join(dir, 'config'), { recursive: true })
    const file = join(dir, 'config/api_keys.json')
    const run = (...args) => execFileSync(process.execPath, [join(writes, 'dist/src/cli/main.js'), ...args], { cwd: dir, env: { PATH: process.env.PATH, API_KEYS_FILE: file }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
    writeFileSync(join(dir, 'note'), '')
    const key = run('keys', 'create', 'ada')
    const gone = run('keys', 'create', 'bob')
    run('keys', 'revoke', 'bob')
    const replica = await set.replica({ home: reads, env: { API_KEYS_FILE: file, REPLICAS: '1' } })
    for (const [what, asked, right] of [['a key', key, 200], ['a revoked key', gone, 401]]) {
      const { status } = await call(replica.port, { key: asked })
      if (status !== right) wrong.push(`${name}, ${what}: ${status}`)
    }
    replica.signal('SIGKILL')
  }
  return wrong
}

export default [
  { row: 60, name: 'two-versions', target: 'rolled there and back on one Redis: 0 failed, 0 wrong', run: sideBySide }
]
