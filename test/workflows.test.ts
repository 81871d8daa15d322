/** The workflows run what a laptop runs, with no more rights than each needs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'

interface Step { uses?: string, run?: string, with?: Record<string, unknown> }
interface Job { 'timeout-minutes'?: number, permissions?: Record<string, string>, steps: Step[] }
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
