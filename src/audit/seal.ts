/** Seals: what somebody who rewrites a chain cannot make anew, and the other keys that records are made with. */
import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'

export interface SealKey {
  /** Public name: the first 8 hexadecimal digits of a digest. */
  readonly kid: string
  readonly bytes: Buffer
}

/** @param secret of AUDIT_KEY, or what stands for it */
function derived (secret: string | Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `secure-mcp ${purpose}`, 32))
}

/** In order: the first seals, all verify. */
export function sealKeys (secrets: ReadonlyArray<string | Buffer>): SealKey[] {
  return secrets.map(secret => {
    const bytes = derived(secret, 'audit seal')
    return { kid: createHash('sha256').update('kid').update(bytes).digest('hex').slice(0, 8), bytes }
  })
}

/** What digests of arguments are keyed with. */
export function digestKey (secret: string | Buffer): string {
  return derived(secret, 'audit digests').toString('hex')
}

/**
 * A line of JSON, still without `n` and `z`, that holds what stands before it. `n` is what the chain will
 * number it.
 */
export function sealed (members: object, n: number, { kid, bytes }: SealKey): string {
  const text = JSON.stringify({ ...members, kid }).slice(0, -1)
  return `${text},"mac":"${macOf(`{"n":${n},${text.slice(1)}`, bytes)}"}`
}

/** @param line as it stands */
export function isSealed (line: string, mac: string, { bytes }: SealKey): boolean {
  const at = line.lastIndexOf(',"mac":"')
  const made = Buffer.from(macOf(line.slice(0, at), bytes))
  const told = Buffer.from(mac)
  return made.length === told.length && timingSafeEqual(made, told)
}

function macOf (text: string, key: Buffer): string {
  return createHmac('sha256', key).update(text).digest('hex')
}
