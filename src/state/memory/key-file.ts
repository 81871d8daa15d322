/**
 * API keys in a file: `{"api_keys": {name: key or "sha256:<hex>"},
 * "key_permissions": {name: [pattern]}, "key_records": {name: {…}}}`. The first
 * two members are the older form, which people write by hand; the third holds
 * what the command line knows besides.
 */
import Type from 'typebox'
import { ApiKeyRecord, hashKey } from '../../core/api-key.ts'
import { compileSchema } from '../../core/schema.ts'
import { UsageError } from '../../errors.ts'
import { readIfThere, watchFile, withLock, writeAtomically } from '../../files.ts'

const Details = Type.Omit(ApiKeyRecord, ['name', 'hash', 'permissions'])
const shape = compileSchema(Type.Object({
  api_keys: Type.Optional(Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: 4096 }))),
  key_permissions: Type.Optional(Type.Record(Type.String(), Type.Array(Type.String()))),
  key_records: Type.Optional(Type.Record(Type.String(), Details))
}))
const recordShape = compileSchema(ApiKeyRecord)

interface Content {
  api_keys?: Record<string, string>
  key_permissions?: Record<string, string[]>
  key_records?: Record<string, Omit<ApiKeyRecord, 'name' | 'hash' | 'permissions'>>
}

const HASHED = /^sha256:([0-9a-f]{64})$/

/**
 * @param file named in messages; no value ever is
 * @throws {UsageError} naming the file and what is wrong
 */
export function readKeyFile (text: string, file: string): { records: ApiKeyRecord[], warnings: string[] } {
  const content = parsed(text, file)
  const warnings: string[] = []
  const records = Object.entries(content.api_keys ?? {}).map(([entry, value]): ApiKeyRecord => {
    const hashed = HASHED.exec(value)?.[1]
    if (hashed === undefined) {
      warnings.push(`${file}: key "${entry}" stands in plain text; store its hash instead: secure-mcp keys import`)
      if (value.length < 24) warnings.push(`${file}: key "${entry}" is short enough to be guessed; make a new one: secure-mcp keys create`)
    }
    const hash = hashed ?? hashKey(value)
    const details = content.key_records?.[entry]
    const record: ApiKeyRecord = {
      id: hash.slice(0, 10),
      role: 'caller',
      created: 0,
      ...details,
      name: details === undefined ? entry : nameOf(entry, details.id),
      permissions: content.key_permissions?.[entry] ?? ['*'],
      hash
    }
    if (!recordShape.fits(record)) throw new UsageError(`${file}: key "${entry}": ${recordShape.problems(record).join('; ')}`)
    return record
  })
  return { records, warnings }
}

/** The file's text with one record put in or replaced; everything else stays as it was. */
export function withRecord (text: string | undefined, record: ApiKeyRecord, file: string): string {
  const content = text === undefined ? {} : parsed(text, file)
  const { name, hash, permissions, ...details } = record
  const keys = { ...content.api_keys }
  const known = Object.keys(keys).find(entry => content.key_records?.[entry]?.id === record.id ||
    (content.key_records?.[entry] === undefined && (HASHED.exec(keys[entry]!)?.[1] ?? hashKey(keys[entry]!)).startsWith(record.id)))
  // Names may repeat (a revoked key and its successor); entries may not.
  const entry = known ?? (Object.hasOwn(keys, name) ? `${name}#${record.id}` : name)
  keys[entry] = known !== undefined && hashKey(keys[known]!) === hash ? keys[known]! : `sha256:${hash}`
  return JSON.stringify({
    ...content,
    api_keys: keys,
    key_permissions: { ...content.key_permissions, [entry]: permissions },
    key_records: { ...content.key_records, [entry]: details }
  }, null, 2) + '\n'
}

export interface KeyFile {
  byHash (hash: string): ApiKeyRecord | undefined
  byId (id: string): ApiKeyRecord | undefined
  records (): readonly ApiKeyRecord[]
  /** On disk when this resolves. */
  save (record: ApiKeyRecord): Promise<void>
  close (): void
}

export interface KeyFileOptions {
  path: string
  warn: (message: string) => void
}

/**
 * The file, held in memory and read again when it changes. A file that is
 * broken later keeps the last good state.
 *
 * @throws {UsageError} if it is broken at the start
 */
export function openKeyFile ({ path, warn }: KeyFileOptions): KeyFile {
  let records: ApiKeyRecord[] = []
  let index = new Map<string, ApiKeyRecord>()
  let ids = new Map<string, ApiKeyRecord>()

  const load = (first: boolean) => {
    const text = readIfThere(path)
    const read = text === undefined ? { records: [], warnings: [] } : readKeyFile(text, path)
    records = read.records
    index = new Map(records.flatMap(record => [[record.hash, record] as const,
      ...(record.previous === undefined ? [] : [[record.previous.hash, record] as const])]))
    ids = new Map(records.map(record => [record.id, record]))
    if (first) read.warnings.forEach(warn)
  }
  load(true)

  const stop = watchFile(path, () => {
    try {
      load(false)
    } catch (error) {
      warn(`the key file changed but is not used: ${(error as Error).message}`)
    }
  })

  return {
    byHash: hash => index.get(hash),
    byId: id => ids.get(id),
    records: () => records,
    async save (record) {
      await withLock(path, () => {
        writeAtomically(path, withRecord(readIfThere(path), record, path))
        load(false)
      })
    },
    close: stop
  }
}

function parsed (text: string, file: string): Content {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${file} is not JSON (${positionOf(error)}); mend it or move it away`)
  }
  if (!shape.fits(value)) throw new UsageError(`${file}: ${shape.problems(value).join('; ')}`)
  return value as Content
}

/** Where, never what: V8 quotes the text around a fault, and the text holds keys. */
function positionOf (error: unknown): string {
  return /position \d+( \(line \d+ column \d+\))?/.exec((error as Error).message)?.[0] ?? 'it ends too early'
}

function nameOf (entry: string, id: string): string {
  return entry.endsWith(`#${id}`) ? entry.slice(0, -id.length - 1) : entry
}
