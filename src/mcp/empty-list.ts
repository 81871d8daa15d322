/** A list that a token's scopes empty says so: else it looks as if this server offered nothing. */
import type { Principal } from '../core/principal.ts'
import type { Log } from '../telemetry/log.ts'

export const EMPTY_LIST_META_KEY = 'secure-mcp-server/emptyBecause'

/**
 * `_meta` of an empty `tools/list`, and a line in the log. It says the same
 * whether tools exist or not, so nobody learns of one that may not be used.
 *
 * @returns undefined for callers without scopes
 */
export function emptyListMeta ({ authType, scopes = [] }: Principal, log: Log): Record<string, string> | undefined {
  if (authType !== 'oauth2') return undefined
  log.info({ scopes }, 'tool list is empty: no scope of the token allows a tool')
  return {
    [EMPTY_LIST_META_KEY]: `No scope of the access token allows a tool. Its scopes: ${scopes.join(' ')}. Log in again and ask for a scope such as mcp:tool:* as well.`
  }
}
