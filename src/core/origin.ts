/** Host and Origin allow-lists, against DNS rebinding. Whole values are compared, never prefixes. */
import { isIP } from 'node:net'

/** The `host[:port]` and origin forms that a public URL and the loopback names of its port answer to. */
export function defaultHosts (publicUrl: string): string[] {
  const { host, hostname, port, protocol } = new URL(publicUrl)
  if (!isLoopback(hostname)) return [host]
  const suffix = port === '' ? '' : `:${port}`
  const names = ['localhost', '127.0.0.1', '[::1]'].map(name => name + suffix)
  return protocol === 'http:' ? names : [...new Set([host, ...names])]
}

/** The port that a URL of this scheme has where it names none. */
const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' }

/** A name or address in brackets, then perhaps a port (RFC 9110 §7.2). No user, no path. */
const HOST =
  /^(\[[0-9a-f:.]+\]|[a-z0-9_\u0080-\uffff-](?:[a-z0-9_.\u0080-\uffff-]*[a-z0-9_\u0080-\uffff-])?)\.?(?::(\d*))?$/

/**
 * The one form of a Host value: lower case, without the port that goes without
 * saying (RFC 9110 §4.2.3) and without the dot that ends a full name
 * (RFC 3986 §3.2.2).
 *
 * @param protocol `http:` or `https:`, as clients see this server
 * @returns undefined for what is no host
 */
export function normalHost (host: string, protocol: string): string | undefined {
  const match = HOST.exec(host.toLowerCase())
  if (match === null) return undefined
  const [, name, port] = match
  return port === undefined || port === '' || port === DEFAULT_PORTS[protocol] ? name : `${name}:${port}`
}

/**
 * The one form of a browser's origin: its scheme, and its host in the form of `normalHost`; or `null`, as
 * pages without one say.
 */
export function normalOrigin (origin: string): string | undefined {
  if (origin === 'null') return origin
  const match = /^([a-z][a-z0-9+.-]*:)\/\/(.+)$/i.exec(origin)
  if (match === null) return undefined
  const scheme = match[1]!.toLowerCase()
  const host = normalHost(match[2]!, scheme)
  return host === undefined ? undefined : `${scheme}//${host}`
}

/** Whether the Host header names this server. Ports count: `localhost:1` is not `localhost:3000`. */
export type HostCheck = (host: string | undefined) => boolean

/**
 * @param allowed `host[:port]` values
 * @param protocol of the URL that clients use
 */
export function hostCheck (allowed: readonly string[], protocol: string): HostCheck {
  const hosts = new Set(allowed.map(host => normalHost(host, protocol)))
  return host => {
    if (host === undefined) return false
    if (hosts.has(host)) return true // as nearly all write it
    const normal = normalHost(host, protocol)
    return normal !== undefined && hosts.has(normal)
  }
}

/**
 * For a listener without names of its own: loopback, the name that it listens
 * on, and addresses, which no DNS record can be rebound to. Ports are those of
 * forwarders as well, so they do not count.
 *
 * @param ownName host of the listener
 */
export function addressedHostCheck (ownName: string): HostCheck {
  const own = ownName.toLowerCase()
  return host => {
    const name = host === undefined ? undefined : normalHost(host, 'http:')?.replace(/:\d*$/, '')
    return name !== undefined && (isLoopback(name) || name === own || isIP(name.replace(/^\[|\]$/g, '')) !== 0)
  }
}

/**
 * Whether the Origin header, if there is one, is allowed. Absent is fine: only
 * browsers send it. What is not listed is not, `null` included.
 */
export function originCheck (allowed: readonly string[]): (origin: string | undefined) => boolean {
  const origins = new Set(allowed.map(normalOrigin))
  return origin => {
    const normal = origin === undefined ? undefined : normalOrigin(origin)
    return origin === undefined || (normal !== undefined && origins.has(normal))
  }
}

export function isLoopback (hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
