/** Sessions of the revisions before 2026-07-28, as every replica sees them. */
import type { SessionRule } from '../core/session.ts'

/** Most bytes of the URIs that one session watches: Redis must have room for as many sessions as there may be. */
export const MAX_WATCHED_BYTES = 4096

/** What a replica must know to go on with a session that another one began. */
export interface SessionRecord {
  /** What `initialize` was given: `protocolVersion`, `capabilities`, `clientInfo`. */
  readonly initialize: Readonly<Record<string, unknown>>
  /** ms since the epoch. */
  readonly began: number
}

export interface FoundSession {
  readonly record: SessionRecord
  /** What `logging/setLevel` set last. */
  readonly level: string | undefined
}

export type Started =
  | { readonly started: true }
  /** `retryMs` until the one idle longest is gone; `inAll` says whose cap it was. */
  | { readonly started: false, readonly inAll: boolean, readonly retryMs: number }

/**
 * An owner is a digest (core/session.ts); a session is found only under its
 * owner, so another's id names nothing.
 */
export interface SessionStore {
  start (owner: string, id: string, record: SessionRecord, rule: SessionRule): Promise<Started>
  /** Find a session, which keeps it for another `idleMs`. */
  find (owner: string, id: string, rule: SessionRule): Promise<FoundSession | undefined>
  /**
   * @param holder as it was started with
   * @returns whether there was such a session
   */
  end (owner: string, id: string, holder?: string): Promise<boolean>
  /** @returns whether there was such a session */
  setLevel (owner: string, id: string, level: string): Promise<boolean>
  /**
   * Note a resource that the client wants to hear of. @returns false for no such session, `most` noted
   * already, or more than MAX_WATCHED_BYTES
   */
  watch (owner: string, id: string, uri: string, most: number): Promise<boolean>
  unwatch (owner: string, id: string, uri: string): Promise<void>
  /** The resources noted, or undefined for no such session. */
  watched (owner: string, id: string): Promise<readonly string[] | undefined>
}
