/** API keys, found by the hash of what was presented and counted in the same step. */
import type { ApiKeyRecord } from '../core/api-key.ts'
import type { RateLimit, RateLimitResult } from '../core/limit.ts'

/** Bus topic that says that a key was made, changed or deleted: what it opened is judged again. */
export const KEYS_TOPIC = 'keys'

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

export interface Keys {
  /**
   * Look a key up by hash and count one request of it, in one step.
   * A hash that was rotated away leads to its successor's record and counter.
   *
   * @param rule the class's rule; the record's own `limit` wins
   */
  admit (hash: string, rule: RateLimit): Promise<Admission>

  /**
   * Create a key, or put this record in the place of the one with its id, whatever that says. Acknowledged
   * means durable, as far as the store can.
   */
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
  /** Ids that are known, but whose records are gone: the store lost data. */
  missingKeys (): Promise<string[]>
  /** Note that a key was used. Coarse, off the request's path, may be lost. */
  touchKey (record: ApiKeyRecord, now: number): void
}
