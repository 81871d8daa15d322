/**
 * The record of what was decided: one line of JSON, which is the request line
 * of the log as well, so that there is one vocabulary and one formatting.
 */
import { hash } from 'node:crypto'
import { policyVersion } from '../core/policy-version.ts'
import type { Observed, StreamEnd, Trace } from '../decision/trace.ts'
import { isoNow } from '../telemetry/iso-now.ts'
import { redact } from '../telemetry/redact.ts'

/** Form of the records that this release writes. */
export const VERSION = 1

/** What every line of a chain has. The log alone, with AUDIT=off, has neither `n` nor `z`. */
export interface RecordLine {
  readonly v: number
  /** Number within its chain, from 1: a gap is a loss. */
  readonly n?: number
  readonly level: 'info' | 'warn'
  /** ISO 8601, UTC. */
  readonly time: string
  readonly msg: string
  /** The chain up to here (chain.ts). Only on the last line of a write. */
  readonly z?: string
}

/**
 * A request or a message. `request` is its end; `begun` stands before work
 * that may change something elsewhere, `opened` before the first byte of a stream.
 */
export interface RequestRecord extends RecordLine {
  readonly msg: 'request' | 'begun' | 'opened'
  readonly reqId: string
  readonly principal?: string | undefined
  readonly auth?: string | undefined
  /** Which policy held (core/policy-version.ts). */
  readonly pv?: string | undefined
  readonly address: string
  readonly http?: string | undefined
  readonly method?: string | undefined
  readonly target?: string | undefined
  readonly era?: 'modern' | 'legacy' | undefined
  /** Keyed digest of the arguments as sent, 32 hexadecimal digits. */
  readonly args?: string | undefined
  readonly decision: string
  readonly rule?: string | undefined
  readonly status?: number | undefined
  /** Until it was answered. */
  readonly ms: number
  readonly cost?: number | undefined
  /** Units in `windowMs`, and how many were left. */
  readonly limit?: number | undefined
  readonly windowMs?: number | undefined
  readonly left?: number | undefined
  /** Counted by one replica alone. */
  readonly degraded?: boolean | undefined
  readonly observed?: readonly Observed[] | undefined
  readonly upstream?: string | undefined
  readonly end?: StreamEnd | undefined
  /** So many alike, of callers without a principal, are folded into this one. */
  readonly count?: number | undefined
}

/** What an operator did. */
export interface OperationDone {
  /** Of the request, where it came by one. */
  readonly reqId?: string | undefined
  readonly principal: string
  /** `keys.create`, `blocklist.add` */
  readonly operation: string
  /** What it was done to: an id, a range, a name. */
  readonly target?: string | undefined
  /** What was there, and what is there now, without hashes and secrets. */
  readonly before?: unknown
  readonly after?: unknown
}

export interface OperationRecord extends RecordLine, OperationDone {
  readonly msg: 'operation'
  readonly decision: string
}

/** The first line of a chain. */
export interface ChainRecord extends RecordLine {
  readonly msg: 'chain'
  readonly chain: string
  readonly version: string
  /** Digest of the settings, without secrets. */
  readonly settings?: string
  /** Which key seals it. */
  readonly kid: string
  /** The chain before it in the same folder, as it was found: `torn` is what a crash left of a line, bytes. */
  readonly before?: {
    readonly chain: string
    readonly n: number
    readonly z: string
    readonly tail?: number
    readonly torn?: number
  }
}

/** The first line of a later segment of a chain, which says where the one before ended. */
export interface SegmentRecord extends RecordLine {
  readonly msg: 'segment'
  readonly chain: string
  readonly after: { readonly n: number, readonly z: string }
}

export interface SealRecord extends RecordLine {
  readonly msg: 'seal'
  readonly chain: string
  /** The chain as it was before this line. */
  readonly of: string
  readonly kid: string
  readonly mac: string
}

/** Records could not be written for a while: so many were lost, and so many requests refused for want of one. */
export interface GapRecord extends RecordLine {
  readonly msg: 'gap'
  readonly lost: number
  readonly refused?: number
  /** Since when, ISO 8601, UTC. */
  readonly since: string
  readonly why: string
}

/** A segment that was let go: it was old, or kept elsewhere and its room needed. */
export interface DroppedRecord extends RecordLine {
  readonly msg: 'dropped'
  readonly of: { readonly chain: string, readonly through?: number | undefined, readonly why: 'age' | 'room' }
}

/** The last line of a chain. */
export interface ClosedRecord extends RecordLine {
  readonly msg: 'closed'
  readonly chain: string
}

export type AuditRecord =
  RequestRecord | OperationRecord | ChainRecord | SegmentRecord | SealRecord | GapRecord | DroppedRecord | ClosedRecord

/** How what is said of people is written: as it is, or as keyed digests. */
export interface Privacy {
  /** Digest of arguments, which are guessable: keyed, so that it tells nothing without the key. */
  readonly digest: (text: string) => string
  /** AUDIT_PRIVACY=keyed. */
  readonly keyed: boolean
}

/** @param key for this purpose alone */
export function keyedDigest (key: string): (text: string) => string {
  return text => hash('sha256', key + text, 'hex').slice(0, 32)
}

/** A line of the log that no chain numbers, as JSON. The chain puts `n` and `z` in. */
export function textOf (trace: Trace, msg: RequestRecord['msg'], privacy: Privacy): string {
  const { limit, policy, args, principal, address } = trace
  const hide = privacy.keyed ? privacy.digest : unchanged
  const record: RequestRecord = {
    v: VERSION,
    level: 'info',
    time: isoNow(),
    reqId: trace.requestId,
    principal: principal === undefined || trace.auth !== 'oauth2' ? principal : hide(principal),
    auth: trace.auth,
    pv: policy === undefined ? undefined : policyVersion(policy, limit?.limit),
    http: trace.http,
    method: trace.method,
    target: trace.target,
    era: trace.era,
    args: args === undefined ? undefined : privacy.digest(JSON.stringify(args)),
    status: trace.status,
    degraded: limit?.degraded,
    decision: trace.decision,
    rule: trace.rule,
    ms: Math.round((performance.now() - trace.began) * 100) / 100,
    address: hide(address),
    cost: trace.cost,
    limit: limit?.limit,
    windowMs: limit?.windowMs,
    left: limit?.remaining,
    observed: trace.observed,
    upstream: trace.upstream,
    end: trace.end,
    msg
  }
  return redact(JSON.stringify(record))
}

const unchanged = (text: string): string => text
