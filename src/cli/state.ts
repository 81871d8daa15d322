import { createLog } from '../telemetry/log.ts'
import { readSettings } from '../server.ts'
import { openStore } from '../state/open.ts'
import { UsageError } from '../errors.ts'
import { parse, type Command } from './command.ts'

export const state: Command = {
  summary: 'See whether shared state is whole, and go on after it was lost.',
  help: `Usage: secure-mcp state <show|accept-loss>

  show          ok, unreachable, or lost: Redis answers, but what it held is gone
  accept-loss   go on with what is there now. Keys that are gone stay unknown;
                what running replicas remember of the shared lists (blocked
                addresses, revocations, approvals) is written back

While state is lost every replica refuses everything with 503. Restoring what
was lost ends that, too, and is better.

  --json        for scripts

Example:
  secure-mcp state show`,

  async run ([verb, ...args], io) {
    if (verb !== 'show' && verb !== 'accept-loss') throw new UsageError('Say what to do: state show|accept-loss. See --help')
    const { values } = parse(args, { json: { type: 'boolean', default: false } })
    const store = await openStore(readSettings(io.env), createLog({ destination: { write: () => {} } }))
    try {
      if (verb === 'show') {
        const health = store.health()
        io.out(values.json ? JSON.stringify({ state: health }) : health)
        return health === 'ok' ? 0 : 1
      }
      if (!await store.acceptLoss()) throw new UsageError(`Nothing to accept: state is ${store.health()}.`)
      if (values.json) io.out(JSON.stringify({ accepted: true }))
      else io.err('The replicas go on within a second.')
      return 0
    } finally {
      await store.close()
    }
  }
}
