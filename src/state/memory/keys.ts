/** Keys of the key file, and that of the environment. */
import { byName, countsAtOnce, ruleOf, type ApiKeyRecord, type EnvironmentKey } from '../../core/api-key.ts'
import type { RateLimit } from '../../core/limit.ts'
import type { Admission, Keys } from '../keys.ts'
import type { KeptKeys } from './kept.ts'
import type { LastUse } from './last-use.ts'
import type { MemoryWindows } from './windows.ts'

export interface MemoryKeysOptions {
  file: KeptKeys
  /** Used only while the file does not know it. */
  environmentKey: EnvironmentKey | undefined
  windows: MemoryWindows
  uses: LastUse
  /** ms since the epoch. */
  now: () => number
}

export class MemoryKeys implements Keys {
  readonly #options: MemoryKeysOptions

  constructor (options: MemoryKeysOptions) {
    this.#options = options
  }

  async admit (hash: string, rule: RateLimit): Promise<Admission> {
    const { file, environmentKey, windows, now } = this.#options
    const record = file.byHash(hash) ?? (hash === environmentKey?.record.hash ? this.#ofEnvironment() : undefined)
    if (record === undefined) return NOBODY
    return {
      record,
      rateLimit: countsAtOnce(record, hash, now())
        ? windows.count(`key:${record.hash}`, ruleOf(record, rule), 1)
        : undefined
    }
  }

  async saveKey (record: ApiKeyRecord): Promise<void> {
    await this.#options.file.save(record)
  }

  changeKey (id: string, edit: (record: ApiKeyRecord) => ApiKeyRecord): Promise<ApiKeyRecord | undefined> {
    return this.#options.file.change(id, edit, this.#ofEnvironment(id))
  }

  async findKey (id: string): Promise<ApiKeyRecord | undefined> {
    const record = this.#options.file.byId(id) ?? this.#ofEnvironment(id)
    return record === undefined ? undefined : this.#withUse(record)
  }

  async listKeys (): Promise<ApiKeyRecord[]> {
    return [this.#ofEnvironment() ?? [], this.#options.file.records()]
      .flat()
      .map(record => this.#withUse(record))
      .sort(byName)
  }

  async missingKeys (): Promise<string[]> {
    return []
  }

  touchKey ({ id }: ApiKeyRecord, now: number): void {
    this.#options.uses.note(id, now)
  }

  /**
   * The key of the environment, where it has this id, unless the file knows it by its hash or by the id it
   * was made with.
   */
  #ofEnvironment (id?: string): ApiKeyRecord | undefined {
    const { environmentKey, file } = this.#options
    if (environmentKey === undefined) return undefined
    const { record, madeAs } = environmentKey
    if (id !== undefined && id !== record.id) return undefined
    const isKnown = file.byHash(record.hash) !== undefined || (madeAs !== undefined && file.byId(madeAs) !== undefined)
    return isKnown ? undefined : record
  }

  #withUse (record: ApiKeyRecord): ApiKeyRecord {
    const lastUsed = this.#options.uses.of(record.id)
    return lastUsed === undefined ? record : { ...record, lastUsed }
  }
}

const NOBODY: Admission = { record: undefined, rateLimit: undefined }
