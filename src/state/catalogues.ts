/**
 * What upstreams list, and definitions of tools that were approved: kept for replicas that start, and for
 * operators.
 */
export interface Catalogues {
  /** @param id `catalogue:<server>:<digest>` or `definition:<hash>` */
  get (id: string): Promise<string | undefined>
  /**
   * @param texts by id
   * @param ttlMs how long they are kept, unless they are put again
   */
  put (texts: ReadonlyMap<string, string>, ttlMs: number): Promise<void>
}
