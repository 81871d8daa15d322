/** The command line, and the server as a process of its own, the way people start it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import { runCommand } from '../../src/cli/run.ts'

export const MAIN = join(import.meta.dirname, '../../dist/src/cli/main.js')

export interface Ran { code: number, out: string, err: string }

/** Run one command in this process, with its files in a folder. */
export async function secureMcp (args: readonly string[], { cwd, env = {}, input = '' }: { cwd: string, env?: Record<string, string>, input?: string }): Promise<Ran> {
  let out = ''
  let err = ''
  const code = await runCommand(args, {
    stdin: Readable.from([input]),
    out: line => { out += line + '\n' },
    err: line => { err += line + '\n' },
    env: { ...filesIn(cwd, args[0] === 'config'), ...env }
  })
  return { code, out, err }
}

/**
 * The settings that name files, for a process that runs elsewhere.
 *
 * @param writes the encrypted file may be made; whoever reads it names one that exists
 */
export function filesIn (cwd: string, writes = false): Record<string, string> {
  const config = join(cwd, 'config/secure_config.json')
  return {
    API_KEYS_FILE: join(cwd, 'config/api_keys.json'),
    ...(writes || existsSync(config) ? { SECURE_CONFIG_FILE: config } : {}),
    CONFIG_ENCRYPTION_KEY_FILE: join(cwd, 'config/encryption.key'),
    AUDIT_DIR: join(cwd, 'audit'),
    ...(existsSync(join(cwd, 'tools')) ? { TOOLS_DIR: join(cwd, 'tools') } : {})
  }
}

export interface Served { child: ChildProcess, url: string, output: () => string }

interface Start {
  readonly cwd: string
  readonly env?: Record<string, string>
  readonly args?: string[]
  /** The program of Node; default: the one that runs the test. */
  readonly node?: string
}

/** A server on a free port; killed when the test ends. */
export async function startServer (t: Test, { cwd, env = {}, args = [], node = process.execPath }: Start): Promise<Served> {
  const child = spawn(node, [MAIN, ...args], { cwd, env: { PATH: process.env.PATH, PORT: '0', MANAGEMENT_PORT: '0', REDIS_COMMAND_TIMEOUT_MS: '10000', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  // A file that times out is ended without its teardowns.
  process.once('exit', () => child.kill('SIGKILL'))
  const url = await new Promise<string>((resolve, reject) => {
    const take = (part: Buffer) => {
      output += part.toString()
      const found = /MCP endpoint {3}(\S+)/.exec(output)?.[1]
      // The whole banner ends with an empty line after the snippet.
      if (found !== undefined) resolve(found)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.once('exit', code => reject(new Error(`the server ended with code ${code}`)))
  })
  return { child, url, output: () => output }
}
