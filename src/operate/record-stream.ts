/** Reading the records of all replicas, as far as Redis still has them. */
import { createReadStream } from 'node:fs'
import type { Exported } from '../audit/formats/ocsf.ts'
import { sealKeys } from '../audit/seal.ts'
import { knownAuditSecrets } from '../audit/from-settings.ts'
import { segmentsIn } from '../audit/spool.ts'
import { verifyTexts, type ChainVerdict } from '../audit/verify.ts'
import type { Config } from '../settings/schema.ts'
import type { RecordBatch, Records } from '../state/records.ts'
import { matches, parsed, type RecordFilter } from './audit.ts'

export interface FoundRecord {
  readonly chain: string
  readonly record: Exported
  readonly text: string
}

/** Batches that are read at once: 4 MB at most. */
const PAGE = 64

/**
 * The newest records, in the order of their time.
 *
 * @returns with the place after which later ones come
 */
export async function newestRecords (
  records: Records, filter: RecordFilter, most: number
): Promise<{ found: FoundRecord[], after: string | undefined }> {
  const found = new Map<string, FoundRecord>()
  const page = await records.before(undefined, PAGE)
  const after = page[0]?.id
  for (let batches = page; batches.length > 0; batches = await records.before(batches.at(-1)!.id, PAGE)) {
    for (const one of recordsIn(batches, filter)) found.set(`${one.chain} ${String(one.record.n)}`, one)
    const { id } = batches.at(-1)!
    // What is in a batch is older than the batch.
    if (found.size >= most || Number(id.split('-', 1)[0]) < (filter.since ?? 0)) break
  }
  const sorted = [...found.values()].sort(byTime)
  return { found: most === Infinity ? sorted : sorted.slice(-most), after }
}

/** What came after a place. */
export async function laterRecords (
  records: Records, filter: RecordFilter, after: string | undefined
): Promise<{ found: FoundRecord[], after: string | undefined }> {
  const found: FoundRecord[] = []
  let last = after
  for (let batches = await records.after(last, PAGE); batches.length > 0; batches = await records.after(last, PAGE)) {
    found.push(...recordsIn(batches, filter))
    last = batches.at(-1)!.id
  }
  return { found: found.sort(byTime), after: last }
}

/** All that Redis has, from the oldest on. */
export async function * streamedRecords (records: Records, filter: RecordFilter): AsyncGenerator<FoundRecord> {
  let after: string | undefined
  const seen = new Map<string, number>()
  for (let batches = await records.after(after, PAGE); batches.length > 0; batches = await records.after(after, PAGE)) {
    for (const one of linesIn(batches, filter)) {
      const n = one.record.n ?? 0
      if (n <= (seen.get(one.chain) ?? 0)) continue
      seen.set(one.chain, n)
      yield one
    }
    after = batches.at(-1)!.id
  }
}

/** The end of a request, by its id: on any replica as far as Redis has it, else in the folder here. */
export async function findRequest (
  records: Records | undefined, folder: string, requestId: string
): Promise<Exported | undefined> {
  const streamed = records === undefined ? undefined : await streamedRequest(records, requestId)
  return streamed ?? await requestInFolder(folder, requestId)
}

/** Bytes looked through at once. */
const CHUNK = 1_048_576

/** Without parsing what is not meant: there may be a gigabyte. */
async function requestInFolder (folder: string, requestId: string): Promise<Exported | undefined> {
  for (const { path } of segmentsIn(folder).reverse()) {
    let rest = ''
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK, encoding: 'utf8' })) {
      const text = rest + String(chunk)
      const record = requestIn(text, requestId)
      if (record !== undefined) return record
      rest = text.slice(text.lastIndexOf('\n') + 1)
    }
  }
  return undefined
}

async function streamedRequest (records: Records, requestId: string): Promise<Exported | undefined> {
  let batches = await records.before(undefined, PAGE)
  while (batches.length > 0) {
    for (const { text } of batches) {
      const record = requestIn(text, requestId)
      if (record !== undefined) return record
    }
    batches = await records.before(batches.at(-1)!.id, PAGE)
  }
  return undefined
}

/** A line that is cut is none yet. */
function requestIn (text: string, requestId: string): Exported | undefined {
  const name = `"reqId":${JSON.stringify(requestId)}`
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const end = text.indexOf('\n', at)
    const record = parsed(text.slice(text.lastIndexOf('\n', at) + 1, end < 0 ? undefined : end))
    if (record?.reqId === requestId && record.msg === 'request') return record
  }
  return undefined
}

/** Whether what Redis has of each chain is whole, and reaches as far as its head says. */
export async function verifyStream (config: Config, records: Records): Promise<ChainVerdict[]> {
  const heads = await records.heads()
  const keys = sealKeys(knownAuditSecrets(config))
  const texts = new Map<string, string[]>()
  let after: string | undefined
  for (let batches = await records.after(after, PAGE); batches.length > 0; batches = await records.after(after, PAGE)) {
    for (const { chain, text } of batches) {
      const known = texts.get(chain)
      if (known === undefined) texts.set(chain, [text])
      else known.push(text)
    }
    after = batches.at(-1)!.id
  }
  return await Promise.all([...texts].map(async ([chain, parts]) => await verifyTexts(chain, parts, { keys, heads })))
}

function recordsIn (batches: readonly RecordBatch[], filter: RecordFilter): FoundRecord[] {
  return linesIn(batches, filter).filter(({ record }) => isForPeople(record))
}

function linesIn (batches: readonly RecordBatch[], filter: RecordFilter): FoundRecord[] {
  return batches.flatMap(({ chain, text }) => text.trimEnd().split('\n').flatMap(line => {
    const record = parsed(line)
    return record !== undefined && matches(record, filter) ? [{ chain, record, text: line }] : []
  }))
}

/** What was asked or done, and what was lost; not what a chain says about itself. */
export function isForPeople ({ msg }: Exported): boolean {
  return msg === 'request' || msg === 'operation' || msg === 'gap'
}

function byTime (a: FoundRecord, b: FoundRecord): number {
  return a.record.time < b.record.time ? -1 : a.record.time > b.record.time ? 1 : 0
}
