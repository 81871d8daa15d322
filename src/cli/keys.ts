import { readFileSync } from 'node:fs'
import { normalRange } from '../core/address.ts'
import { hashKey, keyFor, makeKey, type ApiKeyRecord } from '../core/api-key.ts'
import { PERMISSION_PATTERN } from '../core/permissions.ts'
import { UsageError } from '../errors.ts'
import { createLog } from '../telemetry/log.ts'
import { readSettings } from '../server.ts'
import { readKeyFile } from '../state/memory/key-file.ts'
import { openStore } from '../state/open.ts'
import type { Store } from '../state/store.ts'
import { parse, type Command, type Io } from './command.ts'
import { durationMs } from './duration.ts'
import { table } from './table.ts'

const HELP = `Usage: secure-mcp keys <create|list|show|rotate|revoke|import> [options]

  create <name> [--allow <pattern>]… [--deny <pattern>]… [--role caller|operator]
                [--expires 90d] [--cidr <range>]… [--limit <n>] [--owner <text>]
  list
  show <id or name>
  rotate <id or name> [--overlap 24h]   a new key; the old one works until then
  revoke <id or name>                   refused by every replica within a second
  import <file>                         keys of an api_keys.json, stored as hashes

  --json        for scripts

Patterns are tool names: *, an exact name, or a prefix and * (get_*). Without
--allow a caller key may use everything.

Example:
  secure-mcp keys create ci --allow 'get_*' --expires 90d`

export const keys: Command = {
  summary: 'Make, list, rotate and revoke API keys.',
  help: HELP,

  async run ([verb, ...args], io) {
    const action = verb !== undefined && Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined
    if (action === undefined) throw new UsageError('Say what to do: keys create|list|show|rotate|revoke|import. See --help')
    const store = await openStore(readSettings(io.env), createLog({ destination: { write: () => {} } }))
    try {
      return await action(args, io, store)
    } finally {
      await store.close()
    }
  }
}

const VERBS: Record<string, (args: string[], io: Io, store: Store) => Promise<number>> = {
  async create (args, io, store) {
    const { values, positionals: [name] } = parse(args, {
      allow: { type: 'string', multiple: true },
      deny: { type: 'string', multiple: true },
      role: { type: 'string', default: 'caller' },
      expires: { type: 'string' },
      cidr: { type: 'string', multiple: true },
      limit: { type: 'string' },
      owner: { type: 'string' },
      json: { type: 'boolean', default: false }
    })
    if (name === undefined || !/^[^\s]{1,128}$/.test(name)) throw new UsageError('Give the key a name without blanks: keys create <name>')
    if (values.role !== 'caller' && values.role !== 'operator') throw new UsageError('--role is caller or operator')
    if ((await store.listKeys()).some(key => key.name === name && key.revoked === undefined)) {
      throw new UsageError(`A key named "${name}" exists. Choose another name, or: keys rotate ${name}`)
    }

    const { id, key } = makeKey()
    const record: ApiKeyRecord = {
      id,
      name,
      role: values.role,
      permissions: permissionsOf(values.role, values.allow as string[] | undefined, values.deny as string[] | undefined),
      hash: hashKey(key),
      created: Date.now(),
      ...(values.owner === undefined ? {} : { owner: values.owner as string }),
      ...(values.expires === undefined ? {} : { expires: Date.now() + durationMs('--expires', values.expires as string) }),
      ...(values.cidr === undefined ? {} : { cidrs: (values.cidr as string[]).map(rangeOf) }),
      ...(values.limit === undefined ? {} : { limit: limitOf(values.limit as string) })
    }
    await store.saveKey(record)
    if (values.json) io.out(JSON.stringify({ ...shown(record), key }))
    else {
      io.out(key)
      io.err(`Key "${name}" (${id}) may use: ${record.permissions.join(', ') || 'no tool'}. It is shown this once; only its hash is kept.`)
    }
    return 0
  },

  async list (args, io, store) {
    const { values } = parse(args, { json: { type: 'boolean', default: false } })
    const records = await store.listKeys()
    if (values.json) io.out(JSON.stringify(records.map(shown)))
    else if (records.length === 0) io.err('No keys. Make one: secure-mcp keys create <name>')
    else {
      io.out(table(
        ['id', 'name', 'role', 'permissions', 'created', 'expires', 'last used', 'status'],
        records.map(key => [key.id, key.name, key.role, key.permissions.join(' '), day(key.created), day(key.expires), day(key.lastUsed), status(key)])))
    }
    return 0
  },

  async show (args, io, store) {
    const { positionals: [which] } = parse(args, { json: { type: 'boolean', default: false } })
    io.out(JSON.stringify(shown(await find(store, which, 'show')), null, 2))
    return 0
  },

  async rotate (args, io, store) {
    const { values, positionals: [which] } = parse(args, { overlap: { type: 'string', default: '24h' }, json: { type: 'boolean', default: false } })
    const record = await find(store, which, 'rotate')
    if (record.revoked !== undefined) throw new UsageError(`Key "${record.name}" is revoked; make a new one: keys create`)
    const until = Date.now() + durationMs('--overlap', values.overlap as string)
    const key = keyFor(record.id)
    const next: ApiKeyRecord = { ...record, hash: hashKey(key), previous: { hash: record.hash, until } }
    await store.saveKey(next)
    if (values.json) io.out(JSON.stringify({ ...shown(next), key }))
    else {
      io.out(key)
      io.err(`The key before works until ${new Date(until).toISOString()}.`)
    }
    return 0
  },

  async revoke (args, io, store) {
    const { values, positionals: [which] } = parse(args, { json: { type: 'boolean', default: false } })
    const record = await find(store, which, 'revoke')
    const now = Date.now()
    await store.saveKey({ ...record, revoked: record.revoked ?? now })
    // Streams that are open already look here.
    await store.revocations.set(`key:${record.id}`, { since: now, note: record.name })
    if (values.json) io.out(JSON.stringify(shown({ ...record, revoked: now })))
    else io.err(`Key "${record.name}" (${record.id}) is revoked.`)
    return 0
  },

  async import (args, io, store) {
    const { values, positionals: [file] } = parse(args, { json: { type: 'boolean', default: false } })
    if (file === undefined) throw new UsageError('Name the file: keys import <file>')
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch (error) {
      throw new UsageError(`Cannot read ${file}: ${(error as Error).message}`)
    }
    const { records, warnings } = readKeyFile(text, file)
    for (const record of records) await store.saveKey(record)
    for (const warning of warnings) io.err(warning)
    if (values.json) io.out(JSON.stringify(records.map(shown)))
    else io.err(`${records.length} keys imported, as hashes.`)
    return 0
  }
}

async function find (store: Store, which: string | undefined, verb: string): Promise<ApiKeyRecord> {
  if (which === undefined) throw new UsageError(`Name the key by id or name: keys ${verb} <id or name>`)
  const byId = await store.findKey(which)
  if (byId !== undefined) return byId
  const named = (await store.listKeys()).filter(key => key.name === which)
  const live = named.filter(key => key.revoked === undefined)
  const found = live.length > 0 ? live : named
  if (found.length === 1) return found[0]!
  throw new UsageError(found.length === 0 ? `There is no key "${which.slice(0, 128)}". See: secure-mcp keys list` : `Several keys are named "${which}": use the id`)
}

/** A record as people see it: no hashes. */
function shown ({ hash: _hash, previous, ...record }: ApiKeyRecord) {
  return { ...record, ...(previous === undefined ? {} : { previousUntil: previous.until }), status: status({ ...record, hash: '', previous }) }
}

function status ({ revoked, expires, previous }: ApiKeyRecord): string {
  if (revoked !== undefined) return 'revoked'
  if (expires !== undefined && expires <= Date.now()) return 'expired'
  return previous !== undefined && previous.until > Date.now() ? 'rotating' : 'active'
}

function permissionsOf (role: string, allow: string[] | undefined, deny: string[] = []): string[] {
  const given = allow ?? (role === 'caller' ? ['*'] : [])
  const patterns = [...given, ...deny.map(pattern => `!${pattern}`)]
  const form = new RegExp(PERMISSION_PATTERN)
  const wrong = patterns.find((pattern, i) => !form.test(pattern) || (i < given.length && pattern.startsWith('!')))
  if (wrong !== undefined) throw new UsageError('A pattern is *, a tool name, or a prefix and * (get_*); take away with --deny')
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
