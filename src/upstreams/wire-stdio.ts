/** JSON-RPC as lines to and from a child (MCP, transports, stdio). What the child writes is a stranger's text. */
import type { Log } from '../telemetry/log.ts'
import { redact } from '../telemetry/redact.ts'
import { BoundedLines, idOfEnds, type LineEnds } from './bounded-lines.ts'
import { ByteBudget } from './byte-budget.ts'
import { Child, type ChildOptions } from './child.ts'
import { NotificationGate } from './notification-gate.ts'
import { StderrTail } from './stderr-tail.ts'
import type { Wire, WireExchange } from './wire.ts'

export interface StdioWireOptions {
  readonly child: ChildOptions
  readonly maxAnswerBytes: number
  /** Lines bear the name of the upstream already. */
  readonly log: Log
  /** Takes out of what the child writes the secrets that it was given. */
  readonly mask: (text: string) => string
}

/** Bytes that wait for a child which does not read. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024
const MAX_TOO_LONG = 16
const TOO_LONG_WINDOW_MS = 60_000
/** Characters of the first line that was no message, in the one warning; masked before they are cut. */
const SHOWN_NOISE = 80
const MASKED_NOISE = 4096

export class StdioWire implements Wire {
  onText: Wire['onText'] = () => false
  onTooLarge: Wire['onTooLarge'] = () => {}
  onClose: Wire['onClose'] = () => {}
  readonly #options: StdioWireOptions
  readonly #child: Child
  readonly #stderr: StderrTail
  readonly #budget = new ByteBudget()
  readonly #gate = new NotificationGate()
  readonly #lines: BoundedLines
  #waiting: string[] = []
  #isOver = false
  #noise = 0
  /** When lines were too long, ms of `performance.now()`. */
  #tooLong: number[] = []
  #toldTooLarge = false
  #resume: NodeJS.Timeout | undefined

  constructor (options: StdioWireOptions) {
    this.#options = options
    this.#child = new Child(options.child)
    this.#stderr = new StderrTail(options.log, text => this.#masked(text))
    this.#lines = new BoundedLines(options.maxAnswerBytes, {
      onLine: (line, bytes) => this.#onLine(line, bytes),
      onTooLong: ends => this.#onTooLong(ends)
    })
    const { stdout, stderr } = this.#child.process
    stdout.on('data', (chunk: Buffer) => { if (!this.#isOver) this.#lines.push(chunk) })
    stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk))
    // Who closes its output cannot answer any more. Whoever exits closes it a moment before the exit is told.
    stdout.once('end', () => { this.#child.end() })
    this.#child.ended.then(why => this.#fail(why))
  }

  /** Process id of the child, while it runs. */
  get pid (): number | undefined {
    return this.#child.running ? this.#child.process.pid : undefined
  }

  /** The last that the child wrote to stderr, masked, at most 8 KiB. For operators. */
  get stderr (): string {
    return this.#stderr.text
  }

  /** Lines that were no message so far. */
  get noise (): number {
    return this.#noise
  }

  send (text: string, exchange?: WireExchange): void {
    if (this.#isOver) {
      exchange?.onEnd?.({ kind: 'closed', message: 'is not running', sent: false })
      return
    }
    if (this.#child.process.stdin.writableLength > MAX_WAITING_BYTES) {
      exchange?.onEnd?.({ kind: 'closed', message: 'does not read its input', sent: false })
      return
    }
    this.#waiting.push(text, '\n')
    // Lines of one turn go out in one write: 1.5 times the rate with 32 calls at once.
    if (this.#waiting.length === 2) setImmediate(() => this.#flush())
  }

  abandon (): void {}

  async close (): Promise<void> {
    this.#flush()
    this.#isOver = true
    clearTimeout(this.#resume)
    this.#child.process.stdout.resume()
    await this.#child.end()
  }

  #masked (text: string): string {
    return redact(this.#options.mask(text))
  }

  #flush (): void {
    const text = this.#waiting.join('')
    this.#waiting = []
    if (text !== '' && this.#child.process.stdin.writable) this.#child.process.stdin.write(text)
  }

  #onLine (line: string, bytes: number): void {
    if (this.#isOver || line === '' || line === '\r') return
    const now = performance.now()
    const pauseMs = this.#budget.take(bytes, now)
    if (pauseMs > 0) this.#pause(pauseMs)
    const verdict = this.#gate.judge(line, now)
    if (verdict === 'end') this.#fail('sent nothing but notifications, over 1000 a second, for 10 s')
    if (verdict === 'pass' && !(startsObject(line) && this.onText(line))) this.#onNoise(line)
  }

  #pause (ms: number): void {
    const { stdout } = this.#child.process
    stdout.pause()
    clearTimeout(this.#resume)
    this.#resume = setTimeout(() => stdout.resume(), ms)
  }

  #onNoise (line: string): void {
    if (this.#noise++ > 0) return
    const begins = this.#masked(line.slice(0, MASKED_NOISE)).slice(0, SHOWN_NOISE)
    this.#options.log.warn({ begins }, 'lines on stdout that are no messages are skipped; further ones are not logged')
  }

  /** Called twice a line: the call is failed as soon as its id is known. */
  #onTooLong (ends: LineEnds): void {
    if (this.#isOver) return
    if (ends.tail === undefined) this.#countTooLong()
    const told = ends.tail !== undefined && this.#toldTooLarge
    const id = told ? undefined : idOfEnds(ends)
    this.#toldTooLarge = ends.tail === undefined && id !== undefined
    if (id !== undefined && !this.#isOver) this.onTooLarge(id)
  }

  #countTooLong (): void {
    const now = performance.now()
    this.#tooLong = this.#tooLong.filter(at => now - at < TOO_LONG_WINDOW_MS)
    this.#tooLong.push(now)
    if (this.#tooLong.length < MAX_TOO_LONG) return
    this.#fail(`wrote ${MAX_TOO_LONG} lines of over ${this.#options.maxAnswerBytes} bytes within a minute`)
  }

  #fail (why: string): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#resume)
    this.#child.process.stdout.resume()
    this.#child.end()
    this.onClose(why)
  }
}

/** Without parsing: a banner or a log line begins otherwise. */
function startsObject (line: string): boolean {
  return /^\s*\{/.test(line)
}
