/** What an operator asks before a change: what would it have decided of the calls of lately? */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { RateLimit } from '../core/limit.ts'
import { normalRange } from '../core/address.ts'
import type { AuthType } from '../core/principal.ts'
import type { DryRunResult, PolicyChange, ReplayedPolicies } from '../decision/dry-run.ts'
import { AppError, UsageError } from '../errors.ts'
import type { Records } from '../state/records.ts'
import type { Store } from '../state/store.ts'
import { changedKey, findKey, type KeyChange } from './keys.ts'

export const MAX_RECORDS = 100_000

/** A change as it is asked: of a key, of the blocked ranges, of the limits of classes; all that are named. */
export interface AskedChange {
  readonly key?: { readonly id: string, readonly change: KeyChange } | undefined
  readonly block?: readonly string[] | undefined
  readonly limits?: PolicyChange['limits']
}

export interface DryRunQuestion extends AskedChange {
  /** Records at most, the newest. */
  readonly last?: number | undefined
  readonly onProgress?: ((done: number, of: number) => void) | undefined
}

/** What the worker is given, and what it says. It reads the folder unless it is told pages, the newest first. */
export interface DryRunWork {
  readonly folder: string | undefined
  readonly last: number
  readonly policies: ReplayedPolicies
  readonly change: PolicyChange
}
/** Whole lines; undefined: that was all. */
export interface DryRunPage { readonly texts: readonly string[] | undefined }
export type DryRunMessage = { readonly done: number, readonly of: number } | { readonly result: DryRunResult }

export interface DryRunContext {
  /** Where its records are shared, those of all replicas are read; else those of the folder. */
  readonly store: Store
  readonly rules: Readonly<Record<AuthType, RateLimit>>
  /** Of the records. */
  readonly folder: string
}

let isRunning = false

/**
 * Decide the newest records with the policy of now and with the change, in a thread of its own. Nothing is changed.
 *
 * @throws {UsageError} for a change that could not be made
 * @throws {AppError} INVALID_REQUEST with 409 while another one runs
 */
export async function dryRun (
  question: DryRunQuestion, { store, rules, folder }: DryRunContext
): Promise<DryRunResult> {
  const change = await changeOf(question, store)
  const policies = { keys: await store.listKeys(), rules, blocked: [...store.blocklist.entries().keys()] }
  if (isRunning) throw new AppError('INVALID_REQUEST', 'Another dry run is under way: try again later', { http: 409 })
  isRunning = true
  try {
    const { last = MAX_RECORDS, onProgress } = question
    const { records } = store
    const work = { folder: records === undefined ? folder : undefined, last, policies, change }
    return await inWorker(work, records, onProgress)
  } finally {
    isRunning = false
  }
}

async function changeOf ({ key, block, limits }: AskedChange, store: Store): Promise<PolicyChange> {
  if (key === undefined && block === undefined && limits === undefined) {
    throw new UsageError('Say what would change: a key, a blocked range or a limit')
  }
  return {
    key: key === undefined ? undefined : changedKey(await findKey(store, key.id), key.change),
    block: block?.map(rangeOf),
    limits
  }
}

function rangeOf (text: string): string {
  const range = normalRange(text)
  if (range === undefined) {
    throw new UsageError(`"${text.slice(0, 64)}" is no address and no range such as 203.0.113.0/24`)
  }
  return range
}

/** Built, it is JavaScript; from the sources it is what they are. */
const PROGRAM = new URL(`./dry-run-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)

async function inWorker (
  work: DryRunWork, records: Records | undefined, onProgress: DryRunQuestion['onProgress']
): Promise<DryRunResult> {
  const worker = new Worker(PROGRAM, { workerData: work })
  let result: DryRunResult | undefined
  worker.on('message', (message: DryRunMessage) => {
    if ('result' in message) result = message.result
    else onProgress?.(message.done, message.of)
  })
  const ended = once(worker, 'exit')
  try {
    if (records !== undefined) await tellPages(worker, records, work.last)
    await ended
  } finally {
    await worker.terminate()
  }
  if (result === undefined) throw new Error('The dry run ended without a result')
  return result
}

/** Batches that are read at once: 4 MB at most. */
const PAGE = 64

/** The newest batches of all replicas. @throws {AppError} STATE_UNAVAILABLE */
async function tellPages (worker: Worker, records: Records, most: number): Promise<void> {
  const tell = (page: DryRunPage) => worker.postMessage(page)
  let count = 0
  let batches = await records.before(undefined, PAGE)
  while (batches.length > 0) {
    const texts = batches.map(({ text }) => text)
    tell({ texts })
    for (const text of texts) count += text.split('"msg":"request"').length - 1
    if (count >= most) break
    batches = await records.before(batches.at(-1)!.id, PAGE)
  }
  tell({ texts: undefined })
}
