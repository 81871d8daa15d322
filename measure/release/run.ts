// `npm run measure release`: packs what a release publishes and judges it as its users would meet it: the files and their
// size, publint, the types, and the install into an empty folder by way of a registry on loopback.
// --node 22 takes one version of Node instead of 20, 22 and 24; --out keeps the tarballs. Ends with 1 if any claim is wrong.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { fetched, npm } from '../../test/support/npm.ts'
import { COMPILERS, consumer } from './empty-folder.ts'
import type { Packed } from './registry.ts'

const PROJECT = resolve(import.meta.dirname, '../..')
const ATTW = '@arethetypeswrong/cli@0.18.5'
/** Bytes of the tarball. */
const LARGEST = 400_000
/** Everything that may be in the tarball. */
const LISTED = /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|docs\/[a-z-]+\.md|dist\/(src|plugins|routes)\/[a-z0-9/-]+\.(js|d\.ts|lua))$/

const { values: { node, out } } = parseArgs({ options: { node: { type: 'string' }, out: { type: 'string' } } })
const rows: Array<[claim: string, held: boolean]> = []

/** @param figure what was seen, for people */
function claim (text: string, held: boolean, figure = ''): void {
  rows.push([text, held])
  process.stdout.write(`${held ? 'ok    ' : 'FAILED'} ${text}${figure === '' ? '' : `: ${figure}`}\n`)
}

const work = mkdtempSync(join(tmpdir(), 'release-'))
try {
  const server = await packed(PROJECT, LISTED)
  claim(`the package is at most ${LARGEST / 1000} kB`, size(server) <= LARGEST, `${(size(server) / 1000).toFixed(1)} kB`)
  claim('what imports it finds its types (are-the-types-wrong)', ...typesOf(server))
  for (const major of node === undefined ? [20, 22, 24] : [Number(node)]) await judgeOn(major, server)
  if (out !== undefined) {
    mkdirSync(out, { recursive: true })
    for (const { tarball, manifest } of [server]) copyFileSync(tarball, join(out, `${manifest.name}-${manifest.version}.tgz`))
  }
} catch (error) {
  claim('the check comes to its end', false, (error as { stderr?: string }).stderr || (error as Error).message)
} finally {
  rmSync(work, { recursive: true, force: true })
}
const failed = rows.filter(([, held]) => !held).length
process.stdout.write(`${rows.length - failed} passed, ${failed} failed\n`)
if (failed > 0) process.exitCode = 1

async function judgeOn (major: number, server: Packed): Promise<void> {
  const seen = await consumer(server, major, node === undefined ? COMPILERS : [])
  const on = `on Node ${seen.node}`
  claim(`${on}: installed into an empty folder, every entry is imported and required`, seen.entries.length > 0, seen.entries.join(' '))
  if (seen.compilers.length > 0) claim(`${on}: its declarations compile without skipLibCheck`, true, `TypeScript ${seen.compilers.join(', ')}`)
  claim(`${on}: the command says the version`, seen.version === server.manifest.version, seen.version)
  claim(`${on}: the warnings of the install are known ones`, seen.unknownWarnings.length === 0, [...seen.unknownWarnings, ...seen.knownWarnings].join('; ') || 'none')
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

function size ({ tarball }: Packed): number {
  return readFileSync(tarball).length
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
