/** The rooms of the source tree: what each holds and whom it may import. test/architecture.test.ts holds the tree to it; docs/architecture.md shows it. */

export interface Room {
  /** A folder or file of src, or a folder of the root. */
  readonly name: string
  readonly holds: string
  /** Rooms that it may import beside itself and those that everyone may. */
  readonly may: readonly string[]
}

/** What everyone above them may import. */
export const EVERYONE: readonly string[] = ['errors', 'core', 'files', 'telemetry']

const DOMAIN = ['resilience', 'state', 'auth', 'tools', 'decision'] as const

export const ROOMS: readonly Room[] = [
  { name: 'errors', holds: 'every reason of refusal: status, code, meaning', may: [] },
  { name: 'core', holds: 'arithmetic and judgement as pure functions: no I/O, no clock, no framework', may: ['errors'] },
  { name: 'files', holds: 'reading, writing atomically, locking and watching files', may: ['core', 'errors'] },
  { name: 'telemetry', holds: 'log, output, redaction, metrics', may: ['core', 'errors'] },
  { name: 'secrets', holds: 'encrypted configuration', may: EVERYONE },
  { name: 'settings', holds: 'the settings: schema, rules between them, where they are read', may: ['secrets'] },
  { name: 'resilience', holds: 'deadline, breaker, back-off, refreshing cache', may: [] },
  { name: 'state', holds: 'what replicas share; twins of the same names in `memory/` and `redis/`', may: ['settings', 'resilience'] },
  { name: 'auth', holds: 'from a credential to a principal; `oauth2/`', may: ['settings', 'resilience', 'state'] },
  { name: 'tools', holds: 'what authors write, the catalogue and its current offer, running a call', may: [] },
  { name: 'decision', holds: 'the ordered layers that let a call through or refuse it, as a value', may: ['settings', 'resilience', 'state', 'auth', 'tools'] },
  { name: 'upstreams', holds: 'other MCP servers: wires, peers, what they list, health, secrets that go out', may: ['settings', 'secrets', 'resilience', 'state', 'tools', 'decision'] },
  { name: 'audit', holds: 'the record of decisions: its form, the chain, seals, local files', may: ['decision', 'state', 'settings', 'secrets'] },
  { name: 'mcp', holds: 'the protocol; the only place that knows the SDK', may: DOMAIN },
  { name: 'jwt-verifiers', holds: '@fastify/jwt, one verifier for each issuer', may: ['auth'] },
  { name: 'runtime', holds: 'what both listeners, stdio and the commands share', may: [...DOMAIN, 'settings', 'secrets', 'jwt-verifiers', 'upstreams'] },
  { name: 'plugins', holds: 'thin Fastify plugins, one concern each', may: ['audit', ...DOMAIN, 'upstreams', 'mcp'] },
  { name: 'routes', holds: 'encapsulated routes', may: ['audit', ...DOMAIN, 'settings', 'mcp', 'plugins', 'operate'] },
  { name: 'plugin', holds: 'the composition of plugins and routes, in order, and the plugin for apps of others', may: ['audit', ...DOMAIN, 'settings', 'mcp', 'plugins', 'routes', 'operate', 'runtime'] },
  { name: 'app', holds: 'the public listener', may: ['audit', ...DOMAIN, 'settings', 'plugins', 'plugin', 'runtime'] },
  { name: 'management', holds: 'the management listener', may: ['audit', ...DOMAIN, 'settings', 'plugins', 'routes', 'runtime', 'operate', 'doctor'] },
  { name: 'server', holds: 'the process: start, signals, orderly end', may: ['audit', 'settings', 'secrets', 'state', 'auth', 'mcp', 'app', 'management', 'runtime'] },
  { name: 'operate', holds: 'what an operator does, one function each', may: ['audit', ...DOMAIN, 'settings', 'secrets', 'upstreams'] },
  { name: 'testing', holds: '`testTools`: tools through the real chain and protocol, for the tests of their authors', may: [...DOMAIN, 'settings', 'mcp'] },
  { name: 'doctor', holds: 'what is wrong, and what to do: facts that are brought, and checks that judge them', may: [...DOMAIN, 'settings', 'operate', 'upstreams'] },
  { name: 'cli', holds: 'one file a command: arguments in, text or JSON out', may: ['audit', ...DOMAIN, 'settings', 'secrets', 'upstreams', 'mcp', 'runtime', 'operate', 'doctor', 'testing', 'server'] }
]

/** Packages that are named in some places only: rooms, or paths below one. */
export const ONLY_IN: ReadonlyArray<{ what: RegExp, places: readonly string[] }> = [
  { what: /^(fastify|fastify-plugin|@fastify\/.*)$/, places: ['plugins', 'routes', 'plugin', 'app', 'management', 'jwt-verifiers'] },
  { what: /^ioredis$/, places: ['state/redis'] },
  { what: /^undici$/, places: ['upstreams'] },
  { what: /^@modelcontextprotocol\//, places: ['mcp'] }
]

export function roomsTable (): string {
  const rows = ROOMS.map(({ name, holds, may }) =>
    `| \`${name}\` | ${holds} | ${may === EVERYONE || may.length === 0 ? '' : may.map(other => `\`${other}\``).join(' ')} |`)
  return `| room | holds | may import |\n| --- | --- | --- |\n${rows.join('\n')}\n`
}
