/** What `tools/list` says beside the tools. */
import type { Principal } from '../core/principal.ts'
import { VIA_META_KEY } from '../core/via.ts'
import type { Log } from '../telemetry/log.ts'

export const EMPTY_LIST_META_KEY = 'secure-mcp-server/emptyBecause'

export interface ListedTools {
  readonly isEmpty: boolean
  /** Gateways behind the list, where it may come back here. */
  readonly via: readonly string[] | undefined
}

/**
 * `_meta` of a `tools/list`. A list that a token's scopes empty says so, here and in the log: else it looks as if
 * this server offered nothing. It says the same whether tools exist or not, so nobody learns of one that may not be
 * used.
 */
export function toolsListMeta (
  { isEmpty, via }: ListedTools, { authType, scopes = [] }: Principal, log: Log
): Readonly<Record<string, unknown>> | undefined {
  const isScoped = isEmpty && authType === 'oauth2'
  if (isScoped) log.info({ scopes }, 'tool list is empty: no scope of the token allows a tool')
  if (!isScoped && via === undefined) return undefined
  return {
    ...(isScoped ? { [EMPTY_LIST_META_KEY]: emptyBecause(scopes) } : {}),
    ...(via === undefined ? {} : { [VIA_META_KEY]: via })
  }
}

function emptyBecause (scopes: readonly string[]): string {
  return `No scope of the access token allows a tool. Its scopes: ${scopes.join(' ')}. Log in again and ask for a ` +
    'scope such as mcp:tool:* as well.'
}
