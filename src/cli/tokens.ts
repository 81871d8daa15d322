import { UsageError } from '../errors.ts'
import { createLog } from '../telemetry/log.ts'
import { readSettings } from '../server.ts'
import { openStore } from '../state/open.ts'
import { parse, type Command } from './command.ts'
import { durationMs } from './duration.ts'
import { table } from './table.ts'

export const tokens: Command = {
  summary: 'Revoke OAuth2 access tokens.',
  help: `Usage: secure-mcp tokens <revoke|list> [options]

  revoke --jti <id>           one token, by its jti
  revoke --subject <subject>  all that a person or service was issued until now
  revoke --client <id>        all that a client was issued until now
         [--for 24h] [--note <text>]
  list

  --json        for scripts

In force on every replica within a second; open streams end. Kept for as long
as a token may live (OAUTH2_MAX_TOKEN_AGE_MS) unless --for says otherwise.
Whoever logs in again gets a token that is younger, and may go on: to keep a
person out, take the account away at the authorization server.

Example:
  secure-mcp tokens revoke --subject 00u1abcd --note 'lost laptop'`,

  async run ([verb, ...args], io) {
    if (verb !== 'revoke' && verb !== 'list') throw new UsageError('Say what to do: tokens revoke|list. See --help')
    const { values, positionals } = parse(args, {
      jti: { type: 'string' },
      subject: { type: 'string' },
      client: { type: 'string' },
      for: { type: 'string' },
      note: { type: 'string' },
      json: { type: 'boolean', default: false }
    })
    if (positionals.length > 0) throw new UsageError('A token is never an argument: name its --jti, --subject or --client. See --help')
    const ids = verb === 'list' ? [] : idsOf(values as Named)
    const config = readSettings(io.env)
    const store = await openStore(config, createLog({ destination: { write: () => {} } }))
    try {
      if (verb === 'list') {
        const entries = [...store.revocations.entries()]
        if (values.json) io.out(JSON.stringify(entries.map(([id, entry]) => ({ id, ...entry }))))
        else if (entries.length === 0) io.err('Nothing is revoked.')
        else io.out(table(['what', 'revoked', 'kept until', 'note'], entries.map(([id, { since, until, note }]) => [id, iso(since), until === undefined ? 'for ever' : iso(until), note ?? ''])))
        return 0
      }
      const since = Date.now()
      const keepMs = values.for === undefined ? config.OAUTH2_MAX_TOKEN_AGE_MS + config.OAUTH2_CLOCK_SKEW_MS : durationMs('--for', values.for as string)
      const until = since + keepMs
      for (const id of ids) {
        await store.revocations.set(id, { since, until, ...(values.note === undefined ? {} : { note: (values.note as string).slice(0, 256) }) })
      }
      if (values.json) io.out(JSON.stringify({ revoked: ids, since, until }))
      else io.err(`Revoked: ${ids.join(', ')}. Kept until ${iso(until)}.`)
      return 0
    } finally {
      await store.close()
    }
  }
}

interface Named { jti?: string, subject?: string, client?: string }

/** As a principal names itself in `revocableAs`. */
function idsOf ({ jti, subject, client }: Named): string[] {
  const ids = Object.entries({ jti, sub: subject, client }).filter(([, value]) => value !== undefined).map(([kind, value]) => `${kind}:${value}`)
  if (ids.length === 0) throw new UsageError('Say what to revoke: --jti, --subject or --client. See --help')
  if (ids.some(id => !/^[a-z]+:[^\p{C}]{1,256}$/u.test(id))) throw new UsageError('An id has 1 to 256 characters, none of them control characters')
  return ids
}

function iso (at: number): string {
  return new Date(at).toISOString().slice(0, 19) + 'Z'
}
