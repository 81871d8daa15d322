/** What a request line asks for, in one form (RFC 9112 §3.2). */

/** Where a target goes that cannot be decoded: no route has it. */
export const UNDECODABLE = '/%00'

/** Of a PUBLIC_URL, what stands before every path: `/gw` of `https://example.com/gw`, else nothing. */
export function pathPrefix (publicUrl: string): string {
  return new URL(publicUrl).pathname.replace(/(?<!\/)\/+$/, '')
}

/**
 * The path and query that routes are found by. An absolute target is reduced
 * to its path; its authority is the Origin layer's to judge (`authorityOf`).
 * The prefix of PUBLIC_URL goes, so that both kinds of ingress lead here: those
 * that take it away and those that pass it on.
 *
 * @param target as the request line has it
 * @param prefix of `pathPrefix`
 */
export function routedTarget (target: string, prefix: string): string {
  if (target === '/mcp') return target // nearly all are
  let path = target.startsWith('/') ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  if (!path.startsWith('/')) path = `/${path}`
  if (prefix !== '' && path.startsWith(prefix) && /^(?:$|[/?#])/.test(path.slice(prefix.length))) {
    path = path.slice(prefix.length)
    if (!path.startsWith('/')) path = `/${path}`
  }
  return decodedPath(path) === undefined ? UNDECODABLE : path
}

/** The host that an absolute target names: it counts, and not the Host header (RFC 9112 §3.2.2). */
export function authorityOf (target: string): string | undefined {
  return target.startsWith('/') ? undefined : /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(target)?.[1]
}

/** The path of a target, decoded; undefined if it cannot be. */
export function decodedPath (target: string): string | undefined {
  const path = target.split(/[?#]/, 1)[0]!
  if (!path.includes('%')) return path
  try {
    return decodeURI(path)
  } catch {
    return undefined
  }
}

/**
 * Whether a path that is not the endpoint was meant to be: `/mcp/`, `//mcp`, `/MCP`. Who asks there speaks
 * JSON-RPC.
 */
export function resemblesEndpoint (path: string): boolean {
  return path.replace(/\/+/g, '/').replace(/\/$/, '').toLowerCase() === '/mcp'
}
