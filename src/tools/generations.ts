/**
 * Loading the modules of a folder again, although Node keeps each module that
 * it loaded for good. A generation is a query at the end of their URLs, and what
 * a module of one generation imports from the folder is of that generation, too.
 */
import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { addResolveHook, type Resolved } from './resolve-hook.ts'

export class Generations {
  readonly #dir: string
  #count = 0
  /** The folder, once modules of it are imported with a query. */
  #hooked: string | undefined

  constructor (dir: string) {
    this.#dir = dir
  }

  /** @returns what to put behind the URL of each module that is loaded next */
  next (): string {
    const root = realFolder(this.#dir)
    if (root !== undefined && this.#hooked !== root) {
      this.#hooked = root
      inherit(pathToFileURL(root).href + '/')
    }
    if (root !== undefined) forgetRequired(root)
    return `?g=${++this.#count}`
  }
}

/** CommonJS modules are kept by their path, which has no query. */
function forgetRequired (root: string): void {
  const { cache } = createRequire(import.meta.url)
  for (const path of Object.keys(cache)) {
    if (path.startsWith(root + sep) && !path.includes(`${sep}node_modules${sep}`)) delete cache[path]
  }
}

function inherit (folder: string): void {
  addResolveHook(
    (specifier, context, next) => withQuery(folder, next(specifier, context), context),
    `${withQuery.toString()}
    export async function resolve (specifier, context, next) {
      return withQuery(${JSON.stringify(folder)}, await next(specifier, context), context)
    }`
  )
}

function withQuery (folder: string, resolved: Resolved, { parentURL = '' }: { parentURL?: string }): Resolved {
  const query = /\?g=\d+$/.exec(parentURL)?.[0]
  const { url } = resolved
  const isOurs = url.startsWith(folder) && !url.includes('?') && !url.includes('/node_modules/')
  if (query === undefined || !isOurs) return resolved
  return { ...resolved, url: url + query }
}

function realFolder (dir: string): string | undefined {
  try {
    return realpathSync(resolve(dir))
  } catch {
    return undefined
  }
}
