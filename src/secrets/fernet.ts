/**
 * The older format of encrypted values: Fernet (version 0x80, AES-128-CBC,
 * HMAC-SHA-256 over everything before it). Read and rewritten, never written.
 *
 * @see https://github.com/fernet/spec/blob/master/Spec.md
 */
import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto'

/** Whether a text has the form of a Fernet token: version 0x80 and an eight-byte time. */
export function looksLikeFernet (token: string): boolean {
  return token.startsWith('gAAAAA')
}

/**
 * @param key 32 bytes: the first 16 sign, the last 16 encrypt
 * @returns undefined for anything but an unaltered token of this key
 */
export function openFernet (token: string, key: Buffer): string | undefined {
  if (!/^[A-Za-z0-9_-]+={0,2}$/.test(token) || token.length % 4 !== 0) return undefined
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length < 1 + 8 + 16 + 16 + 32 || bytes[0] !== 0x80 || (bytes.length - 57) % 16 !== 0) return undefined
  const signed = bytes.subarray(0, -32)
  if (!timingSafeEqual(createHmac('sha256', key.subarray(0, 16)).update(signed).digest(), bytes.subarray(-32))) {
    return undefined
  }
  try {
    const decipher = createDecipheriv('aes-128-cbc', key.subarray(16), signed.subarray(9, 25))
    return Buffer.concat([decipher.update(signed.subarray(25)), decipher.final()]).toString('utf8')
  } catch {
    return undefined // wrong padding under a right signature: not a text that anyone encrypted
  }
}

/**
 * Make a token, for the vectors of the specification and for tests.
 *
 * @param seconds since the epoch
 */
export function makeFernet (text: string, key: Buffer, iv: Buffer, seconds: number): string {
  const head = Buffer.alloc(9)
  head[0] = 0x80
  head.writeBigUInt64BE(BigInt(seconds), 1)
  const cipher = createCipheriv('aes-128-cbc', key.subarray(16), iv)
  const signed = Buffer.concat([head, iv, cipher.update(text, 'utf8'), cipher.final()])
  const token = Buffer.concat([signed, createHmac('sha256', key.subarray(0, 16)).update(signed).digest()])
  return token.toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}
