/** What an operator does with access tokens: revoke by what identifies them, and take that back. */
import { UsageError } from '../errors.ts'
import type { LedgerEntry, Store } from '../state/store.ts'
import { noteOf } from './blocklist.ts'

/** What identifies tokens. All that are named are meant. */
export interface TokenNames {
  jti?: readonly string[] | undefined
  subject?: readonly string[] | undefined
  client?: readonly string[] | undefined
}

export interface Revoked extends LedgerEntry { id: string }

export function listRevoked (store: Store): Revoked[] {
  return [...store.revocations.entries()].map(([id, entry]) => ({ id, ...entry }))
}

/** @param keepMs how long the revocation is kept: longer than any such token lives */
export async function revokeTokens (
  store: Store,
  names: TokenNames,
  { keepMs, note }: { keepMs: number; note?: string | undefined }
): Promise<{ ids: string[]; since: number; until: number }> {
  const ids = idsOf(names)
  const since = store.now()
  const until = since + keepMs
  for (const id of ids) await store.revocations.set(id, { since, until, ...noteOf(note) })
  return { ids, since, until }
}

/** Accept such tokens again. All of them, or none if one is not revoked. */
export async function unrevokeTokens (store: Store, names: TokenNames): Promise<string[]> {
  const ids = idsOf(names)
  const absent = ids.filter(id => !store.revocations.entries().has(id))
  if (absent.length > 0) throw new UsageError(`Not revoked: ${absent.join(', ')}. Name what "tokens list" shows`)
  for (const id of ids) await store.revocations.delete(id)
  return ids
}

/** As a principal names itself in `revocableAs`. */
function idsOf ({ jti = [], subject = [], client = [] }: TokenNames): string[] {
  const ids = [...jti.map(id => `jti:${id}`), ...subject.map(id => `sub:${id}`), ...client.map(id => `client:${id}`)]
  if (ids.length === 0) throw new UsageError('Say which tokens: --jti, --subject or --client. See --help')
  if (ids.some(id => !/^[a-z]+:[^\p{C}]{1,256}$/u.test(id))) {
    throw new UsageError('An id has 1 to 256 characters, none of them control characters')
  }
  return [...new Set(ids)]
}
