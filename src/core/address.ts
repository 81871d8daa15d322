/** Addresses of clients: normal form, the group that shares a counter, and ranges. */
import { isIP } from 'node:net'

/**
 * The normal form of an address: IPv4-mapped IPv6 becomes IPv4, zone ids go,
 * the rest is lower case. Anything that is no address becomes `undefined`.
 */
export function normalAddress (text: string): string | undefined {
  const bare = text.split('%', 1)[0]!.toLowerCase()
  const family = isIP(bare)
  if (family === 4) return bare
  if (family === 0) return undefined
  const full = expandIpv6(bare)
  const mapped = full.slice(0, 6)
  if (mapped.every((part, i) => part === (i === 5 ? 0xffff : 0))) {
    return [full[6]! >> 8, full[6]! & 255, full[7]! >> 8, full[7]! & 255].join('.')
  }
  return full.map(part => part.toString(16)).join(':')
}

/**
 * Whether a hop of the way here is a proxy of ours, which says by whom it was asked. Hop 0 is the peer of the
 * connection.
 */
export type IsProxy = (address: string, hop: number) => boolean

/**
 * @param trust what TRUST_PROXY says: nobody, a number of hops, or ranges
 */
export function proxies (trust: false | number | readonly string[]): IsProxy {
  if (trust === false) return () => false
  if (typeof trust === 'number') return (_address, hop) => hop < trust
  const ranges = addressSet(trust)
  return address => ranges.has(address)
}

/** More entries than any chain of proxies has: whoever sends them wants us to read. */
const MAX_HOPS = 32

/**
 * Whose request it is: the peer's, or where the peer is a proxy of ours the
 * last entry of its X-Forwarded-For, and so on outwards.
 *
 * An entry that cannot be read has no answer. To take the proxy's own address
 * instead would serve who is blocked, and let the failures of one stranger
 * count against everyone behind that proxy.
 *
 * @param peer the address of the connection's other end
 * @param forwarded the header, as one list: several headers in their order
 * @returns the address in normal form; undefined if an entry that decides is none
 */
export function clientAddress (peer: string, forwarded: string | undefined, isProxy: IsProxy): string | undefined {
  let address = normalAddress(peer)
  if (forwarded === undefined || address === undefined || !isProxy(address, 0)) return address
  const entries = forwarded.split(',').map(entry => entry.trim()).filter(entry => entry !== '')
  for (let hop = 0; hop < MAX_HOPS; hop++) {
    const entry = entries.pop()
    if (entry === undefined || !isProxy(address, hop)) return address
    const next = normalAddress(withoutPort(entry))
    if (next === undefined) return undefined
    address = next
  }
  return undefined
}

/** `203.0.113.7:51234` and `[2001:db8::1]:443`, as some proxies write them, by the address alone. */
function withoutPort (entry: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(entry)
  if (bracketed !== null) return bracketed[1]!
  // A last part of digits is a port only after an IPv4 address: in IPv6 it is a part.
  return /^(.*\.\d{1,3}):\d{1,5}$/.exec(entry)?.[1] ?? entry
}

/** The address that a counter is kept for: IPv4 whole, IPv6 by /64, which one subscriber owns. */
export function addressGroup (text: string): string {
  const address = normalAddress(text)
  if (address === undefined) return 'unknown'
  return address.includes(':') ? address.split(':').slice(0, 4).join(':') + '::/64' : address
}

/**
 * The normal form of an address or CIDR range, or `undefined` if it is neither.
 * An address becomes a range of one (`/32`, `/128`). The bits of an IPv4-mapped
 * range count in IPv6, as it is written: `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
 */
export function normalRange (text: string): string | undefined {
  const [head, bits, ...rest] = text.trim().split('/')
  const address = head === undefined || rest.length > 0 ? undefined : normalAddress(head)
  if (address === undefined) return undefined
  const width = address.includes(':') ? 128 : 32
  if (bits === undefined) return `${address}/${width}`
  const offset = width === 32 && head!.includes(':') ? 96 : 0
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > width + offset || Number(bits) < offset) return undefined
  return `${address}/${Number(bits) - offset}`
}

/** Addresses whose answer a set remembers at once. */
const MAX_REMEMBERED = 10_000

/**
 * A set of ranges. A look-up costs one step for each width that occurs, however
 * many ranges there are; an address that was looked up since the last change
 * costs one step in all.
 */
export interface AddressSet {
  readonly size: number
  /** A range that holds the address, as it was added. */
  find (address: string): string | undefined
  has (address: string): boolean
  /** Twice is once; what is no range is ignored. */
  add (range: string): void
  delete (range: string): void
}

/**
 * @param ranges in the form of `normalRange`; others are ignored
 */
export function addressSet (ranges: Iterable<string> = []): AddressSet {
  const held = new Map<string, { family: Family, bits: number, prefix: string }>()
  /** Width → prefix → the ranges that say it: 10.0.0.0/8 and 10.9.9.9/8 are two that are one. */
  const buckets: Record<Family, Map<number, Map<string, string[]>>> = { ipv4: new Map(), ipv6: new Map() }
  const remembered = new Map<string, string | undefined>()

  const lookUp = (text: string): string | undefined => {
    const address = normalAddress(text)
    if (address === undefined) return undefined
    const { family, digits } = written(address)
    for (const [bits, bucket] of buckets[family]) {
      const ranges = bucket.get(prefixOf(digits, bits))
      if (ranges !== undefined) return ranges[0]
    }
    return undefined
  }
  const find = (text: string): string | undefined => {
    let range = remembered.get(text)
    if (range !== undefined || remembered.has(text)) return range
    range = lookUp(text)
    if (remembered.size >= MAX_REMEMBERED) remembered.clear()
    remembered.set(text, range)
    return range
  }
  const add = (text: string) => {
    const range = held.has(text) ? undefined : normalRange(text)
    if (range === undefined) return
    const [address, width] = range.split('/') as [string, string]
    const { family, digits } = written(address)
    const bits = Number(width)
    const prefix = prefixOf(digits, bits)
    const bucket = buckets[family].get(bits) ?? new Map<string, string[]>()
    buckets[family].set(bits, bucket)
    const same = bucket.get(prefix)
    if (same === undefined) bucket.set(prefix, [text])
    else same.push(text)
    held.set(text, { family, bits, prefix })
    remembered.clear()
  }
  for (const range of ranges) add(range)

  return {
    get size () { return held.size },
    add,
    delete (text) {
      const range = held.get(text)
      if (range === undefined) return
      held.delete(text)
      remembered.clear()
      const { family, bits, prefix } = range
      const bucket = buckets[family].get(bits)!
      const others = bucket.get(prefix)!.filter(other => other !== text)
      if (others.length > 0) bucket.set(prefix, others)
      else bucket.delete(prefix)
      if (bucket.size === 0) buckets[family].delete(bits)
    },
    find,
    has: text => find(text) !== undefined
  }
}

type Family = 'ipv4' | 'ipv6'

/** An address in normal form, by all its hexadecimal digits: 8 or 32. */
function written (address: string): { family: Family, digits: string } {
  return address.includes(':')
    ? { family: 'ipv6', digits: address.split(':').map(part => part.padStart(4, '0')).join('') }
    : { family: 'ipv4', digits: address.split('.').map(part => Number(part).toString(16).padStart(2, '0')).join('') }
}

/** The first bits, as text that no other first bits of that many have. */
function prefixOf (digits: string, bits: number): string {
  const whole = bits >> 2
  const rest = bits & 3
  const start = digits.slice(0, whole)
  return rest === 0 ? start : `${start}${Number.parseInt(digits[whole]!, 16) >> (4 - rest)}`
}

function expandIpv6 (text: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  const plain =
    dotted === null
      ? text
      : `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${(Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)}`
  const [left = '', right] = plain.split('::')
  const head = left === '' ? [] : left.split(':')
  const tail = right === undefined || right === '' ? [] : right.split(':')
  const gap = right === undefined ? 0 : 8 - head.length - tail.length
  return [...head, ...Array<string>(gap).fill('0'), ...tail].map(part => Number.parseInt(part, 16))
}
