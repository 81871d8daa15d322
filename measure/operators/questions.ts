// `npm run measure operators -- questions`: three replicas on one Redis, of which one is killed; then the ten questions of
// docs/operations.md, each by the command that stands there, with a stopwatch. LOGS is the standard output of all three.
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, startRedis } from '../../test/support/redis.ts'
import { call, makeKey, serve, type RunningServer } from './servers.ts'

const MOST_MS = 30_000
const MAIN = join(import.meta.dirname, '../../dist/src/cli/main.js')

interface NightQuestion {
  readonly asks: string
  /** As docs/operations.md prints it. */
  readonly command: string
  /** What its answer must say. */
  readonly says: RegExp
}

const QUESTIONS: readonly NightQuestion[] = [
  { asks: 'who is refused, and why?', command: '$LOGS | grep \'"msg":"request"\' | grep -v \'"decision":"served"\'', says: /ACCESS_DENIED/ },
  { asks: 'and what would mend it?', command: 'secure-mcp-server why --key narrow --tool echo', says: /To mend it/ },
  { asks: 'which key fails?', command: '$LOGS | grep \'"decision":"INVALID_CREDENTIAL"\' | grep -o \'"principal":"[^"]*"\' | sort | uniq -c | sort -rn', says: /key:/ },
  { asks: 'is Redis degraded?', command: 'secure-mcp-server doctor --only redis', says: /redis-latency/ },
  { asks: 'which tool is slow?', command: 'curl --silent localhost:$MANAGEMENT_PORT/metrics | grep mcp_tool_duration_seconds', says: /tool="echo"/ },
  { asks: 'which key is unused?', command: 'secure-mcp-server doctor --only unused-keys', says: /unused-keys/ },
  { asks: 'which version runs?', command: '$LOGS | grep \'"msg":"starting"\'', says: /"version"/ },
  { asks: 'what did operators change?', command: 'secure-mcp-server audit tail --json --since 24h | grep \'"msg":"operation"\'', says: /blocklist\.add/ },
  { asks: 'is a key near its limit?', command: 'secure-mcp-server why --key ci', says: /left in/ },
  { asks: 'is the record whole?', command: 'secure-mcp-server audit verify', says: /whole/ },
  { asks: 'what would this change break?', command: 'secure-mcp-server dry-run --key ci --drop \'*\' --allow \'get_*\'', says: /ACCESS_DENIED/ }
]

export async function questions (): Promise<void> {
  const cwd = mkdtempSync(join(tmpdir(), 'questions-'))
  const redis = await startRedis({ args: ['--save', '', '--appendonly', 'yes'] })
  const servers: RunningServer[] = []
  const shared = { REDIS_URL: redis.url, STATE_SECRET: randomBytes(32).toString('base64url'), AUDIT_KEY: randomBytes(32).toString('base64url'), REPLICAS: '3', AUDIT_DIR: 'audit' }
  try {
    const ports: number[] = []
    for (let n = 0; n < 3; n++) {
      ports.push(await freePort())
      servers.push(await serve(cwd, { ...shared, PORT: String(await freePort()), MANAGEMENT_PORT: String(ports[n]) }))
    }
    const env = { ...shared, MANAGEMENT_PORT: String(ports[0]), MANAGEMENT_URL: `http://127.0.0.1:${ports[0]}` }
    await traffic(servers, cwd, env)
    servers[2]!.process.kill('SIGKILL')
    await ask(servers, cwd, env)
  } finally {
    for (const { process: child } of servers) child.kill('SIGKILL')
    await redis.stop()
    rmSync(cwd, { recursive: true, force: true })
  }
}

/** What a night has: calls, refusals, a revoked key that goes on asking, and a change. */
async function traffic (servers: readonly RunningServer[], cwd: string, env: Record<string, string>): Promise<void> {
  const boss = await makeKey(cwd, env, ['boss', '--role', 'operator'])
  const [ci, narrow, gone] = [await makeKey(cwd, env, ['ci']), await makeKey(cwd, env, ['narrow', '--allow', 'get_*']), await makeKey(cwd, env, ['gone'])]
  const ask = async (path: string, body: object) => await fetch(`${env.MANAGEMENT_URL}${path}`, { method: 'POST', headers: { authorization: `Bearer ${boss.key}`, 'content-type': 'application/json', 'if-match': '*' }, body: JSON.stringify(body) })
  await ask('/api/blocklist', { range: '203.0.113.0/24' })
  await ask(`/api/keys/${gone.id}/revoke`, {})
  for (let n = 0; n < 300; n++) {
    const { url } = servers[n % servers.length]!
    const key = n % 10 === 0 ? narrow.key : n % 50 === 1 ? gone.key : ci.key
    await (await call(url, key, 'echo', { text: String(n) })).text()
  }
}

async function ask (servers: readonly RunningServer[], cwd: string, env: Record<string, string>): Promise<void> {
  const bin = join(cwd, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'secure-mcp-server'), `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`, { mode: 0o755 })
  writeFileSync(join(cwd, 'all.log'), servers.map(server => server.log()).join(''))
  let slowest = 0
  let wrong = 0
  for (const { asks, command, says } of QUESTIONS) {
    const began = performance.now()
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { cwd, encoding: 'utf8', maxBuffer: 1 << 28, env: { ...env, PATH: `${bin}:${process.env.PATH}`, LOGS: 'cat all.log' } })
    const ms = performance.now() - began
    const isAnswered = says.test(stdout + stderr) && ms < MOST_MS
    slowest = Math.max(slowest, ms)
    if (!isAnswered) wrong++
    process.stdout.write(`${isAnswered ? 'ok  ' : 'FAIL'} ${(ms / 1000).toFixed(1)} s  ${asks}  ${command}\n${isAnswered ? '' : `     ${(stdout + stderr).slice(0, 500)}\n`}`)
  }
  process.stdout.write(`${QUESTIONS.length - wrong} of ${QUESTIONS.length} answered, the slowest in ${(slowest / 1000).toFixed(1)} s, on three replicas of which one was just killed\n`)
  process.exitCode = wrong === 0 ? 0 : 1
}
