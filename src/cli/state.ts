import type { Config } from '../settings/schema.ts'
import type { Store } from '../state/store.ts'
import { acceptLoss, showState } from '../operate/state.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { onRecord, withAnyStore, type NoteOperation } from './with-store.ts'

const VERBS = { show, 'accept-loss': accept }

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
  ${COMMAND} state show`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'state', verb)(args, io)
}

async function show (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  return await withAnyStore(io, async store => {
    const health = showState(store)
    io.out(values.json ? JSON.stringify({ state: health }) : health)
    return health === 'ok' ? 0 : 1
  })
}

async function accept (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  const work = async (store: Store, _config: Config, note: NoteOperation) => {
    await acceptLoss(store)
    note({ operation: 'state.accept-loss' })
    if (values.json) io.out(JSON.stringify({ accepted: true }))
    else io.err('The replicas go on within a second.')
    return 0
  }
  return await withAnyStore(io, async (store, config) => await onRecord(io, store, config, work))
}
