/** What a check of the doctor is: a pure judgement over facts that somebody brought. */
import type { KeyView } from '../operate/keys.ts'
import type { Config } from '../settings/schema.ts'
import type { Health } from '../core/health.ts'
import type { ReplicaAnswer } from '../operate/roll-call.ts'
import type { StateDiagnosis } from '../state/diagnosis.ts'

export type Severity = 'ok' | 'warn' | 'bad'

export interface Diagnosis {
  readonly severity: Severity
  /** What was found, in one sentence. */
  readonly found: string
  /** What to do; absent where nothing is to be done. */
  readonly remedy?: string | undefined
}

export const well = (found: string): Diagnosis => ({ severity: 'ok', found })
export const warn = (found: string, remedy: string): Diagnosis => ({ severity: 'warn', found, remedy })
export const bad = (found: string, remedy: string): Diagnosis => ({ severity: 'bad', found, remedy })

/** Settings as they were read, or why they could not be. */
export type SettingsFacts = ReadSettingsFacts | { readonly problem: string }

export interface ReadSettingsFacts {
  readonly config: Config
  readonly warnings: readonly string[]
  /** `v22.11.0` */
  readonly node: string
  /** ms since the epoch. */
  readonly now: number
}

export interface FileFact {
  /** The setting that names it. */
  readonly setting: string
  readonly path: string
  /** Permission bits; undefined: it does not exist. */
  readonly mode: number | undefined
}

export interface KeyFacts {
  readonly keys: readonly KeyView[]
  /** What reading the key file warned of. */
  readonly fileWarnings: readonly string[]
  /** Names of what is offered, as permissions spell them. */
  readonly offered: readonly string[]
  readonly now: number
}

export interface StateFacts extends StateDiagnosis {
  readonly kind: 'memory' | 'redis'
  readonly health: Health
  /** Ids of keys whose records are gone. */
  readonly missing: readonly string[]
  /** How long a message took from publishing to hearing, ms; undefined: it was not heard. */
  readonly heardMs: number | undefined
  readonly commandTimeoutMs: number
  readonly skewMs: number
}

export interface IssuerFact {
  readonly issuer: string
  /** Why its metadata cannot be had. */
  readonly metadataFault: string | undefined
  /** Keys that can verify one of the allowed algorithms; undefined where none are needed. */
  readonly usableKeys: number | undefined
}

/** The folder of the records, and what stands in it. */
export interface SpoolFacts {
  readonly folder: string
  /** Why nothing can be written there. */
  readonly fault: string | undefined
  readonly usedBytes: number
  readonly maxBytes: number
  readonly freeBytes: number
  /** It is gone with the machine's memory. */
  readonly isVolatile: boolean
  /** Of chains that grew in the last hour: what is wrong with one, and how many records it says are lost. */
  readonly chains: ReadonlyArray<{ readonly chain: string, readonly fault?: string | undefined, readonly lost: number }>
}

export interface ReplicaFacts {
  readonly heard: readonly ReplicaAnswer[]
  /** REPLICAS, where state is shared. */
  readonly expected: number
}

export interface UpstreamFact {
  readonly name: string
  /** Listed at least once, or connected now. */
  readonly isKnown: boolean
  readonly trouble?: string | undefined
  /** Tools that wait for approval. */
  readonly held: number
}

/** What the probe of a server on this machine says. */
export interface ProbeFact {
  readonly status: number
  readonly body: string
}

/** One answer as it was seen from outside, or why there was none. */
export type SeenAnswer =
  | {
    readonly status: number,
    readonly headers: Readonly<Record<string,
    string>>,
    readonly body: string,
    readonly ms: number
  }
  | { readonly fault: string }

/** Answers by what was asked; see outside.ts. */
export interface OutsideFacts {
  readonly url: string
  readonly now: number
  /** ms since the epoch; undefined without TLS. */
  readonly certificateEnds: number | undefined
  readonly tlsFault: string | undefined
  readonly answers: ReadonlyMap<string, SeenAnswer>
  /** What arrived of the requests, where the records are at hand: the address that was taken for the caller's. */
  readonly arrivedFrom?: readonly string[] | undefined
  /** A stream that was held: how long it should have lived, and how long it did, ms. */
  readonly idle?: { readonly wantedMs: number, readonly livedMs: number } | undefined
}

/** An address that no client has (RFC 5737), sent in X-Forwarded-For to see who believes it. */
export const FORGED_ADDRESS = '192.0.2.77'

export interface DoctorFacts {
  readonly settings?: SettingsFacts | undefined
  readonly files?: readonly FileFact[] | undefined
  readonly keys?: KeyFacts | { readonly fault: string } | undefined
  readonly state?: StateFacts | { readonly fault: string } | undefined
  readonly issuers?: readonly IssuerFact[] | undefined
  readonly outside?: OutsideFacts | undefined
  readonly spool?: SpoolFacts | undefined
  readonly replicas?: ReplicaFacts | undefined
  readonly upstreams?: readonly UpstreamFact[] | undefined
  readonly probe?: ProbeFact | undefined
}

export interface HealthCheck<N extends keyof DoctorFacts = keyof DoctorFacts> {
  /** `redis-policy` */
  readonly id: string
  /** What it asks, as a sentence that holds where all is well. */
  readonly asks: string
  readonly needs: N
  /** Undefined where it does not apply. */
  run (facts: NonNullable<DoctorFacts[N]>, all: DoctorFacts): Diagnosis | undefined
}

/** A check with the type of its facts worked out from what it needs. */
export function defineCheck<N extends keyof DoctorFacts> (check: HealthCheck<N>): HealthCheck {
  return check
}

export interface CheckedResult extends Diagnosis {
  readonly id: string
  readonly asks: string
}

const ORDER: readonly Severity[] = ['bad', 'warn', 'ok']

/** Every check whose facts are there, the worst first. */
export function examine (checks: readonly HealthCheck[], facts: DoctorFacts): CheckedResult[] {
  const results: CheckedResult[] = []
  for (const { id, asks, needs, run } of checks) {
    const known = facts[needs]
    const diagnosis = known === undefined ? undefined : run(known as never, facts)
    if (diagnosis !== undefined) results.push({ id, asks, ...diagnosis })
  }
  return results.sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
}
