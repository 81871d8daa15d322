/** Host and Origin allow-lists, against DNS rebinding. Whole values are compared, never prefixes. */

/** The `host[:port]` and origin forms that a public URL and the loopback names of its port answer to. */
export function defaultHosts (publicUrl: string): string[] {
  const { host, hostname, port, protocol } = new URL(publicUrl)
  if (!isLoopback(hostname)) return [host]
  const suffix = port === '' ? '' : `:${port}`
  const names = ['localhost', '127.0.0.1', '[::1]'].map(name => name + suffix)
  return protocol === 'http:' ? names : [...new Set([host, ...names])]
}

/** Whether the Host header names this server. Ports count: `localhost:1` is not `localhost:3000`. */
export function hostAllowed (host: string | undefined, allowed: ReadonlySet<string>): boolean {
  return host !== undefined && allowed.has(host.toLowerCase())
}

/**
 * Whether the Origin header, if there is one, is allowed. Absent is fine: only
 * browsers send it. `null` and anything unlisted is not.
 */
export function originAllowed (origin: string | undefined, allowed: ReadonlySet<string>): boolean {
  return origin === undefined || allowed.has(origin.toLowerCase())
}

export function isLoopback (hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
