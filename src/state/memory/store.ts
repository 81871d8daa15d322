/** State in this process and its files: right for one replica. */
import { join } from 'node:path'
import { byName, countsAtOnce, ruleOf, type ApiKeyRecord, type EnvironmentKey } from '../../core/api-key.ts'
import { localBus } from '../bus.ts'
import { openKeyFile } from './key-file.ts'
import { fileLastUse } from './last-use.ts'
import { fileLedger } from './ledgers.ts'
import { answerCommands, takenUp } from './serving.ts'
import { localSessions } from '../sessions.ts'
import type { Admission, Store } from '../store.ts'
import { localWindows } from './windows.ts'

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
}

/** Values cached or claimed at once. */
const MAX_VALUES = 100_000

/** @throws {UsageError} if a file is broken */
export function memoryStore ({ keysFile, folder, environmentKey, allowShortKeys, serving = false, maxSubjects, warn = () => {} }: MemoryOptions): Store {
  const keys = openKeyFile({ path: keysFile, setting: 'API_KEYS_FILE', allowShort: allowShortKeys, warn })
  const windows = localWindows(maxSubjects)
  const values = new Map<string, { value: string, until: number }>()
  const sessions = localSessions()
  const uses = fileLastUse(join(folder, 'last_used.json'), warn)
  const ledgers = {
    blocklist: fileLedger(join(folder, 'blocklist.json'), warn),
    revocations: fileLedger(join(folder, 'revocations.json'), warn),
    approvals: fileLedger(join(folder, 'approvals.json'), warn)
  }
  const held = [keys, ...Object.values(ledgers)].map(file => file.held)
  const stopAnswering = serving ? answerCommands(folder, held) : () => {}
  const minutely = setInterval(() => {
    uses.write()
    sessions.prune()
  }, 60_000)
  minutely.unref()

  function withUse<T extends ApiKeyRecord | undefined> (record: T): T {
    const lastUsed = record === undefined ? undefined : uses.of(record.id)
    return lastUsed === undefined ? record : { ...record, lastUsed }
  }

  function ofEnvironment (): ApiKeyRecord | undefined {
    if (environmentKey === undefined) return undefined
    const { record, madeAs } = environmentKey
    const isKnown = keys.byHash(record.hash) !== undefined || (madeAs !== undefined && keys.byId(madeAs) !== undefined)
    return isKnown ? undefined : record
  }

  function byHash (hash: string): ApiKeyRecord | undefined {
    return keys.byHash(hash) ?? (hash === environmentKey?.record.hash ? ofEnvironment() : undefined)
  }

  const keep = (key: string, value: string, until: number) => {
    if (values.size >= MAX_VALUES) values.delete(values.keys().next().value!)
    values.delete(key)
    values.set(key, { value, until })
  }
  const kept = (key: string, now: number) => {
    const found = values.get(key)
    return found !== undefined && found.until > now ? found.value : undefined
  }

  return {
    kind: 'memory',
    health: () => 'ok',
    available: () => true,
    acceptLoss: async () => false,

    async admit (hash, rule, now = Date.now()): Promise<Admission> {
      const record = byHash(hash)
      if (record === undefined) return NOBODY
      return { record, rateLimit: countsAtOnce(record, hash, now) ? windows.hit(`key:${record.hash}`, ruleOf(record, rule), 1, now) : undefined }
    },

    hit: async (subject, rule, { cost = 1, tool, now = Date.now() } = {}) => windows.hit(windowOf(subject, tool), rule, cost, now),
    giveBack: async (subject, slice, { cost = 1, tool } = {}) => windows.giveBack(windowOf(subject, tool), slice, cost),

    saveKey: record => keys.save(record),
    changeKey: (id, edit) => keys.change(id, edit, id === environmentKey?.record.id ? ofEnvironment() : undefined),
    findKey: async id => withUse(keys.byId(id) ?? (id === environmentKey?.record.id ? ofEnvironment() : undefined)),
    listKeys: async () => [ofEnvironment() ?? [], keys.records()].flat().map(record => withUse(record)).sort(byName),
    touchKey: ({ id }, now) => uses.note(id, now),

    ...ledgers,
    sessions,
    bus: localBus(),

    cacheGet: async key => kept(key, Date.now()),
    cacheSet: async (key, value, ttlMs) => keep(key, value, Date.now() + ttlMs),
    async claim (key, ttlMs) {
      const now = Date.now()
      if (kept(key, now) !== undefined) return false
      keep(key, '1', now + ttlMs)
      return true
    },

    takenUp: () => takenUp(folder, held.map(({ path }) => path)),

    async close () {
      clearInterval(minutely)
      stopAnswering()
      uses.write()
      keys.close()
      for (const ledger of Object.values(ledgers)) ledger.close()
    }
  }
}

function windowOf (subject: string, tool: string | undefined): string {
  return tool === undefined ? subject : `${subject}\n${tool}`
}

const NOBODY: Admission = { record: undefined, rateLimit: undefined }
