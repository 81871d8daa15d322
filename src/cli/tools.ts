import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { table } from './table.ts'
import { withStore } from './with-store.ts'

const VERBS = { list }

export const tools: Command = {
  summary: 'Show what is offered and who may call what.',
  help: `Usage: secure-mcp tools list [--json]

Loads the tools as the server would, and shows for each which keys may call it.

Example:
  TOOLS_DIR=./tools ${COMMAND} tools list`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'tools', verb)(args, io)
}

async function list (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  // Loaded here: other commands need neither tools nor their validators.
  const [{ listTools }, { buildCatalogue }, { loadTools }, { inspectorFromSettings }] = await Promise.all([
    import('../operate/tools.ts'), import('../tools/catalogue.ts'), import('../tools/load.ts'), import('../settings/inspection.ts')
  ])
  return await withStore(io, async (store, config) => {
    const catalogue = buildCatalogue(await loadTools(config.TOOLS_DIR, { warn: io.err }), inspectorFromSettings(config).patterns)
    const rows = await listTools(store, catalogue)
    if (values.json) io.out(JSON.stringify(rows))
    else {
      io.out(table(['tool', 'cost', 'own limit', 'exempt from', 'who may call it'], rows.map(({ tool, callers, cost, rate, exempt }) =>
        [tool, String(cost), rate === undefined ? '-' : `${rate.limit} / ${rate.windowMs / 1000} s`, exempt.join(' ') || '-', callers.join(' ') || 'no key'])))
    }
    return 0
  })
}
