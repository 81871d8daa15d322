// `npm run measure operators -- dry-run`: 100,000 records decided again beside calls to a server: how long it takes, and
// what it does to the callers' p99. `npm run measure operators -- questions`: see questions.ts.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../test/support/redis.ts'
import { call, makeKey, serve } from './servers.ts'

const RECORDS = 100_000
const PER_SECOND = 500

const what = process.argv[2] ?? 'dry-run'
if (what === 'dry-run') await dryRun()
else if (what === 'questions') await (await import('./questions.ts')).questions()
else throw new Error(`There is no measurement "${what}": dry-run or questions`)

async function dryRun (): Promise<void> {
  const cwd = mkdtempSync(join(tmpdir(), 'operators-'))
  const management = await freePort()
  const url = `http://127.0.0.1:${management}`
  const env = { PORT: String(await freePort()), MANAGEMENT_PORT: String(management), MANAGEMENT_URL: url, RATE_LIMIT_API_KEY: '1000000' }
  const server = await serve(cwd, env)
  try {
    const [operator, caller] = [await makeKey(cwd, env, ['boss', '--role', 'operator']), await makeKey(cwd, env, ['ci'])]
    await calls(server.url, caller.key, 5000) // until both sides are warm
    const quiet = await calls(server.url, caller.key, 5000)
    writeRecords(join(cwd, 'audit'), caller.id)
    const began = performance.now()
    const [answer, beside] = await Promise.all([
      fetch(`${url}/api/dry-run`, { method: 'POST', headers: { authorization: `Bearer ${operator.key}`, 'content-type': 'application/json' }, body: JSON.stringify({ key: { id: 'ci', change: { drop: ['*'], allow: ['get_*'] } } }) }).then(async answer => ({ ms: performance.now() - began, body: await answer.json() as { records: number, changes: unknown } })),
      calls(server.url, caller.key, 3000)
    ])
    process.stdout.write(`dry run of ${answer.body.records} records: ${(answer.ms / 1000).toFixed(2)} s beside ${PER_SECOND} calls a second; p99 of calls ${quiet.toFixed(1)} ms alone, ${beside.toFixed(1)} ms beside\n${JSON.stringify(answer.body.changes)}\n`)
  } finally {
    server.process.kill('SIGKILL')
    rmSync(cwd, { recursive: true, force: true })
  }
}

function writeRecords (dir: string, id: string): void {
  mkdirSync(dir, { recursive: true })
  const begin = Date.now() - RECORDS * 10
  const lines = Array.from({ length: RECORDS }, (_, n) => JSON.stringify({
    v: 1, n: n + 1, level: 'info', time: new Date(begin + n * 10).toISOString(), reqId: `0123456789abcdef-${n.toString(36)}`, principal: `key:${id}`, auth: 'api_key', pv: '0123abcd', http: 'POST /mcp', method: 'tools/call', target: n % 3 === 0 ? 'get_time' : 'echo', era: 'modern', args: '0123456789abcdef0123456789abcdef', status: 200, decision: 'served', ms: 1.25, address: '127.0.0.1', cost: 1, limit: 1_000_000, windowMs: 60_000, left: 900_000, msg: 'request'
  }))
  writeFileSync(join(dir, 'audit-measured-0000000000000000-000000000001.jsonl'), lines.join('\n') + '\n')
}

/** @returns p99, ms */
async function calls (url: string, key: string, forMs: number): Promise<number> {
  const times: number[] = []
  const until = performance.now() + forMs
  const pending: Array<Promise<void>> = []
  const one = async () => {
    const began = performance.now()
    const answer = await call(url, key, 'echo', { text: 'a' })
    await answer.text()
    times.push(performance.now() - began)
  }
  for (let sent = 0, began = performance.now(); performance.now() < until; await new Promise(resolve => setTimeout(resolve, 10))) {
    for (; sent < (performance.now() - began) / 1000 * PER_SECOND; sent++) pending.push(one())
  }
  await Promise.all(pending)
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)]!
}
