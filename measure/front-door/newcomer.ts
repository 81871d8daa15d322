// What a newcomer does: a clean clone, `npm start`, and what it prints, pasted: the curl line, and the snippet in a client.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { freePort } from '../../test/support/redis.ts'

const ROOT = resolve(import.meta.dirname, '../..')
/** From `npm start` until the curl line is answered, on a quiet machine; ten times as long is given. */
export const WITHIN_MS = 90_000

export interface FirstRun<T> {
  /** From `npm start` until the curl line was answered. */
  seconds: number
  /** What a client with the snippet saw. */
  tools: string[]
  more: T
}

/**
 * On this machine, with its Node.
 *
 * @param withSnippet what else is to be tried with the snippet for clients while the server runs
 * @throws {Error} what went wrong, without the key
 */
export async function firstRun<T> (withSnippet: (snippet: string) => Promise<T>): Promise<FirstRun<T>> {
  const folder = mkdtempSync(join(tmpdir(), 'first-run-'))
  const clone = join(folder, 'secure-mcp-server')
  let server: ChildProcess | undefined
  try {
    cloneTo(clone)
    const began = performance.now()
    server = await start(clone, folder)
    return await pasted(server, began, withSnippet)
  } finally {
    if (server?.pid !== undefined) await end(server.pid)
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Wait for what `npm start` prints, and paste it.
 *
 * @param began performance.now() of its start
 */
export async function pasted<T> (server: ChildProcess, began: number, withSnippet: (snippet: string) => Promise<T>): Promise<FirstRun<T>> {
  const banner = await printed(server, / {2}In a client that reads mcpServers:\n\n(\{[^]*\n\})\n/)
  const curl = /^curl [^]*?'$(?!\n {2}-)/m.exec(banner)
  // Lines of the log, which are JSON as well, may come before it.
  const snippet = /In a client that reads mcpServers:\n\n(\{[^]*?\n\})\n/.exec(banner)?.[1]
  if (curl === null || snippet === undefined) throw new Error('the banner has no curl line or no snippet')

  const { stdout } = await promisify(execFile)('bash', ['-c', curl[0]], { timeout: 30_000 })
  const seconds = (performance.now() - began) / 1000
  if (!stdout.includes('Hello, Ada')) throw new Error(`the curl line was answered with: ${stdout.slice(0, 200)}`)
  return { seconds, tools: await toolsWith(JSON.parse(snippet) as Snippet), more: await withSnippet(snippet) }
}

/** What is committed; where the history is not at hand, all but what is made or kept here. */
export function cloneTo (folder: string): void {
  try {
    execFileSync('git', ['clone', '--quiet', '--no-hardlinks', ROOT, folder], { stdio: 'ignore' })
  } catch {
    const own = new Set(['node_modules', 'dist', 'coverage', 'config', 'tools', '.git', '.cache', '.tap'].map(name => join(ROOT, name)))
    cpSync(ROOT, folder, { recursive: true, filter: path => !own.has(path) })
  }
}

/** With Node, npm and a home alone, as on a new machine; what npm is told of its registry stays. */
async function start (cwd: string, home: string): Promise<ChildProcess> {
  const npmSettings = Object.entries(process.env).filter(([name]) => /^npm_config_(registry|cache|userconfig|globalconfig|cafile|https?_proxy|proxy)$/i.test(name))
  return spawn('npm', ['start'], {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME ?? home, ...await ports(), ...Object.fromEntries(npmSettings) }
  })
}

/** Settings of two ports that nothing listens on. */
export async function ports (): Promise<{ PORT: string, MANAGEMENT_PORT: string }> {
  return { PORT: String(await freePort()), MANAGEMENT_PORT: String(await freePort()) }
}

/** npm and what it started; npm may be gone before the server has drained. */
export async function end (group: number): Promise<void> {
  try {
    process.kill(-group, 'SIGTERM')
    for (let waited = 0; waited < 20_000; waited += 50) {
      process.kill(-group, 0)
      await sleep(50)
    }
    process.kill(-group, 'SIGKILL')
  } catch { /* nobody is left */ }
}

/** The output once it matches. */
function printed (child: ChildProcess, wanted: RegExp): Promise<string> {
  let text = ''
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`nothing to paste was printed; the end of the output:\n${text.slice(-400)}`)), WITHIN_MS * 10)
    const take = (part: Buffer) => {
      text += part.toString()
      if (!wanted.test(text)) return
      clearTimeout(late)
      resolve(text)
    }
    child.stdout!.on('data', take)
    child.stderr!.on('data', take)
    child.once('exit', code => {
      clearTimeout(late)
      reject(new Error(`npm start ended with ${code}:\n${text.slice(-400)}`))
    })
  })
}

interface Snippet { mcpServers: Record<string, { type: string, url: string, headers: Record<string, string> }> }

/** A client that is told no more than the snippet says. */
async function toolsWith ({ mcpServers }: Snippet): Promise<string[]> {
  const { type, url, headers } = Object.values(mcpServers)[0]!
  if (type !== 'http') throw new Error(`the snippet says ${type}`)
  const client = new Client({ name: 'newcomer', version: '1' })
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }))
  try {
    const { tools } = await client.listTools()
    await client.callTool({ name: 'hello_world', arguments: { name: 'Ada' } })
    return tools.map(({ name }) => name)
  } finally {
    await client.close()
  }
}
