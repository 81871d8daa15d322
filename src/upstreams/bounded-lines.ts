/** Bytes to lines of bounded length; what is longer is skipped and not kept, but for its ends. */

/** The first and the last bytes of a line that is not kept. */
export interface LineEnds { readonly head: string, readonly tail?: string }

export interface LineReceiver {
  /** @param bytes of the line, for whoever counts */
  onLine (line: string, bytes: number): void
  /** A line is too long: told when that is known, with its first bytes, and again at its end, with its last. */
  onTooLong (ends: LineEnds): void
}

/** An id stands in the first or the last bytes of a message, as every library writes it. */
const KEPT_BYTES = 256
const NEWLINE = 10
const BYTE_ORDER_MARK = '\ufeff'

export class BoundedLines {
  readonly #maxBytes: number
  readonly #to: LineReceiver
  #parts: Buffer[] = []
  #size = 0
  /** Of the line that is skipped. */
  #skipped: { head: string, tail: Buffer } | undefined

  constructor (maxBytes: number, to: LineReceiver) {
    this.#maxBytes = maxBytes
    this.#to = to
  }

  push (chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#add(chunk.subarray(start, end))
      this.#endLine()
      start = end + 1
    }
    if (start < chunk.length) this.#add(chunk.subarray(start))
  }

  #add (part: Buffer): void {
    if (this.#skipped !== undefined) {
      // A copy: a slice would keep the whole chunk.
      this.#skipped.tail = Buffer.from(lastBytes([this.#skipped.tail, part]))
      return
    }
    this.#parts.push(part)
    this.#size += part.length
    if (this.#size <= this.#maxBytes) return
    const whole = this.#take()
    this.#skipped = { head: whole.toString('utf8', 0, KEPT_BYTES), tail: Buffer.from(lastBytes([whole])) }
    this.#to.onTooLong({ head: this.#skipped.head })
  }

  #endLine (): void {
    if (this.#skipped === undefined) {
      const bytes = this.#size
      const text = this.#take().toString('utf8')
      this.#to.onLine(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text, bytes)
      return
    }
    const { head, tail } = this.#skipped
    this.#skipped = undefined
    this.#to.onTooLong({ head, tail: tail.toString('utf8') })
  }

  #take (): Buffer {
    const whole = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts)
    this.#parts = []
    this.#size = 0
    return whole
  }
}

function lastBytes (parts: readonly Buffer[]): Buffer {
  const short = parts.map(part => part.subarray(-KEPT_BYTES))
  return (short.length === 1 ? short[0]! : Buffer.concat(short)).subarray(-KEPT_BYTES)
}

const ID = '"id"\\s*:\\s*(\\d{1,16}|"[^"\\\\]{1,64}")'
export const ID_AT_START = new RegExp(`^\\s*\\{\\s*(?:"jsonrpc"\\s*:\\s*"2\\.0"\\s*,\\s*)?${ID}\\s*,`)
export const ID_AT_END = new RegExp(`,\\s*${ID}\\s*(?:,\\s*"jsonrpc"\\s*:\\s*"2\\.0"\\s*)?\\}\\s*$`)

/** The id of a JSON-RPC message of which only the ends are known. */
export function idOfEnds ({ head, tail }: LineEnds): number | string | undefined {
  const found = ID_AT_START.exec(head)?.[1] ?? (tail === undefined ? undefined : ID_AT_END.exec(tail)?.[1])
  return found === undefined ? undefined : found.startsWith('"') ? found.slice(1, -1) : Number(found)
}
