/** The local files of one chain: opened for appending, written at once, bounded. */
import {
  chownSync,
  closeSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { Follower } from './follower.ts'

/** Where records of one chain wait until they are old, or kept elsewhere. */
export interface Spool {
  /** That it takes up. */
  readonly bytes: number
  /** Ever appended by this process. */
  readonly appended: number
  /** Whether the next write should begin a segment. */
  readonly isFull: boolean
  /**
   * Whole or not at all.
   *
   * @throws {NodeJS.ErrnoException} ENOSPC and the like; the spool is as before
   */
  append (text: string): void
  /**
   * Go on in a new segment.
   *
   * @param first number of its first line
   */
  turn (first: number): void
  close (): void
  /** Whole writes that were not handed on yet; the same again until `done` was called. */
  next (): Promise<string | undefined>
  done (): void
  /** These files may go where room is needed. */
  keptElsewhere (paths: readonly string[]): void
  /** Segments that went since it was last asked. */
  takeDropped (): readonly DroppedSegment[]
}

export interface DroppedSegment {
  readonly chain: string
  /** Number of the last line that is gone; undefined where nothing of the chain is left here. */
  readonly through: number | undefined
  readonly why: 'age' | 'room'
}

export interface SpoolOptions {
  readonly folder: string
  /** Id of the chain, as it stands in the names of its files. */
  readonly chain: string
  /** Of all files in the folder, of other chains too. */
  readonly maxBytes: number
  readonly retentionMs: number
  /** A new segment after so many bytes, and after so many ms. */
  readonly segmentBytes?: number | undefined
  readonly segmentMs?: number | undefined
}

const SEGMENT_BYTES = 64 * 2 ** 20
const SEGMENT_MS = 3_600_000
/** How often the folder is looked at, ms. */
const SWEEP_MS = 60_000

const NAME = /^audit-(.+)-(\d{12})\.jsonl$/

export interface SegmentFile {
  readonly name: string
  readonly path: string
  readonly chain: string
  readonly first: number
  readonly bytes: number
  readonly changedMs: number
}

/** The segments in a folder, oldest first; none where there is no folder. */
export function segmentsIn (folder: string): SegmentFile[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  return names.flatMap(name => {
    const [, chain, first] = NAME.exec(name) ?? []
    const path = join(folder, name)
    const stat = chain === undefined ? undefined : statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return []
    return [{ name, path, chain: chain!, first: Number(first), bytes: stat.size, changedMs: stat.mtimeMs }]
  }).sort((a, b) => a.changedMs - b.changedMs || a.first - b.first)
}

export class FileSpool implements Spool {
  readonly #options: SpoolOptions
  /** Of this chain, in order. */
  readonly #own: string[] = []
  readonly #follower = new Follower(() => this.#own)
  readonly #elsewhere = new Set<string>()
  #dropped: DroppedSegment[] = []
  appended = 0
  #fd: number | undefined
  #path = ''
  /** Of the current segment. */
  #bytes = 0
  #since = 0
  /** Of all other files in the folder. */
  #others = 0
  #sweptAt = -Infinity

  /** @throws {NodeJS.ErrnoException} where the folder cannot be made or written */
  constructor (options: SpoolOptions) {
    this.#options = options
    makeFolder(options.folder)
    this.#sweep()
    this.#open(1)
  }

  /** Of all files in the folder. */
  get bytes (): number {
    return this.#others + this.#bytes
  }

  get path (): string {
    return this.#path
  }

  get isFull (): boolean {
    const { maxBytes, segmentMs = SEGMENT_MS } = this.#options
    // Room is made by whole segments.
    const { segmentBytes = Math.min(SEGMENT_BYTES, Math.ceil(maxBytes / 8)) } = this.#options
    return this.#bytes > 0 && (this.#bytes >= segmentBytes || performance.now() - this.#since >= segmentMs)
  }

  turn (first: number): void {
    const before = this.#fd
    this.#others += this.#bytes
    this.#open(first)
    if (before !== undefined) closeSync(before)
  }

  /**
   * Whole or not at all: a full disk takes a part of a write without a word.
   *
   * @throws {NodeJS.ErrnoException} ENOSPC and the like; the file is as before
   */
  append (text: string): void {
    const bytes = Buffer.from(text)
    if (performance.now() - this.#sweptAt > SWEEP_MS) this.#sweep()
    if (this.bytes + bytes.length > this.#options.maxBytes) this.#makeRoom(bytes.length)
    let written = 0
    try {
      written = writeSync(this.#fd!, bytes)
    } catch (error) {
      this.#cut()
      throw error
    }
    if (written < bytes.length) {
      this.#cut()
      throw Object.assign(new Error('the disk is full'), { code: 'ENOSPC' })
    }
    this.#bytes += bytes.length
    this.appended += bytes.length
  }

  close (): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  async next (): Promise<string | undefined> {
    return await this.#follower.next()
  }

  done (): void {
    this.#follower.done()
  }

  keptElsewhere (paths: readonly string[]): void {
    for (const path of paths) this.#elsewhere.add(path)
  }

  takeDropped (): readonly DroppedSegment[] {
    const dropped = this.#dropped
    if (dropped.length > 0) this.#dropped = []
    return dropped
  }

  #cut (): void {
    ftruncateSync(this.#fd!, this.#bytes)
  }

  #open (first: number): void {
    const { folder, chain } = this.#options
    this.#path = join(folder, `audit-${chain}-${String(first).padStart(12, '0')}.jsonl`)
    this.#fd = openSync(this.#path, 'ax', 0o600)
    this.#bytes = fstatSync(this.#fd).size
    this.#since = performance.now()
    this.#own.push(this.#path)
    const { uid, gid } = statSync(folder)
    // What root writes is for the server to read that owns the folder.
    if (process.geteuid?.() === 0 && uid !== 0) fchownSync(this.#fd, uid, gid)
  }

  #sweep (): void {
    this.#sweptAt = performance.now()
    const { folder, retentionMs } = this.#options
    this.#others = 0
    const segments = segmentsIn(folder)
    for (const segment of segments) {
      if (segment.path === this.#path) continue
      if (Date.now() - segment.changedMs > retentionMs) this.#drop(segment, segments, 'age')
      else this.#others += segment.bytes
    }
  }

  /** What is older than its time goes, then what is kept elsewhere. */
  #makeRoom (bytes: number): void {
    this.#sweep()
    const isOver = () => this.bytes + bytes > this.#options.maxBytes
    if (!isOver()) return
    this.keptElsewhere(this.#follower.finished)
    const segments = segmentsIn(this.#options.folder)
    for (const segment of segments) {
      if (!isOver()) return
      if (segment.path === this.#path || !this.#elsewhere.delete(segment.path)) continue
      this.#drop(segment, segments, 'room')
      this.#others -= segment.bytes
    }
    if (isOver()) throw Object.assign(new Error('AUDIT_MAX_BYTES is reached'), { code: 'ENOSPC' })
  }

  #drop ({ path, chain, first }: SegmentFile, segments: readonly SegmentFile[], why: DroppedSegment['why']): void {
    rmSync(path, { force: true })
    const later = segments.filter(segment => segment.chain === chain && segment.first > first).map(({ first }) => first)
    this.#dropped.push({ chain, through: later.length === 0 ? undefined : Math.min(...later) - 1, why })
  }
}

/** What root makes belongs to whom the place belongs. */
function makeFolder (folder: string): void {
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (made === undefined || process.geteuid?.() !== 0) return
  const { uid, gid } = statSync(dirname(made))
  for (let path = folder; path.length >= made.length; path = dirname(path)) chownSync(path, uid, gid)
}
