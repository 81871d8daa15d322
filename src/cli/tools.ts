import { mayUse } from '../core/permissions.ts'
import { PATTERNS } from '../core/inspection.ts'
import { UsageError } from '../errors.ts'
import { createLog } from '../telemetry/log.ts'
import { readSettings } from '../server.ts'
import { openStore } from '../state/open.ts'
import { buildCatalogue } from '../tools/catalogue.ts'
import { loadTools } from '../tools/load.ts'
import { parse, type Command } from './command.ts'
import { table } from './table.ts'

export const tools: Command = {
  summary: 'Show what is offered and who may call what.',
  help: `Usage: secure-mcp tools list [--json]

Loads the tools as the server would, and shows for each which keys may call it.

Example:
  TOOLS_DIR=./tools secure-mcp tools list`,

  async run ([verb, ...args], io) {
    if (verb !== 'list') throw new UsageError('Say what to do: tools list. See --help')
    const { values } = parse(args, { json: { type: 'boolean', default: false } })
    const config = readSettings(io.env)
    const catalogue = buildCatalogue(await loadTools(config.TOOLS_DIR), new Set(PATTERNS.map(({ name }) => name)))
    const store = await openStore(config, createLog({ destination: { write: () => {} } }))
    try {
      const now = Date.now()
      const keys = (await store.listKeys()).filter(({ revoked, expires }) => revoked === undefined && (expires === undefined || expires > now))
      const rows = [...catalogue.tools.values()].map(({ tool, cost, exempt }) => ({
        tool: tool.name,
        callers: keys.filter(({ id, name, role, permissions }) =>
          mayUse({ id, name, role, permissions, authType: 'api_key', authenticatedAt: now, revocableAs: [] }, 'tool', tool.name)).map(({ name }) => name),
        cost,
        rate: tool.rate,
        exempt: [...exempt]
      }))
      if (values.json) io.out(JSON.stringify(rows))
      else {
        io.out(table(['tool', 'cost', 'own limit', 'exempt from', 'who may call it'], rows.map(({ tool, callers, cost, rate, exempt }) =>
          [tool, String(cost), rate === undefined ? '-' : `${rate.limit} / ${rate.windowMs / 1000} s`, exempt.join(' ') || '-', callers.join(' ') || 'no key'])))
      }
      return 0
    } finally {
      await store.close()
    }
  }
}
