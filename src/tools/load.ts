import { readdirSync, statSync, type Dirent } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '../errors.ts'
import { builtIn } from './builtin/index.ts'
import type { Source } from './catalogue.ts'
import { faultPlace } from './fault-place.ts'
import { provideOwnPackage } from './own-package.ts'
import type { Definition } from './tool.ts'

/** JavaScript everywhere; TypeScript where this Node, or what its start added, strips types. */
const JAVASCRIPT = /\.[cm]?js$/
const TYPESCRIPT = /\.[cm]?ts$/
/** Left alone without a word: helpers, hidden files, tests, declarations, what a package brings. */
const LEFT_ALONE = /^[._]|\.d\.[cm]?ts$|\.test\.[cm]?[jt]sx?$|^node_modules$/
/** The folder that need not exist. */
const DEFAULT_DIR = 'tools'

export interface LoadOptions {
  /** Told of what looks like a tool and is not loaded. */
  warn?: (message: string) => void
  /** `MCP_DEBUG` of the server that offers them. */
  debug?: boolean
  /** `BUILT_IN_TOOLS` of the server. */
  builtInTools?: boolean
  /** Stands behind the URL of each file: Node loads a module of another URL again. */
  query?: string
}

/**
 * The built-in tools and those of the operator's folder. A module exports one
 * definition by default, or a list of them. Files that begin with `.` or `_`,
 * tests and declarations are left alone.
 *
 * @throws {UsageError} naming the file and the fault
 */
export async function loadTools (
  dir: string | undefined, { warn = () => {}, debug = false, builtInTools = true, query = '' }: LoadOptions = {}
): Promise<Source[]> {
  const sources: Source[] = (builtInTools ? builtIn(debug) : []).map(definition => ({ from: 'built-in', definition }))
  const files = dir === undefined ? [] : modulesIn(dir, warn)
  if (dir !== undefined && files.length > 0) provideOwnPackage(dir)
  for (const file of files) {
    sources.push(...(await definitionsIn(file, query)).map(definition => ({ from: file, definition })))
  }
  return sources
}

async function definitionsIn (file: string, query: string): Promise<Definition[]> {
  let module: { default?: unknown }
  try {
    module = await import(pathToFileURL(resolve(file)).href + query)
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    if (code === 'ERR_UNKNOWN_FILE_EXTENSION') {
      throw new UsageError(
        `${file}: this Node (${process.version}) runs no TypeScript; use Node 22.18 or later, write .js, ` +
          "or start with NODE_OPTIONS='--import tsx'"
      )
    }
    throw new UsageError(`${file}: cannot be loaded: ${message}${await faultPlace(error as Error, dirname(file))}`)
  }
  const inner: unknown = (module.default as { default?: unknown } | undefined)?.default
  // A compiled CommonJS module keeps its default export in a member of that name.
  const exported: unknown = inner === undefined ? module.default : inner
  const definitions: readonly unknown[] = Array.isArray(exported) ? exported : [exported]
  if (!definitions.every(isDefinition)) {
    throw new UsageError(
      `${file}: the default export must be what defineTool, defineResource or definePrompt returned, or a list of them`
    )
  }
  return [...definitions]
}

function modulesIn (dir: string, warn: (message: string) => void): string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(dir, { withFileTypes: true })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') {
      throw new UsageError(
        code === 'ENOTDIR'
          ? `TOOLS_DIR: ${dir} is a file; name the folder that holds the tools`
          : `TOOLS_DIR: cannot read ${dir}: ${message}`
      )
    }
    if (dir === DEFAULT_DIR) return []
    throw new UsageError(`TOOLS_DIR: there is no folder ${resolve(dir)}; make it, or mend the setting`)
  }
  const files: string[] = []
  for (const entry of entries.filter(({ name }) => !LEFT_ALONE.test(name))) {
    const path = join(dir, entry.name)
    if (isFolder(entry, path)) {
      if (holdsModules(path)) warn(`${path} is not loaded: put tool files into ${dir} itself, one level deep`)
    } else if (JAVASCRIPT.test(entry.name) || TYPESCRIPT.test(entry.name)) {
      files.push(path)
    } else if (/\.[jt]sx$/.test(entry.name)) {
      warn(`${path} is not loaded: tool files end in .js, .mjs, .cjs or .ts`)
    }
  }
  return files.sort()
}

function isFolder (entry: Dirent, path: string): boolean {
  return (
    entry.isDirectory() || (entry.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
  )
}

function holdsModules (dir: string): boolean {
  try {
    return readdirSync(dir).some(name => (JAVASCRIPT.test(name) || TYPESCRIPT.test(name)) && !LEFT_ALONE.test(name))
  } catch {
    return true
  }
}

function isDefinition (value: unknown): value is Definition {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['tool', 'resource', 'prompt'].includes((value as { kind?: string }).kind ?? '')
  )
}
