// Programs of Debian and Ubuntu without root and without a trace outside .cache: apt's own signature
// checks, its downloads unpacked into a folder. For tests and measurements only.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

const CACHE = resolve(import.meta.dirname, '../../.cache')

/** The path of the first of these programs that the PATH (and Debian's sbin) holds. */
export function onPath (...names) {
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
export function fetchPackage (name, fallback = [name]) {
  const root = join(CACHE, name)
  if (!existsSync(root)) download(name, fallback, root)
  const libraries = foldersOfLibraries(root)
  return { root, env: { ...process.env, LD_LIBRARY_PATH: [...libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':') } }
}

function download (name, fallback, root) {
  const work = `${root}.${process.pid}`
  try {
    for (const folder of ['lists/partial', 'cache/archives/partial', 'debs', 'root']) mkdirSync(join(work, folder), { recursive: true })
    const apt = (...args) => execFileSync('apt-get', [
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

function missing (apt, name, fallback) {
  try {
    const names = apt('-s', '--no-install-recommends', 'install', name).split('\n').map(line => /^Inst (\S+)/.exec(line)?.[1]).filter(Boolean)
    return names.length > 0 ? names : fallback
  } catch {
    return fallback // a system whose package state is half broken
  }
}

function foldersOfLibraries (root) {
  const found = []
  for (const lib of ['lib', 'usr/lib']) {
    const path = join(root, lib)
    if (!existsSync(path)) continue
    found.push(path)
    for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) found.push(join(path, entry.name))
  }
  return found
}

/** Whether this system has apt at all. */
export function hasApt () {
  try {
    return /debian|ubuntu/i.test(readFileSync('/etc/os-release', 'utf8')) && onPath('apt-get') !== undefined && onPath('dpkg') !== undefined
  } catch {
    return false
  }
}
