/** The last values that were added, up to a bound; the one that was added first goes first. */
export class RecentSet {
  readonly #max: number
  readonly #values = new Set<string>()

  constructor (max: number) {
    this.#max = max
  }

  add (value: string): void {
    this.#values.delete(value)
    if (this.#values.size >= this.#max) this.#values.delete(this.#values.values().next().value!)
    this.#values.add(value)
  }

  has (value: string): boolean {
    return this.#values.has(value)
  }
}
