import type { Log } from '../telemetry/log.ts'

const KEPT_BYTES = 8192
const LINES_PER_SECOND = 10
const LINE_LENGTH = 500
/** Masked before it is cut: half a secret would not be recognised. */
const JUDGED_LENGTH = 4096

/** What a child writes to stderr: all of it is read, the last of it kept, some of it logged. */
export class StderrTail {
  readonly #log: Log
  readonly #mask: (text: string) => string
  #tail = Buffer.alloc(0)
  #secondStart = -Infinity
  #logged = 0
  /** A line that has not ended yet. */
  #line = ''

  constructor (log: Log, mask: (text: string) => string) {
    this.#log = log
    this.#mask = mask
  }

  get text (): string {
    const text = this.#tail.toString('utf8')
    // The first line was cut, and perhaps a secret with it.
    const cut = this.#tail.length === KEPT_BYTES ? text.slice(text.indexOf('\n') + 1 || JUDGED_LENGTH) : text
    return this.#mask(cut)
  }

  push (chunk: Buffer): void {
    const end = chunk.subarray(-KEPT_BYTES)
    this.#tail = Buffer.concat([this.#tail, end]).subarray(-KEPT_BYTES)
    const now = performance.now()
    if (now - this.#secondStart >= 1000) {
      this.#secondStart = now
      this.#logged = 0
    }
    if (this.#logged >= LINES_PER_SECOND) {
      this.#line = ''
      return
    }
    const lines = (this.#line + chunk.toString('utf8')).split('\n')
    this.#line = lines.pop()!.slice(0, JUDGED_LENGTH)
    for (const line of lines) this.#write(line.trim())
  }

  #write (line: string): void {
    if (line === '' || this.#logged >= LINES_PER_SECOND) return
    this.#logged++
    this.#log.info({ stderr: this.#mask(line.slice(0, JUDGED_LENGTH)).slice(0, LINE_LENGTH) }, 'it wrote to stderr')
  }
}
