/** Shorter values are words of everybody: `1` would blank every line. */
const MIN_LENGTH = 8

/** Takes the values that were given to upstreams out of what is logged and told. */
export class SecretMask {
  readonly #values = new Map<string, readonly string[]>()
  #all: readonly string[] = []

  /** @param owner whose they are; they take the place of those before */
  set (owner: string, values: Iterable<string>): void {
    this.#values.set(owner, [...values].filter(({ length }) => length >= MIN_LENGTH))
    // A value may hold another.
    this.#all = [...new Set([...this.#values.values()].flat())].sort((a, b) => b.length - a.length)
  }

  readonly mask = (text: string): string => {
    for (const value of this.#all) text = text.replaceAll(value, '[redacted]')
    return text
  }
}
