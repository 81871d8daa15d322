import { UsageError } from '../errors.ts'
import { blockAddresses, listBlocked, unblockAddresses } from '../operate/blocklist.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { durationMs } from './duration.ts'
import { inForce } from './in-force.ts'
import { end, iso, table } from './table.ts'
import { withChange, withStore } from './with-store.ts'

const VERBS = { block, unblock, list }

export const ip: Command = {
  summary: 'Block and unblock addresses and ranges.',
  help: `Usage: secure-mcp ip <block|unblock|list> [options]

  block <address or range>… [--for 24h] [--note <text>]
  unblock <address or range>…
  list

  --json        for scripts

In force on every replica within a second.

Example:
  ${COMMAND} ip block 203.0.113.0/24 --for 24h --note 'scanner'`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'ip', verb)(args, io)
}

async function block (args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(
    args,
    { ...JSON_OPTION, for: { type: 'string' }, note: { type: 'string' } },
    Infinity
  )
  if (positionals.length === 0) throw new UsageError('Name an address or a range: ip block 203.0.113.0/24')
  const forMs = values.for === undefined ? undefined : durationMs('--for', values.for)
  return await withChange(io, async (store, _config, note) => {
    const before = new Map(store.blocklist.entries())
    const ranges = await blockAddresses(store, positionals, { forMs, note: values.note })
    for (const range of ranges) {
      const after = store.blocklist.entries().get(range)
      note({ operation: 'blocklist.add', target: range, before: before.get(range), after })
    }
    if (values.json) io.out(JSON.stringify(oneOrMany(ranges.map(range => ({ range, blocked: true })))))
    else for (const range of ranges) io.err(`${range} is blocked.`)
    return await inForce(store, io)
  })
}

async function unblock (args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(args, JSON_OPTION, Infinity)
  if (positionals.length === 0) throw new UsageError('Name an address or a range: ip unblock 203.0.113.0/24')
  return await withChange(io, async (store, _config, note) => {
    const before = new Map(store.blocklist.entries())
    const ranges = await unblockAddresses(store, positionals)
    for (const range of ranges) note({ operation: 'blocklist.remove', target: range, before: before.get(range) })
    if (values.json) io.out(JSON.stringify(oneOrMany(ranges.map(range => ({ range, blocked: false })))))
    else for (const range of ranges) io.err(`${range} is no longer blocked.`)
    return await inForce(store, io)
  })
}

async function list (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  return await withStore(io, async store => {
    const blocked = listBlocked(store)
    if (values.json) io.out(JSON.stringify(blocked))
    else if (blocked.length === 0) io.err('Nothing is blocked.')
    else {
      io.out(
        table(
          ['range', 'since', 'until', 'note'],
          blocked.map(({ range, since, until, note }) => [range, iso(since), end(until), note ?? ''])
        )
      )
    }
    return 0
  })
}

function oneOrMany<T> (list: readonly T[]): T | readonly T[] {
  return list.length === 1 ? list[0]! : list
}
