// `npm run measure front-door`: what a newcomer, the clients of others, and attackers see, as figures. --record writes them into docs/measurements.md.
// Usage: npm run measure front-door [-- --record] [-- --only first-run,clients,…]
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { claimsOf } from '../claims.ts'
import { fetched, nodeOf } from '../../test/support/npm.ts'
import { firstRun } from './newcomer.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'

const INSPECTOR = '2.12.0'
const { values: { record, only } } = parseArgs({ options: { record: { type: 'boolean', default: false }, only: { type: 'string' } } })
const rows = []

/** Each gives rows of what, figure, wanted, and whether it was met. */
const PARTS = {
  async 'first-run' () {
    const { seconds, more } = await firstRun(inspector)
    return [
      ['first run: `npm start` in a clean clone, until the printed curl line is answered', `${seconds.toFixed(1)} s`, '< 90 s', seconds < 90],
      [`Inspector ${INSPECTOR}, its command line, with the printed snippet`, more.figure, 'lists and calls', more.pass]
    ]
  },

  async clients () {
    const claims = await claimsOf('test/mcp/clients.test.ts')
    return claims.map(({ claim, pass }) => [claim, pass ? 'does' : 'does not', 'does', pass])
  },

  'cross-talk': () => figure('test/attacks/isolation.test.ts', {}, '200 clients, the same ids, two replicas: answers that crossed', '0 of 10,000', /^0 crossed of 10000$/),
  secrets: () => figure('test/attacks/secrets.test.ts', {}, 'secrets of every kind through a server, its command line and its Redis', '0 found', /^0 found /),
  bodies: () => figure('test/attacks/bodies.test.ts', { FUZZ: '50000' }, 'generated bodies', '0 answers of 5xx', /^50000 bodies, .*0 × 5xx$/),
  async crash () {
    const claims = await claimsOf('test/state/crash.test.ts', { KILLS: '200' })
    return claims.map(({ claim, pass }) => [claim, pass ? 'nothing lost' : 'lost', 'nothing lost', pass])
  }
}

const chosen = only?.split(',') ?? Object.keys(PARTS)
for (const name of chosen) {
  let found
  try {
    found = await PARTS[name]()
  } catch (error) {
    found = [[name, error.message.replaceAll(/mcpk_\S+/g, '[key]').slice(0, 200), 'comes to its end', false]]
  }
  for (const [what, seen, wanted, pass] of found) {
    rows.push([what, seen, wanted, pass ? 'met' : '**missed**'])
    process.stdout.write(`${pass ? 'met   ' : 'MISSED'} ${what}: ${seen}; wanted: ${wanted}\n`)
  }
}
if (record && only === undefined) {
  writeSection('front-door', ['## The front door', '', circumstances('npm run measure front-door -- --record'), '', markdownTable(['what', 'seen', 'wanted', ''], rows)].join('\n'))
}
process.exitCode = rows.every(row => row[3] === 'met') ? 0 : 1

/** The snippet as it is: a file that the Inspector reads. */
async function inspector (snippet) {
  const folder = mkdtempSync(join(tmpdir(), 'inspector-'))
  try {
    writeFileSync(join(folder, 'mcp.json'), snippet, { mode: 0o600 })
    const script = join(fetched('inspector', [`@modelcontextprotocol/inspector@${INSPECTOR}`]), 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js')
    const ask = async (...args) => {
      const { stdout } = await promisify(execFile)(nodeOf(22), [script, '--cli', '--config', join(folder, 'mcp.json'), '--server', 'secure-mcp', ...args], { timeout: 60_000 })
      return JSON.parse(stdout)
    }
    const { tools } = await ask('--method', 'tools/list', '--strict')
    const { content } = await ask('--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'text=pasted')
    const pass = tools.length === 4 && content[0].text === 'pasted'
    return { pass, figure: `${tools.length} tools, whose schemas it finds portable; echo said "${content[0].text}"` }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The figure that a test file prints, `# figure: …`. */
async function figure (file, env, what, wanted, pattern) {
  const claims = await claimsOf(file, env)
  const seen = claims.flatMap(({ figures }) => figures)[0] ?? 'no figure'
  return [[what, seen, wanted, pattern.test(seen) && claims.every(({ pass }) => pass)]]
}
