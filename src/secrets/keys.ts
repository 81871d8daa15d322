/** The keys that configuration values are encrypted with, and where they come from. */
import { createHash, randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { UsageError } from '../errors.ts'
import { readIfThere, writeAtomically } from '../files.ts'

/** 32 bytes and their public name: the first 8 hex digits of their SHA-256. */
export interface ConfigKey {
  readonly id: string
  readonly bytes: Buffer
}

export interface KeySource {
  /** The setting CONFIG_ENCRYPTION_KEY: a comma list. Wins over the file. */
  readonly keys?: string | undefined
  /** One key a line. */
  readonly keyFile: string
}

const SETTING = 'CONFIG_ENCRYPTION_KEY_FILE'

/** A new key, as text: 32 random bytes, base64url. */
export function newKey (): string {
  return randomBytes(32).toString('base64url')
}

/**
 * The keys in order: the first encrypts, all decrypt. Empty if none exist.
 *
 * @throws {UsageError} for a malformed key or a key file that others may read
 */
export function readKeys ({ keys, keyFile }: KeySource): ConfigKey[] {
  if (keys !== undefined && keys.trim() !== '') return parseKeys(keys.split(','), 'CONFIG_ENCRYPTION_KEY')
  const text = readIfThere(keyFile, SETTING)
  if (text === undefined) return []
  const { mode, uid } = statSync(keyFile)
  // Kubernetes mounts secrets as root's, readable for the pod's group: the process could not change that.
  const othersMayRead = (mode & 0o007) !== 0 || ((mode & 0o070) !== 0 && uid !== 0)
  if (othersMayRead || (mode & 0o022) !== 0) {
    throw new UsageError(
      `${keyFile} can be read by others (mode ${(mode & 0o777).toString(8).padStart(4, '0')}): chmod 600 ${keyFile}, ` +
        'or for a mounted Secret set its mode where it is mounted: defaultMode: 0440 (Kubernetes), mode: 0440 (Docker Compose)'
    )
  }
  return parseKeys(text.split('\n'), keyFile)
}

/** The keys, made and kept if none exist. */
export function readOrMakeKeys (source: KeySource): ConfigKey[] {
  const found = readKeys(source)
  if (found.length > 0) return found
  writeKeys(source.keyFile, [newKey()])
  return readKeys(source)
}

/** @param keys as text, in order */
export function writeKeys (keyFile: string, keys: readonly string[]): void {
  writeAtomically(keyFile, keys.join('\n') + '\n', { setting: SETTING })
}

function parseKeys (texts: readonly string[], where: string): ConfigKey[] {
  return texts.map(text => text.trim()).filter(text => text !== '' && !text.startsWith('#')).map((text, i) => {
    const bytes = /^[A-Za-z0-9_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64url') : undefined
    if (bytes === undefined || bytes.length !== 32 || new Set(bytes).size < 12) {
      throw new UsageError(
        `${where}: key ${i + 1} must be 32 random bytes in base64url (43 characters). Make one with: openssl rand -base64 32 | tr '+/' '-_'`
      )
    }
    return { id: createHash('sha256').update(bytes).digest('hex').slice(0, 8), bytes }
  })
}
