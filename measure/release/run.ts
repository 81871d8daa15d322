// `npm run measure release`: makes what a release publishes and judges it as its users would meet it: the files and their
// size, publint, the types, the install into an empty folder, and the way from nothing to the first secured call, by
// a registry on loopback, on Node 20, 22 and 24. Ends with 1 if any claim is wrong.
//   --quick           this Node alone, one compiler
//   --tag v1.2.3      the tag must be the version, and the changelog must speak of it
//   --digest sha256:… of the image, for install.yaml
//   --out folder      keeps what was judged: a release publishes these files and no others
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { fetched, npm } from '../../test/support/npm.ts'
import { makeArtefacts } from './artefacts.ts'
import { COMPILERS, consumer } from './empty-folder.ts'
import { newcomer } from './newcomer.ts'
import type { Packed } from './registry.ts'

const PROJECT = resolve(import.meta.dirname, '../..')
const ATTW = '@arethetypeswrong/cli@0.18.5'
/** Bytes of the tarball. */
const LARGEST = 480_000
/** From `npm start` of a project that was just made to the answer of the first call, seconds. */
const FIRST_CALL_WITHIN = 60
/** Everything that may be in the tarball. */
const LISTED = /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|docs\/[a-z0-9-]+\.md|dist\/(src|plugins|routes)\/[a-z0-9/-]+\.(js|d\.ts|lua))$/
const OF_CREATE = /^(package\.json|README\.md|create\.js|template\/[\w./-]+)$/

const { values: { quick, tag, digest, out } } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, tag: { type: 'string' }, digest: { type: 'string' }, out: { type: 'string' } }
})
const nodes = quick ? [Number(process.versions.node.split('.')[0])] : [20, 22, 24]
const rows: Array<[claim: string, held: boolean]> = []

/** @param figure what was seen, for people */
function claim (text: string, held: boolean, figure = ''): void {
  rows.push([text, held])
  process.stdout.write(`${held ? 'ok    ' : 'FAILED'} ${text}${figure === '' ? '' : `: ${figure}`}\n`)
}

const work = mkdtempSync(join(tmpdir(), 'release-'))
try {
  const server = await packed(PROJECT, LISTED)
  const create = await packed(join(PROJECT, 'create'), OF_CREATE)
  const kB = [server, create].map(({ tarball }) => readFileSync(tarball).length / 1000)
  claim(`the package is at most ${LARGEST / 1000} kB`, kB[0]! * 1000 <= LARGEST, `${kB[0]!.toFixed(1)} kB; create ${kB[1]!.toFixed(1)} kB`)
  claim('npm would publish both', ...publishedBy([server, create]))
  claim('what imports it finds its types (are-the-types-wrong)', ...typesOf(server))
  for (const major of nodes) await judgeOn(major, server, create)
  judgeArtefacts(server, create)
} catch (error) {
  claim('the check comes to its end', false, (error as { stderr?: string }).stderr || (error as Error).message)
} finally {
  rmSync(work, { recursive: true, force: true })
}
const failed = rows.filter(([, held]) => !held).length
process.stdout.write(`${rows.length - failed} passed, ${failed} failed\n`)
if (failed > 0) process.exitCode = 1

async function judgeOn (major: number, server: Packed, create: Packed): Promise<void> {
  const seen = await consumer(server, major, quick ? COMPILERS.slice(1, 2) : COMPILERS)
  const on = `on Node ${seen.node}`
  claim(`${on}: installed into an empty folder, every entry is imported and required`, seen.entries.length > 0, seen.entries.join(' '))
  claim(`${on}: its declarations compile without skipLibCheck`, true, `TypeScript ${seen.compilers.join(', ')}`)
  claim(`${on}: the command says the version`, seen.version === server.manifest.version, seen.version)
  claim(`${on}: the warnings of the install are known ones`, seen.unknownWarnings.length === 0, [...seen.unknownWarnings, ...seen.knownWarnings].join('; ') || 'none')

  const first = await newcomer([server, create], major)
  claim(`${on}: npm create makes a project whose tests pass and whose types are right`, first.tests > 0, `${first.installSeconds.toFixed(0)} s, install included; ${first.tests} tests`)
  claim(`${on}: made a second time, every file is as it was`, first.unchanged)
  claim(`${on}: the first secured call is answered within ${FIRST_CALL_WITHIN} s of the install`, first.callSeconds <= FIRST_CALL_WITHIN, `${first.callSeconds.toFixed(1)} s after npm start`)
}

/** The rest of a release, for the image of the tag or one that cannot be pulled. */
function judgeArtefacts ({ manifest: { name, version }, tarball }: Packed, create: Packed): void {
  const { repository } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { repository: { url: string } }
  const image = `ghcr.io/${/github\.com\/(.+)\.git$/.exec(repository.url)![1]!}@${digest ?? `sha256:${'0'.repeat(64)}`}`
  const artefacts = makeArtefacts({ name, version, image, out: out ?? join(work, 'out') })
  for (const { file, seen } of artefacts) claim(`${basename(file) === `${name}-${version}.tgz` ? 'the chart' : basename(file)} is made`, true, seen)
  if (tag !== undefined) {
    const heading = artefacts.find(({ file }) => file.endsWith('notes.md'))!.seen
    claim('the tag is the version, and the first section of the changelog speaks of it', tag === `v${version}` && heading.startsWith(`## ${version}`), `${tag}, ${heading}`)
  }
  if (out !== undefined) for (const path of [tarball, create.tarball]) copyFileSync(path, join(out, basename(path)))
}

/** A package as it would be published, with what is said of every one. */
async function packed (folder: string, listed: RegExp): Promise<Packed> {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Packed['manifest']
  const [{ filename, files }] = JSON.parse(npm(['pack', '--json', '--ignore-scripts', '--pack-destination', work], folder)) as
    [{ filename: string, files: Array<{ path: string }> }]
  const unlisted = files.map(({ path }) => path).filter(path => !listed.test(path))
  claim(`${manifest.name}: only listed files are in it`, unlisted.length === 0, unlisted.join(' ') || `${files.length} files`)
  const tarball = join(work, filename)
  const { messages, pkg } = await publint({ strict: true, pack: { tarball: new Uint8Array(readFileSync(tarball)).buffer } })
  claim(`${manifest.name}: publint has nothing to say`, messages.length === 0, messages.map(message => formatMessage(message, pkg)).join('; '))
  return { manifest, tarball }
}

/** `npm publish`, up to the registry: whether it would, and what. */
function publishedBy (packages: readonly Packed[]): [boolean, string] {
  const published = packages.map(({ tarball }) =>
    /"id": "(.+)"/.exec(npm(['publish', '--dry-run', '--json', '--loglevel=error', '--access', 'public', '--ignore-scripts', tarball], work))?.[1])
  return [published.join(' ') === packages.map(({ manifest: { name, version } }) => `${name}@${version}`).join(' '), published.join(', ')]
}

/** What are-the-types-wrong says: whether it is content, and of what. */
function typesOf ({ tarball }: Packed): [boolean, string] {
  const program = join(fetched('attw', [ATTW]), 'node_modules/@arethetypeswrong/cli/dist/index.js')
  try {
    execFileSync(process.execPath, [program, tarball, '--profile', 'esm-only', '--no-color', '--no-emoji'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    return [true, ATTW]
  } catch (error) {
    return [false, (error as { stdout?: string }).stdout ?? (error as Error).message]
  }
}
