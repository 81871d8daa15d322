import { text as textOf } from 'node:stream/consumers'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'
import { getValue, listValues, rewriteAll, rotateKey, setValue, type SecureConfig } from '../secrets/secure-config.ts'
import { unknownSetting } from '../settings/load.ts'
import { secretsNamedIn } from '../settings/read.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { table } from './table.ts'

const VERBS = { set, get, list, 'rotate-key': rotate }

export const config: Command = {
  summary: 'Keep settings encrypted in a file.',
  help: `Usage: secure-mcp config <set|get|list|rotate-key> [options]

  set <name> [--file F]   reads the value from standard input, or from F
  get <name>
  list                    names and the keys they were encrypted with
  rotate-key [--rewrite]  a new key for everything; with --rewrite the first of
                          the keys that are there

  --json                  for scripts

The file is SECURE_CONFIG_FILE; its key CONFIG_ENCRYPTION_KEY, or the file
CONFIG_ENCRYPTION_KEY_FILE, which is made on first use.

Example:
  printf %s "$REDIS_URL" | ${COMMAND} config set redis_url`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'config', verb)(args, io)
}

async function set (args: string[], io: Io): Promise<number> {
  const { values, positionals: [name, ...rest] } = parse(args, { ...JSON_OPTION, file: { type: 'string' } }, Infinity)
  // Not said again: it is probably the value.
  if (rest.length > 0) {
    throw new UsageError('A value is never an argument: other users see arguments. Pass it on standard input')
  }
  if (name === undefined) throw new UsageError('Name the setting: config set <name>, with the value on standard input')
  const value = (values.file === undefined ? await textOf(io.stdin) : textOfFile(values.file)).replace(/\r?\n$/, '')
  if (value === '') throw new UsageError('The value is empty: pass it on standard input')
  const source = sourceOf(io)
  await setValue(source, name, value)
  const isForUpstream = secretsNamedIn(io.env.MCP_SERVERS_FILE || 'config/mcp_servers.json').has(name.toUpperCase())
  const unknown = isForUpstream ? undefined : unknownSetting(name)
  if (unknown !== undefined) io.err(`Warning: ${unknown}`)
  if (values.json) io.out(JSON.stringify({ name: name.toLowerCase(), file: source.file }))
  else io.err(`${name} is kept in ${source.file}, encrypted. A server reads it when it starts.`)
  return 0
}

async function get (args: string[], io: Io): Promise<number> {
  const { values, positionals: [name] } = parse(args, JSON_OPTION, 1)
  if (name === undefined) throw new UsageError('Name the setting: config get <name>')
  const source = sourceOf(io)
  const value = getValue(source, name)
  if (value === undefined) {
    throw new UsageError(`${source.file} holds no encrypted ${name.slice(0, 64)}. See: ${COMMAND} config list`)
  }
  io.out(values.json ? JSON.stringify({ name, value }) : value)
  return 0
}

async function list (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  const source = sourceOf(io)
  const found = listValues(source)
  if (values.json) io.out(JSON.stringify(found))
  else if (found.length === 0) io.err(`${source.file} holds no encrypted values.`)
  else io.out(table(['name', 'key'], found.map(({ name, keyId }) => [name, keyId])))
  return 0
}

async function rotate (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, { ...JSON_OPTION, rewrite: { type: 'boolean', default: false } })
  const source = sourceOf(io)
  const keyId = values.rewrite ? await rewriteAll(source) : await rotateKey(source)
  if (values.json) io.out(JSON.stringify({ keyId }))
  else io.err(`Everything in ${source.file} is encrypted with key ${keyId}.`)
  return 0
}

function sourceOf ({ env }: Io): SecureConfig {
  return {
    file: env.SECURE_CONFIG_FILE || 'config/secure_config.json',
    keys: env.CONFIG_ENCRYPTION_KEY,
    keyFile: env.CONFIG_ENCRYPTION_KEY_FILE || 'config/encryption.key'
  }
}

function textOfFile (path: string): string {
  const text = readIfThere(path, '--file')
  if (text === undefined) throw new UsageError(`--file: ${path} does not exist`)
  return text
}
