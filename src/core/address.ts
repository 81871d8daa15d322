/** Addresses of clients: normal form, the group that shares a counter, and ranges. */
import { BlockList, isIP } from 'node:net'

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

/** The address that a counter is kept for: IPv4 whole, IPv6 by /64, which one subscriber owns. */
export function addressGroup (text: string): string {
  const address = normalAddress(text)
  if (address === undefined) return 'unknown'
  return address.includes(':') ? address.split(':').slice(0, 4).join(':') + '::/64' : address
}

/**
 * The normal form of an address or CIDR range, or `undefined` if it is neither.
 * An address becomes a range of one (`/32`, `/128`).
 */
export function normalRange (text: string): string | undefined {
  const [head, bits, ...rest] = text.trim().split('/')
  const address = head === undefined || rest.length > 0 ? undefined : normalAddress(head)
  if (address === undefined) return undefined
  const width = address.includes(':') ? 128 : 32
  if (bits === undefined) return `${address}/${width}`
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > width) return undefined
  return `${address}/${Number(bits)}`
}

/** A set of ranges. Single addresses cost one look-up however many there are; wider ranges are walked. */
export interface AddressSet {
  readonly size: number
  has (address: string): boolean
}

/**
 * @param ranges in the form of `normalRange`; others are ignored
 */
export function addressSet (ranges: Iterable<string>): AddressSet {
  const single = new Set<string>()
  const wide = new BlockList()
  let size = 0
  let anyWide = false
  for (const text of ranges) {
    const range = normalRange(text)
    if (range === undefined) continue
    size++
    const [address, bits] = range.split('/') as [string, string]
    const family = address.includes(':') ? 'ipv6' : 'ipv4'
    if (bits === (family === 'ipv6' ? '128' : '32')) single.add(address)
    else {
      wide.addSubnet(address, Number(bits), family)
      anyWide = true
    }
  }
  return {
    size,
    has (text) {
      const address = normalAddress(text)
      if (address === undefined) return false
      return single.has(address) || (anyWide && wide.check(address, address.includes(':') ? 'ipv6' : 'ipv4'))
    }
  }
}

function expandIpv6 (text: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  const plain = dotted === null
    ? text
    : `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${(Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)}`
  const [left = '', right] = plain.split('::')
  const head = left === '' ? [] : left.split(':')
  const tail = right === undefined || right === '' ? [] : right.split(':')
  const gap = right === undefined ? 0 : 8 - head.length - tail.length
  return [...head, ...Array<string>(gap).fill('0'), ...tail].map(part => Number.parseInt(part, 16))
}
