/** MCP servers of the registry, as people configure them, and one call to each that changes nothing. */
import { join } from 'node:path'
import { chromium } from '../../test/support/chromium.ts'
import { fetched } from '../../test/support/npm.ts'

export interface RealServer {
  readonly name: string
  /** `name@version`, exact. */
  readonly spec: string
  /** Of the program in its package. */
  readonly program: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly call: { readonly tool: string, readonly arguments: object }
  /** It asks the internet, or a service with an account: its own error is an answer, too. */
  readonly mayFail?: boolean
}

/** @param folder that the filesystem server may read */
export function realServers (folder: string): RealServer[] {
  const { program: browser } = chromium()
  return [
    {
      name: 'everything',
      spec: '@modelcontextprotocol/server-everything@2026.8.31',
      program: 'dist/index.js',
      call: { tool: 'echo', arguments: { message: 'hello' } }
    },
    {
      name: 'filesystem',
      spec: '@modelcontextprotocol/server-filesystem@2026.8.31',
      program: 'dist/index.js',
      args: [folder],
      call: { tool: 'list_directory', arguments: { path: folder } }
    },
    {
      name: 'memory',
      spec: '@modelcontextprotocol/server-memory@2026.8.31',
      program: 'dist/index.js',
      env: { MEMORY_FILE_PATH: join(folder, 'memory.jsonl') },
      call: { tool: 'read_graph', arguments: {} }
    },
    {
      name: 'sequential-thinking',
      spec: '@modelcontextprotocol/server-sequential-thinking@2026.8.31',
      program: 'dist/index.js',
      call: { tool: 'sequentialthinking', arguments: { thought: 'one', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 } }
    },
    {
      name: 'context7',
      spec: '@upstash/context7-mcp@4.1.1',
      program: 'dist/index.js',
      call: { tool: 'resolve-library-id', arguments: { query: 'routes', libraryName: 'fastify' } },
      mayFail: true
    },
    {
      name: 'playwright',
      spec: '@playwright/mcp@0.0.83',
      program: 'cli.js',
      args: ['--headless', '--isolated', '--no-sandbox', '--executable-path', browser],
      call: { tool: 'browser_navigate', arguments: { url: 'about:blank' } },
      mayFail: true
    },
    {
      name: 'notion',
      spec: '@notionhq/notion-mcp-server@2.5.2',
      program: 'bin/cli.mjs',
      env: { NOTION_TOKEN: 'ntn_none' },
      call: { tool: 'API-get-self', arguments: {} },
      mayFail: true
    },
    {
      name: 'chrome-devtools',
      spec: 'chrome-devtools-mcp@1.11.0',
      program: 'build/src/bin/chrome-devtools-mcp.js',
      args: ['--headless', '--isolated', '--chromeArg=--no-sandbox', '--executablePath', browser],
      call: { tool: 'list_pages', arguments: {} },
      mayFail: true
    }
  ]
}

/** Installs them into the cache. @returns the path of each one's program, by its name */
export function installed (servers: readonly RealServer[]): Map<string, string> {
  const folder = fetched('upstream-servers', servers.map(({ spec }) => spec))
  return new Map(servers.map(({ name, spec, program }) => {
    return [name, join(folder, 'node_modules', spec.slice(0, spec.lastIndexOf('@')), program)]
  }))
}
