// Runs the tests with a real Redis, and ends with one plain line.
import { spawn } from 'node:child_process'
import { startRedis } from './redis.mjs'

let redis
try {
  redis = process.env.TEST_REDIS_URL === undefined ? await startRedis() : undefined
} catch (error) {
  console.error(error.message)
  process.exit(1)
}

const args = process.argv.slice(2)
const tap = spawn(process.execPath, ['node_modules/tap/dist/esm/run.mjs', '--reporter=tap', '--fail-skip', ...args], {
  env: { ...process.env, TEST_REDIS_URL: process.env.TEST_REDIS_URL ?? redis.url },
  stdio: ['inherit', 'pipe', 'inherit']
})

// A line for each file and all of every failure; what passed in between is left out.
let held = ''
let failing = false
const counts = { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 }
tap.stdout.setEncoding('utf8').on('data', chunk => {
  const lines = (held + chunk).split('\n')
  held = lines.pop()
  for (const line of lines) {
    const totals = /^# \{ (total: .*) \}/.exec(line)
    if (totals !== null) for (const [, name, n] of totals[1].matchAll(/(\w+): (\d+)/g)) counts[name] = Number(n)
    if (/^\s*not ok /.test(line)) failing = true
    else if (/^\s*ok /.test(line)) failing = false
    if (failing || /^(ok|not ok|Bail out)/.test(line)) console.log(line.replace(/ \{$/, ''))
  }
})

const code = await new Promise(resolve => tap.once('exit', (code, signal) => resolve(signal === null ? code : 1)))
await redis?.stop()
const unfinished = counts.skip + counts.todo
console.log(`\n${counts.pass} passed, ${counts.fail} failed${unfinished > 0 ? `, ${unfinished} skipped` : ''}`)
if (code === 0 && counts.total === 0) console.log('no test ran')
process.exitCode = code !== 0 ? code : counts.total === 0 || unfinished > 0 ? 1 : 0
