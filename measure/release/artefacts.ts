// What a release publishes beside the two packages: chart, install.yaml, bill of materials, registry entry, notes.
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { CACHE } from '../../test/support/debian.ts'
import { CHART, helm } from '../../test/support/helm.ts'
import { render } from '../../test/support/kustomize.ts'

const PROJECT = resolve(import.meta.dirname, '../..')

export interface Release {
  readonly name: string
  readonly version: string
  /** `ghcr.io/…@sha256:…` */
  readonly image: string
  /** Folder for the files. */
  readonly out: string
}

/** One of the artefacts: its file, and what was seen in it. */
export interface Artefact { readonly file: string, readonly seen: string }

/** @returns all of them, written */
export function makeArtefacts (release: Release): Artefact[] {
  mkdirSync(join(release.out, 'chart'), { recursive: true })
  return [chart(release), installYaml(release), billOfMaterials(release), registryEntry(release), notes(release)]
}

/** In a folder of its own: its name is that of the package. */
function chart ({ name, version, out }: Release): Artefact {
  helm('package', CHART, '--destination', join(out, 'chart'))
  const file = join(out, 'chart', `${name}-${version}.tgz`)
  return { file, seen: `${helm('template', name, file).match(/^kind: /gm)?.length} objects` }
}

/** For those without Helm: what every overlay shares, with the image by digest. */
function installYaml ({ name, image, out }: Release): Artefact {
  const [newName, digest] = image.split('@') as [string, string]
  const work = join(CACHE, 'release')
  // A copy: kustomize follows no path out of a folder that is a link itself.
  cpSync(join(PROJECT, 'k8s/base'), join(work, 'base'), { recursive: true })
  writeFileSync(join(work, 'kustomization.yaml'), JSON.stringify({
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: ['base'],
    images: [{ name, newName, digest }],
    labels: [{ pairs: { 'app.kubernetes.io/part-of': name, 'app.kubernetes.io/managed-by': 'kubectl' } }]
  }))
  const file = join(out, 'install.yaml')
  const text = render(work)
  if (!text.includes(`image: ${image}\n`)) throw new Error('install.yaml does not name the image')
  writeFileSync(file, text)
  return { file, seen: `${parseAllDocuments(text).length} objects` }
}

/** What the package brings with it, as CycloneDX; the image holds the same. */
function billOfMaterials ({ out }: Release): Artefact {
  const text = execFileSync(process.execPath, ['scripts/sbom.mjs'], { cwd: PROJECT, encoding: 'utf8', maxBuffer: 1 << 26 })
  const { components } = JSON.parse(text) as { components: Array<{ name: string, licenses?: unknown[] }> }
  const unlicensed = components.filter(({ licenses = [] }) => licenses.length === 0).map(({ name }) => name)
  if (unlicensed.length > 0) throw new Error(`no licence is known of ${unlicensed.join(', ')}`)
  const file = join(out, 'sbom.cdx.json')
  writeFileSync(file, text)
  return { file, seen: `${components.length} components, each with a licence` }
}

function registryEntry ({ out }: Release): Artefact {
  const file = join(out, 'server.json')
  copyFileSync(join(PROJECT, 'server.json'), file)
  return { file, seen: (JSON.parse(readFileSync(file, 'utf8')) as { name: string }).name }
}

/** The first section of the changelog. */
function notes ({ out }: Release): Artefact {
  const [, heading, text] = /^(## .*)\n([^]*?)(?=^## |(?![^]))/m.exec(readFileSync(join(PROJECT, 'CHANGELOG.md'), 'utf8'))!
  const file = join(out, 'notes.md')
  writeFileSync(file, text!.trim() + '\n')
  return { file, seen: heading! }
}
