/** What an operator does with API keys. */
import { hash } from 'node:crypto'
import { byName, hashKey, keyFor, makeKey, ApiKeyRecord } from '../core/api-key.ts'
import { faultsIn } from '../core/plain-schema.ts'
import { AppError, UsageError } from '../errors.ts'
import type { Store } from '../state/store.ts'

/** What is asked of a new key. Times are ms. */
export interface NewKey {
  name: string
  role: 'caller' | 'operator'
  permissions: readonly string[]
  owner?: string | undefined
  /** How long it may be used; absent: until it is revoked. */
  lifeMs?: number | undefined
  cidrs?: readonly string[] | undefined
  limit?: number | undefined
}

/** A record as people see it: no hashes. */
export type KeyView = Omit<ApiKeyRecord, 'hash' | 'previous'> & { previousUntil?: number, status: KeyStatus }
export type KeyStatus = 'active' | 'rotating' | 'expired' | 'revoked'

/** @returns the key itself, which is kept nowhere, and what is kept of it */
export async function createKey (
  store: Store,
  { name, role, permissions, owner, lifeMs, cidrs, limit }: NewKey
): Promise<{ key: string; record: ApiKeyRecord }> {
  if (!/^[^\s\p{C}]{1,128}$/u.test(name)) throw new UsageError('A name has 1 to 128 characters and no blanks')
  if ((await store.listKeys()).some(key => key.name === name && key.revoked === undefined)) {
    throw new UsageError(`A key named "${name}" exists. Choose another name, or rotate that one`)
  }
  const { id, key } = makeKey()
  const now = store.now()
  const record: ApiKeyRecord = {
    id,
    name,
    role,
    permissions: [...permissions],
    hash: hashKey(key),
    created: now,
    ...(owner === undefined ? {} : { owner }),
    ...(lifeMs === undefined ? {} : { expires: now + lifeMs }),
    ...(cidrs === undefined ? {} : { cidrs: [...cidrs] }),
    ...(limit === undefined ? {} : { limit })
  }
  // What is stored must be readable for every replica.
  const faults = faultsIn(ApiKeyRecord, record)
  if (faults.length > 0) throw new UsageError(`The key cannot be made: ${faults.join('; ')}`)
  await store.saveKey(record)
  return { key, record }
}

export async function listKeys (store: Store): Promise<KeyView[]> {
  return (await store.listKeys()).map(record => viewOf(record, store.now()))
}

export async function showKey (store: Store, which: string): Promise<KeyView> {
  return viewOf(await findKey(store, which), store.now())
}

export interface Rotation {
  readonly overlapMs: number
  readonly endPrevious: boolean
  /** The version that the key must have. */
  readonly ifMatch?: string | undefined
}

/**
 * The version of a record: it differs after each change, and is the same on
 * every replica. When a key was last used is no change.
 */
export function versionOf (record: ApiKeyRecord): string {
  return hash('sha256', JSON.stringify(stored(record)), 'hex').slice(0, 32)
}

/** Asked with the record that is about to be replaced: the store puts nothing in the place of another. */
function requireVersion (record: ApiKeyRecord, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch === versionOf(record)) return
  throw new AppError('PRECONDITION_FAILED', 'Somebody changed the key meanwhile: look at it again', {
    headers: { etag: `"${versionOf(record)}"` }
  })
}

/**
 * A new secret for a key. The one before works until the overlap ends.
 *
 * @param endPrevious end an overlap that is still running, which is refused otherwise: it was promised to somebody
 */
export async function rotateKey (
  store: Store, which: string, { overlapMs, endPrevious, ifMatch }: Rotation
): Promise<{ key: string, record: ApiKeyRecord }> {
  const { id } = await findKey(store, which)
  const now = store.now()
  const key = keyFor(id)
  const record = await store.changeKey(id, before => {
    requireVersion(before, ifMatch)
    refuseRotation(before, now, endPrevious)
    return { ...stored(before), hash: hashKey(key), previous: { hash: before.hash, until: now + overlapMs } }
  })
  if (record === undefined) throw unknownKey(which)
  return { key, record }
}

/** @throws {UsageError} where a new secret would be of no use, or break a promise */
function refuseRotation (
  { id, name, revoked, expires, previous }: ApiKeyRecord,
  now: number,
  endPrevious: boolean
): void {
  if (revoked !== undefined) throw new UsageError(`Key "${name}" is revoked; make a new one`)
  if (expires !== undefined && expires <= now) {
    throw new UsageError(`Key "${name}" expired at ${new Date(expires).toISOString()}; make a new one`)
  }
  if (!/^[a-z0-9]{10}$/.test(id)) {
    throw new UsageError(
      `Key "${name}" has an id of another form and cannot be rotated; make a new one and revoke this one`
    )
  }
  if (previous !== undefined && previous.until > now && !endPrevious) {
    throw new UsageError(
      `The key before the last rotation of "${name}" still works until ${new Date(previous.until).toISOString()}, and a rotation now would end it. ` +
        'Rotate after that, or end it with --end-previous'
    )
  }
}

/** What of a key is to be otherwise. Absent stays as it is; null takes a bound away. */
export interface KeyChange {
  /** Instead of those that are there. */
  readonly permissions?: readonly string[] | undefined
  /** Patterns that are added, where they are not there yet. */
  readonly allow?: readonly string[] | undefined
  /** Patterns that are taken out, as they stand in the record. */
  readonly drop?: readonly string[] | undefined
  readonly owner?: string | null | undefined
  /** ms since the epoch. */
  readonly expires?: number | null | undefined
  readonly cidrs?: readonly string[] | null | undefined
  readonly limit?: number | null | undefined
}

/**
 * Change what a key may do. In force at its next request.
 *
 * @throws {UsageError} for a key that is revoked, a pattern that it does not have, or a record that would not be one
 */
export async function changeKey (
  store: Store, which: string, change: KeyChange, ifMatch?: string
): Promise<ApiKeyRecord> {
  const { id } = await findKey(store, which)
  const record = await store.changeKey(id, before => {
    requireVersion(before, ifMatch)
    return changedKey(stored(before), change)
  })
  if (record === undefined) throw unknownKey(which)
  return record
}

/** The record as it would be. @throws {UsageError} as changeKey does */
export function changedKey (before: ApiKeyRecord, change: KeyChange): ApiKeyRecord {
  const { allow = [], drop = [], permissions = before.permissions, ...bounds } = change
  const { name, role, revoked } = before
  if (revoked !== undefined) throw new UsageError(`Key "${name}" is revoked; make a new one`)
  const absent = drop.find(pattern => !permissions.includes(pattern))
  if (absent !== undefined) {
    throw new UsageError(`Key "${name}" has no pattern ${absent}. It has: ${permissions.join(' ') || 'none'}`)
  }
  const after = [...new Set([...permissions.filter(pattern => !drop.includes(pattern)), ...allow])]
  // An operator key without patterns may do everything: taking the last one away must not widen it.
  if (role === 'operator' && before.permissions.length > 0 && after.length === 0) {
    throw new UsageError(`The last pattern of operator key "${name}" cannot be taken away: ` +
      'an operator key without patterns may do everything. Revoke it instead')
  }
  const members = Object.entries({ ...before, permissions: after, ...present(bounds) })
  const record = Object.fromEntries(members.filter(([, value]) => value !== null)) as ApiKeyRecord
  const faults = faultsIn(ApiKeyRecord, record)
  if (faults.length > 0) throw new UsageError(`The key cannot be changed so: ${faults.join('; ')}`)
  return record
}

function present (bounds: object): object {
  return Object.fromEntries(Object.entries(bounds).filter(([, value]) => value !== undefined))
}

/** All of them, or none if one is unknown. */
export async function revokeKeys (store: Store, which: readonly string[], ifMatch?: string): Promise<KeyView[]> {
  const found = new Map<string, ApiKeyRecord>()
  for (const one of which) {
    const record = await findKey(store, one)
    found.set(record.id, record)
  }
  const revoked: KeyView[] = []
  for (const id of found.keys()) revoked.push(viewOf(await revoke(store, id, ifMatch)))
  return revoked
}

async function revoke (store: Store, id: string, ifMatch?: string): Promise<ApiKeyRecord> {
  const now = store.now()
  const record = await store.changeKey(id, before => {
    requireVersion(before, ifMatch)
    return { ...stored(before), revoked: before.revoked ?? now }
  })
  if (record === undefined) throw unknownKey(id)
  // Streams that are open already look here.
  await store.revocations.set(`key:${id}`, { since: now, note: record.name })
  return record
}

export interface Imported {
  added: KeyView[]
  /** Keys that were there before. They stay as they were. */
  known: KeyView[]
}

/** Put keys of a file in. A key that is known keeps its permissions and its revocation. */
export async function importKeys (
  store: Store, records: readonly ApiKeyRecord[], onProgress: (done: number, of: number) => void = () => {}
): Promise<Imported> {
  const imported: Imported = { added: [], known: [] }
  for (const record of [...records].sort(byName)) {
    // Written again as it is: a plain value becomes its hash.
    const known = await store.changeKey(record.id, stored)
    if (known !== undefined) imported.known.push(viewOf(known))
    else {
      await store.saveKey(record)
      imported.added.push(viewOf(record))
    }
    onProgress(imported.known.length + imported.added.length, records.length)
  }
  return imported
}

/** By id, or by a name that only one living key has. */
export async function findKey (store: Store, which: string): Promise<ApiKeyRecord> {
  const byId = await store.findKey(which)
  if (byId !== undefined) return byId
  const named = (await store.listKeys()).filter(key => key.name === which)
  const living = named.filter(key => key.revoked === undefined)
  const found = living.length > 0 ? living : named
  if (found.length === 1) return found[0]!
  throw found.length === 0 ? unknownKey(which) : new UsageError(`Several keys are named "${which}": use the id`)
}

function unknownKey (which: string): UsageError {
  return new UsageError(`There is no key "${which.slice(0, 128)}". See: npx secure-mcp-server keys list`)
}

/** A record as it is stored: when it was last used is kept apart. */
function stored ({ lastUsed: _, ...record }: ApiKeyRecord): ApiKeyRecord {
  return record
}

export function viewOf ({ hash: _, previous, ...record }: ApiKeyRecord, now = Date.now()): KeyView {
  const status = record.revoked !== undefined
    ? 'revoked'
    : record.expires !== undefined && record.expires <= now
      ? 'expired'
      : previous !== undefined && previous.until > now ? 'rotating' : 'active'
  return { ...record, ...(previous === undefined ? {} : { previousUntil: previous.until }), status }
}
