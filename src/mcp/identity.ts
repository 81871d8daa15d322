/** How this server names itself and what it says it can do. */
import { readFileSync } from 'node:fs'

/** package.json stands above src in the sources and above dist/src when built. */
const { name, version } = [new URL('../../package.json', import.meta.url), new URL('../../../package.json', import.meta.url)]
  .map(url => { try { return JSON.parse(readFileSync(url, 'utf8')) as { name?: string, version?: string } } catch { return {} } })
  .find(found => found.name === 'secure-mcp-server') ?? {}

export const SERVER_INFO = { name: name ?? 'secure-mcp-server', version: version ?? '0.0.0' }

/** How long a client may keep a list, ms. Bounds how stale it is after a lost notification. */
export const LIST_TTL_MS = 30_000

/** @param pushes whether changes can reach the client: not in a legacy request without a session */
export const CAPABILITIES = (authentication: { required: boolean, types: readonly string[] }, pushes: boolean) => ({
  tools: { listChanged: pushes },
  prompts: { listChanged: pushes },
  resources: { listChanged: pushes, subscribe: pushes },
  completions: {},
  logging: {},
  experimental: { authentication: { required: authentication.required, types: [...authentication.types] } }
})
