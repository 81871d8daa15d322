/** State in this process and its files: right for one replica. */
import { join } from 'node:path'
import type { ApiKeyRecord, EnvironmentKey } from '../../core/api-key.ts'
import type { RateLimit } from '../../core/limit.ts'
import type { Health } from '../../core/health.ts'
import { KEYS_TOPIC } from '../keys.ts'
import type { Store } from '../store.ts'
import type { Counting } from '../windows.ts'
import { MemoryBus } from './bus.ts'
import { openKeyFile, type KeyFile } from './key-file.ts'
import { MemoryKeys } from './keys.ts'
import { fileLastUse, type LastUse } from './last-use.ts'
import { FileLedger } from './ledgers.ts'
import { answerCommands, takenUp, type HeldFile } from './serving.ts'
import { MemorySessions } from './sessions.ts'
import { MemoryValues } from './values.ts'
import { MemoryWindows } from './windows.ts'

export interface MemoryOptions {
  /** API keys; see key-file.ts. */
  keysFile: string
  /** Folder of the ledgers' files. */
  folder: string
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
export function memoryStore (options: MemoryOptions): Store {
  return new MemoryStore(options)
}

class MemoryStore implements Store {
  readonly kind = 'memory'
  readonly now: () => number
  readonly blocklist: FileLedger
  readonly revocations: FileLedger
  readonly approvals: FileLedger
  readonly sessions: MemorySessions
  readonly bus = new MemoryBus()
  readonly #keys: MemoryKeys
  readonly #windows: MemoryWindows
  readonly #values: MemoryValues
  readonly #file: KeyFile
  readonly #uses: LastUse
  readonly #minutely: NodeJS.Timeout
  readonly #folder: string
  readonly #stopAnswering: () => void

  constructor ({
    keysFile, folder, environmentKey, serving = false, allowShortKeys, maxSubjects, warn = () => {}, clock
  }: MemoryOptions) {
    const now = clock ?? Date.now
    const lasting = clock ?? steady
    this.now = now
    this.#folder = folder
    this.#file = openKeyFile({
      path: keysFile,
      setting: 'API_KEYS_FILE',
      allowShort: allowShortKeys,
      warn,
      onChange: () => {
        this.bus.hear(KEYS_TOPIC, '')
      }
    })
    this.#uses = fileLastUse(join(folder, 'last_used.json'), warn)
    this.#windows = new MemoryWindows(lasting, maxSubjects)
    this.#values = new MemoryValues(lasting)
    this.sessions = new MemorySessions(lasting)
    this.#keys = new MemoryKeys({ file: this.#file, environmentKey, windows: this.#windows, uses: this.#uses, now })
    const ledger = (name: string) => new FileLedger({ path: join(folder, `${name}.json`), warn, now })
    this.blocklist = ledger('blocklist')
    this.revocations = ledger('revocations')
    this.approvals = ledger('approvals')
    this.#stopAnswering = serving ? answerCommands(folder, this.#held()) : () => {}
    this.#minutely = setInterval(() => {
      this.#uses.write()
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
    return takenUp(
      this.#folder,
      this.#held().map(({ path }) => path)
    )
  }

  async close (): Promise<void> {
    clearInterval(this.#minutely)
    this.#stopAnswering()
    this.#uses.write()
    this.#file.close()
    for (const ledger of [this.blocklist, this.revocations, this.approvals]) ledger.close()
  }

  #held (): HeldFile[] {
    return [this.#file, this.blocklist, this.revocations, this.approvals].map(file => file.held)
  }
}
