import { UsageError } from '../errors.ts'
import type { DryRunResult } from '../decision/dry-run.ts'
import type { AskedChange } from '../operate/dry-run.ts'
import { COMMAND, JSON_OPTION, parse, type Command, type Io } from './command.ts'
import { durationMs } from './duration.ts'
import { progressOn } from './progress.ts'
import { table } from './table.ts'
import { withStore } from './with-store.ts'

export const dryRun: Command = {
  summary: 'Say what a change of a key, a limit or the blocklist would do.',
  help: `Usage: secure-mcp dry-run [options]

Decides the newest records again, with the policy of now and with the change,
and says what differs. Changes nothing and counts nothing. Reads the records of
all replicas in Redis, or without Redis those in AUDIT_DIR.

  --key <id or name>   the key that would change, with
    --allow <pattern>    a permission that it would get
    --drop <pattern>     one that it would lose
    --limit <n>          its requests in a window; none: that of its class
    --expires <time>     how long it would be valid from now on (90d); none
    --cidr <range>       from where it could be used
  --block <range>      an address or range that would be blocked
  --class-limit <class>=<n>
                       requests in a window of api_key, oauth2 or none
  --last <n>           records at most (100000)

  --json               for scripts

Example:
  ${COMMAND} dry-run --key ci --drop 'delete_*'`,

  async run (args, io) {
    const { values } = parse(args, {
      ...JSON_OPTION,
      key: { type: 'string' },
      allow: { type: 'string', multiple: true },
      drop: { type: 'string', multiple: true },
      limit: { type: 'string' },
      expires: { type: 'string' },
      cidr: { type: 'string', multiple: true },
      block: { type: 'string', multiple: true },
      'class-limit': { type: 'string', multiple: true },
      last: { type: 'string', default: '100000' }
    })
    const asked = askedIn(values)
    const last = wholeNumber('--last', values.last, 100_000)
    return await withStore(io, async (store, config) => {
      const [{ dryRun }, { classRules }] = await Promise.all([
        import('../operate/dry-run.ts'), import('../settings/class-rules.ts')
      ])
      const progress = progressOn('records')
      try {
        const context = { store, rules: classRules(config), folder: config.AUDIT_DIR }
        const result = await dryRun({ ...asked, last, onProgress: progress.at }, context)
        progress.end()
        if (values.json) io.out(JSON.stringify(result))
        else print(result, io)
      } finally {
        progress.end()
      }
      return 0
    })
  }
}

interface DryRunOptions {
  readonly key?: string | undefined
  readonly allow?: string[] | undefined
  readonly drop?: string[] | undefined
  readonly limit?: string | undefined
  readonly expires?: string | undefined
  readonly cidr?: string[] | undefined
  readonly block?: string[] | undefined
  readonly 'class-limit'?: string[] | undefined
}

function askedIn ({ key, allow, drop, limit, expires, cidr, block, 'class-limit': classes }: DryRunOptions): AskedChange {
  const change = {
    allow,
    drop,
    cidrs: cidr,
    limit: limit === undefined ? undefined : limit === 'none' ? null : wholeNumber('--limit', limit, 1e9),
    expires: expires === undefined
      ? undefined
      : expires === 'none' ? null : Date.now() + durationMs('--expires', expires)
  }
  const isChanged = Object.values(change).some(value => value !== undefined)
  if ((key !== undefined) !== isChanged) {
    throw new UsageError('--key goes with what would change of it: --allow, --drop, --limit, --expires, --cidr')
  }
  return { key: key === undefined ? undefined : { id: key, change }, block, limits: limitsIn(classes) }
}

function limitsIn (classes: readonly string[] | undefined): AskedChange['limits'] {
  if (classes === undefined) return undefined
  return Object.fromEntries(classes.map(text => {
    const [, type, limit] = /^(api_key|oauth2|none)=(.+)$/.exec(text) ?? []
    if (type === undefined) throw new UsageError('--class-limit must be api_key=, oauth2= or none= and a number')
    return [type, wholeNumber('--class-limit', limit!, 1e9)]
  }))
}

function wholeNumber (option: string, text: string, most: number): number {
  const value = Number(text)
  if (!/^\d{1,10}$/.test(text) || value < 1 || value > most) {
    throw new UsageError(`${option} must be a whole number from 1 to ${most}`)
  }
  return value
}

const SHOWN = 10

function print ({ records, from, to, unchanged, changes, examples, unknown }: DryRunResult, { out }: Io): void {
  out(`${records} records${from === undefined ? '' : ` from ${from} to ${to}`}: ${unchanged} decided as before`)
  if (changes.length > 0) {
    out('')
    out(table(['now', 'with the change', 'records'], changes.map(({ from, to, count }) => [from, to, String(count)])))
    out('')
    out(table(['time', 'who', 'what', 'with the change', 'rule'], examples.slice(0, SHOWN).map(
      ({ time, principal = '-', target = '-', to, rule = '' }) => [time, principal, target, to, rule]
    )))
  }
  for (const [why, count] of Object.entries(unknown)) out(`Not known for ${count}: ${why}`)
}
