import { text as textOf } from 'node:stream/consumers'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'
import type { Explanation } from '../decision/explain.ts'
import type { WhyContext } from '../operate/why.ts'
import type { Config } from '../settings/schema.ts'
import type { Store } from '../state/store.ts'
import { COMMAND, JSON_OPTION, parse, type Command, type Io } from './command.ts'
import { table } from './table.ts'
import { QUIET, withStore } from './with-store.ts'

export const why: Command = {
  summary: 'Say why a call is refused, and what would mend it.',
  help: `Usage: secure-mcp why --record <request id>
       secure-mcp why --key <id or name> | --token <file> [options]

Asks every layer in the order in which a request meets them, with the policy of
now. Nothing is counted and no tool runs. With MCP_OPERATOR_KEY the running
server is asked: it knows how upstreams are, and without Redis the limits.

  --record <id>        a request, by the X-Request-Id of its answer: what was
                       decided then, on any replica
  --key <id or name>   the key that asks
  --token <file>       a file with the key or access token that asks; - reads it
                       from standard input
  --tool <name>        what is called: a tool, or as permissions spell them a
                       resource or prompt (resource:note://a, prompt:greet).
                       Without it: may lists be asked for
  --args <json>        its arguments; without them two layers are not known
  --address <address>  where the client calls from

  --json               for scripts

Example:
  ${COMMAND} why --key ci --tool delete_repo --address 203.0.113.7`,

  async run (args, io) {
    const { values } = parse(args, {
      ...JSON_OPTION,
      record: { type: 'string' },
      key: { type: 'string' },
      token: { type: 'string' },
      tool: { type: 'string' },
      args: { type: 'string' },
      address: { type: 'string' }
    })
    const { record, key, tool, address } = values
    if (record === undefined && (key === undefined) === (values.token === undefined)) {
      throw new UsageError('Say who asks: --key <id or name>, or --token <file>; or name a request: --record <id>. See --help')
    }
    const given = values.args === undefined ? undefined : argumentsOf(values.args)
    const credential = values.token === undefined ? undefined : await credentialIn(values.token, io)
    const asked = { record, key, credential, tool, address, args: given }
    return await withStore(io, async (store, config) => {
      if (config.MCP_OPERATOR_KEY !== undefined) {
        // The running server knows its counts without Redis, and what its upstreams offer.
        const { askServer } = await import('./ask-server.ts')
        const question = record === undefined
          ? { method: 'POST', path: '/api/why', body: asked } as const
          : { path: `/api/why?${new URLSearchParams({ record }).toString()}` }
        tell(await askServer<Explanation>(config, question), values.json, io)
        return 0
      }
      const { why: ask } = await import('../operate/why.ts')
      const context = await contextOf(store, config, io)
      try {
        tell(await ask(asked, context), values.json, io)
      } finally {
        await Promise.all(context.authenticators.map(authenticator => authenticator.close?.()))
      }
      return 0
    })
  }
}

/** Beside the server it is not known how a server behind it is now, only what it listed. */
const READY = { state: 'ready', trouble: undefined } as const
const NOT_LISTED = { state: 'idle', trouble: 'it has listed nothing yet' } as const

/** What the server would decide by, made as the server makes it; loaded here, since other commands need no tools. */
async function contextOf (store: Store, config: Config, io: Io): Promise<WhyContext> {
  const [{ buildRuntime }, { offerKept }, { whyAbsent }] = await Promise.all([
    import('../runtime.ts'), import('./upstream-entries.ts'), import('../operate/absent.ts')
  ])
  const logger = { ...QUIET, warn: (_data: object, message = '') => { io.err(message) } }
  const { offer, inspection, authenticators, rules } = await buildRuntime({ config, store, logger })
  const { catalogue, servers } = await offerKept(io, store, offer.current)
  const blamed = servers.map(({ name, isListed, leftOut }) => ({
    name, leftOut, ...(isListed ? READY : NOT_LISTED)
  }))
  return {
    store,
    catalogue,
    whyAbsent: target => whyAbsent(blamed, target),
    inspection,
    authenticators,
    rules,
    seesCounts: store.kind === 'redis',
    url: `${config.PUBLIC_URL}/mcp`,
    findRequest: async requestId => {
      const { findRequest } = await import('../operate/record-stream.ts')
      return await findRequest(store.records, config.AUDIT_DIR, requestId)
    }
  }
}

function argumentsOf (text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Said below, without the text.
  }
  throw new UsageError('--args must be a JSON object, such as \'{"name":"Ada"}\'')
}

async function credentialIn (path: string, { stdin }: Io): Promise<string> {
  const text = path === '-' ? await textOf(stdin) : readIfThere(path, '--token')
  if (text === undefined) throw new UsageError(`--token: there is no file ${path.slice(0, 256)}`)
  const value = text.trim()
  if (value === '') throw new UsageError('--token: the file is empty')
  return value
}

function tell (explanation: Explanation, json: boolean, io: Io): void {
  if (json) io.out(JSON.stringify(explanation))
  else print(explanation, io)
}

function print ({ decision, layer, rule, principal, target, layers, mend, recorded }: Explanation, { out }: Io): void {
  const who = principal ?? 'nobody'
  const be = recorded === undefined ? 'would be' : 'was'
  if (recorded !== undefined) out(`At ${recorded.time}:`)
  out(decision === 'served'
    ? `${who} ${be} served${target === undefined ? '' : `: ${target}`}`
    : `${who} ${be} refused${target === undefined ? '' : ` ${target}`}: ${decision} by ${layer}` +
      (rule === undefined ? '' : `, ${rule}`))
  out('')
  const rows = layers.map(({ layer, verdict, rule, saw }) => [layer, verdict, rule ?? '', saw ?? ''])
  out(table(['layer', 'verdict', 'rule', 'saw'], rows))
  if (mend.length > 0) out('')
  for (const sentence of mend) out(`To mend it: ${sentence}`)
}
