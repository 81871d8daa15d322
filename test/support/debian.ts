// Programs of Debian and Ubuntu without root and without a trace outside .cache: apt's own signature
// checks, its downloads unpacked into a folder. For tests and measurements only.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

/** Where what was fetched is kept. */
export const CACHE = resolve(import.meta.dirname, '../../.cache')

/** How to run a program: its path, and the environment that it needs. */
export interface Program { program: string, env: NodeJS.ProcessEnv }

/** The path of the first of these programs that the PATH (and Debian's sbin) holds. */
export function onPath (...names: string[]): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  for (const name of names) {
    for (const folder of folders) if (folder !== '' && existsSync(join(folder, name))) return join(folder, name)
  }
}

/**
 * Unpack a package, and those that it needs and this system lacks, into
 * `.cache/<name>`; at once if it is there already.
 *
 * @param fallback packages to take if apt cannot work out what is missing
 * @returns the folder, and the environment that programs in it need
 */
export function fetchPackage (name: string, fallback: string[] = [name]): { root: string, env: NodeJS.ProcessEnv } {
  const root = join(CACHE, name)
  if (!existsSync(root)) download(name, fallback, root)
  const libraries = foldersOfLibraries(root)
  return { root, env: { ...process.env, LD_LIBRARY_PATH: [...libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':') } }
}

/**
 * A program of Debian's: the one on the path, or the package's, fetched.
 *
 * @param path where the package holds it
 */
export function debianProgram (name: string, path: string): Program {
  const found = onPath(name)
  if (found !== undefined) return { program: found, env: process.env }
  const { root, env } = fetchPackage(name)
  return { program: join(root, path), env }
}

function download (name: string, fallback: string[], root: string): void {
  const work = `${root}.${process.pid}`
  try {
    for (const folder of ['lists/partial', 'cache/archives/partial', 'debs', 'root']) mkdirSync(join(work, folder), { recursive: true })
    const apt = (...args: string[]) => execFileSync('apt-get', [
      '-o', `Dir::State=${work}`, '-o', `Dir::State::Lists=${work}/lists`, '-o', `Dir::Cache=${work}/cache`,
      '-o', 'Dir::State::status=/var/lib/dpkg/status', '-o', 'APT::Sandbox::User=', '-o', 'Debug::NoLocking=1', '-qq', ...args
    ], { cwd: join(work, 'debs'), stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
    apt('update')
    apt('download', ...missing(apt, name, fallback))
    for (const file of readdirSync(join(work, 'debs'))) execFileSync('dpkg', ['-x', join(work, 'debs', file), join(work, 'root')])
    rmSync(root, { recursive: true, force: true })
    renameSync(join(work, 'root'), root)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function missing (apt: (...args: string[]) => string, name: string, fallback: string[]): string[] {
  try {
    const names = apt('-s', '--no-install-recommends', 'install', name).split('\n').map(line => /^Inst (\S+)/.exec(line)?.[1]).filter(found => found !== undefined)
    return names.length > 0 ? names : fallback
  } catch {
    return fallback // a system whose package state is half broken
  }
}

/** Every folder that holds a library, however deep: some packages keep theirs in one of their own, which an installed program finds by its path. */
function foldersOfLibraries (root: string): string[] {
  return ['lib', 'usr/lib'].map(lib => join(root, lib)).filter(path => existsSync(path)).flatMap(withLibraries)
}

function withLibraries (folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true })
  const own = entries.some(({ name }) => /\.so(\.\d+)*$/.test(name)) ? [folder] : []
  return [...own, ...entries.filter(entry => entry.isDirectory()).flatMap(({ name }) => withLibraries(join(folder, name)))]
}

/** Whether this system has apt at all. */
export function hasApt (): boolean {
  try {
    return /debian|ubuntu/i.test(readFileSync('/etc/os-release', 'utf8')) && onPath('apt-get') !== undefined && onPath('dpkg') !== undefined
  } catch {
    return false
  }
}
