/**
 * API keys in a file: `{"api_keys": {name: key or "sha256:<hex>"},
 * "key_permissions": {name: [pattern]}, "key_records": {name: {…}}}`. The first
 * two members are the older form, which people write by hand; the third holds
 * what the command line knows besides. Permissions are closed: where some keys
 * have permissions, a key that has none may use nothing.
 */
import { ApiKeyRecord, hashKey, MIN_PLAIN_KEY_LENGTH, SAFE_PLAIN_KEY_LENGTH } from '../../core/api-key.ts'
import { nearest } from '../../core/nearest.ts'
import { faultsIn, type PlainSchema } from '../../core/plain-schema.ts'
import { UsageError } from '../../errors.ts'
import { digestOf, type HeldFile, type InUse } from './serving.ts'
import { jsonOf, readIfThere, watchFile, withLock, writeAtomically } from '../../files.ts'

/** Open: what a newer release adds must not stop this one. Members that were probably misspelt are told apart below. */
const { name: _name, hash: _hash, permissions: _permissions, ...DETAILS } = ApiKeyRecord.properties
const KeyFileContent = {
  type: 'object',
  properties: {
    api_keys: { type: 'object', additionalProperties: { type: 'string', minLength: 1, maxLength: 4096 } },
    key_permissions: { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } },
    key_records: { type: 'object', additionalProperties: { type: 'object', properties: DETAILS, required: ['id', 'role', 'created'] } }
  }
} as const satisfies PlainSchema
const OpenRecord: PlainSchema = { ...ApiKeyRecord, additionalProperties: true }

interface KeyFileContent {
  api_keys?: Record<string, string>
  key_permissions?: Record<string, string[]>
  key_records?: Record<string, Omit<ApiKeyRecord, 'name' | 'hash' | 'permissions'>>
}

const HASHED = /^sha256:([0-9a-f]{64})$/

export interface KeyFileRules {
  /** The setting that names the file, for messages. */
  setting?: string | undefined
  /** Take plain keys that are short enough to be guessed, with a warning. */
  allowShort?: boolean | undefined
}

export interface ReadKeys {
  /** Keys that may be used; those of `problems` are left out. */
  records: ApiKeyRecord[]
  /** What goes on, and should be changed. */
  warnings: string[]
  /** What a start is refused for. A file that changes later is used without these keys. */
  problems: string[]
}

/**
 * @param path named in messages; no value ever is
 * @throws {UsageError} naming the file and what is wrong, where no key can be read
 */
export function readKeyFile (text: string, path: string, { setting, allowShort = false }: KeyFileRules = {}): ReadKeys {
  const content = contentOf(text, path, setting)
  const problems = [...misspeltIn(content, path), ...orphansOf(content, path)]
  const read: ReadKeys = { records: [], warnings: [], problems }
  const restricted = Object.keys(content.key_permissions ?? {}).length > 0
  const entries = Object.entries(content.api_keys ?? {})
  const timesUsed = countOf(entries.map(([, value]) => hashOf(value)))
  const idsUsed = countOf(entries.map(([entry, value]) => idOf(content, entry, value)))

  for (const [entry, value] of entries) {
    const where = `${path}: key "${entry}"`
    const hash = hashOf(value)
    if (timesUsed.get(hash)! > 1 || idsUsed.get(idOf(content, entry, value))! > 1) {
      read.problems.push(`${where} has the same key or id as another entry: which permissions it has cannot be known; keep one`)
      continue
    }
    if (!HASHED.test(value) && !judgePlainKey(value, where, allowShort, read)) continue
    const permissions = own(content.key_permissions, entry)
    if (permissions === undefined && restricted) {
      read.warnings.push(`${where} has no entry in key_permissions, where others have one: it may use nothing; add "${entry}": ["*"] if it may use everything`)
    }
    const details = own(content.key_records, entry)
    const record: ApiKeyRecord = {
      id: idOf(content, entry, value),
      role: 'caller',
      created: 0,
      ...details,
      name: details === undefined ? entry : nameOf(entry, details.id),
      permissions: permissions ?? (restricted ? [] : ['*']),
      hash
    }
    const faults = faultsIn(OpenRecord, record)
    if (faults.length > 0) throw new UsageError(`${where}: ${faults.join('; ')}`)
    read.records.push(record)
  }
  return read
}

/** Members that are none, but near one: ignoring them would leave keys without the restriction that was meant. */
function misspeltIn (content: KeyFileContent, path: string): string[] {
  const problems: string[] = []
  const look = (members: object, known: readonly string[], where: string) => {
    for (const member of Object.keys(members)) {
      const meant = known.includes(member) ? undefined : nearest(member, known)
      if (meant !== undefined) problems.push(`${where} has the member "${member.slice(0, 64)}"; write ${meant}`)
    }
  }
  look(content, ['api_keys', 'key_permissions', 'key_records'], path)
  for (const [entry, details] of Object.entries(content.key_records ?? {})) look(details, Object.keys(DETAILS), `${path}: key_records of "${entry}"`)
  return problems
}

/** Entries that name no key: a misspelt name leaves the key that was meant without its restriction. */
function orphansOf (content: KeyFileContent, path: string): string[] {
  const { api_keys: keys = {}, key_permissions: permissions = {}, key_records: records = {} } = content
  return [['key_permissions', permissions] as const, ['key_records', records] as const].flatMap(([member, named]) =>
    Object.keys(named).filter(entry => !Object.hasOwn(keys, entry))
      .map(entry => `${path}: ${member} names "${entry}", but api_keys has no such key; correct the name or remove the entry`))
}

/** @returns false if the key may not be used */
function judgePlainKey (value: string, where: string, allowShort: boolean, read: ReadKeys): boolean {
  const guessable = value.length < MIN_PLAIN_KEY_LENGTH || /^(.)\1*$/s.test(value)
  if (guessable && !allowShort) {
    read.problems.push(`${where} is short enough to be guessed: use at least ${MIN_PLAIN_KEY_LENGTH} random characters, make a new one (npx secure-mcp-server keys create), ` +
      'or accept the risk with ALLOW_SHORT_KEYS=true')
    return false
  }
  read.warnings.push(`${where} stands in plain text; store its hash instead: npx secure-mcp-server keys import`)
  if (guessable || value.length < SAFE_PLAIN_KEY_LENGTH) read.warnings.push(`${where} is short enough to be guessed; make a new one: npx secure-mcp-server keys create`)
  return true
}

/** The file's text with one record put in or replaced; everything else stays as it was. */
export function withRecord (text: string | undefined, record: ApiKeyRecord, file: string): string {
  const content = text === undefined ? {} : contentOf(text, file)
  const { name, hash, permissions, ...details } = record
  const keys = new Map(Object.entries(content.api_keys ?? {}))
  const known = entryOf(content, record.id)
  // Names may repeat (a revoked key and its successor); entries may not.
  const entry = known ?? (keys.has(name) ? `${name}#${record.id}` : name)
  // Where no key has permissions each may use everything, and the first entry would take that away.
  const implicit = Object.keys(content.key_permissions ?? {}).length === 0 ? [...keys.keys()].map(key => [key, ['*']] as const) : []
  keys.set(entry, `sha256:${hash}`)
  return JSON.stringify({
    ...content,
    api_keys: Object.fromEntries(keys),
    key_permissions: Object.fromEntries(
      [...implicit, ...Object.entries(content.key_permissions ?? {}), [entry, permissions]]
    ),
    key_records: Object.fromEntries([...Object.entries(content.key_records ?? {}), [entry, details]])
  }, null, 2) + '\n'
}

/** The entry that holds the key of an id: by its details, or by its hash where it has none. */
function entryOf (content: KeyFileContent, id: string): string | undefined {
  return Object.entries(content.api_keys ?? {}).find(([entry, value]) => idOf(content, entry, value) === id)?.[0]
}

function idOf (content: KeyFileContent, entry: string, value: string): string {
  return own(content.key_records, entry)?.id ?? hashOf(value).slice(0, 10)
}

export interface KeyFile {
  byHash (hash: string): ApiKeyRecord | undefined
  byId (id: string): ApiKeyRecord | undefined
  records (): readonly ApiKeyRecord[]
  /** On disk when this resolves. */
  save (record: ApiKeyRecord): Promise<void>
  /**
   * Read, change and write in one step, whoever else writes the file.
   *
   * @param absent what is changed where the file has no such key
   * @returns the record as it is now, or undefined for no such id
   */
  change (
    id: string, edit: (record: ApiKeyRecord) => ApiKeyRecord, absent?: ApiKeyRecord
  ): Promise<ApiKeyRecord | undefined>
  readonly held: HeldFile
  close (): void
}

export interface KeyFileOptions extends KeyFileRules {
  path: string
  warn: (message: string) => void
  /** Told whenever the file says something else than before. */
  onChange?: () => void
}

/**
 * The file, held in memory and read again when it changes. A file that is
 * broken later keeps the last good state.
 *
 * @throws {UsageError} if it is broken at the start
 */
export function openKeyFile (options: KeyFileOptions): KeyFile {
  const { path, setting, warn, onChange = () => {} } = options
  let records: ApiKeyRecord[] = []
  let index = new Map<string, ApiKeyRecord>()
  let ids = new Map<string, ApiKeyRecord>()
  let told = new Set<string>()
  let inUse: InUse = { digest: digestOf(undefined) }

  const load = (first: boolean) => {
    const text = readIfThere(path, setting)
    const read = text === undefined ? { records: [], warnings: [], problems: [] } : readKeyFile(text, path, options)
    if (first && read.problems.length > 0) throw new UsageError(read.problems.join('\n'))
    records = read.records
    index = new Map(records.flatMap(record => [[record.hash, record] as const,
      ...(record.previous === undefined ? [] : [[record.previous.hash, record] as const])]))
    ids = new Map(records.map(record => [record.id, record]))
    const messages = [...read.problems, ...read.warnings]
    for (const message of messages) if (!told.has(message)) warn(message)
    told = new Set(messages)
    const digest = digestOf(text)
    const isNew = !first && (!('digest' in inUse) || inUse.digest !== digest)
    inUse = { digest }
    if (isNew) onChange()
  }
  load(true)

  const look = () => {
    try {
      load(false)
    } catch (error) {
      const problem = (error as Error).message
      if (!('problem' in inUse) || inUse.problem !== problem) warn(`the key file changed but is not used: ${problem}`)
      inUse = { problem }
    }
    return inUse
  }
  const stop = watchFile(path, look)

  const change: KeyFile['change'] = (id, edit, absent) => withLock(path, () => {
    const text = readIfThere(path, setting)
    const records = text === undefined ? [] : readKeyFile(text, path, options).records
    const before = records.find(record => record.id === id) ?? absent
    if (before === undefined) return undefined
    const after = edit(before)
    writeAtomically(path, withRecord(text, after, path), { setting })
    load(false)
    return after
  }, setting)

  return {
    byHash: hash => index.get(hash),
    byId: id => ids.get(id),
    records: () => records,
    async save (record) { await change(record.id, () => record, record) },
    change,
    held: { path, look },
    close: stop
  }
}

function contentOf (text: string, path: string, setting?: string): KeyFileContent {
  const value = jsonOf(text, path, setting)
  const faults = faultsIn(KeyFileContent, value)
  if (faults.length > 0) throw new UsageError(`${path}: ${faults.join('; ')}`)
  return value as KeyFileContent
}

function hashOf (value: string): string {
  return HASHED.exec(value)?.[1] ?? hashKey(value)
}

function nameOf (entry: string, id: string): string {
  return entry.endsWith(`#${id}`) ? entry.slice(0, -id.length - 1) : entry
}

/** A member of its own, whatever the entry is called. */
function own<T> (members: Record<string, T> | undefined, entry: string): T | undefined {
  return members !== undefined && Object.hasOwn(members, entry) ? members[entry] : undefined
}

function countOf (values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}
