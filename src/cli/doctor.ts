import { text as textOf } from 'node:stream/consumers'
import { UsageError } from '../errors.ts'
import type { CheckedResult, DoctorFacts } from '../doctor/check.ts'
import { readSettings } from '../settings/read.ts'
import type { Config } from '../settings/schema.ts'
import { COMMAND, JSON_OPTION, parse, type Command, type Io } from './command.ts'
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
      strict: { type: 'boolean', default: false }
    })
    if (values.key && values.through === undefined) throw new UsageError('--key goes with --through. See --help')
    const through = values.through === undefined ? undefined : urlOf(values.through)
    const key = values.key ? (await textOf(io.stdin)).trim() : undefined
    if (key === '') throw new UsageError('--key: standard input is empty')
    const [
      { examine }, { CHECKS }
    ] = await Promise.all([import('../doctor/check.ts'), import('../doctor/checks/index.ts')])
    const only = values.only ?? ''
    const checks = CHECKS.filter(({ id }) => id.startsWith(only))
    if (checks.length === 0) throw new UsageError(`--only: no check begins with "${only.slice(0, 64)}"`)
    const results = examine(checks, await factsOf(io, through, key))
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

async function factsOf (io: Io, through: string | undefined, key: string | undefined): Promise<DoctorFacts> {
  const warnings: string[] = []
  let config: Config
  try {
    config = readSettings(io.env, { warn: warning => warnings.push(warning), serving: true })
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return { settings: { problem: error.message }, outside: await outside(through, key) }
  }
  const { collectFiles } = await import('../doctor/collect.ts')
  return {
    settings: { config, warnings, node: process.version, now: Date.now() },
    files: collectFiles(config),
    ...await behind(config),
    outside: await outside(through, key)
  }
}

async function outside (through: string | undefined, key: string | undefined) {
  if (through === undefined) return undefined
  const { lookFromOutside } = await import('../doctor/outside.ts')
  return await lookFromOutside(through, key, Date.now())
}

/** What needs state or others: looked at as the server looks at it. */
async function behind (config: Config): Promise<Pick<DoctorFacts, 'state' | 'keys' | 'issuers'>> {
  const [{ openStore }, { buildRuntime }, { collectIssuers, collectKeys, collectState }] = await Promise.all([
    import('../state/open.ts'), import('../runtime.ts'), import('../doctor/collect.ts')
  ])
  let store
  try {
    store = await openStore(config, QUIET, { patienceMs: PATIENCE_MS })
  } catch (error) {
    return { state: { fault: (error as Error).message } }
  }
  try {
    const state = await collectState(config, store)
    if ('fault' in state) return { state }
    let runtime
    try {
      runtime = await buildRuntime({ config, store, logger: QUIET })
    } catch (error) {
      return { state, keys: { fault: (error as Error).message } }
    }
    const { oauth2, offer } = runtime
    const issuers = oauth2 === undefined ? undefined : await collectIssuers(oauth2.issuers, config.OAUTH2_ALGORITHMS)
    const keys = await collectKeys(config, store, offer.current)
    await runtime.close()
    return { state, keys, issuers }
  } finally {
    await store.close()
  }
}

const SIGNS = { bad: 'BAD ', warn: 'warn', ok: 'ok  ' } as const

function print ({ severity, id, asks, found, remedy }: CheckedResult, { out }: Io): void {
  out(`${SIGNS[severity]} ${id}: ${severity === 'ok' ? `${asks} (${found})` : found}`.replace(/[\r\n]+\s*/g, '; '))
  if (remedy !== undefined) out(`     → ${remedy}`)
}
