import { UsageError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import type { KeptOffer } from '../upstreams/kept-offer.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { inForce } from './in-force.ts'
import { table } from './table.ts'
import { withChange, withStore } from './with-store.ts'

const VERBS = { list, cost, diff, approve }

export const tools: Command = {
  summary: 'Show what is offered and who may call what.',
  help: `Usage: secure-mcp tools <list|cost|diff|approve> [options]

  list                          what is offered, and which keys may call it
  cost                          how many tokens of a model's context the list of
                                each key takes, by server; an estimate
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
  return await withOffer(io, async (store, { catalogue, servers }) => {
    const { listTools } = await import('../operate/tools.ts')
    const rows = await listTools(store, catalogue)
    if (values.json) io.out(JSON.stringify(rows))
    else {
      io.out(table([
        'tool', 'server', 'cost', 'own limit', 'exempt from', 'who may call it'
      ], rows.map(({ tool, upstream, callers, cost, rate, exempt }) =>
        [
          tool,
          upstream ?? '-',
          String(cost),
          rate === undefined ? '-' : `${rate.limit} / ${rate.windowMs / 1000} s`,
          exempt.join(' ') || '-',
          callers.join(' ') || 'no key'
        ])))
    }
    for (const { name, isListed, leftOut } of servers) {
      if (!isListed) io.err(`${name} has listed nothing yet: see ${COMMAND} servers list`)
      for (const { what, why } of leftOut) io.err(`${name}: ${what} is not offered: ${why}`)
    }
    return 0
  })
}

async function cost (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  return await withOffer(io, async (store, { catalogue }) => {
    const { listCosts } = await import('../operate/tools.ts')
    const rows = await listCosts(store, catalogue)
    if (values.json) io.out(JSON.stringify(rows))
    else if (rows.length === 0) io.err('No key may use a tool.')
    else {
      io.out(table(['key', 'server', 'tools', 'tokens'], rows.map(({ key, upstream, tools, tokens }) =>
        [key, upstream ?? '-', String(tools), `~${tokens}`])))
      io.err('Tokens are an estimate: four characters of the list are counted as one, and models differ.')
    }
    return 0
  })
}

/** With own tools and those of the servers behind this one. Loaded here: other commands need no tools. */
async function withOffer (io: Io, run: (store: Store, offer: KeptOffer) => Promise<number>): Promise<number> {
  const [{ buildCatalogue }, { loadTools }, { inspectorFromSettings }, { offerKept }] = await Promise.all([
    import('../tools/catalogue.ts'), import('../tools/load.ts'), import('../settings/inspection.ts'),
    import('./upstream-entries.ts')
  ])
  return await withStore(io, async (store, config) => {
    const own = buildCatalogue(
      await loadTools(config.TOOLS_DIR, { warn: io.err }), inspectorFromSettings(config).patterns
    )
    return await run(store, await offerKept(io, store, own))
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
