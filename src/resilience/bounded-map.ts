/** A map with a bound and an end for each entry; the one used longest ago goes first. */
export class BoundedMap<V> {
  readonly #max: number
  readonly #entries = new Map<string, { value: V, until: number }>()

  constructor (max: number) {
    this.#max = max
  }

  /** @param now ms, of the same clock as `until` */
  get (key: string, now: number): V | undefined {
    const found = this.#entries.get(key)
    if (found === undefined) return undefined
    this.#entries.delete(key)
    if (found.until <= now) return undefined
    this.#entries.set(key, found)
    return found.value
  }

  set (key: string, value: V, until: number): void {
    this.#entries.delete(key)
    if (this.#entries.size >= this.#max) this.#entries.delete(this.#entries.keys().next().value!)
    this.#entries.set(key, { value, until })
  }
}
