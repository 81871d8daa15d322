/** Reading the records of a folder: verify, show and export them. */
import { closeSync, createReadStream, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { knownAuditSecrets } from '../audit/from-settings.ts'
import type { Exported } from '../audit/formats/ocsf.ts'
import { sealKeys } from '../audit/seal.ts'
import { segmentsIn, type SegmentFile } from '../audit/spool.ts'
import { verifyChain, type ChainVerdict, type Heads } from '../audit/verify.ts'
import type { Head } from '../audit/chain.ts'
import { UsageError } from '../errors.ts'
import type { Config } from '../settings/schema.ts'

/** What to show of the records. Every condition given must hold. */
export interface RecordFilter {
  /** ms since the epoch. */
  readonly since?: number | undefined
  readonly refused?: boolean | undefined
  /** Id of a key, or of any principal. */
  readonly key?: string | undefined
  readonly tool?: string | undefined
  readonly reason?: string | undefined
}

export function matches (record: Exported, { since, refused, key, tool, reason }: RecordFilter): boolean {
  const { decision, principal, target, time } = record
  if (since !== undefined && !(Date.parse(time) >= since)) return false
  if (refused === true && (decision === undefined || decision === 'served')) return false
  if (key !== undefined && principal !== key && principal !== `key:${key}`) return false
  if (tool !== undefined && target !== tool) return false
  return reason === undefined || decision === reason
}

/**
 * The segments of a folder by chain, each in the order of its numbers; or of files that are named. @throws
 * {UsageError}
 */
export function chainsOf (folder: string, files: readonly string[] = []): Map<string, SegmentFile[]> {
  const found = files.length === 0 ? segmentsIn(folder) : files.map(namedSegment)
  const chains = new Map<string, SegmentFile[]>()
  for (const segment of found) chains.set(segment.chain, [...chains.get(segment.chain) ?? [], segment])
  for (const segments of chains.values()) segments.sort((a, b) => a.first - b.first)
  return chains
}

/** A file by its own first line, wherever it was copied to. */
function namedSegment (path: string): SegmentFile {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const head = Buffer.alloc(4096)
    const [line] = head.toString('utf8', 0, readSync(file, head)).split('\n', 1)
    const { chain, n } = JSON.parse(line!) as { chain?: string, n?: number }
    if (typeof chain !== 'string' || typeof n !== 'number') throw new Error('its first line begins no part of a chain')
    const { size, mtimeMs } = fstatSync(file)
    return { name: path, path, chain, first: n, bytes: size, changedMs: mtimeMs }
  } catch (error) {
    throw new UsageError(`${path} cannot be verified: ${(error as Error).message}`)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

export interface VerifyQuestion {
  readonly files?: readonly string[] | undefined
  /** File of heads: the log, as a collector kept it: its lines "seal" and "closed" are witnesses. */
  readonly headsFile?: string | undefined
  /** What Redis knows of the ends of chains. */
  readonly heads?: Heads | undefined
  readonly onProgress?: ((lines: number) => void) | undefined
}

/** @throws {UsageError} for files that cannot be read, or where there are none */
export async function verifyRecords (
  config: Config,
  { files, headsFile, heads: known, onProgress }: VerifyQuestion
): Promise<ChainVerdict[]> {
  const chains = chainsOf(config.AUDIT_DIR, files)
  if (chains.size === 0) {
    throw new UsageError(`There is no record in ${config.AUDIT_DIR}; name the files, or set AUDIT_DIR`)
  }
  const heads = highest(headsFile === undefined ? undefined : headsIn(headsFile), known)
  const keys = sealKeys(knownAuditSecrets(config))
  const verdicts: ChainVerdict[] = []
  for (const [chain, segments] of chains) {
    verdicts.push(
      await verifyChain(
        chain,
        segments.map(({ path }) => path),
        { keys, heads, onProgress }
      )
    )
  }
  return verdicts.map(verdict => explained(verdict, verdicts))
}

/** A chain without its beginning is whole only where a chain says that the beginning was let go. */
function explained (verdict: ChainVerdict, all: readonly ChainVerdict[]): ChainVerdict {
  const { chain, begins, whole, files } = verdict
  if (!whole || begins === 1) return verdict
  const isTold = all.some(other =>
    other.whole && other.dropped.some(one => one.chain === chain && (one.through ?? Infinity) >= begins - 1))
  if (isTold) return verdict
  const what = 'no beginning, and no chain here says that it was let go'
  return { ...verdict, whole: false, complete: false, fault: { file: files[0]!, line: 1, n: begins, what } }
}

/** The highest head of each chain that any witness knows. */
function highest (...witnesses: ReadonlyArray<Heads | undefined>): Heads | undefined {
  const known = witnesses.filter(heads => heads !== undefined)
  if (known.length === 0) return undefined
  const heads = new Map<string, Head>()
  for (const [chain, head] of known.flatMap(heads => [...heads])) {
    if (head.n > (heads.get(chain)?.n ?? 0)) heads.set(chain, head)
  }
  return heads
}

function headsIn (path: string): Heads {
  const heads = new Map<string, Head>()
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  for (const line of text.split('\n')) {
    if (!line.includes('"msg":"seal"') && !line.includes('"msg":"closed"')) continue
    try {
      const { chain, n, z } = JSON.parse(line.slice(line.indexOf('{'))) as { chain?: string, n?: number, z?: string }
      if (typeof chain !== 'string' || typeof n !== 'number' || typeof z !== 'string') continue
      if (n > (heads.get(chain)?.n ?? 0)) heads.set(chain, { n, z })
    } catch {
      // A line that was cut is no witness.
    }
  }
  return heads
}

/** The records of a folder in the order of their time within each chain, oldest chain first. */
export async function * recordsOf (
  folder: string,
  filter: RecordFilter = {}
): AsyncGenerator<{ chain: string; record: Exported; text: string }> {
  const { since } = filter
  for (const [chain, segments] of chainsOf(folder)) {
    for (const { path, changedMs } of segments) {
      if (since !== undefined && changedMs < since) continue
      for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
        const record = parsed(text)
        if (record !== undefined && matches(record, filter)) yield { chain, record, text }
      }
    }
  }
}

/** Undefined for a line that a crash cut. */
export function parsed (text: string): Exported | undefined {
  try {
    return JSON.parse(text) as Exported
  } catch {
    return undefined
  }
}
