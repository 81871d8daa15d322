// What a tool author does first: npm create, npm test, npm run check, npm start, and what that prints, pasted.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { npmCli } from '../../test/support/npm.ts'
import { end, pasted, ports } from '../front-door/newcomer.ts'
import { inEmptyFolder } from './empty-folder.ts'
import type { Packed } from './registry.ts'

export interface FirstProject {
  installSeconds: number
  /** From `npm start` until the printed curl line was answered. */
  callSeconds: number
  /** How many of the generated tests passed. */
  tests: number
  /** A second run left each file as it was. */
  unchanged: boolean
}

const CREATE = ['create', '--yes', 'secure-mcp-server@latest']

/**
 * @param packages the server and `create`, as packed
 * @param major of the Node that does it
 * @throws {Error} what went wrong
 */
export async function newcomer (packages: readonly Packed[], major: number): Promise<FirstProject> {
  return await inEmptyFolder(packages, major, async ({ folder, node, env, npm }) => {
    const began = performance.now()
    await npm([...CREATE, 'my-server'])
    const installSeconds = (performance.now() - began) / 1000
    const project = join(folder, 'my-server')
    const { stdout } = await npm(['test'], 'my-server')
    await npm(['run', 'check'], 'my-server')
    const before = textsOf(project)
    await npm([...CREATE, '.'], 'my-server')
    const unchanged = JSON.stringify(textsOf(project)) === JSON.stringify(before)

    const started = performance.now()
    const server = spawn(node, [npmCli()!, 'start'], { cwd: project, detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { ...env, ...await ports() } })
    try {
      const { seconds, tools } = await pasted(server, started, async () => undefined)
      if (!tools.includes('get_order')) throw new Error(`a client sees ${tools.join(' ')}`)
      return { installSeconds, callSeconds: seconds, unchanged, tests: Number(/^(?:#|ℹ) pass (\d+)/m.exec(stdout)?.[1]) }
    } finally {
      if (server.pid !== undefined) await end(server.pid)
    }
  })
}

/** The files that were made, but for what npm made. */
function textsOf (folder: string): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name)).filter(path => !path.includes('node_modules') && !path.endsWith('package-lock.json'))
  return Object.fromEntries(paths.sort().map(path => [path, readFileSync(path, 'utf8')]))
}
