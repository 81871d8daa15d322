/** Small values that other replicas may read, for a while. */
export interface Values {
  cacheGet (key: string): Promise<string | undefined>
  cacheSet (key: string, value: string, ttlMs: number): Promise<void>
  /** Set unless there: true for exactly one caller until `ttlMs` have passed. For replay checks. */
  claim (key: string, ttlMs: number): Promise<boolean>
}
