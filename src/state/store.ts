/**
 * What replicas share, in words of the domain. Two stores exist: memory.ts
 * (one process, its files) and redis.ts. test/state/contract.ts holds both to
 * the same answers.
 *
 * Every method may reject with {AppError} STATE_UNAVAILABLE, and with nothing
 * else. A rejected write may still have happened.
 */
import type { ApiKeyRecord } from '../core/api-key.ts'
import type { Health } from '../core/health.ts'
import type { RateLimit, RateLimitResult } from '../core/limit.ts'
import type { Bus } from './bus.ts'
import type { TakenUp } from './memory/serving.ts'
import type { SessionStore } from './sessions.ts'

/** What came of presenting a key's hash. */
export interface Admission {
  /** Undefined: no such key. The caller judges the record (`judgeKey`) before using it. */
  readonly record: ApiKeyRecord | undefined
  /**
   * The count. Undefined where nothing was counted: an unknown, revoked,
   * expired or address-bound key; for the last one the caller judges the
   * address and then calls `hit`.
   */
  readonly rateLimit: RateLimitResult | undefined
}

/** An entry of a shared list that every replica holds a copy of. */
export interface LedgerEntry {
  /** ms since the epoch; the entry is gone then. Absent: for ever. */
  readonly until?: number | undefined
  /** ms since the epoch. */
  readonly since: number
  readonly note?: string | undefined
}

export type LedgerName = 'blocklist' | 'revocations' | 'approvals'

/**
 * A small shared list held whole in every replica: read at start, pushed on
 * change and polled once a second, so reading is synchronous and survives an
 * outage with its last state.
 */
export interface Ledger {
  /** The entries now, expired ones left out. Do not change it. */
  entries (): ReadonlyMap<string, LedgerEntry>
  set (id: string, entry: LedgerEntry): Promise<void>
  /** @returns whether there was such an entry */
  delete (id: string): Promise<boolean>
  /** Called after every change, with the ids that are new (or written again) and those that are gone. Returns the way to stop. */
  onChange (listener: (change: { added: readonly string[], removed: readonly string[] }) => void): () => void
  /** ms since this copy was last known to be whole. 0 in memory. */
  ageMs (): number
}

export interface Counting {
  /** Units; default 1. 0 counts nothing and tells what is left. */
  readonly cost?: number
  /** A window of its own for this tool, beside the subject's. */
  readonly tool?: string
  /** ms since the epoch, for tests; else the store's clock. */
  readonly now?: number
}

export interface Store {
  readonly kind: 'memory' | 'redis'
  /** How state was when last looked at, at most a second ago. Synchronous. */
  health (): Health
  /** Whether this process may take traffic: not at a short failure, but at a lasting one. */
  available (): boolean
  /**
   * Go on with state that was lost: an operator's decision, never made here.
   *
   * @returns false if nothing was lost
   */
  acceptLoss (): Promise<boolean>

  /**
   * Look a key up by hash and count one request of it, in one step.
   * A hash that was rotated away leads to its successor's record and counter.
   *
   * @param rule the class's rule; the record's own `limit` wins
   * @param now ms since the epoch, for tests; else the store's clock
   */
  admit (hash: string, rule: RateLimit, now?: number): Promise<Admission>

  /**
   * Count units of a subject, or none if they do not fit. Subjects:
   * `key:<hash>`, `sub:<principal id>`, `failures:<address group>`.
   */
  hit (subject: string, rule: RateLimit, how?: Counting): Promise<RateLimitResult>
  /** Give `cost` units back to the slice they were counted in. Best effort. */
  giveBack (subject: string, slice: number, how?: Counting): Promise<void>

  /** Create or replace a key by its id. Acknowledged means durable, as far as the store can. */
  saveKey (record: ApiKeyRecord): Promise<void>
  /**
   * Change a key. Where another changes it meanwhile, `edit` is asked again
   * with what that one left, so that neither change is lost.
   *
   * @param edit the record as it is to be; what it throws ends the change and is passed on
   * @returns the record as it is now, or undefined for no such key
   */
  changeKey (id: string, edit: (record: ApiKeyRecord) => ApiKeyRecord): Promise<ApiKeyRecord | undefined>
  findKey (id: string): Promise<ApiKeyRecord | undefined>
  /** All keys, revoked and expired ones too, by name. */
  listKeys (): Promise<ApiKeyRecord[]>
  /** Note that a key was used. Coarse, off the request's path, may be lost. */
  touchKey (record: ApiKeyRecord, now: number): void

  readonly blocklist: Ledger
  readonly revocations: Ledger
  readonly approvals: Ledger

  /** Sessions of the revisions before 2026-07-28. */
  readonly sessions: SessionStore
  readonly bus: Bus

  /** A small value that other replicas may read, gone after `ttlMs`. */
  cacheGet (key: string): Promise<string | undefined>
  cacheSet (key: string, value: string, ttlMs: number): Promise<void>
  /** Set unless there: true for exactly one caller until `ttlMs` have passed. For replay checks. */
  claim (key: string, ttlMs: number): Promise<boolean>

  /** Wait until the processes that serve from these files use them as they are now. Undefined where state is shared: a change is in force when it is acknowledged. */
  takenUp (): Promise<TakenUp | undefined>

  close (): Promise<void>
}
