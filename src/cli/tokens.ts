import { UsageError } from '../errors.ts'
import { listRevoked, revokeTokens, unrevokeTokens } from '../operate/tokens.ts'
import { COMMAND, JSON_OPTION, parse, verbOf, type Command, type Io } from './command.ts'
import { durationMs } from './duration.ts'
import { inForce } from './in-force.ts'
import { end, iso, table } from './table.ts'
import { withChange, withStore } from './with-store.ts'

const NAMES = {
  jti: { type: 'string', multiple: true },
  subject: { type: 'string', multiple: true },
  client: { type: 'string', multiple: true }
} as const

const VERBS = { revoke, unrevoke, list }

export const tokens: Command = {
  summary: 'Revoke OAuth2 access tokens.',
  help: `Usage: secure-mcp tokens <revoke|unrevoke|list> [options]

  revoke --jti <id>           one token, by its jti
  revoke --subject <subject>  all that a person or service was issued until now
  revoke --client <id>        all that a client was issued until now
         [--for 24h] [--note <text>]
  unrevoke --jti <id> | --subject <subject> | --client <id>
                              accept them again, as far as they still live
  list

  --json        for scripts

Each of --jti, --subject, --client may be given several times. In force on every
replica within a second; open streams end. Kept for as long as a token may live
(OAUTH2_MAX_TOKEN_AGE_MS) unless --for says otherwise. Whoever logs in again
gets a token that is younger, and may go on: to keep a person out, take the
account away at the authorization server.

Example:
  ${COMMAND} tokens revoke --subject 00u1abcd --note 'lost laptop'`,

  run: async ([verb, ...args], io) => await verbOf(VERBS, 'tokens', verb)(args, io)
}

async function revoke (args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(
    args,
    { ...JSON_OPTION, ...NAMES, for: { type: 'string' }, note: { type: 'string' } },
    Infinity
  )
  refuseTokens(positionals)
  const forMs = values.for === undefined ? undefined : durationMs('--for', values.for)
  return await withChange(io, async (store, config, note) => {
    const keepMs = forMs ?? config.OAUTH2_MAX_TOKEN_AGE_MS + config.OAUTH2_CLOCK_SKEW_MS
    const { ids, since, until } = await revokeTokens(store, values, { keepMs, note: values.note })
    for (const id of ids) note({ operation: 'revocations.add', target: id, after: { since, until, note: values.note } })
    if (values.json) io.out(JSON.stringify({ revoked: ids, since, until }))
    else io.err(`Revoked: ${ids.join(', ')}. Kept until ${iso(until)}.`)
    return await inForce(store, io)
  })
}

async function unrevoke (args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(args, { ...JSON_OPTION, ...NAMES }, Infinity)
  refuseTokens(positionals)
  return await withChange(io, async (store, _config, note) => {
    const before = new Map(store.revocations.entries())
    const ids = await unrevokeTokens(store, values)
    for (const id of ids) note({ operation: 'revocations.remove', target: id, before: before.get(id) })
    if (values.json) io.out(JSON.stringify({ unrevoked: ids }))
    else io.err(`No longer revoked: ${ids.join(', ')}.`)
    return await inForce(store, io)
  })
}

async function list (args: string[], io: Io): Promise<number> {
  const { values } = parse(args, JSON_OPTION)
  return await withStore(io, async store => {
    const revoked = listRevoked(store)
    if (values.json) io.out(JSON.stringify(revoked))
    else if (revoked.length === 0) io.err('Nothing is revoked.')
    else {
      io.out(
        table(
          ['what', 'revoked', 'kept until', 'note'],
          revoked.map(({ id, since, until, note }) => [id, iso(since), end(until), note ?? ''])
        )
      )
    }
    return 0
  })
}

/** What stands there may be a token: it is not said again. */
function refuseTokens (positionals: readonly string[]): void {
  if (positionals.length > 0) {
    throw new UsageError('A token is never an argument: name its --jti, --subject or --client. See --help')
  }
}
