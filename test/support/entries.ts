import type { UpstreamEntry } from '../../src/upstreams/entry.ts'

const NONE = { all: undefined, byTool: new Map() }

/** An entry of the file, as it is read: defaults, and what a test says. */
export function entryOf (name: string, more: Partial<UpstreamEntry> = {}): UpstreamEntry {
  return {
    name,
    line: 1,
    target: { kind: 'stdio', command: 'none', args: [], cwd: undefined, env: new Map() },
    prefix: name,
    tools: { allow: undefined, deny: [] },
    uris: undefined,
    share: 'all',
    questions: false,
    protocol: 'legacy',
    timeoutMs: 30_000,
    startTimeoutMs: 30_000,
    maxInFlight: 32,
    maxAnswerBytes: 1024 * 1024,
    maxTools: 1000,
    output: 'refuse',
    pin: 'off',
    exempt: NONE,
    cost: NONE,
    rate: NONE,
    digest: name,
    ...more
  }
}
