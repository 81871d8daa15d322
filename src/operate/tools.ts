/** What an operator looks up about tools. */
import type { ApiKeyRecord } from '../core/api-key.ts'
import { mayUse } from '../core/permissions.ts'
import type { Principal } from '../core/principal.ts'
import type { Store } from '../state/store.ts'
import { visible, type Catalogue } from '../tools/catalogue.ts'

export interface ToolView {
  tool: string
  /** The server behind this one that runs it; undefined: this one does. */
  upstream: string | undefined
  /** Names of the keys that may call it now. */
  callers: string[]
  cost: number
  rate: { limit: number, windowMs: number } | undefined
  /** Patterns of the inspection that it is exempt from. */
  exempt: string[]
}

export async function listTools (store: Store, catalogue: Catalogue): Promise<ToolView[]> {
  const callers = await activeKeys(store)
  return [...catalogue.tools.values()].map(({ tool, cost, exempt, upstream }) => ({
    tool: tool.name,
    upstream,
    callers: callers.filter(caller => mayUse(caller, 'tool', tool.name)).map(({ name }) => name),
    cost,
    rate: tool.rate,
    exempt: [...exempt]
  }))
}

/** What of the list of a key's tools one server makes, in a model's context. */
export interface ListCost {
  key: string
  /** Undefined: this server itself. */
  upstream: string | undefined
  tools: number
  /** An estimate: models differ. */
  tokens: number
}

/** Characters of JSON to a token, about as tokenizers of today have it for schemas and English. */
const CHARACTERS_OF_TOKEN = 4

/** By key and server, the dearest of each first. */
export async function listCosts (store: Store, catalogue: Catalogue): Promise<ListCost[]> {
  const callers = await activeKeys(store)
  return callers.flatMap(caller => {
    const costs = new Map<string | undefined, ListCost>()
    for (const { listed, upstream } of visible(catalogue.tools, 'tool', caller)) {
      const cost = costs.get(upstream) ?? { key: caller.name, upstream, tools: 0, tokens: 0 }
      cost.tools++
      cost.tokens += Math.ceil(JSON.stringify(listed).length / CHARACTERS_OF_TOKEN)
      costs.set(upstream, cost)
    }
    return [...costs.values()].sort((a, b) => b.tokens - a.tokens)
  })
}

/** Keys that may be used now, as who they stand for. */
async function activeKeys (store: Store): Promise<Principal[]> {
  const now = store.now()
  const isActive = ({ revoked, expires }: ApiKeyRecord) =>
    revoked === undefined && (expires === undefined || expires > now)
  return (await store.listKeys()).filter(isActive).map(({ id, name, role, permissions }) => (
    { id, name, role, permissions, authType: 'api_key', authenticatedAt: now, revocableAs: [] }
  ))
}
