import { text as textOf } from 'node:stream/consumers'
import { UsageError } from '../errors.ts'
import type { CheckedResult, DoctorFacts, OutsideFacts, UpstreamFact } from '../doctor/check.ts'
import { readSettings } from '../settings/read.ts'
import type { Config } from '../settings/schema.ts'
import type { Store } from '../state/store.ts'
import { COMMAND, JSON_OPTION, parse, type Command, type Io } from './command.ts'
import { durationMs } from './duration.ts'
import { PATIENCE_MS, QUIET } from './with-store.ts'

export const doctor: Command = {
  summary: 'Examine settings, state, keys, authorization servers and the way in.',
  help: `Usage: secure-mcp doctor [options]

Says of each check what it found, the worst first, and what to do. Changes
nothing. Ends with 1 if something is bad.

  --through <url>   ask at the URL that clients type, through the proxies before
                    the server (https://mcp.example.com/mcp)
  --key             with --through: a caller key comes on standard input, and
                    what needs one is asked as well
  --idle <time>     with --key: hold a stream for so long (130s) and tell when it
                    was cut
  --only <text>     checks whose name begins so (redis, key, issuer …)
  --strict          end with 1 for warnings, too

  --json            for scripts

Example:
  ${COMMAND} doctor --through https://mcp.example.com/mcp --key < caller.key`,

  async run (args, io) {
    const { values } = parse(args, {
      ...JSON_OPTION,
      through: { type: 'string' },
      key: { type: 'boolean', default: false },
      only: { type: 'string' },
      idle: { type: 'string' },
      strict: { type: 'boolean', default: false }
    })
    if (values.key && values.through === undefined) throw new UsageError('--key goes with --through. See --help')
    const through = values.through === undefined ? undefined : urlOf(values.through)
    if (values.idle !== undefined && !values.key) throw new UsageError('--idle goes with --key. See --help')
    const idleMs = values.idle === undefined ? 0 : durationMs('--idle', values.idle)
    const key = values.key ? (await textOf(io.stdin)).trim() : undefined
    if (key === '') throw new UsageError('--key: standard input is empty')
    const [
      { examine }, { CHECKS }
    ] = await Promise.all([import('../doctor/check.ts'), import('../doctor/checks/index.ts')])
    const only = values.only ?? ''
    const checks = CHECKS.filter(({ id }) => id.startsWith(only))
    if (checks.length === 0) throw new UsageError(`--only: no check begins with "${only.slice(0, 64)}"`)
    const results = examine(checks, await factsOf(io, { through, key, idleMs }))
    if (values.json) io.out(JSON.stringify(results))
    else for (const result of results) print(result, io)
    const failing = results.some(({ severity }) => severity === 'bad' || (values.strict && severity === 'warn'))
    return failing ? 1 : 0
  }
}

function urlOf (text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    throw new UsageError('--through must be a URL such as https://mcp.example.com/mcp')
  }
  return text
}

interface FromOutside {
  readonly through: string | undefined
  readonly key: string | undefined
  readonly idleMs: number
}

async function factsOf (io: Io, asked: FromOutside): Promise<DoctorFacts> {
  const warnings: string[] = []
  let config: Config
  try {
    config = readSettings(io.env, { warn: warning => warnings.push(warning), serving: true })
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return { settings: { problem: error.message }, outside: await outside(asked) }
  }
  const { collectFiles, collectProbe, collectSpool } = await import('../doctor/collect.ts')
  return {
    settings: { config, warnings, node: process.version, now: Date.now() },
    files: collectFiles(config),
    ...await behind(config, io),
    probe: await collectProbe(config),
    outside: await outside(asked, config),
    spool: await collectSpool(config, Date.now())
  }
}

/** @param config of a server whose records may be at hand: they tell what arrived */
async function outside ({ through, key, idleMs }: FromOutside, config?: Config): Promise<OutsideFacts | undefined> {
  if (through === undefined) return undefined
  const { lookFromOutside } = await import('../doctor/outside.ts')
  const since = Date.now()
  const facts = await lookFromOutside(through, key, since, { idleMs })
  if (config?.AUDIT !== true) return facts
  const { recordsOf } = await import('../operate/audit.ts')
  const seen = [...facts.answers.values()]
  const ids = new Set(seen.map(answer => 'fault' in answer ? '' : answer.headers['x-request-id']))
  const arrivedFrom: string[] = []
  for await (const { record: { reqId, address } } of recordsOf(config.AUDIT_DIR, { since: since - CLOCKS_MS })) {
    if (typeof reqId === 'string' && ids.has(reqId) && typeof address === 'string') arrivedFrom.push(address)
  }
  return { ...facts, arrivedFrom }
}

/** Records are judged by their time, which another clock may have written, ms. */
const CLOCKS_MS = 10_000

type Behind = Pick<DoctorFacts, 'state' | 'keys' | 'issuers' | 'replicas' | 'upstreams'>

/** What needs state or others: looked at as the server looks at it. */
async function behind (config: Config, io: Io): Promise<Behind> {
  const [{ openStore }, { buildRuntime }, collect] = await Promise.all([
    import('../state/open.ts'), import('../runtime.ts'), import('../doctor/collect.ts')
  ])
  let store
  try {
    store = await openStore(config, QUIET, { patienceMs: PATIENCE_MS })
  } catch (error) {
    return { state: { fault: (error as Error).message } }
  }
  try {
    const state = await collect.collectState(config, store)
    if ('fault' in state) return { state }
    const [replicas, upstreams] = [await collect.collectReplicas(config, store), await listedUpstreams(store, io)]
    let runtime
    try {
      runtime = await buildRuntime({ config, store, logger: QUIET })
    } catch (error) {
      return { state, replicas, upstreams, keys: { fault: (error as Error).message } }
    }
    const { oauth2, offer } = runtime
    const issuers = oauth2 === undefined
      ? undefined
      : await collect.collectIssuers(oauth2.issuers, config.OAUTH2_ALGORITHMS)
    const keys = await collect.collectKeys(config, store, offer.current)
    await runtime.close()
    return { state, replicas, upstreams, keys, issuers }
  } finally {
    await store.close()
  }
}

/** Upstreams of the file, by what was listed of them last; undefined where there are none. */
async function listedUpstreams (store: Store, io: Io): Promise<readonly UpstreamFact[] | undefined> {
  const [{ upstreamEntries }, { listServers }] = await Promise.all([
    import('./upstream-entries.ts'), import('../operate/servers.ts')
  ])
  try {
    const entries = upstreamEntries(io)
    if (entries.length === 0) return undefined
    const views = await listServers(store, entries)
    return views.map(({ name, listedAt, held }) => ({
      name, held, isKnown: listedAt !== undefined, trouble: listedAt === undefined ? 'it was never listed' : undefined
    }))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return [{ name: 'MCP_SERVERS_FILE', isKnown: false, trouble: error.message, held: 0 }]
  }
}

const SIGNS = { bad: 'BAD ', warn: 'warn', ok: 'ok  ' } as const

function print ({ severity, id, asks, found, remedy }: CheckedResult, { out }: Io): void {
  out(`${SIGNS[severity]} ${id}: ${severity === 'ok' ? `${asks} (${found})` : found}`.replace(/[\r\n]+\s*/g, '; '))
  if (remedy !== undefined) out(`     → ${remedy}`)
}
