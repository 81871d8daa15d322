import { readFileSync } from 'node:fs'
import type { Result } from 'ioredis'

const lua = (...names: string[]): string =>
  names.map(name => readFileSync(new URL(`../lua/${name}.lua`, import.meta.url), 'utf8')).join('\n')

/** Lua commands by the name they get on the client. One file each in ../lua; window.lua is shared by two. */
export const SCRIPTS = {
  admitKey: { lua: lua('window', 'admit'), numberOfKeys: 2 },
  hitWindow: { lua: lua('window', 'hit'), numberOfKeys: 1 },
  giveBackUnits: { lua: lua('give-back'), numberOfKeys: 1 },
  putRecord: { lua: lua('put-record'), numberOfKeys: 1 },
  startSession: { lua: lua('start-session'), numberOfKeys: 2 },
  findSession: { lua: lua('find-session'), numberOfKeys: 2 },
  noteSession: { lua: lua('note-session'), numberOfKeys: 1 },
  changeLedger: { lua: lua('change-ledger'), numberOfKeys: 1 },
  restoreLedger: { lua: lua('restore-ledger'), numberOfKeys: 1 },
  forgetEntries: { lua: lua('forget-entries'), numberOfKeys: 1 },
  noteChange: { lua: lua('note-change'), numberOfKeys: 1 },
  appendRecords: { lua: lua('append-records'), numberOfKeys: 1 },
  putHead: { lua: lua('put-head'), numberOfKeys: 1 }
}

/** allowed, limit, remaining, retry after (ms), reset (ms), slice. */
export type RateLimitTuple = [
  allowed: 0 | 1,
  limit: number,
  remaining: number,
  retryAfterMs: number,
  resetMs: number,
  slice: number
]

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /** See lua/admit.lua. `now` is ms since the epoch, or '' for the Redis clock. */
    admitKey (
      record: string,
      window: string,
      limit: number,
      windowMs: number,
      now: number | ''
    ): Result<[] | [json: string] | [json: string, moved: string, ...(RateLimitTuple | [why: string] | [])], Context>
    /** See lua/hit.lua. */
    hitWindow (
      window: string,
      limit: number,
      windowMs: number,
      cost: number,
      now: number | ''
    ): Result<RateLimitTuple | [why: string], Context>
    /** See lua/give-back.lua. */
    giveBackUnits (window: string, slice: number, cost: number): Result<0 | 1, Context>
    /** See lua/put-record.lua. */
    putRecord (key: string, known: string, expireAt: number | '', ...fieldsAndValues: string[]): Result<0 | 1, Context>
    /** See lua/start-session.lua. */
    startSession (
      list: string,
      session: string,
      id: string,
      record: string,
      idleMs: number,
      maxMs: number,
      most: number
    ): Result<number, Context>
    /** See lua/find-session.lua. */
    findSession (
      list: string,
      session: string,
      id: string,
      idleMs: number
    ): Result<[] | [record: string, level: string, moved: number], Context>
    /** See lua/note-session.lua. */
    noteSession (
      session: string,
      field: string,
      value: string,
      mostFields: number | '',
      mostBytes: number
    ): Result<0 | 1, Context>
    /** See lua/change-ledger.lua. */
    changeLedger (key: string, id: string, entry: string, channel: string, list: string): Result<number, Context>
    /** See lua/restore-ledger.lua. */
    restoreLedger (key: string, known: number, ...idsAndEntries: string[]): Result<number, Context>
    /** See lua/forget-entries.lua. */
    forgetEntries (key: string, ...idsAndEntries: string[]): Result<number, Context>
    /** See lua/note-change.lua. */
    noteChange (marks: string): Result<number, Context>
    /** See lua/append-records.lua. */
    appendRecords (stream: string, chain: string, text: string, maxBytes: number): Result<number, Context>
    /** See lua/put-head.lua. */
    putHead (heads: string, chain: string, n: number, json: string): Result<0 | 1, Context>
  }
}
