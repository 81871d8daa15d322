import type { Kind } from '../core/permissions.ts'

/** What a message names, for authorization before look-up. */
export interface Target {
  readonly kind: Kind
  readonly name: string
}

/** Every method that can reach a tool, a resource or a prompt, and where its name stands. */
const METHODS: Readonly<Record<string, (params: Params) => Target | undefined>> = {
  'tools/call': ({ name }) => named('tool', name),
  'prompts/get': ({ name }) => named('prompt', name),
  'resources/read': ({ uri }) => named('resource', uri),
  'resources/subscribe': ({ uri }) => named('resource', uri),
  'resources/unsubscribe': ({ uri }) => named('resource', uri),
  'completion/complete': ({ ref }) => {
    const { type, name, uri } = (ref ?? {}) as Params
    return type === 'ref/prompt' ? named('prompt', name) : type === 'ref/resource' ? named('resource', uri) : undefined
  }
}

interface Params { name?: unknown, uri?: unknown, ref?: unknown, type?: unknown }

/** What the message names; undefined for methods that name nothing, such as the lists. */
export function targetOf (method: string, params: unknown): Target | undefined {
  const find = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined
  return typeof params === 'object' && params !== null ? find?.(params as Params) : undefined
}

function named (kind: Kind, name: unknown): Target | undefined {
  return typeof name === 'string' ? { kind, name } : undefined
}
