/** What an operator looks up about tools. */
import { mayUse } from '../core/permissions.ts'
import type { Store } from '../state/store.ts'
import type { Catalogue } from '../tools/catalogue.ts'

export interface ToolView {
  tool: string
  /** Names of the keys that may call it now. */
  callers: string[]
  cost: number
  rate: { limit: number, windowMs: number } | undefined
  /** Patterns of the inspection that it is exempt from. */
  exempt: string[]
}

export async function listTools (store: Store, catalogue: Catalogue): Promise<ToolView[]> {
  const now = store.now()
  const keys = (await store.listKeys()).filter(
    ({ revoked, expires }) => revoked === undefined && (expires === undefined || expires > now)
  )
  return [...catalogue.tools.values()].map(({ tool, cost, exempt }) => ({
    tool: tool.name,
    callers: keys
      .filter(({ id, name, role, permissions }) =>
        mayUse(
          { id, name, role, permissions, authType: 'api_key', authenticatedAt: now, revocableAs: [] },
          'tool',
          tool.name
        )
      )
      .map(({ name }) => name),
    cost,
    rate: tool.rate,
    exempt: [...exempt]
  }))
}
