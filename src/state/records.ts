/**
 * The newest records of decisions of every replica, for operators: a window bounded in bytes. The whole of them is in
 * the folder of each replica and in the log.
 */

/** Whole writes of one chain. */
export interface RecordBatch {
  /** Its place: later ones are greater. Begins with the moment when it was put there, ms since the epoch. */
  readonly id: string
  readonly chain: string
  readonly text: string
}

/** How far a chain is known to have gone: a witness that whoever holds its files does not hold. */
export interface RecordHead {
  readonly n: number
  readonly z: string
  /** ISO 8601, UTC. */
  readonly time: string
  /** Of the seal that it was told by, where there is one. */
  readonly kid?: string
  readonly mac?: string
}

export interface Records {
  /**
   * May be done though it rejects: whoever reads drops what is there twice, by chain and number.
   *
   * @returns whether older batches went early, because Redis was full
   */
  append (chain: string, text: string): Promise<{ cut: boolean }>
  /** Batches after a place, or from the first, oldest first. */
  after (id: string | undefined, most: number): Promise<RecordBatch[]>
  /** Batches before a place, or from the last, newest first. */
  before (id: string | undefined, most: number): Promise<RecordBatch[]>
  heads (): Promise<ReadonlyMap<string, RecordHead>>
  /** A head never goes back. */
  putHead (chain: string, head: RecordHead): Promise<void>
  dropHeads (chains: readonly string[]): Promise<void>
}
