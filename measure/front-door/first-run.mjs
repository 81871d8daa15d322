// `npm run measure first-run`: what a newcomer does. A clean clone, `npm start`, and what it prints, pasted: the curl line, and the snippet in a client.
import { execFile, execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { freePort } from '../../test/support/redis.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const WITHIN_MS = 90_000

/**
 * @param withSnippet what else is to be tried with the snippet for clients while the server runs
 * @returns seconds from `npm start` until the curl line was answered, and the tools that a client with the snippet saw
 * @throws {Error} what went wrong, without the key
 */
export async function firstRun (withSnippet = async () => undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'first-run-'))
  const clone = join(folder, 'secure-mcp-server')
  let server
  try {
    cloneTo(clone)
    const began = performance.now()
    server = start(clone, folder, await freePort(), await freePort())
    const banner = await printed(server, / {2}In a client that reads mcpServers:\n\n(\{[^]*\n\})\n/)
    const curl = /^curl [^]*?'$(?!\n {2}-)/m.exec(banner)
    const snippet = /^\{[^]*\n\}$/m.exec(banner)
    if (curl === null || snippet === null) throw new Error('the banner has no curl line or no snippet')

    const { stdout } = await promisify(execFile)('bash', ['-c', curl[0]], { timeout: 10_000 })
    const seconds = (performance.now() - began) / 1000
    if (!stdout.includes('Hello, Ada')) throw new Error(`the curl line was answered with: ${stdout.slice(0, 200)}`)
    if (seconds * 1000 > WITHIN_MS) throw new Error(`it took ${seconds.toFixed(0)} s; ${WITHIN_MS / 1000} are allowed`)
    return { seconds, tools: await toolsWith(JSON.parse(snippet[0])), more: await withSnippet(snippet[0]) }
  } finally {
    if (server !== undefined) await end(server.pid)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What is committed; where the history is not at hand, all but what is made or kept here. */
function cloneTo (folder) {
  try {
    execFileSync('git', ['clone', '--quiet', '--no-hardlinks', ROOT, folder], { stdio: 'ignore' })
  } catch {
    const own = new Set(['node_modules', 'dist', 'coverage', 'config', 'tools', '.git', '.cache', '.tap'].map(name => join(ROOT, name)))
    cpSync(ROOT, folder, { recursive: true, filter: path => !own.has(path) })
  }
}

/** With Node, npm and a home alone, as on a new machine; what npm is told of its registry stays. */
function start (cwd, home, port, management) {
  const npmSettings = Object.entries(process.env).filter(([name]) => /^npm_config_(registry|cache|userconfig|globalconfig|cafile|https?_proxy|proxy)$/i.test(name))
  return spawn('npm', ['start'], {
    cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, HOME: process.env.HOME ?? home, PORT: String(port), MANAGEMENT_PORT: String(management), ...Object.fromEntries(npmSettings) }
  })
}

/** npm and what it started; npm may be gone before the server has drained. */
async function end (group) {
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
function printed (child, wanted) {
  let text = ''
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`nothing to paste was printed within ${WITHIN_MS / 1000} s; the end of the output:\n${text.slice(-400)}`)), WITHIN_MS)
    const take = part => {
      text += part
      if (!wanted.test(text)) return
      clearTimeout(late)
      resolve(text)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.once('exit', code => {
      clearTimeout(late)
      reject(new Error(`npm start ended with ${code}:\n${text.slice(-400)}`))
    })
  })
}

/** A client that is told no more than the snippet says. */
async function toolsWith ({ mcpServers }) {
  const { type, url, headers } = Object.values(mcpServers)[0]
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

if (process.argv[1] === import.meta.filename) {
  try {
    const { seconds, tools } = await firstRun()
    process.stdout.write(`npm start in a clean clone: the curl line was answered after ${seconds.toFixed(1)} s; a client with the snippet called one of ${tools.length} tools (${tools.join(', ')})\n`)
  } catch (error) {
    process.stderr.write(`The first run failed: ${error.message.replaceAll(/mcpk_\S+/g, '[key]')}\n`)
    process.exitCode = 1
  }
}
