// `npm run measure <what>`: everything that takes minutes, needs a quiet machine, or gives figures for docs/measurements.md.
// Arguments of the measurement follow two dashes: npm run measure bench -- --guard
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** The program of each, and what it tells. */
const MEASUREMENTS = {
  bench: ['bench/run.mjs', 'the request path beside a bare Fastify; --guard is short and fails below the agreed share'],
  peers: ['bench/peers.mjs', 'the same tool served by others from npm'],
  profile: ['bench/profile.mjs', 'where the time of a tools/call goes'],
  chaos: ['chaos/run.mjs', 'faults and limits over several replicas; --rows 5,9 for some, --quick for those that CI can afford'],
  conformance: ['conformance/run.mjs', 'the official suite; --replicas 2 for two on one Redis'],
  'front-door': ['front-door/run.mjs', 'newcomers, clients of others, cross-talk, secrets, crashes, 50,000 odd bodies'],
  newcomer: ['newcomer/run.ts', 'the files that each recipe of CONTRIBUTING.md has its reader open'],
  busy: ['busy/run.ts', 'the tests, ten times, while other work holds every core'],
  worst: ['worst/run.mjs', 'requests of 1 MB, and how long each blocks the event loop'],
  'bare-root': ['bare-root/run.ts', 'npm start and npm test on a machine with Debian\'s minimal set and Node alone'],
  schemas: ['schemas/run.ts', 'what a call costs with its schema in each library'],
  moved: ['moved/run.ts', 'tools of fastmcp and of the SDK before and after they were moved here: answers, and lines changed'],
  redis: ['redis/run.mjs', 'how many requests one Redis admits, and three masters of a Cluster'],
  upstreams: ['upstreams/run.ts', 'eight MCP servers of the registry behind one endpoint, and everything asked directly and through it; or a part: oracle, kills, trouble, drift'],
  'upstream-bench': ['bench/upstreams.mjs', 'calls to upstreams beside own tools and other proxies; --guard is short and fails above the agreed ratio'],
  audit: ['audit/run.ts', 'records of decisions: kills, cost, trouble (Redis gone, Redis full, disk full), edits'],
  operators: ['operators/run.ts', 'a dry run of 100,000 records beside calls (dry-run); the ten questions of a night on three replicas, one of them killed (questions)'],
  image: ['image/run.mjs', 'the Dockerfile, built and started as a pod would start it; --arm64 for that processor, too'],
  dev: ['dev/run.ts', 'a hundred changes of tools and helpers under 200 calls a second'],
  release: ['release/run.ts', 'what a release publishes, packed, judged and installed into an empty folder on Node 20, 22 and 24'],
  manifests: ['manifests/run.mjs', 'what kustomize renders, against the types of the API and our policies'],
  clients: ['oauth/clients.ts', 'clients and authorization servers of others: each logs in at each, lists and calls a tool; fetches Codex, 400 MB'],
  oauth: ['oauth/run.mjs', 'forged tokens, authorization servers in trouble, whole flows']
}

const [what, ...args] = process.argv.slice(2).filter(arg => arg !== '--')
const measurement = Object.hasOwn(MEASUREMENTS, what ?? '') ? MEASUREMENTS[what] : undefined
if (measurement === undefined) {
  process.stderr.write(`Usage: npm run measure <what> [-- arguments]\n\n${Object.entries(MEASUREMENTS).map(([name, [, about]]) => `  ${name.padEnd(12)} ${about}`).join('\n')}\n`)
  process.exit(2)
}
const typescript = join(import.meta.dirname, '../scripts/typescript.mjs')
const { status } = spawnSync(process.execPath, ['--import', typescript, join(import.meta.dirname, measurement[0]), ...args], { stdio: 'inherit' })
process.exit(status ?? 1)
