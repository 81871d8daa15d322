/**
 * Sealing what a client carries for us: encrypted, authenticated, bound to
 * whom and what it was made for, and gone after a while. AES-256-GCM with keys
 * derived from STATE_SECRET; the first secret seals, all of them open.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

export interface Sealer {
  /**
   * @param binding what the value is for; opening needs the same
   * @param expires ms since the epoch
   */
  seal (value: unknown, binding: readonly string[], expires: number): string
  /** The value, or undefined if it was altered, expired, or made for something else. */
  open (text: string, binding: readonly string[], now: number): { value: unknown } | undefined
}

/** @param purpose separates keys, so that one kind of sealed text is never taken for another */
export function sealer (secrets: readonly string[], purpose: string): Sealer {
  const keys = secrets.map(secret => Buffer.from(hkdfSync('sha256', secret, '', `secure-mcp ${purpose}`, 32)))
  return {
    seal (value, binding, expires) {
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', keys[0]!, iv).setAAD(associated(binding, expires))
      const sealed = Buffer.concat([cipher.update(JSON.stringify(value ?? null), 'utf8'), cipher.final()])
      return `${expires.toString(36)}.${Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url')}`
    },
    open (text, binding, now) {
      const dot = text.indexOf('.')
      const expires = Number.parseInt(text.slice(0, dot), 36)
      if (dot < 1 || !(expires > now)) return undefined
      const bytes = Buffer.from(text.slice(dot + 1), 'base64url')
      if (bytes.length < 28) return undefined
      for (const key of keys) {
        try {
          const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
            .setAAD(associated(binding, expires))
            .setAuthTag(bytes.subarray(12, 28))
          return {
            value: JSON.parse(
              Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
            ) as unknown
          }
        } catch {
          // Not this key, or not ours at all: the next key decides.
        }
      }
      return undefined
    }
  }
}

function associated (binding: readonly string[], expires: number): Buffer {
  return Buffer.from(JSON.stringify([...binding, expires]))
}
