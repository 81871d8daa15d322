/** Built servers and commands of a measurement, as an operator starts them. */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const MAIN = join(import.meta.dirname, '../../dist/src/cli/main.js')
const START_MS = 60_000

export interface RunningServer {
  readonly url: string
  readonly process: ChildProcess
  /** What it wrote on standard output. */
  log (): string
}

type Environment = Readonly<Record<string, string>>

export async function serve (cwd: string, env: Environment): Promise<RunningServer> {
  const child = spawn(process.execPath, [MAIN], { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  process.once('exit', () => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', part => { output += String(part) })
  child.stderr.on('data', part => { output += String(part) })
  const until = Date.now() + START_MS
  for (;;) {
    const url = /MCP endpoint {3}(\S+)/.exec(output)?.[1]
    if (url !== undefined) return { url, process: child, log: () => output }
    if (child.exitCode !== null || Date.now() > until) throw new Error(`the server did not start: ${output.slice(-500)}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** One command, with its exit code. */
export async function command (cwd: string, env: Environment, args: readonly string[]): Promise<{ code: number, out: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<number>(resolve => child.once('exit', code => resolve(code ?? 1)))
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, out: out + err }
}

/** A key made by the command line. */
export async function makeKey (cwd: string, env: Environment, args: readonly string[]): Promise<{ key: string, id: string }> {
  const { out } = await command(cwd, env, ['keys', 'create', ...args, '--json'])
  return JSON.parse(out.split('\n').find(line => line.startsWith('{'))!) as { key: string, id: string }
}

export async function call (url: string, key: string, name: string, args: object = {}): Promise<Response> {
  return await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } })
  })
}
