/** Places for answers in the making: how many are taken, and by whom. */
export class Places {
  readonly #held = new Map<string, number>()
  #taken = 0

  /** Answers in the making. */
  get taken (): number {
    return this.#taken
  }

  /** @param holder a principal's id, or the group of a stranger's address */
  of (holder: string): number {
    return this.#held.get(holder) ?? 0
  }

  take (holder: string): void {
    this.#held.set(holder, this.of(holder) + 1)
    this.#taken++
  }

  /** What one does not hold one cannot leave. */
  leave (holder: string): void {
    const held = this.of(holder)
    if (held === 0) return
    this.#taken--
    if (held === 1) this.#held.delete(holder)
    else this.#held.set(holder, held - 1)
  }
}
