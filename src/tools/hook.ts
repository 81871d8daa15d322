import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '../errors.ts'
import { provideOwnPackage } from './own-package.ts'
import type { ToolHook } from './tool.ts'

/**
 * Import the module that TOOL_HOOK names.
 *
 * @throws {UsageError} naming the file and what is wrong with it
 */
export async function loadToolHook (path: string): Promise<ToolHook> {
  provideOwnPackage(dirname(path))
  let module: { default?: unknown }
  try {
    module = await import(pathToFileURL(resolve(path)).href)
  } catch (cause) {
    throw new UsageError(`TOOL_HOOK: cannot load ${path}: ${(cause as Error).message}`)
  }
  if (typeof module.default !== 'function') {
    throw new UsageError(`TOOL_HOOK: the default export of ${path} must be a function (call, next) => …`)
  }
  return module.default as ToolHook
}
