/**
 * Gateways in a ring: each names itself in what it sends on and in what it lists, so that a message or a list that
 * comes back is known.
 */
import { hkdfSync } from 'node:crypto'

/** `_meta` of `tools/list`: names of this gateway and of those whose tools it offers. */
export const VIA_META_KEY = 'secure-mcp-server/via'

const NAME = /^secure-mcp-[0-9a-f]{16}$/
/** Gateways in a row, or in one list; what is beyond is not told on. */
const MAX_NAMES = 32

/**
 * The name of this gateway: the same on replicas, which share the secret, and of no use to others.
 *
 * @param secret what seals and signs now
 */
export function gatewayName (secret: string): string {
  return `secure-mcp-${Buffer.from(hkdfSync('sha256', secret, '', 'secure-mcp gateway name', 8)).toString('hex')}`
}

/** Gateways that a message passed: those of `Via` that are of this kind (RFC 9110 section 7.6.3). */
export function passedBy (via: string | undefined): string[] {
  if (via === undefined) return []
  return namesIn(via.slice(0, MAX_HEADER).split(',').map(entry => entry.trim().split(/\s+/)[1]))
}

const MAX_HEADER = 8192

/** The `Via` of what goes on. */
export function viaHeader (passed: readonly string[], own: string): string {
  return [...passed, own].map(name => `1.1 ${name}`).join(', ')
}

/** Names in a list from elsewhere; whatever else stands there is left out. */
export function namesIn (list: unknown): string[] {
  if (!Array.isArray(list)) return []
  const names = (list as unknown[]).filter((one): one is string => typeof one === 'string' && NAME.test(one))
  return [...new Set(names)].slice(0, MAX_NAMES)
}
