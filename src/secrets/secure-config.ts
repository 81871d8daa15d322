/** The file of settings, some of them encrypted: `{"encrypted_redis_url": "v1.…", "port": 3000}`. */
import { UsageError } from '../errors.ts'
import { readIfThere, readJsonIfThere, withLock, writeAtomically } from '../files.ts'
import { newKey, readKeys, readOrMakeKeys, writeKeys, type ConfigKey, type KeySource } from './keys.ts'
import { decryptValue, encryptValue, keyIdOf } from './value.ts'

export interface SecureConfig extends KeySource {
  readonly file: string
}

const PREFIX = 'encrypted_'
const SETTING = 'SECURE_CONFIG_FILE'
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,63}$/

/**
 * The file's settings by their upper-case names, decrypted.
 *
 * @throws {UsageError} naming the file and the member; never a value
 */
export function readSecureConfig (source: SecureConfig): Record<string, string> {
  const content = readContent(source.file)
  const members = Object.entries(content)
  refuseDoubled(members.map(([member]) => member), source.file)
  const keys = members.some(([member]) => member.startsWith(PREFIX)) ? readKeys(source) : []
  return Object.fromEntries(members.map(([member, value]) => member.startsWith(PREFIX)
    ? [member.slice(PREFIX.length).toUpperCase(), opened(source, member, value, keys)]
    : [member.toUpperCase(), value]))
}

/** Two members of one setting: which of them counts cannot be known. */
function refuseDoubled (members: readonly string[], file: string): void {
  const seen = new Map<string, string>()
  for (const member of members) {
    const name = (member.startsWith(PREFIX) ? member.slice(PREFIX.length) : member).toUpperCase()
    const other = seen.get(name)
    if (other !== undefined) {
      throw new UsageError(`${file}: ${other.slice(0, 80)} and ${member.slice(0, 80)} are the same setting: keep one`)
    }
    seen.set(name, member)
  }
}

/** @throws {UsageError} */
export function getValue (source: SecureConfig, name: string): string | undefined {
  const content = readContent(source.file)
  const member = memberOf(content, name)
  return member === undefined ? undefined : opened(source, member, content[member]!, readKeys(source))
}

/** Names of the encrypted values and the ids of their keys. */
export function listValues (source: SecureConfig): Array<{ name: string, keyId: string }> {
  return Object.entries(readContent(source.file))
    .filter(([member]) => member.startsWith(PREFIX))
    .map(([member, value]) => ({ name: member.slice(PREFIX.length), keyId: keyIdOf(value) }))
}

/**
 * Encrypt and keep a value. Values in the older format are rewritten on the
 * way. On disk when this resolves.
 *
 * @throws {UsageError} if the file holds anything that cannot be read: nothing is overwritten then
 */
export async function setValue (source: SecureConfig, name: string, value: string): Promise<void> {
  if (!NAME.test(name)) throw new UsageError('A name is 1 to 64 characters of A-Z a-z 0-9 _, beginning with a letter')
  await withLock(source.file, () => {
    const keys = readOrMakeKeys(source)
    const content = rewritten(source, keys, keyId => keyId === 'fernet')
    const member = memberOf(content, name) ?? PREFIX + name.toLowerCase()
    content[member] = encryptValue(value, member.slice(PREFIX.length), keys[0]!)
    write(source.file, content)
  }, SETTING)
}

/**
 * Encrypt everything with a new key. In an order that a crash cannot harm: the
 * new key is kept beside the old ones, then the file is rewritten, then the
 * keys that nothing uses any more go.
 *
 * @returns the id of the new key
 */
export async function rotateKey (source: SecureConfig): Promise<string> {
  if (source.keys !== undefined && source.keys.trim() !== '') {
    throw new UsageError(
      'The keys come from CONFIG_ENCRYPTION_KEY: put a new key in front of the list there, then run config rotate-key with --rewrite'
    )
  }
  return await withLock(source.file, () => {
    const old = readKeys(source)
    rewritten(source, old, () => false) // everything must be readable first
    const text = (readIfThere(source.keyFile) ?? '')
      .split('\n')
      .map(line => line.trim())
      .filter(line => line !== '' && !line.startsWith('#'))
    const key = newKey()
    writeKeys(source.keyFile, [key, ...text])
    const keys = readKeys(source)
    write(source.file, rewritten(source, keys, () => true))
    writeKeys(source.keyFile, [key])
    return keys[0]!.id
  }, SETTING)
}

/** Encrypt everything with the first key, without making one: after a key was put in front of the list by hand. */
export async function rewriteAll (source: SecureConfig): Promise<string> {
  return await withLock(source.file, () => {
    const keys = readOrMakeKeys(source)
    write(source.file, rewritten(source, keys, () => true))
    return keys[0]!.id
  }, SETTING)
}

/** The content with some values encrypted anew, after every one was opened. */
function rewritten (
  source: SecureConfig,
  keys: readonly ConfigKey[],
  which: (keyId: string) => boolean
): Record<string, string> {
  const content = readContent(source.file)
  for (const [member, text] of Object.entries(content)) {
    if (!member.startsWith(PREFIX)) continue
    const value = opened(source, member, text, keys)
    if (which(keyIdOf(text))) content[member] = encryptValue(value, member.slice(PREFIX.length), keys[0]!)
  }
  return content
}

function opened ({ file, keyFile }: SecureConfig, member: string, text: string, keys: readonly ConfigKey[]): string {
  const result = decryptValue(text, member.slice(PREFIX.length), keys)
  if ('value' in result) return result.value
  const why = {
    altered: 'was altered, or belongs to another name',
    unknown_key: `was encrypted with a key that is not here (${keyIdOf(text)}); ${keys.length === 0 ? `there is no key: set CONFIG_ENCRYPTION_KEY, or let CONFIG_ENCRYPTION_KEY_FILE (${keyFile}) name the file of that key` : 'add that key to CONFIG_ENCRYPTION_KEY or its file'}`,
    malformed: 'is not an encrypted value'
  }[result.problem]
  throw new UsageError(`${file}: ${member} ${why}. Nothing was changed`)
}

function readContent (file: string): Record<string, string> {
  const value = readJsonIfThere(file, SETTING)
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`${file} must hold one JSON object`)
  }
  return Object.fromEntries(Object.entries(value).map(([member, inner]) => {
    if (typeof inner === 'object' || (member.startsWith(PREFIX) && typeof inner !== 'string')) {
      throw new UsageError(`${file}: ${member.slice(0, 80)} must be a plain value: settings do not nest`)
    }
    return [member, String(inner)]
  }))
}

function memberOf (content: Record<string, string>, name: string): string | undefined {
  return Object.keys(content).find(member => member.toLowerCase() === PREFIX + name.toLowerCase())
}

function write (file: string, content: Record<string, string>): void {
  writeAtomically(file, JSON.stringify(content, null, 2) + '\n', { setting: SETTING })
}
