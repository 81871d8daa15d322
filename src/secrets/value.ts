/** One encrypted value: `v1.<key id>.<iv>.<tag and text>`, AES-256-GCM, bound to its name. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { looksLikeFernet, openFernet } from './fernet.ts'
import type { ConfigKey } from './keys.ts'

/** @param name of the setting; a value moved to another name no longer opens */
export function encryptValue (value: string, name: string, key: ConfigKey): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key.bytes, iv).setAAD(associated(name))
  const text = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
  return `v1.${key.id}.${iv.toString('base64url')}.${Buffer.concat([cipher.getAuthTag(), text]).toString('base64url')}`
}

export type Opened = { value: string } | { problem: 'altered' | 'unknown_key' | 'malformed' }

export function decryptValue (text: string, name: string, keys: readonly ConfigKey[]): Opened {
  if (looksLikeFernet(text)) {
    for (const key of keys) {
      const value = openFernet(text, key.bytes)
      if (value !== undefined) return { value }
    }
    return { problem: 'unknown_key' }
  }
  const match = /^v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{22,})$/.exec(text)
  if (match === null) return { problem: 'malformed' }
  const key = keys.find(({ id }) => id === match[1])
  if (key === undefined) return { problem: 'unknown_key' }
  const sealed = Buffer.from(match[3]!, 'base64url')
  // Base64 has several spellings of some endings; only ours is taken.
  if (sealed.toString('base64url') !== match[3]) return { problem: 'altered' }
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, Buffer.from(match[2]!, 'base64url'), {
      authTagLength: 16
    })
      .setAAD(associated(name))
      .setAuthTag(sealed.subarray(0, 16))
    return { value: Buffer.concat([decipher.update(sealed.subarray(16)), decipher.final()]).toString('utf8') }
  } catch {
    return { problem: 'altered' }
  }
}

/** The id of the key that a value was encrypted with; `fernet` for the older format. */
export function keyIdOf (text: string): string {
  return looksLikeFernet(text) ? 'fernet' : text.split('.')[1] ?? 'unknown'
}

function associated (name: string): Buffer {
  return Buffer.from(`secure-mcp config ${name.toLowerCase()}`)
}
