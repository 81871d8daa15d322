/** What can be found out about the place where state is kept. */

/** Of one Redis: of each master, in a Cluster. */
export interface RedisDiagnosis {
  readonly node: string
  readonly version: string
  /** Bytes; 0: no bound. */
  readonly maxMemory: number
  readonly usedMemory: number
  readonly policy: string
  readonly appendOnly: boolean
  /** Whether the last writes to its disk went well. */
  readonly persistenceOk: boolean
}

export interface StateDiagnosis {
  /** Empty in memory. */
  readonly nodes: readonly RedisDiagnosis[]
  /** Of so many round trips the slowest but one in a hundred, ms; undefined in memory. */
  readonly roundTripMs: number | undefined
  /** What the user of Redis lacks, and what it may beyond its work; undefined where that cannot be asked. */
  readonly grants?: { readonly missing: readonly string[], readonly excess: readonly string[] } | undefined
  /** How far the clock of state is ahead of this process's, ms. */
  readonly clockAheadMs: number
}
