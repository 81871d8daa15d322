/** How Node is told where a module is: on the main thread since Node 22.15, in a thread of its own before. */
import * as nodeModule from 'node:module'

export interface Resolved { url: string, shortCircuit?: boolean }
export type Next = (specifier: string, context?: object) => Resolved
export type ResolveHook = (specifier: string, context: { parentURL?: string }, next: Next) => Resolved

/** Since Node 22.15; the types are those of Node 20. */
const { registerHooks } = nodeModule as { registerHooks?: (hooks: { resolve: ResolveHook }) => void }

/**
 * @param hook asked before Node's own resolution, which is `next`
 * @param loader text of a module that exports the same as an async `resolve`, for Node 20
 */
export function addResolveHook (hook: ResolveHook, loader: string): void {
  if (registerHooks !== undefined) registerHooks({ resolve: hook })
  else nodeModule.register(`data:text/javascript,${encodeURIComponent(loader)}`)
}
