/** Whether records are whole: nothing changed, dropped or moved; and whether they are complete. */
import { createReadStream } from 'node:fs'
import { BEGINNING, ChainReader, type ChainFault, type Head } from './chain.ts'
import { isSealed, type SealKey } from './seal.ts'

/** The highest head that a witness knows of each chain. */
export type Heads = ReadonlyMap<string, Head>

export interface ChainVerdict {
  readonly chain: string
  readonly files: readonly string[]
  readonly lines: number
  /** Nothing changed, dropped or moved. */
  readonly whole: boolean
  /** From `chain` to `closed`, or to what a crash left after its last head; no `gap`. */
  readonly complete: boolean
  readonly closed: boolean
  /** Seals that were verified, and those whose key is not here, by its name. */
  readonly seals: number
  readonly unknownKeys: readonly string[]
  /** Lines after the last whole write: what a crash left. */
  readonly tail: number
  readonly lost: number
  /** Work that began and has no end. */
  readonly unfinished: readonly string[]
  /** What witnesses its end beside the file. */
  readonly witnessed: boolean
  /** Number of its first line here: 1, unless what was before it was let go. */
  readonly begins: number
  /** Parts of chains that it says were let go. */
  readonly dropped: ReadonlyArray<{ readonly chain: string, readonly through?: number }>
  readonly fault?: ChainFault & { readonly file: string }
}

export interface VerifyOptions {
  readonly keys: readonly SealKey[]
  readonly heads?: Heads | undefined
  /** Told of lines read so far. */
  readonly onProgress?: ((lines: number) => void) | undefined
}

/** @param files of one chain, in the order of their first numbers */
export async function verifyChain (
  chain: string,
  files: readonly string[],
  options: VerifyOptions
): Promise<ChainVerdict> {
  const check = new ChainCheck(chain, options, await beginningOf(files[0]!))
  let lines = 0
  for (const [at, file] of files.entries()) {
    let number = 0
    for await (const { line, isWhole } of linesOf(file)) {
      number++
      // The end of the last file may be torn by a crash; elsewhere it is a fault.
      if (!isWhole && at === files.length - 1) {
        check.torn = true
        break
      }
      const fault = check.read(line)
      if (fault !== undefined) return check.verdict(files, lines, { ...fault, line: number, file })
      if (++lines % 10_000 === 0) options.onProgress?.(lines)
    }
  }
  const missing = check.missing()
  return check.verdict(
    files,
    lines,
    missing === undefined ? undefined : { what: missing, n: undefined, line: 0, file: files.at(-1)! }
  )
}

/** A segment that is not the first says where the one before it ended. */
async function beginningOf (file: string): Promise<Head> {
  const lines = linesOf(file)
  const { value } = await lines.next()
  await lines.return(undefined)
  try {
    const { n, msg, after } = JSON.parse(value!.line.toString('utf8')) as { n: number, msg: string, after?: Head }
    if (msg !== 'segment' || after?.n !== n - 1) return BEGINNING
    return { n: after.n, z: String(after.z) }
  } catch {
    return BEGINNING
  }
}

/** The same of what was sent on: from the end of the first of these texts, since what was before it may be gone. */
export async function verifyTexts (
  chain: string,
  texts: readonly string[],
  options: VerifyOptions
): Promise<ChainVerdict> {
  const [first = '', ...rest] = texts
  const isWhole = first.startsWith('{"n":1,')
  const check = new ChainCheck(chain, options, isWhole ? BEGINNING : headAt(first))
  let count = 0
  for (const text of isWhole ? texts : rest) {
    for (const line of text.trimEnd().split('\n')) {
      // What was sent twice is there twice.
      if (Number(/^{"n":(\d+),/.exec(line)?.[1] ?? Infinity) <= check.n) continue
      const fault = check.read(Buffer.from(line))
      if (fault !== undefined) return check.verdict([], count, { ...fault, line: count + 1, file: 'the stream' })
      count++
    }
  }
  const missing = isWhole || rest.length > 0 ? check.missing() : undefined
  return check.verdict(
    [], count, missing === undefined ? undefined : { what: missing, n: undefined, line: 0, file: 'the stream' }
  )
}

function headAt (text: string): Head {
  const line = text.trimEnd().split('\n').at(-1)!
  const [, n] = /^{"n":(\d+),/.exec(line) ?? []
  const [, z] = /,"z":"([0-9a-f]{64})"}$/.exec(line) ?? []
  return n === undefined || z === undefined ? BEGINNING : { n: Number(n), z }
}

class ChainCheck {
  torn = false
  readonly #chain: string
  readonly #options: VerifyOptions
  readonly #reader: ChainReader
  readonly #begins: number
  readonly #dropped: Array<{ chain: string, through?: number }> = []
  readonly #unknown = new Set<string>()
  readonly #begun = new Set<string>()
  readonly #witness: Head | undefined
  #seals = 0
  #lost = 0
  #closed = false
  #started = false

  constructor (chain: string, options: VerifyOptions, beginning: Head) {
    this.#reader = new ChainReader(beginning)
    this.#begins = beginning.n + 1
    this.#chain = chain
    this.#options = options
    this.#witness = options.heads?.get(chain)
  }

  /** Number of the last line. */
  get n (): number {
    return this.#reader.head.n + this.#reader.tail
  }

  read (line: Buffer): { what: string, n: number | undefined } | undefined {
    const of = this.#reader.head
    const result = this.#reader.read(line)
    const { n } = this
    if ('what' in result) return { what: result.what, n }
    const { head } = this.#reader
    if (this.#witness !== undefined && head.n === this.#witness.n && head.z !== this.#witness.z) {
      return { what: 'another chain than its witness saw', n }
    }
    const what = this.#closed ? 'a line after the end' : this.#note(result.record, line, of)
    return what === undefined ? undefined : { what, n }
  }

  /** What the end of the files lacks. */
  missing (): string | undefined {
    const { head } = this.#reader
    if (!this.#started) return 'no beginning'
    if (this.#witness !== undefined && head.n < this.#witness.n) {
      return `ends at ${head.n}, and a witness saw ${this.#witness.n}`
    }
    return undefined
  }

  verdict (files: readonly string[], lines: number, fault: ChainVerdict['fault']): ChainVerdict {
    const whole = fault === undefined
    return {
      chain: this.#chain,
      files,
      lines,
      whole,
      complete: whole && this.#begins === 1 && this.#lost === 0 && (this.#closed || this.#witness !== undefined),
      closed: this.#closed,
      seals: this.#seals,
      unknownKeys: [...this.#unknown],
      tail: this.#reader.tail + (this.torn ? 1 : 0),
      lost: this.#lost,
      unfinished: [...this.#begun],
      witnessed: this.#witness !== undefined,
      begins: this.#begins,
      dropped: this.#dropped,
      ...(fault === undefined ? {} : { fault })
    }
  }

  #note (record: Record<string, unknown>, line: Buffer, of: Head): string | undefined {
    const { msg, reqId, chain } = record
    const isFirst = !this.#started && this.#begins === 1
    this.#started = true
    if (isFirst !== (msg === 'chain')) return isFirst ? 'no beginning' : 'a second beginning'
    if (typeof chain === 'string' && chain !== this.#chain) return 'a line of another chain'
    switch (msg) {
      case 'begun':
        this.#begun.add(String(reqId))
        break
      case 'request':
        this.#begun.delete(String(reqId))
        break
      case 'gap':
        this.#lost += Number(record.lost)
        break
      case 'dropped':
        this.#dropped.push(record.of as { chain: string, through?: number })
        break
      case 'closed':
        this.#closed = true
        break
      case 'seal': return this.#seal(record, line, of)
    }
    return undefined
  }

  #seal ({ kid, mac, of: told }: Record<string, unknown>, line: Buffer, of: Head): string | undefined {
    if (told !== of.z) return 'a seal of another place'
    const key = this.#options.keys.find(key => key.kid === kid)
    if (key === undefined) {
      this.#unknown.add(String(kid))
      return undefined
    }
    if (!isSealed(line.toString('utf8'), String(mac), key)) return 'a seal that does not fit'
    this.#seals++
    return undefined
  }
}

async function * linesOf (file: string): AsyncGenerator<{ line: Buffer, isWhole: boolean }> {
  let held: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(file, { highWaterMark: 1_048_576 }) as AsyncIterable<Buffer>) {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    let from = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      yield { line: bytes.subarray(from, end), isWhole: true }
      from = end + 1
    }
    held = bytes.subarray(from)
  }
  if (held.length > 0) yield { line: held, isWhole: false }
}
