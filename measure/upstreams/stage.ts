/** Replicas as processes, with servers behind them, and who asks them. All of them end with this process. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAIN } from '../../test/support/processes.ts'
import { freePort } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { Asker } from './asker.ts'

export const folder = mkdtempSync(join(tmpdir(), 'upstreams-'))
export const KEY = `sk-${randomBytes(24).toString('base64url')}`
export const STATE_SECRET = randomBytes(32).toString('base64url')
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

export interface Program {
  readonly child: ChildProcess
  output (): string
  kill (): Promise<void>
}

export function start (args: readonly string[], env: Record<string, string> = {}, cwd = folder): Program {
  const child = spawn(process.execPath, args, { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let output = ''
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', part => { output = (output + String(part)).slice(-1_000_000) })
  return {
    child,
    output: () => output,
    async kill () {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

export interface Replica extends Program {
  readonly url: string
  readonly port: number
  readonly asker: Asker
}

export interface ReplicaOptions {
  /** Behind it; absent: none. */
  readonly mcpServers?: object
  readonly env?: Record<string, string>
  readonly port?: number
}

/** This server, ready for traffic. */
export async function replica ({ mcpServers, env = {}, port }: ReplicaOptions): Promise<Replica> {
  const own = mkdtempSync(join(folder, 'replica-'))
  const chosen = port ?? await freePort()
  const file = mcpServers === undefined ? undefined : join(own, 'mcp_servers.json')
  if (file !== undefined) writeFileSync(file, JSON.stringify({ mcpServers }))
  const program = start([MAIN, 'serve'], { PORT: String(chosen), MANAGEMENT_PORT: '0', ...(file === undefined ? {} : { MCP_SERVERS_FILE: file }), MCP_API_KEY: KEY, STATE_SECRET, RATE_LIMIT_API_KEY: '10000000', RATE_LIMIT_DEFAULT: '10000000', ...env }, own)
  await until(() => {
    if (program.child.exitCode !== null) throw new Error(`the server ended: ${program.output().slice(-2000)}`)
    return fetch(`http://127.0.0.1:${chosen}/readyz`).then(({ ok }) => ok, () => false)
  }, 60_000)
  const url = `http://127.0.0.1:${chosen}/mcp`
  return { ...program, url, port: chosen, asker: new Asker(url, { era: '2026', headers: { authorization: `Bearer ${KEY}` } }) }
}

/** What a call came to: the text of its result, or what stood in its place. */
export async function callText (asker: Asker, name: string, args: object = {}): Promise<string> {
  try {
    const { result, error } = await asker.ask('tools/call', { name, arguments: args })
    if (error !== undefined) return `error ${JSON.stringify(error)}`
    return String((result?.content as Array<{ text?: unknown }> | undefined)?.[0]?.text)
  } catch (error) {
    return `no answer: ${(error as Error).message}`
  }
}

export function percentile (values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}
