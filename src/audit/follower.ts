/** Reads whole writes of the segments of one chain, in order, also while they are written. */
import { open, type FileHandle } from 'node:fs/promises'

/** Bytes that are read at once, and handed on. */
const PIECE_BYTES = 65_536

export class Follower {
  /** In order; later ones may come. */
  readonly #paths: () => readonly string[]
  #at = 0
  #offset = 0
  #taken = 0
  #file: FileHandle | undefined

  constructor (paths: () => readonly string[]) {
    this.#paths = paths
  }

  /** Those that were read to their end, while a later one is there. */
  get finished (): readonly string[] {
    return this.#paths().slice(0, this.#at)
  }

  /**
   * Some 64 kB of whole writes; the same again until `done` was called.
   *
   * @returns undefined at the end, as far as it is written
   * @throws {NodeJS.ErrnoException} for a file that cannot be read
   */
  async next (): Promise<string | undefined> {
    for (;;) {
      const path = this.#paths()[this.#at]
      if (path === undefined) return undefined
      const piece = await this.#piece(path)
      if (piece !== undefined) return piece
      if (this.#at + 1 >= this.#paths().length) return undefined
      await this.close()
      this.#at++
      this.#offset = 0
    }
  }

  /** What `next` gave is not needed again. */
  done (): void {
    this.#offset += this.#taken
    this.#taken = 0
  }

  async close (): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #piece (path: string): Promise<string | undefined> {
    try {
      this.#file ??= await open(path, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    // One write may be longer than a piece.
    for (let size = PIECE_BYTES; ; size *= 2) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(size), 0, size, this.#offset)
      const end = endOfWrites(buffer.subarray(0, bytesRead))
      if (end > 0) {
        this.#taken = end
        return buffer.toString('utf8', 0, end)
      }
      if (bytesRead < size) return undefined
    }
  }
}

/** Where the last whole write ends, or 0. No text within a record looks like it: its quotation marks are escaped. */
function endOfWrites (bytes: Buffer): number {
  const text = bytes.toString('latin1')
  for (let at = text.lastIndexOf('"}\n'); at > 0; at = text.lastIndexOf('"}\n', at - 1)) {
    if (/^,"z":"[0-9a-f]{64}$/.test(text.slice(Math.max(0, at - 70), at))) return at + 3
  }
  return 0
}
