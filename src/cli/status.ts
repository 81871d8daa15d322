import { readSettings } from '../settings/read.ts'
import { COMMAND, JSON_OPTION, parse, type Command } from './command.ts'
import { iso, table } from './table.ts'

/** What is printed of `/api/status`. */
interface StatusAnswer {
  version: string
  node: string
  started: number
  state: string
  kind: string
  revocationsAgeMs: number
  inFlight: number
  streams: number
  draining: boolean
  authentication: { required: boolean, types: string[] }
  issuers: Array<{ issuer: string, metadata: boolean, up: boolean }>
  inspection: string
  tools: number
  blocked: number
  revoked: number
  keys: { active: number, expired: number, revoked: number, missing: number, unused: string[] }
}

export const status: Command = {
  summary: 'Show how the running server is.',
  help: `Usage: secure-mcp status [--json]

Asks the management listener at MANAGEMENT_URL, with the operator key in
MCP_OPERATOR_KEY: version, state, keys that nobody uses, and what is under way.
Ends with code 1 unless state is ok.

Example:
  MCP_OPERATOR_KEY_FILE=operator.key ${COMMAND} status`,

  async run (args, io) {
    const { values } = parse(args, JSON_OPTION)
    const config = readSettings(io.env, { warn: warning => io.err(`Warning: ${warning}`) })
    const { askServer } = await import('./ask-server.ts')
    const now = await askServer<StatusAnswer>(config, { path: '/api/status' })
    io.out(values.json ? JSON.stringify(now) : table(['what', 'now'], rowsOf(now)))
    return now.state === 'ok' ? 0 : 1
  }
}

function rowsOf (now: StatusAnswer): string[][] {
  const { keys, authentication: { required, types } } = now
  return [
    ['version', `${now.version} on Node ${now.node}, since ${iso(now.started)}${now.draining ? ', draining' : ''}`],
    ['state', `${now.state} (${now.kind}), revocations ${Math.round(now.revocationsAgeMs / 1000)} s old`],
    ['authentication', required ? types.join(', ') : 'OFF'],
    ...now.issuers.map(({ issuer, metadata, up }) => [
      'issuer', `${issuer}: ${up ? 'answers' : metadata ? 'in trouble' : 'has not answered yet'}`
    ]),
    ['inspection', now.inspection],
    ['under way', `${now.inFlight} calls, ${now.streams} streams`],
    ['tools', String(now.tools)],
    ['keys', `${keys.active} active, ${keys.expired} expired, ${keys.revoked} revoked, ${keys.missing} missing`],
    ['unused for 90 days', keys.unused.join(', ') || '-'],
    ['lists', `${now.blocked} ranges blocked, ${now.revoked} keys and tokens revoked`]
  ]
}
