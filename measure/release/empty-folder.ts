// npm on one version of Node, in an empty folder, with a registry that has what was packed: what a consumer of the package finds.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { fetched, nodeExactly, npm, npmCli } from '../../test/support/npm.ts'
import { startRegistry, type Packed } from './registry.ts'

/** Those that authors use: the one before ours, ours, and the native one. */
export const COMPILERS = ['5.9.3', '6.0.3', '7.0.2']
/** Warnings of npm that are not ours to mend, each with its cause. */
const KNOWN_WARNINGS: ReadonlyArray<{ form: RegExp, cause: string }> = [
  { form: /EBADENGINE.*cookie@2/, cause: 'EBADENGINE: fastify 5.12 brings cookie 2 (light-my-request), which asks for Node 22 and runs on 20.19' }
]

/** A folder with a home, a Node and a registry of its own. */
export interface Empty {
  readonly folder: string
  readonly node: string
  readonly env: NodeJS.ProcessEnv
  /** Runs npm there, or in a folder below. @throws {Error} with what it printed */
  npm (args: string[], below?: string): Promise<{ stdout: string, stderr: string }>
}

/**
 * @param major of the Node
 * @throws {Error} what went wrong, with what was printed
 */
export async function inEmptyFolder<T> (packages: readonly Packed[], major: number, use: (empty: Empty) => Promise<T>): Promise<T> {
  const node = nodeExactly(major)
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'empty-')))
  const registry = await startRegistry(packages, npm(['config', 'get', 'registry'], folder).trim())
  const env = environment(node, folder, registry.url)
  const run: Empty['npm'] = async (args, below = '.') =>
    await promisify(execFile)(node, [npmCli()!, ...args], { cwd: join(folder, below), env, maxBuffer: 1 << 26, timeout: 600_000 })
  try {
    return await use({ folder, node, env, npm: run })
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string, stderr?: string }
    throw new Error(`on Node ${major}: ${message}\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`)
  } finally {
    registry.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What npm is told of its network stays; nothing else of this machine's does. */
function environment (node: string, home: string, registry: string): NodeJS.ProcessEnv {
  const network = Object.entries(process.env).filter(([name]) => /^(npm_config_(cafile|https?_proxy|proxy)|NODE_EXTRA_CA_CERTS)$/i.test(name))
  return {
    ...Object.fromEntries(network),
    PATH: [dirname(node), process.env.PATH].join(delimiter),
    HOME: home,
    npm_config_registry: registry,
    npm_config_cache: npm(['config', 'get', 'cache'], home).trim(),
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    // What was packed a moment ago under the same version must not come out of the cache.
    npm_config_prefer_online: 'true'
  }
}

export interface Consumer { node: string, entries: string[], compilers: string[], version: string, knownWarnings: string[], unknownWarnings: string[] }

/** Installs the package, imports each of its entries, and compiles them with declarations checked. */
export async function consumer (server: Packed, major: number, compilers: readonly string[]): Promise<Consumer> {
  return await inEmptyFolder([server], major, async ({ folder, node, npm }) => {
    writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}')
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
      compilerOptions: { noEmit: true, strict: true, target: 'ES2023', module: 'NodeNext', types: ['node'], skipLibCheck: false }
    }))
    const { stderr } = await npm(['install', 'secure-mcp-server', '@types/node@22'])
    const { name, exports } = JSON.parse(readFileSync(join(folder, 'node_modules/secure-mcp-server/package.json'), 'utf8')) as
      { name: string, exports: Record<string, unknown> }
    const entries = Object.entries(exports).filter(([, target]) => typeof target === 'object').map(([path]) => name + path.slice(1))
    const text = entries.map((entry, i) => `import * as entry${i} from '${entry}'\nif (Object.keys(entry${i}).length === 0) throw new Error('${entry} is empty')\n`).join('')
    writeFileSync(join(folder, 'entries.ts'), text)
    const run = async (args: string[]) => await promisify(execFile)(node, args, { cwd: folder })
    for (const compiler of compilers) {
      // The native compiler wants a newer Node than the oldest that the server runs on.
      await promisify(execFile)(process.execPath, [join(fetched(`typescript-${compiler}`, [`typescript@${compiler}`]), 'node_modules/typescript/bin/tsc')], { cwd: folder })
    }
    await run(['--input-type=module', '--eval', text])
    await run(['--input-type=commonjs', '--eval', entries.map(entry => `require('${entry}')`).join(';')])
    const version = (await npm(['exec', '--', 'secure-mcp-server', '--version'])).stdout.trim()
    return { node: (await run(['--version'])).stdout.trim().slice(1), entries, compilers: [...compilers], version, ...warningsIn(stderr) }
  })
}

/** What npm warned of; it writes one warning over several lines. */
export function warningsIn (stderr: string): Pick<Consumer, 'knownWarnings' | 'unknownWarnings'> {
  const text = stderr.split('\n').filter(line => /^npm warn/i.test(line)).map(line => line.replace(/^npm warn */i, '')).join(' ')
  const warnings = text === '' ? [] : text.split(/(?=EBADENGINE Unsupported|deprecated )/).map(warning => warning.trim())
  const causes = warnings.map(warning => KNOWN_WARNINGS.find(({ form }) => form.test(warning.replaceAll(/['"]/g, '')))?.cause)
  return {
    knownWarnings: [...new Set(causes.filter(cause => cause !== undefined))],
    unknownWarnings: warnings.filter((_, i) => causes[i] === undefined).map(warning => warning.slice(0, 300))
  }
}
