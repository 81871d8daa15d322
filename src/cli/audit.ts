import { setTimeout as sleep } from 'node:timers/promises'
import { cef } from '../audit/formats/cef.ts'
import { ocsf, type Exported } from '../audit/formats/ocsf.ts'
import type { ChainVerdict } from '../audit/verify.ts'
import { UsageError } from '../errors.ts'
import { recordsOf, verifyRecords, type RecordFilter } from '../operate/audit.ts'
import { PRODUCT } from '../settings/identity.ts'
import { readSettings } from '../settings/read.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { durationMs } from './duration.ts'

const VERBS = { tail, verify, export: exportRecords }

export const audit: Command = {
  summary: 'Show, verify and export the record of decisions.',
  help: `Usage: secure-mcp audit <tail|verify|export> [options]

  tail [-f] [--refused] [--key <id>] [--tool <name>] [--reason <REASON>] [--since 1h] [-n 20]
              the newest records last; -f goes on
  verify [FILES…] [--heads <file>]
              whether nothing was changed, dropped or moved. --heads: the log, as a
              collector kept it: it witnesses how far each chain went.
              Exit 0 whole, 1 not, with the file, the line and the number of the first fault
  export [--since 24h] [--format jsonl|ocsf|cef]

  --json      for scripts

They read the folder AUDIT_DIR.

Example:
  ${COMMAND} audit tail --refused --since 1h`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'audit', verb)(args, io)
}

/** How often files are looked at again, ms. */
const FOLLOW_MS = 500
const DEFAULT_TAIL = 20

async function tail (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, {
    ...JSON_OPTION,
    follow: { type: 'boolean', short: 'f', default: false },
    refused: { type: 'boolean', default: false },
    key: { type: 'string' },
    tool: { type: 'string' },
    reason: { type: 'string' },
    since: { type: 'string' },
    lines: { type: 'string', short: 'n' }
  })
  const { refused, key, tool, reason, json } = values
  const { AUDIT_DIR: folder } = readSettings(io.env)
  const filter: RecordFilter = { refused, key, tool, reason, since: sinceOf(values.since) }
  const most = linesOf(values.lines) ?? (filter.since === undefined ? DEFAULT_TAIL : Infinity)
  const shown = new Map<string, number>()
  let last: Array<{ record: Exported, text: string }> = []
  for (let first = true; ; first = false) {
    for await (const { chain, record, text } of recordsOf(
      folder,
      first ? filter : { ...filter, since: Date.now() - 10_000 }
    )) {
      const n = record.n ?? 0
      if (n <= (shown.get(chain) ?? 0)) continue
      shown.set(chain, n)
      if (isOfRequest(record)) last.push({ record, text })
      if (last.length > most * 2 + 1000) last = newest(last, most)
    }
    for (const { record, text } of newest(last, first ? most : Infinity)) io.out(json ? text : lineOf(record))
    last = []
    if (!values.follow) return 0
    await sleep(FOLLOW_MS)
  }
}

function newest (records: Array<{ record: Exported, text: string }>, most: number) {
  const sorted = records.sort((a, b) => a.record.time < b.record.time ? -1 : 1)
  return most === Infinity ? sorted : sorted.slice(-most)
}

function isOfRequest ({ msg }: Exported): boolean {
  return msg === 'request' || msg === 'operation' || msg === 'gap'
}

function lineOf ({
  time, msg, decision, principal, method, operation, target, rule, reqId, count, ...more
}: Exported): string {
  if (msg === 'gap') {
    const { since, why, lost, refused = 0 } = more
    return `${time} nothing could be written since ${String(since)} (${String(why)}): ${String(lost)} records lost, ${String(refused)} requests refused`
  }
  const what = [method ?? operation, target].filter(part => part !== undefined).join(' ')
  const why = rule === undefined ? '' : ` (${String(rule)})`
  const times = count === undefined ? '' : ` ×${String(count)}`
  return `${time} ${String(decision)}${why}${times}  ${String(principal ?? '-')}  ${what}  ${COMMAND} why --record ${String(reqId ?? '-')}`
}

async function verify (args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(args, { ...JSON_OPTION, heads: { type: 'string' } }, Infinity)
  const onProgress = process.stderr.isTTY ? (lines: number) => { process.stderr.write(`\r${lines} lines`) } : undefined
  const verdicts = await verifyRecords(readSettings(io.env), {
    files: positionals, headsFile: values.heads, onProgress
  })
  if (onProgress !== undefined) process.stderr.write('\r\x1b[K')
  if (values.json) io.out(JSON.stringify(verdicts))
  else for (const verdict of verdicts) io.out(told(verdict))
  return verdicts.every(({ whole }) => whole) ? 0 : 1
}

function told ({
  chain, lines, whole, complete, closed, seals, unknownKeys, tail, lost, unfinished, witnessed, fault
}: ChainVerdict): string {
  if (fault !== undefined) {
    return `${chain}: NOT whole. ${fault.file}, line ${fault.line}${fault.n === undefined ? '' : `, n ${fault.n}`}: ${fault.what}`
  }
  const more = [
    `${seals} seals`,
    ...unknownKeys.map(kid => `no key for seals of ${kid}`),
    ...(closed ? [] : ['no end: it runs, or was killed']),
    ...(tail === 0 ? [] : [`${tail} lines after its last whole write`]),
    ...(lost === 0 ? [] : [`${lost} records lost, as it says itself`]),
    ...(unfinished.length === 0 ? [] : [`${unfinished.length} calls began and have no end`]),
    ...(witnessed ? [] : ['its end is witnessed by nothing but the log'])
  ]
  return `${chain}: ${whole ? 'whole' : 'NOT whole'}${complete ? ', complete' : ''}. ${lines} lines, ${more.join(', ')}`
}

async function exportRecords (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, {
    ...JSON_OPTION, since: { type: 'string' }, format: { type: 'string', default: 'jsonl' }
  })
  const { format } = values
  if (format !== 'jsonl' && format !== 'ocsf' && format !== 'cef') {
    throw new UsageError('--format must be jsonl, ocsf or cef')
  }
  const { AUDIT_DIR: folder } = readSettings(io.env)
  for await (const { chain, record, text } of recordsOf(folder, { since: sinceOf(values.since) })) {
    if (format === 'jsonl') io.out(text)
    else if (record.decision === undefined) continue // lines of the chain about itself
    else io.out(format === 'ocsf' ? JSON.stringify(ocsf(record, chain)) : cef(record, chain, PRODUCT.version))
  }
  return 0
}

function sinceOf (text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.now() - durationMs('--since', text)
}

function linesOf (text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,6}$/.test(text)) throw new UsageError('-n must be a whole number')
  return Number(text)
}
