import { normalRange } from '../core/address.ts'
import { UsageError } from '../errors.ts'
import { createLog } from '../telemetry/log.ts'
import { readSettings } from '../server.ts'
import { openStore } from '../state/open.ts'
import { parse, type Command } from './command.ts'
import { durationMs } from './duration.ts'
import { table } from './table.ts'

export const ip: Command = {
  summary: 'Block and unblock addresses and ranges.',
  help: `Usage: secure-mcp ip <block|unblock|list> [options]

  block <address or range> [--for 24h] [--note <text>]
  unblock <address or range>
  list

  --json        for scripts

In force on every replica within a second.

Example:
  secure-mcp ip block 203.0.113.0/24 --for 24h --note 'scanner'`,

  async run ([verb, ...args], io) {
    if (verb !== 'block' && verb !== 'unblock' && verb !== 'list') throw new UsageError('Say what to do: ip block|unblock|list. See --help')
    const { values, positionals: [text] } = parse(args, {
      for: { type: 'string' }, note: { type: 'string' }, json: { type: 'boolean', default: false }
    })
    const store = await openStore(readSettings(io.env), createLog({ destination: { write: () => {} } }))
    try {
      if (verb === 'list') {
        const entries = [...store.blocklist.entries()]
        if (values.json) io.out(JSON.stringify(entries.map(([range, entry]) => ({ range, ...entry }))))
        else if (entries.length === 0) io.err('Nothing is blocked.')
        else io.out(table(['range', 'since', 'until', 'note'], entries.map(([range, { since, until, note }]) => [range, iso(since), until === undefined ? 'for ever' : iso(until), note ?? ''])))
        return 0
      }

      const range = text === undefined ? undefined : normalRange(text)
      if (range === undefined) throw new UsageError(`Name an address or a range: ip ${verb} 203.0.113.0/24`)
      if (verb === 'unblock') {
        if (!await store.blocklist.delete(range)) throw new UsageError(`${range} is not blocked. See: secure-mcp ip list`)
      } else {
        const since = Date.now()
        await store.blocklist.set(range, {
          since,
          ...(values.for === undefined ? {} : { until: since + durationMs('--for', values.for as string) }),
          ...(values.note === undefined ? {} : { note: (values.note as string).slice(0, 256) })
        })
      }
      if (values.json) io.out(JSON.stringify({ range, blocked: verb === 'block' }))
      else io.err(`${range} is ${verb === 'block' ? 'blocked' : 'no longer blocked'}.`)
      return 0
    } finally {
      await store.close()
    }
  }
}

function iso (at: number): string {
  return new Date(at).toISOString().slice(0, 19) + 'Z'
}
