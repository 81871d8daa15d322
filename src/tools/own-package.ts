/**
 * Lets tool files import this package from folders where Node would not find it, such as a mounted `/tools`
 * beside a global install.
 */
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { addResolveHook, type Next, type Resolved } from './resolve-hook.ts'

const NAME = 'secure-mcp-server'

let registered = false

/**
 * Make `secure-mcp-server` importable from a folder of tools. A copy that the
 * folder brings itself wins: the fallback answers only where Node's own
 * resolution finds nothing, and for this package alone.
 *
 * On Node 20 the fallback does not reach `require`.
 */
export function provideOwnPackage (dir: string): void {
  if (registered || isFoundFrom(dir)) return
  registered = true
  addResolveHook(resolveOwn, LOADER)
}

function resolveOwn (specifier: string, context: object, next: Next): Resolved {
  try {
    return next(specifier, context)
  } catch (error) {
    if (
      (error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND' &&
      (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND'
    ) {
      throw error
    }
    if (specifier !== NAME && !specifier.startsWith(`${NAME}/`)) throw error
    return { url: import.meta.resolve(specifier), shortCircuit: true }
  }
}

/** The same for Node 20, whose hooks live in a thread of their own. */
const LOADER = `
export async function resolve (specifier, context, next) {
  try {
    return await next(specifier, context)
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || (specifier !== '${NAME}' && !specifier.startsWith('${NAME}/'))) throw error
    return await next(specifier, { ...context, parentURL: ${JSON.stringify(import.meta.url)} })
  }
}`

function isFoundFrom (dir: string): boolean {
  try {
    createRequire(join(resolve(dir), 'tool.js')).resolve(NAME)
    return true
  } catch {
    return false
  }
}
