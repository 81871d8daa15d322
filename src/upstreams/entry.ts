/** One server of MCP_SERVERS_FILE as the rest reads it: checked, defaults filled in, no secret resolved. */

/** Where an address may lie. */
export type Network = 'public' | 'private' | 'loopback'

/**
 * A text with `${secret:NAME}`, `${env:NAME}`, `${NAME}` or `${NAME:-default}` in it, as the
 * file has it. `resolve` of values.ts gives the value, when a connection is opened.
 */
export type Template = string

export interface StdioTarget {
  readonly kind: 'stdio'
  /** `${…}` in these three is resolved: no secret may stand there. */
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string | undefined
  readonly env: ReadonlyMap<string, Template>
}

export interface HttpTarget {
  readonly kind: 'http'
  /** Without user and fragment; `${…}` is resolved. */
  readonly url: URL
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, Template>
  /** Lower-case names of the caller's headers that go on. */
  readonly forwardHeaders: readonly string[]
  readonly auth: UpstreamAuth | undefined
  /** Undefined: by the name of the host. */
  readonly network: Network | undefined
}

/** How this server gets an access token for the upstream (RFC 6749 section 4.4, RFC 8693). */
export interface UpstreamAuth {
  readonly type: 'client_credentials' | 'token_exchange'
  /** Exactly one of the two. */
  readonly tokenUrl: string | undefined
  readonly issuer: string | undefined
  readonly clientId: string
  readonly clientSecret: Template | undefined
  readonly scope: string | undefined
  /** RFC 8707. */
  readonly resource: string | undefined
  /** RFC 8693; of `token_exchange` alone. */
  readonly audience: string | undefined
}

/** One value for all tools of a server, or one a tool, by the upstream's own name. */
export interface PerTool<T> {
  readonly all: T | undefined
  readonly byTool: ReadonlyMap<string, T>
}

export interface UpstreamEntry {
  readonly name: string
  /** Of the file, counted from 1. */
  readonly line: number
  readonly target: StdioTarget | HttpTarget
  /** Before `_` in public names; '' for none. */
  readonly prefix: string
  /** Patterns over the upstream's own names; `allow` undefined allows all. */
  readonly tools: { readonly allow: readonly string[] | undefined, readonly deny: readonly string[] }
  /** Patterns that its resources must fit; undefined: any. */
  readonly uris: readonly string[] | undefined
  /** `caller`: a connection for each principal. */
  readonly share: 'all' | 'caller'
  /** Whether it may ask clients and their users. */
  readonly questions: boolean
  readonly protocol: 'auto' | 'legacy' | 'modern'
  readonly timeoutMs: number
  readonly startTimeoutMs: number
  readonly maxInFlight: number
  readonly maxAnswerBytes: number
  readonly maxTools: number
  /** What becomes of a structured result that breaks its schema. */
  readonly output: 'refuse' | 'warn'
  readonly pin: 'trust_first_use' | 'approve' | 'off'
  /** Inspection patterns that do not apply, by name, each with the reason. */
  readonly exempt: PerTool<Readonly<Record<string, string>>>
  readonly cost: PerTool<number>
  readonly rate: PerTool<{ readonly limit: number, readonly windowMs: number }>
  /**
   * Of what names the server (command, args, URL, names of env and headers; no value): equal on
   * replicas that read the same file. Part of the key of what it offered.
   */
  readonly digest: string
}

/** What holds for one tool: its own value, else that of all. */
export function forTool<T> ({ all, byTool }: PerTool<T>, tool: string): T | undefined {
  return byTool.get(tool) ?? all
}
