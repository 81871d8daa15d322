// Prints what the package brings with it at run time, as CycloneDX: for the image and the release.
// `npm sbom --omit dev` leaves out what development needs, too, such as zod: the lock knows better.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
const text = execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'], {
  encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 27, shell: process.platform === 'win32'
})
const bom = JSON.parse(text)
const atRunTime = new Set(Object.entries(packages).filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional)
  .map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`))
bom.components = bom.components.filter(({ name, version }) => atRunTime.has(`${name}@${version}`))
const kept = new Set([bom.metadata.component, ...bom.components].map(component => component['bom-ref']))
bom.dependencies = bom.dependencies.filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter(other => kept.has(other)) }))
process.stdout.write(JSON.stringify(bom, null, 2) + '\n')
