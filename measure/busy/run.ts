// `npm run measure busy`: the tests, again and again, while other work holds every core. A claim that depends on how
// fast the machine is fails here. --runs 10, --loops 10 (a load average of about 12 on two cores), and files for fewer than all.
import { spawn, spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const ROOT = resolve(import.meta.dirname, '../..')
/** No loop outlives this, whatever becomes of the program that started it. */
const LOOP_MS = 60 * 60_000
const RUN_WITHIN_MS = 45 * 60_000
/** Ends when what started it is gone: another process is then its parent. */
const LOOP = `const parent = process.ppid; for (const end = Date.now() + ${LOOP_MS}; Date.now() < end && process.ppid === parent;) for (let i = 0; i < 1e7; i++);`

const { values: { runs, loops }, positionals: files } = parseArgs({
  options: { runs: { type: 'string', default: '10' }, loops: { type: 'string', default: '10' } }, allowPositionals: true
})

let passed = 0
for (let run = 1; run <= Number(runs); run++) {
  const busy = Array.from({ length: Number(loops) }, () => spawn(process.execPath, ['-e', LOOP], { stdio: 'ignore' }))
  const began = performance.now()
  const { stdout, status } = spawnSync(process.execPath, [join(ROOT, 'scripts/test.mjs'), '--reporter=tap', '-t', '1200', ...files], {
    cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28, timeout: RUN_WITHIN_MS, stdio: ['ignore', 'pipe', 'inherit']
  })
  for (const loop of busy) loop.kill('SIGKILL')
  const failed = stdout.split('\n').filter(line => /^ *not ok /.test(line)).map(line => line.trim().slice(0, 200))
  const fine = status === 0 && failed.length === 0
  if (fine) passed++
  process.stdout.write(`run ${run}: ${fine ? 'passed' : 'FAILED'} after ${((performance.now() - began) / 1000).toFixed(0)} s\n${failed.map(line => `  ${line}\n`).join('')}`)
}
process.stdout.write(`${passed} of ${runs} runs passed beside ${loops} busy loops\n`)
process.exitCode = passed === Number(runs) ? 0 : 1
