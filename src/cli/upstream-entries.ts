import { existsSync } from 'node:fs'
import { secureConfigOf } from '../settings/read.ts'
import type { Store } from '../state/store.ts'
import type { Catalogue } from '../tools/catalogue.ts'
import type { UpstreamEntry } from '../upstreams/entry.ts'
import { readUpstreamsFile } from '../upstreams/file.ts'
import { keptOffer, type KeptOffer } from '../upstreams/kept-offer.ts'
import { SharedCatalogue } from '../upstreams/shared-catalogue.ts'
import { valueSources } from '../upstreams/values.ts'
import type { Io } from './command.ts'
import { QUIET } from './with-store.ts'

/** The file of upstreams that a server with this environment reads. */
export function upstreamsFileOf ({ env }: Io): string {
  return env.MCP_SERVERS_FILE || 'config/mcp_servers.json'
}

/**
 * The servers of the file; none where there is no file.
 *
 * @throws {UsageError} with every fault of it
 */
export function upstreamEntries (io: Io): readonly UpstreamEntry[] {
  const path = upstreamsFileOf(io)
  if (!existsSync(path)) return []
  const sources = valueSources(io.env, secureConfigOf(io.env))
  // Exemptions are judged where the patterns are loaded.
  return readUpstreamsFile(path, { sources, stdio: true, patterns: { has: () => true } }).entries
}

/** Own tools, and what the servers of the file offer by what they listed last. @throws {UsageError} for a wrong file */
export async function offerKept (io: Io, store: Store, own: Catalogue): Promise<KeptOffer> {
  return await keptOffer(own, upstreamEntries(io), new SharedCatalogue(store, QUIET))
}
