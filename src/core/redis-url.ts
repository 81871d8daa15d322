/** What REDIS_URL says, taken apart once: special characters in passwords make other URLs of it than were meant. */

export interface RedisUrl {
  readonly host: string
  readonly port: number
  readonly db: number
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  /** Of addresses: 0 is either. */
  readonly family: 0 | 4 | 6
}

const ENCODE =
  'Write special characters of the user or password in percent-encoding (/ is %2F, # is %23, ? is %3F, @ is %40, % is %25), or set REDIS_USERNAME and REDIS_PASSWORD'

/** @returns what to correct, without a word of the URL, which may hold a password */
export function readRedisUrl (text: string): RedisUrl | { readonly problem: string } {
  const scheme = /^(rediss?):\/\//.exec(text)?.[1]
  if (scheme === undefined) return { problem: 'must be an address such as redis://host:6379 or rediss://host:6379/0' }
  const port = /:(\d+)(?:[/?]|$)/.exec(text.slice(text.lastIndexOf('@') + 1))?.[1]
  if (port !== undefined && !isPort(port)) return { problem: 'names a port that there is not: ports are 1 to 65535' }
  if (!URL.canParse(text)) return { problem: `is no URL. ${ENCODE}` }
  const url = new URL(text)
  const family = url.search === '' ? '0' : /^\?family=([046])$/.exec(url.search)?.[1]
  const path = /^\/?(\d{0,9})$/.exec(url.pathname)
  // A character that was not encoded ended the host early, and what follows it looks like the rest of the URL.
  if (url.hash !== '' || text.includes('#') || family === undefined || path === null) {
    return { problem: `must end after the host, the port and the number of a database. ${ENCODE}` }
  }
  if (url.hostname === '') return { problem: `names no host. ${ENCODE}` }
  const username = decoded(url.username)
  const password = decoded(url.password)
  if (username === undefined || password === undefined) {
    return { problem: `has a % that begins no percent-encoding. ${ENCODE}` }
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    db: path[1] === '' ? 0 : Number(path[1]),
    tls: scheme === 'rediss',
    username: username === '' ? undefined : username,
    password: password === '' ? undefined : password,
    family: Number(family) as RedisUrl['family']
  }
}

/** Host and port of `host:port` or `[2001:db8::1]:port`. */
export function readHostPort (text: string): { host: string, port: number } | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@[\]]+)):(\d{1,5})$/.exec(text.trim())
  if (match === null || !isPort(match[3]!)) return undefined
  return { host: match[1] ?? match[2]!, port: Number(match[3]) }
}

function isPort (text: string): boolean {
  return Number(text) >= 1 && Number(text) <= 65_535
}

function decoded (text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
