/** State in this process and its files: right for one replica. */
import { dirname } from 'node:path'
import type { ApiKeyRecord, EnvironmentKey } from '../../core/api-key.ts'
import type { RateLimit } from '../../core/limit.ts'
import type { Health } from '../../core/health.ts'
import { KEYS_TOPIC } from '../keys.ts'
import type { Catalogues } from '../catalogues.ts'
import type { Ledger } from '../ledgers.ts'
import type { Store } from '../store.ts'
import type { Counting } from '../windows.ts'
import { MemoryBus } from './bus.ts'
import { keptInFiles, type Kept } from './kept.ts'
import { MemoryKeys } from './keys.ts'
import { MemorySessions } from './sessions.ts'
import { keptHere } from './unwritten.ts'
import { MemoryValues } from './values.ts'
import { MemoryWindows } from './windows.ts'

export interface MemoryOptions {
  /** API keys; see key-file.ts. Absent: nothing is read or written, and all ends with the process. */
  keysFile?: string
  /** Folder of the ledgers' files; that of the key file if absent. */
  folder?: string
  /** Used only while the file does not know it. */
  environmentKey?: EnvironmentKey | undefined
  /** Answer commands that ask whether their change is in use. */
  serving?: boolean | undefined
  /** Take plain keys that are short enough to be guessed. */
  allowShortKeys?: boolean | undefined
  /** Subjects counted at once; the one idle longest goes first. */
  maxSubjects?: number
  warn?: (message: string) => void
  /** ms since the epoch; the machine's clock if absent. */
  clock?: () => number
}

/** Time that nobody sets, ms since the epoch: for what only lasts, and ends by no date. */
const steady = () => performance.timeOrigin + performance.now()

/** @throws {UsageError} if a file is broken */
export function memoryStore (options: MemoryOptions = {}): Store {
  return new MemoryStore(options)
}

class MemoryStore implements Store {
  readonly kind = 'memory'
  readonly now: () => number
  readonly blocklist: Ledger
  readonly revocations: Ledger
  readonly approvals: Ledger
  readonly sessions: MemorySessions
  readonly bus = new MemoryBus()
  readonly catalogues: Catalogues
  readonly records = undefined
  readonly #keys: MemoryKeys
  readonly #windows: MemoryWindows
  readonly #values: MemoryValues
  readonly #kept: Kept
  readonly #minutely: NodeJS.Timeout

  constructor ({ keysFile, folder, environmentKey, maxSubjects, clock, ...more }: MemoryOptions) {
    const now = clock ?? Date.now
    const lasting = clock ?? steady
    const onKeys = () => { this.bus.hear(KEYS_TOPIC, '') }
    this.now = now
    this.#kept = keysFile === undefined
      ? keptHere(now, onKeys)
      : keptInFiles({ ...more, keysFile, folder: folder ?? dirname(keysFile), now, onKeys })
    const { keys: file, uses, blocklist, revocations, approvals } = this.#kept
    this.#windows = new MemoryWindows(lasting, maxSubjects)
    this.#values = new MemoryValues(lasting)
    this.sessions = new MemorySessions(lasting)
    this.#keys = new MemoryKeys({ file, environmentKey, windows: this.#windows, uses, now })
    this.blocklist = blocklist
    this.revocations = revocations
    this.approvals = approvals
    this.catalogues = this.#kept.catalogues
    this.#minutely = setInterval(() => {
      uses.write()
      this.sessions.prune()
    }, 60_000)
    this.#minutely.unref()
  }

  health (): Health {
    return 'ok'
  }

  available (): boolean {
    return true
  }

  async acceptLoss (): Promise<boolean> {
    return false
  }

  admit (hash: string, rule: RateLimit) {
    return this.#keys.admit(hash, rule)
  }

  saveKey (record: ApiKeyRecord) {
    return this.#keys.saveKey(record)
  }

  changeKey (id: string, edit: (record: ApiKeyRecord) => ApiKeyRecord) {
    return this.#keys.changeKey(id, edit)
  }

  findKey (id: string) {
    return this.#keys.findKey(id)
  }

  listKeys () {
    return this.#keys.listKeys()
  }

  missingKeys () {
    return this.#keys.missingKeys()
  }

  touchKey (record: ApiKeyRecord, now: number) {
    this.#keys.touchKey(record, now)
  }

  hit (subject: string, rule: RateLimit, how?: Counting) {
    return this.#windows.hit(subject, rule, how)
  }

  giveBack (subject: string, slice: number, how?: Counting) {
    return this.#windows.giveBack(subject, slice, how)
  }

  cacheGet (key: string) {
    return this.#values.cacheGet(key)
  }

  cacheSet (key: string, value: string, ttlMs: number) {
    return this.#values.cacheSet(key, value, ttlMs)
  }

  claim (key: string, ttlMs: number) {
    return this.#values.claim(key, ttlMs)
  }

  takenUp () {
    return this.#kept.takenUp()
  }

  async diagnose () { return { nodes: [], roundTripMs: undefined, clockAheadMs: 0 } }

  async close (): Promise<void> {
    clearInterval(this.#minutely)
    this.#kept.close()
  }
}
