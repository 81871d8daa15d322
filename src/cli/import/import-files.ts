/** `servers import`: what a client's file names, into the files of this server. */
import { homedir } from 'node:os'
import { UsageError } from '../../errors.ts'
import { jsonOf, readIfThere, writeAtomically } from '../../files.ts'
import { getValue, setValue } from '../../secrets/secure-config.ts'
import { secureConfigOf } from '../../settings/read.ts'
import { parseUpstreamsFile } from '../../upstreams/file.ts'
import { valueSources } from '../../upstreams/values.ts'
import { COMMAND, JSON_OPTION, parse, type Io } from '../command.ts'
import { upstreamsFileOf } from '../upstream-entries.ts'
import { serversOfClient } from './shapes.ts'
import { translate, type Translated } from './translate.ts'

export async function importFiles (args: string[], io: Io): Promise<number> {
  const { values, positionals: paths } = parse(args, {
    ...JSON_OPTION, replace: { type: 'boolean', default: false }, 'dry-run': { type: 'boolean', default: false }
  }, Infinity)
  if (paths.length === 0) throw new UsageError('Name the client\'s file: servers import ~/.cursor/mcp.json')
  const found = paths.flatMap(path => translated(path))
  const target = upstreamsFileOf(io)
  const before = serversIn(target)
  const taken: Translated[] = []
  const kept: string[] = []
  for (const one of found) {
    const isKnown = Object.hasOwn(before, one.name) || taken.some(({ name }) => name === one.name)
    if (isKnown && !values.replace) kept.push(one.name)
    else taken.push(one)
  }
  if (!values['dry-run']) await write(io, target, before, taken)
  tell(io, { taken, kept, json: values.json })
  if (!values['dry-run']) for (const fault of faultsLeft(io, target)) io.err(`To do: ${fault}`)
  return 0
}

function translated (path: string): Translated[] {
  const text = readIfThere(path)
  if (text === undefined) throw new UsageError(`There is no file ${path}`)
  const read = (file: string) => {
    try {
      return readIfThere(file)
    } catch {
      return undefined
    }
  }
  return serversOfClient(text, path).map(server => translate(server, { home: homedir(), read }))
}

function serversIn (path: string): Record<string, unknown> {
  const text = readIfThere(path, 'MCP_SERVERS_FILE')
  if (text === undefined) return {}
  const { mcpServers } = (jsonOf(text, path, 'MCP_SERVERS_FILE') ?? {}) as { mcpServers?: Record<string, unknown> }
  if (typeof mcpServers !== 'object' || mcpServers === null) {
    throw new UsageError(`${path} is no file of servers: correct it or move it away`)
  }
  return mcpServers
}

/** Secrets first: a server is never named before its secret is kept. */
async function write (
  io: Io, path: string, before: Record<string, unknown>, taken: readonly Translated[]
): Promise<void> {
  const source = secureConfigOf(io.env)
  for (const { secrets } of taken) {
    for (const [name, value] of secrets) if (getValue(source, name) !== value) await setValue(source, name, value)
  }
  const added = Object.fromEntries(taken.flatMap(({ name, server }) => server === undefined ? [] : [[name, server]]))
  if (Object.keys(added).length === 0) return
  writeAtomically(
    path, JSON.stringify({ mcpServers: { ...before, ...added } }, null, 2) + '\n', { setting: 'MCP_SERVERS_FILE' }
  )
}

function tell (
  io: Io, { taken, kept, json }: { taken: readonly Translated[], kept: readonly string[], json: boolean }
): void {
  const told = taken.map((
    { name, server, secrets, notes }
  ) => ({ name, imported: server !== undefined, secrets: [...secrets.keys()], notes }))
  if (json) return io.out(JSON.stringify({ servers: told, kept }))
  for (const { name, imported, secrets, notes } of told) {
    io.out(`${name}: ${imported ? 'taken over' : 'left out'}`)
    if (secrets.length > 0) io.out(`  encrypted: ${secrets.join(', ')}`)
    for (const note of notes) io.out(`  ${note}`)
    if (imported) io.out(`  a key for it: ${COMMAND} keys create ${name} --allow '${name}_*'`)
  }
  if (kept.length > 0) io.err(`There already, and left as they are (--replace takes the new ones): ${kept.join(', ')}`)
}

/** What the operator has to do before the file can be served. */
function faultsLeft (io: Io, path: string): readonly string[] {
  const text = readIfThere(path)
  if (text === undefined) return []
  return parseUpstreamsFile(
    text, path, { sources: valueSources(io.env, secureConfigOf(io.env)), stdio: true, patterns: { has: () => true } }
  ).faults
}
