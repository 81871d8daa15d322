/** testTools from the built package, under node:test, vitest and tap; and the examples of docs/testing-tools.md, as they stand there. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { fetched } from '../support/npm.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const typescript = join(root, 'scripts/typescript.mjs')
const vitest = fetched('vitest', ['vitest@4.1.10', 'vite@7.3.6'])

/** A project of somebody's own, with this package as it is published. */
function project (t: Test): string {
  const dir = mkdtempSync(join(root, '.cache/project-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  mkdirSync(join(dir, 'node_modules/@tapjs'), { recursive: true })
  writeFileSync(join(dir, 'package.json'), '{ "type": "module", "private": true }')
  symlinkSync(root, join(dir, 'node_modules/secure-mcp-server'))
  for (const name of ['tap', 'zod']) symlinkSync(join(root, 'node_modules', name), join(dir, 'node_modules', name))
  symlinkSync(join(vitest, 'node_modules/vitest'), join(dir, 'node_modules/vitest'))
  return dir
}

/** @returns how many tests passed */
const runners: Record<string, (dir: string, file: string, args?: readonly string[]) => Promise<number>> = {
  async 'node:test' (dir, file, args = []) {
    const { stdout } = await run(process.execPath, [...args, '--test', '--test-reporter=tap', file], { cwd: dir, env: bare() })
    return Number(/^# pass (\d+)$/m.exec(stdout)?.[1])
  },
  async vitest (dir, file) {
    const { stdout } = await run(process.execPath, [join(vitest, 'node_modules/vitest/vitest.mjs'), 'run', '--root', dir, '--reporter=json', file], { cwd: dir, env: bare() })
    return (JSON.parse(stdout) as { numPassedTests: number }).numPassedTests
  },
  async tap (dir, file, args = []) {
    const { stdout } = await run(process.execPath, [...args, file], { cwd: dir, env: bare() })
    return stdout.match(/^ok /gm)?.length ?? 0
  }
}

/** What this run's own tap and node hand down would be taken for theirs. */
function bare (): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TAP|_TAPJS|NODE_|VITEST)/.test(name)))
}

const imports: Record<string, string> = {
  'node:test': "import { test } from 'node:test'",
  vitest: "import { test } from 'vitest'",
  tap: "import { test } from 'tap'"
}

for (const [name, runner] of Object.entries(runners)) {
  t.test(`every case passes under ${name}`, async t => {
    const dir = project(t)
    writeFileSync(join(dir, 'cases.test.mjs'), `
      ${imports[name]}
      import { testTools } from 'secure-mcp-server/testing'
      import * as authoring from 'secure-mcp-server'
      import { cases } from '${join(root, 'test/testing/cases.ts')}'
      for (const [name, run] of cases({ testTools, ...authoring })) test(name, async () => { await run() })`)
    t.equal(await runner(dir, 'cases.test.mjs', ['--import', typescript]), 48)
  })
}

t.test('the examples of the page run as they stand there', async t => {
  const page = readFileSync(join(root, 'docs/testing-tools.md'), 'utf8')
  const blocks = [...page.matchAll(/^```js\n\/\/ (\S+)(?:, (\S+))?\n(.*?)^```$/gms)].map(([, file, runner, text]) => ({ file: file!, runner, text: text! }))
  for (const [name, runner] of Object.entries(runners)) {
    await t.test(name, async t => {
      const dir = project(t)
      const own = blocks.filter(block => block.runner === undefined || block.runner === name)
      for (const { file, text } of own) {
        mkdirSync(join(dir, file, '..'), { recursive: true })
        writeFileSync(join(dir, file), text)
      }
      const tests = own.filter(({ file }) => file.includes('.test.'))
      t.ok(tests.length > 0)
      for (const { file } of tests) t.ok(await runner(dir, file) >= 1, file)
    })
  }
})
