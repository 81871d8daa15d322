import { normalRange } from '../core/address.ts'
import { PERMISSION_PATTERN } from '../core/permissions.ts'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'
import {
  changeKey, createKey, importKeys, listKeys, revokeKeys, rotateKey, showKey, viewOf, type NewKey
} from '../operate/keys.ts'
import { readKeyFile } from '../state/memory/key-file.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { durationMs } from './duration.ts'
import { inForce } from './in-force.ts'
import { progressOn } from './progress.ts'
import { table } from './table.ts'
import { refuseUnlessWhole, withAnyStore, withChange, withStore } from './with-store.ts'

const HELP = `Usage: secure-mcp keys <create|list|show|change|rotate|revoke|import> [options]

  create <name> [--allow <pattern>]… [--deny <pattern>]… [--role caller|operator]
                [--expires 90d] [--cidr <range>]… [--limit <n>] [--owner <text>]
  list
  show <id or name>
  change <id or name> [--allow <pattern>]… [--deny <pattern>]… [--drop <pattern>]…
                [--expires 90d|never] [--cidr <range>…|any] [--limit <n>|class]
                [--owner <text>]
                --drop takes a pattern out as "keys show" prints it ('!get_x')
  rotate <id or name> [--overlap 24h] [--end-previous]
                a new key; the old one works until the overlap ends (0s: not at
                all). One overlap runs at a time; --end-previous ends it first
  revoke <id or name>…          refused by every replica within a second
  import <file>                 keys of an api_keys.json, stored as hashes; keys
                                that are known already stay as they are

  --json        for scripts

Patterns are tool names: *, an exact name, or a prefix and * (get_*). Without
--allow a caller key may use everything. Those of an operator key are over
operations of the management API (read.*, write.keys).

Example:
  ${COMMAND} keys create ci --allow 'get_*' --expires 90d`

const VERBS = { create, list, show, change, rotate, revoke, import: importFile }

export const keys: Command = {
  summary: 'Make, list, change, rotate and revoke API keys.',
  help: HELP,
  run: async ([verb, ...args], io) => await verbOf(VERBS, 'keys', verb)(args, io)
}

async function create (args: string[], io: Io): Promise<number> {
  const { values, positionals: [name] } = parse(args, {
    ...JSON_OPTION,
    allow: { type: 'string', multiple: true },
    deny: { type: 'string', multiple: true },
    role: { type: 'string', default: 'caller' },
    expires: { type: 'string' },
    cidr: { type: 'string', multiple: true },
    limit: { type: 'string' },
    owner: { type: 'string' }
  }, 1)
  if (name === undefined) throw new UsageError('Give the key a name without blanks: keys create <name>')
  if (values.role !== 'caller' && values.role !== 'operator') throw new UsageError('--role is caller or operator')
  // An operator key without patterns may do everything; one from which something is taken away, the rest.
  const implied = values.role === 'caller' || values.deny !== undefined ? ['*'] : []
  const asked: NewKey = {
    name,
    role: values.role,
    permissions: permissionsOf(values.allow ?? implied, values.deny),
    owner: values.owner,
    lifeMs: values.expires === undefined ? undefined : durationMs('--expires', values.expires),
    cidrs: values.cidr?.map(rangeOf),
    limit: values.limit === undefined ? undefined : limitOf(values.limit)
  }
  return await withChange(io, async (store, _config, note) => {
    const { key, record } = await createKey(store, asked)
    note({ operation: 'keys.create', target: record.id, after: viewOf(record) })
    if (values.json) io.out(JSON.stringify({ ...viewOf(record), key }))
    else {
      io.out(key)
      io.err(
        `Key "${name}" (${record.id}) may use: ${record.permissions.join(', ') || 'no tool'}. It is shown this once; only its hash is kept.`
      )
    }
    return 0
  })
}

async function list (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  return await withAnyStore(io, async store => {
    // What is left after a loss may be looked at; how much is gone is said with it.
    if (store.health() !== 'lost') refuseUnlessWhole(store)
    const found = await listKeys(store)
    const missing = await store.missingKeys()
    if (values.json) io.out(JSON.stringify(found))
    else if (found.length === 0) io.err(`No keys. Make one: ${COMMAND} keys create <name>`)
    else {
      io.out(
        table(
          ['id', 'name', 'role', 'permissions', 'created', 'expires', 'last used', 'status'],
          found.map(key => [
            key.id, key.name, key.role, key.permissions.join(' ') || '-', day(key.created), day(key.expires),
            day(key.lastUsed), key.status
          ])
        )
      )
    }
    if (missing.length > 0) {
      io.err(
        `The records of ${missing.length} of ${found.length + missing.length} keys are missing: Redis lost data. Restore it, or see: ${COMMAND} state accept-loss --help`
      )
    } else if (store.health() === 'lost') refuseUnlessWhole(store)
    return missing.length > 0 ? 1 : 0
  })
}

async function show (args: string[], io: Io): Promise<number> {
  const { positionals: [which] } = parse(args, JSON_OPTION, 1)
  if (which === undefined) throw new UsageError('Name the key by id or name: keys show <id or name>')
  return await withStore(io, async store => {
    io.out(JSON.stringify(await showKey(store, which), null, 2))
    return 0
  })
}

async function change (args: string[], io: Io): Promise<number> {
  const { values, positionals: [which] } = parse(args, {
    ...JSON_OPTION,
    allow: { type: 'string', multiple: true },
    deny: { type: 'string', multiple: true },
    drop: { type: 'string', multiple: true },
    expires: { type: 'string' },
    cidr: { type: 'string', multiple: true },
    limit: { type: 'string' },
    owner: { type: 'string' }
  }, 1)
  if (which === undefined) throw new UsageError('Name the key by id or name: keys change <key> --allow <pattern>')
  const { json: _, ...asked } = values
  if (Object.keys(asked).length === 0) {
    throw new UsageError('Say what to change: --allow, --deny, --drop, --expires, --cidr, --limit, --owner')
  }
  const patterns = permissionsOf(values.allow ?? [], values.deny)
  const lifeMs = ['never', undefined].includes(values.expires) ? undefined : durationMs('--expires', values.expires!)
  const cidrs = values.cidr?.length === 1 && values.cidr[0] === 'any' ? null : values.cidr?.map(rangeOf)
  const limit = values.limit === undefined ? undefined : values.limit === 'class' ? null : limitOf(values.limit)
  return await withChange(io, async (store, _config, note) => {
    const before = await showKey(store, which)
    const expires = values.expires === 'never' ? null : lifeMs === undefined ? undefined : store.now() + lifeMs
    const change = { allow: patterns, drop: values.drop, expires, cidrs, limit, owner: values.owner }
    const record = await changeKey(store, which, change)
    note({ operation: 'keys.change', target: record.id, before, after: viewOf(record) })
    if (values.json) io.out(JSON.stringify(viewOf(record)))
    else io.err(`Key "${record.name}" (${record.id}) may use: ${record.permissions.join(', ') || 'no tool'}.`)
    return await inForce(store, io)
  })
}

async function rotate (args: string[], io: Io): Promise<number> {
  const { values, positionals: [which] } = parse(args, {
    ...JSON_OPTION, overlap: { type: 'string', default: '24h' }, 'end-previous': { type: 'boolean', default: false }
  }, 1)
  if (which === undefined) throw new UsageError('Name the key by id or name: keys rotate <id or name>')
  const overlapMs = durationMs('--overlap', values.overlap, 0)
  return await withChange(io, async (store, _config, note) => {
    const before = await showKey(store, which)
    const { key, record } = await rotateKey(store, which, { overlapMs, endPrevious: values['end-previous'] })
    note({ operation: 'keys.rotate', target: record.id, before, after: viewOf(record) })
    if (values.json) io.out(JSON.stringify({ ...viewOf(record), key }))
    else {
      io.out(key)
      io.err(
        overlapMs === 0
          ? 'The key before works no more.'
          : `The key before works until ${new Date(record.previous!.until).toISOString()}.`
      )
    }
    return await inForce(store, io)
  })
}

async function revoke (args: string[], io: Io): Promise<number> {
  const { values, positionals: which } = parse(args, JSON_OPTION, Infinity)
  if (which.length === 0) throw new UsageError('Name the key by id or name: keys revoke <id or name>…')
  return await withChange(io, async (store, _config, note) => {
    const before = await Promise.all(which.map(async one => await showKey(store, one)))
    const revoked = await revokeKeys(store, which)
    for (const after of revoked) {
      note({ operation: 'keys.revoke', target: after.id, before: before.find(({ id }) => id === after.id), after })
    }
    if (values.json) io.out(JSON.stringify(revoked.length === 1 ? revoked[0] : revoked))
    else for (const { name, id } of revoked) io.err(`Key "${name}" (${id}) is revoked.`)
    return await inForce(store, io)
  })
}

async function importFile (args: string[], io: Io): Promise<number> {
  const { values, positionals: [file] } = parse(args, JSON_OPTION, 1)
  if (file === undefined) throw new UsageError('Name the file: keys import <file>')
  const text = readIfThere(file)
  if (text === undefined) throw new UsageError(`There is no file ${file}`)
  return await withChange(io, async (store, config, note) => {
    const { records, warnings, problems } = readKeyFile(text, file, { allowShort: config.ALLOW_SHORT_KEYS })
    if (problems.length > 0) throw new UsageError(problems.join('\n'))
    const progress = progressOn('keys')
    const { added, known } = await importKeys(store, records, progress.at).finally(progress.end)
    for (const after of added) note({ operation: 'keys.import', target: after.id, after })
    for (const warning of warnings) io.err(warning)
    if (values.json) io.out(JSON.stringify([...added, ...known]))
    else {
      io.err(`${added.length} keys imported, as hashes.`)
      if (known.length > 0) io.err(`Known before, and left as they were: ${known.map(({ name }) => name).join(', ')}`)
    }
    return await inForce(store, io)
  })
}

function permissionsOf (given: string[], deny: string[] = []): string[] {
  const patterns = [...given, ...deny.map(pattern => `!${pattern}`)]
  const form = new RegExp(PERMISSION_PATTERN)
  const wrong = patterns.find((pattern, i) => !form.test(pattern) || (i < given.length && pattern.startsWith('!')))
  if (wrong !== undefined) {
    throw new UsageError('A pattern is *, a tool name, or a prefix and * (get_*); take away with --deny')
  }
  return patterns
}

function rangeOf (text: string): string {
  const range = normalRange(text)
  if (range === undefined) throw new UsageError('--cidr is an address or a range such as 10.0.0.0/8')
  return range
}

function limitOf (text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError('--limit is a whole number of requests per window')
  return Number(text)
}

function day (at: number | undefined): string {
  return at === undefined ? '-' : new Date(at).toISOString().slice(0, 10)
}
