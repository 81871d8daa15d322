/** Which policy held, in eight characters: to know later whether that of then is that of now. */
import { hash } from 'node:crypto'
import type { Principal } from './principal.ts'

/** The same few policies ask again and again. */
const MAX_KEPT = 1000
const kept = new Map<string, string>()

/**
 * The first eight hexadecimal digits of SHA-256 over permissions, end, limit and address ranges.
 *
 * @param limit units in a window that the principal was held to
 */
export function policyVersion (
  { permissions, expiresAt, cidrs }: Pick<Principal, 'permissions' | 'expiresAt' | 'cidrs'>,
  limit: number | undefined
): string {
  const ranges = cidrs === undefined ? '' : `\n\n${cidrs.join('\n')}`
  const text = `${permissions.join('\n')}\n\n${expiresAt ?? ''}\n${limit ?? ''}${ranges}`
  const known = kept.get(text)
  if (known !== undefined) return known
  if (kept.size >= MAX_KEPT) kept.clear()
  const version = hash('sha256', text, 'hex').slice(0, 8)
  kept.set(text, version)
  return version
}
