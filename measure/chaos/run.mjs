// `npm run measure chaos`: the rows of the reliability scorecard that need faults, several replicas or much load.
// Usage: npm run measure chaos [-- --rows 5,6] [--quick] [--record]. The quick rows are those that CI can afford.
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { circumstances, commit, markdownTable, readSection, writeSection } from '../report.ts'
import credentials from './credentials.mjs'
import durability from './durability.mjs'
import limits from './limits.mjs'
import load from './load.mjs'
import redisGone from './redis-gone.mjs'
import redisWrong from './redis-wrong.mjs'
import strangers from './strangers.mjs'
import traffic from './traffic.mjs'
import versions from './versions.mjs'
import { stage } from './stage.mjs'

const ROWS = [...load, ...redisGone, ...redisWrong, ...limits, ...credentials, ...strangers, ...traffic, ...durability, ...versions].sort((a, b) => a.row - b.row)
/** No row may take longer. */
const ROW_MS = 240_000
const { values: { rows: wanted, quick, record } } = parseArgs({
  options: { rows: { type: 'string' }, quick: { type: 'boolean', default: false }, record: { type: 'boolean', default: false } }
})

const named = wanted?.split(',')
const chosen = ROWS.filter(({ row, name, quick: isQuick }) => named?.some(one => one === String(row) || one === name) ?? (!quick || isQuick))
if (chosen.length === 0) {
  process.stderr.write(`No such row. There are: ${ROWS.map(({ row, name }) => `${row} ${name}`).join(', ')}\n`)
  process.exit(2)
}

// Each process that a row starts ends with this one.
process.setMaxListeners(0)

const outcomes = new Map()
for (const row of chosen) {
  const began = performance.now()
  const outcome = await play(row)
  outcomes.set(row, outcome)
  const seconds = Math.round((performance.now() - began) / 1000)
  process.stdout.write(`${outcome.pass ? 'met   ' : 'MISSED'} ${String(row.row).padStart(2)} ${row.name} (${seconds} s): ${outcome.figure}; target: ${row.target}\n`)
}
const missed = [...outcomes.values()].filter(({ pass }) => !pass).length
process.stdout.write(`${outcomes.size - missed} of ${outcomes.size} met\n`)
if (record) write()
process.exit(missed === 0 ? 0 : 1)

async function play ({ run }) {
  const set = stage()
  let timer
  try {
    const late = new Promise((_resolve, reject) => { timer = setTimeout(() => reject(new Error('the row took too long')), ROW_MS) })
    return await Promise.race([run(set), late])
  } catch (error) {
    return { figure: `failed: ${error.message.replaceAll('\n', ' ').slice(0, 400)}`, pass: false }
  } finally {
    clearTimeout(timer)
    await set.end()
  }
}

/**
 * Every row that there is, so that one left out is seen to be. A row that was
 * not run now keeps what an earlier run wrote, with the commit it was run on.
 */
function write () {
  const earlier = new Map(readSection('chaos').split('\n').filter(line => /^\| \d/.test(line)).map(line => {
    const cells = line.slice(2, -2).split(' | ')
    return [Number(cells[0]), cells]
  }))
  const now = `${new Date().toISOString().slice(0, 10)}, ${commit()}, load ${loadavg()[0].toFixed(1)}`
  const cells = ROWS.map(row => {
    const outcome = outcomes.get(row)
    if (outcome !== undefined) return [row.row, row.name, outcome.figure, row.target, outcome.pass ? 'met' : 'missed', now]
    return earlier.get(row.row) ?? [row.row, row.name, '', row.target, 'not measured', '']
  })
  const all = verdict => cells.filter(cell => cell[4] === verdict).length
  writeSection('chaos', [
    '## Faults and limits', '', circumstances('npm run measure chaos -- --record'), '',
    markdownTable(['row', 'what', 'figure', 'target', 'verdict', 'when, commit, load average'], cells), '',
    `${all('met')} met, ${all('missed')} missed, ${all('not measured')} not measured. Replicas, Redis, HAProxy and clients share the machine's cores, so rates and latencies are worse than apart.`
  ].join('\n'))
  writeSection('limits', [
    '## Limits', '', circumstances('npm run measure chaos -- --record'), '',
    markdownTable(['row', 'what', 'figure', 'target', 'verdict', 'when, commit, load average'], cells.filter(([row]) => row >= 15 && row <= 19)), '',
    'What was admitted is judged from outside, by when requests were sent and answered.'
  ].join('\n'))
}
