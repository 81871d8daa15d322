import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '../errors.ts'
import { BUILT_IN } from './builtin/index.ts'
import type { Source } from './catalogue.ts'
import type { Definition } from './tool.ts'

/** JavaScript everywhere; TypeScript where this Node strips types itself. */
const ENDINGS = (process.features as { typescript?: unknown }).typescript ? ['.js', '.mjs', '.ts', '.mts'] : ['.js', '.mjs']

/**
 * The built-in tools and those of the operator's folder. A module exports one
 * definition by default, or a list of them. Files that begin with `.` or `_`,
 * tests and declarations are left alone.
 *
 * @throws {UsageError} naming the file and the fault
 */
export async function loadTools (dir: string | undefined): Promise<Source[]> {
  const sources: Source[] = BUILT_IN.map(definition => ({ from: 'built-in', definition }))
  for (const file of dir === undefined ? [] : modulesIn(dir)) {
    let module: { default?: unknown }
    try {
      module = await import(pathToFileURL(resolve(file)).href)
    } catch (error) {
      throw new UsageError(`${file}: cannot be loaded: ${(error as Error).message}`)
    }
    const exported = Array.isArray(module.default) ? module.default : [module.default]
    for (const definition of exported) {
      if (!isDefinition(definition)) {
        throw new UsageError(`${file}: the default export must be what defineTool, defineResource or definePrompt returned, or a list of them`)
      }
      sources.push({ from: file, definition })
    }
  }
  return sources
}

function modulesIn (dir: string): string[] {
  let names: string[]
  try {
    names = readdirSync(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new UsageError(`TOOLS_DIR: cannot read ${dir}: ${(error as Error).message}`)
  }
  const typescript = names.find(name => /\.m?ts$/.test(name) && !/\.d\.m?ts$/.test(name))
  if (typescript !== undefined && !ENDINGS.includes('.ts')) {
    throw new UsageError(`${join(dir, typescript)}: this Node (${process.version}) runs no TypeScript; use Node 22.18 or later, or write .js`)
  }
  return names
    .filter(name => ENDINGS.some(ending => name.endsWith(ending)) && !/^[._]|\.d\.m?ts$|\.test\.m?[jt]s$/.test(name))
    .sort()
    .map(name => join(dir, name))
}

function isDefinition (value: unknown): value is Definition {
  return typeof value === 'object' && value !== null && ['tool', 'resource', 'prompt'].includes((value as { kind?: string }).kind ?? '')
}
