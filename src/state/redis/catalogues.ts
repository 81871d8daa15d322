import type { Catalogues } from '../catalogues.ts'
import type { Values } from '../values.ts'

/** Plain values: whoever lists last is right, and what is lost is listed again. */
export class RedisCatalogues implements Catalogues {
  readonly #values: Values

  constructor (values: Values) {
    this.#values = values
  }

  get (id: string): Promise<string | undefined> {
    return this.#values.cacheGet(id)
  }

  async put (texts: ReadonlyMap<string, string>, ttlMs: number): Promise<void> {
    for (const [id, text] of texts) await this.#values.cacheSet(id, text, ttlMs)
  }
}
