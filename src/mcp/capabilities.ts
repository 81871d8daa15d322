/** What this server says it can do. */

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
