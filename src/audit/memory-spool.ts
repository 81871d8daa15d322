import type { Spool } from './spool.ts'

/** Some 16,000 records. */
const MAX_BYTES = 8 * 2 ** 20
const PIECE_BYTES = 65_536

/** Where no folder can be written: records wait in memory until they were sent on. A kill takes what waits. */
export class MemorySpool implements Spool {
  readonly isFull = false
  readonly finished: readonly string[] = []
  readonly #texts: string[] = []
  #taken = 0
  bytes = 0
  appended = 0

  append (text: string): void {
    const length = Buffer.byteLength(text)
    if (this.bytes + length > MAX_BYTES) {
      throw Object.assign(new Error('records are not sent on as fast as they come'), { code: 'ENOSPC' })
    }
    this.#texts.push(text)
    this.bytes += length
    this.appended += length
  }

  async next (): Promise<string | undefined> {
    let text = ''
    this.#taken = 0
    for (const one of this.#texts) {
      if (text !== '' && text.length + one.length > PIECE_BYTES) break
      text += one
      this.#taken++
    }
    return text === '' ? undefined : text
  }

  done (): void {
    const gone = this.#texts.splice(0, this.#taken)
    this.bytes -= Buffer.byteLength(gone.join(''))
    this.#taken = 0
  }

  turn (): void {}
  close (): void {}
  takeDropped () { return [] }
  keptElsewhere (): void {}
}
