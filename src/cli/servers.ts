import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { iso, table } from './table.ts'
import { withStore } from './with-store.ts'

const VERBS = { list, import: importFiles }

export const servers: Command = {
  summary: 'Show MCP servers behind this one, and take them over from a client.',
  help: `Usage: secure-mcp servers <list|import> [options]

  list                          the servers of MCP_SERVERS_FILE: what they offer,
                                and what waits for approval
  import <client config>… [--replace] [--dry-run]
                                put the servers of a client's file into
                                MCP_SERVERS_FILE and their secrets, encrypted,
                                into SECURE_CONFIG_FILE. The client's file stays
                                as it is. Reads the files of Claude Desktop,
                                Claude Code, Cursor, VS Code, Windsurf, Cline,
                                Roo, Zed, Codex and Gemini CLI

  --json        for scripts

Example:
  ${COMMAND} servers import ~/.cursor/mcp.json`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'servers', verb)(args, io)
}

async function list (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  // Loaded here: other commands need neither upstreams nor their parsers.
  const [
    { listServers }, { upstreamEntries, upstreamsFileOf }
  ] = await Promise.all([import('../operate/servers.ts'), import('./upstream-entries.ts')])
  const entries = upstreamEntries(io)
  return await withStore(io, async store => {
    const found = await listServers(store, entries)
    if (values.json) io.out(JSON.stringify(found))
    else if (found.length === 0) {
      io.err(
      `${upstreamsFileOf(io)} names no servers. Take them over from a client: ${COMMAND} servers import <its file>`
      )
    } else {
      io.out(table([
        'server', 'transport', 'listed', 'tools', 'waiting', 'note'
      ], found.map(({ name, transport, listedAt, tools, held, warnings }) =>
        [
          name,
          transport,
          listedAt === undefined ? 'never' : iso(listedAt),
          String(tools),
          String(held),
          warnings.join('; ')
        ])))
      if (found.some(({ held }) => held > 0)) io.err(`Look at what waits: ${COMMAND} tools diff`)
    }
    return 0
  })
}

async function importFiles (args: string[], io: Io): Promise<number> {
  return await (await import('./import/import-files.ts')).importFiles(args, io)
}
