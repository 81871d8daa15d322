/** What an operator does with blocked addresses. */
import { normalRange } from '../core/address.ts'
import { UsageError } from '../errors.ts'
import type { LedgerEntry, Store } from '../state/store.ts'

export const MAX_NOTE_LENGTH = 256

export interface Blocked extends LedgerEntry { range: string }

export function listBlocked (store: Store): Blocked[] {
  return [...store.blocklist.entries()].map(([range, entry]) => ({ range, ...entry }))
}

/**
 * All of them, or none if one is no address.
 *
 * @param forMs absent: until it is unblocked
 */
export async function blockAddresses (
  store: Store,
  texts: readonly string[],
  { forMs, note }: { forMs?: number | undefined; note?: string | undefined }
): Promise<string[]> {
  const ranges = rangesOf(texts)
  const since = store.now()
  for (const range of ranges) {
    await store.blocklist.set(range, {
      since, ...(forMs === undefined ? {} : { until: since + forMs }), ...noteOf(note)
    })
  }
  return ranges
}

/** All of them, or none if one is not blocked. */
export async function unblockAddresses (store: Store, texts: readonly string[]): Promise<string[]> {
  const ranges = rangesOf(texts)
  const absent = ranges.filter(range => !store.blocklist.entries().has(range))
  if (absent.length > 0) throw new UsageError(`Not blocked: ${absent.join(', ')}. Name what "ip list" shows`)
  for (const range of ranges) await store.blocklist.delete(range)
  return ranges
}

/** @throws {UsageError} for a note that would be cut */
export function noteOf (note: string | undefined): { note?: string } {
  if (note === undefined) return {}
  if (note.length > MAX_NOTE_LENGTH) throw new UsageError(`--note has at most ${MAX_NOTE_LENGTH} characters`)
  return { note }
}

function rangesOf (texts: readonly string[]): string[] {
  return [...new Set(texts.map(text => {
    const range = normalRange(text)
    if (range === undefined) {
      throw new UsageError(`"${text.slice(0, 64)}" is no address and no range such as 203.0.113.0/24`)
    }
    return range
  }))]
}
