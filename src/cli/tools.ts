import { UsageError } from '../errors.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { inForce } from './in-force.ts'
import { table } from './table.ts'
import { withChange, withStore } from './with-store.ts'

const VERBS = { list, diff, approve }

export const tools: Command = {
  summary: 'Show what is offered and who may call what.',
  help: `Usage: secure-mcp tools <list|diff|approve> [options]

  list                          what is offered, and which keys may call it
  diff [<server>]               tools of other MCP servers that wait for
                                approval, and what is new about them
  approve <server> <tool>@<hash>…
  approve <server> --all <hash> offer them, as tools diff showed them

  --json        for scripts

Example:
  TOOLS_DIR=./tools ${COMMAND} tools list`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'tools', verb)(args, io)
}

async function list (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  // Loaded here: other commands need neither tools nor their validators.
  const [{ listTools }, { buildCatalogue }, { loadTools }, { inspectorFromSettings }] = await Promise.all([
    import(
      '../operate/tools.ts'
    ), import('../tools/catalogue.ts'), import('../tools/load.ts'), import('../settings/inspection.ts')
  ])
  return await withStore(io, async (store, config) => {
    const catalogue = buildCatalogue(
      await loadTools(config.TOOLS_DIR, { warn: io.err }), inspectorFromSettings(config).patterns
    )
    const rows = await listTools(store, catalogue)
    if (values.json) io.out(JSON.stringify(rows))
    else {
      io.out(table([
        'tool', 'cost', 'own limit', 'exempt from', 'who may call it'
      ], rows.map(({ tool, callers, cost, rate, exempt }) =>
        [
          tool,
          String(cost),
          rate === undefined ? '-' : `${rate.limit} / ${rate.windowMs / 1000} s`,
          exempt.join(' ') || '-',
          callers.join(' ') || 'no key'
        ])))
    }
    return 0
  })
}

async function diff (args: string[], io: Io): Promise<number> {
  const { values, positionals: [server] } = parse(args, JSON_OPTION, 1)
  const { heldTools, hashOfHeld, upstreamEntries } = await loadUpstreams()
  const entries = upstreamEntries(io)
  return await withStore(io, async store => {
    const held = await heldTools(store, entries, server)
    if (values.json) io.out(JSON.stringify(held))
    else if (held.length === 0) io.err('No tool waits for approval.')
    else {
      for (const { server, tool, approve, why, flags, changes } of held) {
        io.out(`${server} ${tool}: it ${[why, ...flags].join('; ')}`)
        for (const line of changes) io.out(`  ${line}`)
        io.out(`  ${COMMAND} tools approve ${server} '${approve}'`)
      }
      for (const name of new Set(held.map(({ server }) => server))) {
        io.out(`All of ${name}: ${COMMAND} tools approve ${name} --all ${await hashOfHeld(store, entries, name)}`)
      }
    }
    return 0
  })
}

async function approve (args: string[], io: Io): Promise<number> {
  const { values, positionals: [server, ...which] } = parse(args, { ...JSON_OPTION, all: { type: 'string' } }, Infinity)
  if (server === undefined || (which.length === 0) === (values.all === undefined)) {
    throw new UsageError(
      'Name the server and what tools diff showed: tools approve <server> <tool>@<hash>…, or --all <hash>'
    )
  }
  const { approveTools, upstreamEntries } = await loadUpstreams()
  const entries = upstreamEntries(io)
  return await withChange(io, async (store, _config, note) => {
    const approved = await approveTools(store, entries, server, values.all === undefined ? which : { all: values.all })
    for (const tool of approved) note({ operation: 'tools.approve', target: `${server} ${tool}` })
    if (values.json) io.out(JSON.stringify(approved))
    else {
      io.err(
        `${approved.length} ${approved.length === 1 ? 'tool' : 'tools'} of ${server} approved. Every replica offers them within a second.`
      )
    }
    return await inForce(store, io)
  })
}

/** Loaded when asked for: other commands need neither upstreams nor their parsers. */
async function loadUpstreams () {
  return { ...await import('../operate/servers.ts'), ...await import('./upstream-entries.ts') }
}
