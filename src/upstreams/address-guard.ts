/** Where an upstream's address may lie: a verdict on each, and a look-up that gives only those that may be used. */
import { lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { Network } from './entry.ts'

/** Clouds answer with credentials of the machine there. */
const METADATA = new Set(['169.254.169.254', 'fd00:ec2::254', '100.100.100.200', '168.63.129.16']
  .map(text => ipaddr.parse(text).toNormalizedString()))
const PRIVATE = new Set(['private', 'carrierGradeNat', 'uniqueLocal'])
/** Names of clusters and of home and office networks. */
const PRIVATE_NAME = /\.(?:svc|svc\.cluster\.local|internal|local|lan)$/

type Address = ReturnType<typeof ipaddr.parse>

/**
 * Where an address lies; undefined for one that no upstream has: link-local,
 * multicast, reserved, metadata. An address within another (mapped, NAT64,
 * 6to4, Teredo) is judged as the one that is reached.
 */
export function networkOfAddress (text: string): Network | undefined {
  if (!ipaddr.isValid(text)) return undefined
  const address = unwrapped(ipaddr.parse(text))
  if (METADATA.has(address.toNormalizedString())) return undefined
  const range = address.range()
  if (range === 'loopback') return 'loopback'
  if (PRIVATE.has(range)) return 'private'
  // Global unicast is 2000::/3 (RFC 4291 §2.4); the rest of what has no name is not in use.
  const isGlobal = address.kind() === 'ipv4' || (address.toByteArray()[0]! & 0xe0) === 0x20
  return range === 'unicast' && isGlobal ? 'public' : undefined
}

/** RFC 4291 §2.5.5.2, RFC 6052 §2.1, RFC 7915, RFC 3056 §2, RFC 4380 §4. */
function unwrapped (address: Address): Address {
  if (address.kind() === 'ipv4') return address
  const bytes = address.toByteArray()
  const from = (at: number, mask = 0) => ipaddr.fromByteArray(bytes.slice(at, at + 4).map(byte => byte ^ mask))
  switch (address.range()) {
    case 'ipv4Mapped':
    case 'rfc6052':
    case 'rfc6145': return from(12)
    case '6to4': return from(2)
    case 'teredo': return from(12, 0xff)
    default: return address
  }
}

/** Without brackets and the dot that ends a full name. */
function bareName (hostname: string): string {
  return hostname.toLowerCase().replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

/**
 * Where a host lies unless the file says otherwise: an address where it is, a
 * name by its form. Undefined for an address that may not be used.
 */
export function networkOfHost (hostname: string): Network | undefined {
  const name = bareName(hostname)
  if (isIP(name) !== 0) return networkOfAddress(name)
  if (name === 'localhost' || name.endsWith('.localhost')) return 'loopback'
  return !name.includes('.') || PRIVATE_NAME.test(name) ? 'private' : 'public'
}

const NOBODYS = 'that no upstream may have: link-local, multicast, reserved, or metadata of a cloud'

/**
 * What is wrong with a URL of the file, as far as it can be told without
 * asking anybody: an address as host is never looked up, so it is judged here.
 *
 * @param network where the file says that it lies
 * @param sendsSecrets it has headers or credentials
 */
export function urlFault (url: URL, network: Network | undefined, sendsSecrets: boolean): string | undefined {
  const lies = networkOfHost(url.hostname)
  const isAddress = isIP(bareName(url.hostname)) !== 0
  if (lies === undefined) return `names an address ${NOBODYS}`
  const isElsewhere = isAddress && network !== undefined && network !== lies
  if (isElsewhere) return `names a ${lies} address, and "network" says ${network}`
  const inPlain = url.protocol === 'http:' && sendsSecrets && (network ?? lies) === 'public'
  return inPlain ? 'sends its headers or credentials over plain http to a public address; use https' : undefined
}

/** None of the addresses of a name may be used. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused'
}

/**
 * Look a name up once and judge every address, so that the one that is
 * connected to is one that was judged.
 *
 * @param network where the addresses may lie
 * @param lookup that of the system
 */
export function guardedLookup (network: Network, lookup: typeof systemLookup = systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(bareName(hostname), { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '')
      const usable = found.filter(({ address }) => networkOfAddress(address) === network)
      const first = usable[0]
      if (first === undefined) return callback(new AddressRefused(refusal(found, network)), '')
      if (options.all === true) callback(null, usable)
      else callback(null, first.address, first.family)
    })
  }
}

/** Addresses are not named: they tell of a network that the reader may not know. */
function refusal (found: ReadonlyArray<{ address: string }>, network: Network): string {
  const other = found.map(({ address }) => networkOfAddress(address)).find(lies => lies !== undefined)
  return other === undefined
    ? `its name leads to an address ${NOBODYS}`
    : `its name leads to a ${other} address, and its network is ${network}; if that is meant, set "network": "${other}"`
}
