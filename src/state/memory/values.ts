import type { Values } from '../values.ts'

/** Values cached or claimed at once; the oldest goes first. */
const MAX_VALUES = 100_000

export class MemoryValues implements Values {
  readonly #now: () => number
  readonly #values = new Map<string, { value: string, until: number }>()

  /** @param now ms */
  constructor (now: () => number) {
    this.#now = now
  }

  async cacheGet (key: string): Promise<string | undefined> {
    return this.#find(key)
  }

  async cacheSet (key: string, value: string, ttlMs: number): Promise<void> {
    if (this.#values.size >= MAX_VALUES) this.#values.delete(this.#values.keys().next().value!)
    this.#values.delete(key)
    this.#values.set(key, { value, until: this.#now() + ttlMs })
  }

  async claim (key: string, ttlMs: number): Promise<boolean> {
    if (this.#find(key) !== undefined) return false
    await this.cacheSet(key, '1', ttlMs)
    return true
  }

  #find (key: string): string | undefined {
    const found = this.#values.get(key)
    return found !== undefined && found.until > this.#now() ? found.value : undefined
  }
}
