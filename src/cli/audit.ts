import { setTimeout as sleep } from 'node:timers/promises'
import { cef } from '../audit/formats/cef.ts'
import { ocsf, type Exported } from '../audit/formats/ocsf.ts'
import type { ChainVerdict, Heads } from '../audit/verify.ts'
import { UsageError } from '../errors.ts'
import { recordsOf, verifyRecords, type RecordFilter } from '../operate/audit.ts'
import {
  isForPeople, laterRecords, newestRecords, streamedRecords, verifyStream, type FoundRecord
} from '../operate/record-stream.ts'
import { PRODUCT } from '../settings/identity.ts'
import { readSettings } from '../settings/read.ts'
import { usesRedis } from '../settings/rules.ts'
import type { Config } from '../settings/schema.ts'
import type { Records } from '../state/records.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { durationMs } from './duration.ts'
import { NO_PROGRESS, progressOn } from './progress.ts'
import { withAnyStore, withStore } from './with-store.ts'

const VERBS = { tail, verify, export: exportRecords }

export const audit: Command = {
  summary: 'Show, verify and export the record of decisions.',
  help: `Usage: secure-mcp audit <tail|verify|export> [options]

  tail [-f] [--refused] [--key <id>] [--tool <name>] [--reason <REASON>] [--since 1h] [-n 20]
              the newest records last, of all replicas where there is Redis; -f goes
              on. --local: those in AUDIT_DIR
  verify [FILES…] [--heads <file>]
              whether nothing was changed, dropped or moved in AUDIT_DIR. Redis, and
              with --heads the log that a collector kept, witness how far each chain
              went. Exit 0 whole, 1 not, with the file, the line and the number of
              the first fault
  verify --stream
              the same of what Redis has of all replicas
  export [--since 24h] [--format jsonl|ocsf|cef] [--stream]
              what is in AUDIT_DIR, or what Redis has of all replicas

  --json      for scripts

Example:
  ${COMMAND} audit tail --refused --since 1h`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'audit', verb)(args, io)
}

const PROGRESS_EVERY = 10_000
/** How often files are looked at again, ms. */
const FOLLOW_MS = 500
const DEFAULT_TAIL = 20

const TAIL_OPTIONS = {
  ...JSON_OPTION,
  follow: { type: 'boolean', short: 'f', default: false },
  refused: { type: 'boolean', default: false },
  key: { type: 'string' },
  tool: { type: 'string' },
  reason: { type: 'string' },
  since: { type: 'string' },
  lines: { type: 'string', short: 'n' },
  local: { type: 'boolean', default: false }
} as const

interface Tail {
  readonly filter: RecordFilter
  /** Of those that are there already, the newest. */
  readonly most: number
  readonly follow: boolean
  show (found: readonly FoundRecord[]): void
}

async function tail (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, TAIL_OPTIONS)
  const { refused, key, tool, reason, json, follow } = values
  const filter: RecordFilter = { refused, key, tool, reason, since: sinceOf(values.since) }
  const most = linesOf(values.lines) ?? (filter.since === undefined ? DEFAULT_TAIL : Infinity)
  const show = (found: readonly FoundRecord[]) => {
    for (const { record, text } of found) io.out(json ? text : lineOf(record))
  }
  const asked = { filter, most, follow, show }
  return await fromRecords(io, values.local, records => tailStream(records, asked), config => tailFolder(config, asked))
}

/** From Redis, which has the records of all replicas; else, or where Redis does not answer, from the folder here. */
async function fromRecords (
  io: Io, isLocal: boolean, ofAll: (records: Records, config: Config) => Promise<number>,
  ofFolder: (config: Config) => Promise<number>
): Promise<number> {
  const config = readSettings(io.env)
  if (isLocal || !usesRedis(config)) return await ofFolder(config)
  return await withAnyStore(io, async store => {
    if (store.health() !== 'unreachable') return await ofAll(store.records!, config)
    io.err(`Redis is unreachable: these are the records in ${config.AUDIT_DIR} alone`)
    return await ofFolder(config)
  })
}

async function tailStream (records: Records, { filter, most, follow, show }: Tail): Promise<number> {
  let { found, after } = await newestRecords(records, filter, most)
  const seen = new Map<string, number>()
  for (;;) {
    show(found.filter(({ chain, record: { n = 0 } }) => n > (seen.get(chain) ?? 0)))
    for (const { chain, record: { n = 0 } } of found) seen.set(chain, Math.max(n, seen.get(chain) ?? 0))
    if (!follow) return 0
    await sleep(FOLLOW_MS);
    ({ found, after } = await laterRecords(records, filter, after))
  }
}

async function tailFolder ({ AUDIT_DIR: folder }: Config, { filter, most, follow, show }: Tail): Promise<number> {
  const shown = new Map<string, number>()
  let last: FoundRecord[] = []
  for (let first = true; ; first = false) {
    for await (const { chain, record, text } of recordsOf(
      folder,
      first ? filter : { ...filter, since: Date.now() - 10_000 }
    )) {
      const n = record.n ?? 0
      if (n <= (shown.get(chain) ?? 0)) continue
      shown.set(chain, n)
      if (isForPeople(record)) last.push({ chain, record, text })
      if (last.length > most * 2 + 1000) last = newest(last, most)
    }
    show(newest(last, first ? most : Infinity))
    last = []
    if (!follow) return 0
    await sleep(FOLLOW_MS)
  }
}

function newest (records: FoundRecord[], most: number): FoundRecord[] {
  const sorted = records.sort((a, b) => a.record.time < b.record.time ? -1 : 1)
  return most === Infinity ? sorted : sorted.slice(-most)
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
  const { values, positionals: files } = parse(
    args, { ...JSON_OPTION, heads: { type: 'string' }, stream: { type: 'boolean', default: false } }, Infinity
  )
  if (values.stream && (files.length > 0 || values.heads !== undefined)) {
    throw new UsageError('--stream verifies what Redis has: it takes no files')
  }
  const config = readSettings(io.env)
  if (values.stream) {
    if (!usesRedis(config)) throw new UsageError('--stream verifies what Redis has: set REDIS_URL')
    return await withStore(io, async store => judged(await verifyStream(config, store.records!), values.json, io))
  }
  const progress = progressOn('lines')
  const heads = usesRedis(config) ? await sharedHeads(io) : undefined
  const verdicts = await verifyRecords(config, { files, headsFile: values.heads, heads, onProgress: progress.at })
    .finally(progress.end)
  return judged(verdicts, values.json, io)
}

/** How far Redis knows that chains went. Where it does not answer, files are verified all the same. */
async function sharedHeads (io: Io): Promise<Heads | undefined> {
  let heads: Heads | undefined
  await withAnyStore(io, async store => {
    heads = await store.records!.heads().catch(() => undefined)
    return 0
  })
  if (heads === undefined) io.err('Redis is unreachable: it witnesses no end of a chain')
  return heads
}

function judged (verdicts: readonly ChainVerdict[], json: boolean, io: Io): number {
  if (json) io.out(JSON.stringify(verdicts))
  else for (const verdict of verdicts) io.out(told(verdict))
  return verdicts.every(({ whole }) => whole) ? 0 : 1
}

function told ({
  chain, lines, whole, complete, closed, seals, unknownKeys, tail, lost, unfinished, witnessed, begins, fault
}: ChainVerdict): string {
  if (fault !== undefined) {
    return `${chain}: NOT whole. ${fault.file}, line ${fault.line}${fault.n === undefined ? '' : `, n ${fault.n}`}: ${fault.what}`
  }
  const more = [
    `${seals} seals`,
    ...(begins === 1 ? [] : [`from n ${begins} on: what was before it was let go`]),
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
    ...JSON_OPTION,
    since: { type: 'string' },
    format: { type: 'string', default: 'jsonl' },
    stream: { type: 'boolean', default: false }
  })
  const { format, stream } = values
  if (format !== 'jsonl' && format !== 'ocsf' && format !== 'cef') {
    throw new UsageError('--format must be jsonl, ocsf or cef')
  }
  const config = readSettings(io.env)
  const filter = { since: sinceOf(values.since) }
  // Beside records on a terminal it would only be in their way.
  const progress = process.stdout.isTTY === true ? NO_PROGRESS : progressOn('records')
  let count = 0
  const write = async (found: AsyncIterable<FoundRecord>) => {
    for await (const { chain, record, text } of found) {
      if (++count % PROGRESS_EVERY === 0) progress.at(count)
      if (format === 'jsonl') io.out(text)
      else if (record.decision === undefined) continue // lines of the chain about itself
      else io.out(format === 'ocsf' ? JSON.stringify(ocsf(record, chain)) : cef(record, chain, PRODUCT.version))
    }
    progress.end()
    return 0
  }
  if (!stream) return await write(recordsOf(config.AUDIT_DIR, filter))
  if (!usesRedis(config)) throw new UsageError('--stream exports what Redis has: set REDIS_URL')
  return await withStore(io, async store => await write(streamedRecords(store.records!, filter)))
}

function sinceOf (text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.now() - durationMs('--since', text)
}

function linesOf (text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,6}$/.test(text)) throw new UsageError('-n must be a whole number')
  return Number(text)
}
