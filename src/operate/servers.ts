/** What an operator looks up and decides about upstreams. */
import { UsageError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import type { Log } from '../telemetry/log.ts'
import type { UpstreamEntry } from '../upstreams/entry.ts'
import { listHash, spelledOut, type JudgedTool } from '../upstreams/pins.ts'
import { SharedCatalogue } from '../upstreams/shared-catalogue.ts'

/** What cannot be read is told by what is missing. */
const QUIET: Log = { debug () {}, info () {}, warn () {}, error () {} }

export interface ServerView {
  name: string
  transport: 'stdio' | 'http'
  /** Listed last, ms since the epoch; undefined: never, as far as this state knows. */
  listedAt: number | undefined
  tools: number
  held: number
  warnings: string[]
}

export interface HeldTool {
  server: string
  tool: string
  /** What `tools approve` takes. */
  approve: string
  why: string
  flags: readonly string[]
  /** What differs from what was approved last, a line a member; all of it where nothing was. */
  changes: string[]
}

export async function listServers (store: Store, entries: readonly UpstreamEntry[]): Promise<ServerView[]> {
  const shared = new SharedCatalogue(store, QUIET)
  return await Promise.all(entries.map(async entry => {
    const listed = await shared.read(entry)
    const judged = shared.judge(entry, listed?.lists.tools ?? [])
    const held = judged.filter(({ held }) => held !== undefined)
    const warnings = entry.target.kind === 'stdio' ? ['runs as this server does and can read what it can'] : []
    return {
      name: entry.name,
      transport: entry.target.kind,
      listedAt: listed?.at,
      tools: judged.length - held.length,
      held: held.length,
      warnings
    }
  }))
}

/** @throws {UsageError} for a server that the file does not name */
export async function heldTools (
  store: Store, entries: readonly UpstreamEntry[], server?: string
): Promise<HeldTool[]> {
  const shared = new SharedCatalogue(store, QUIET)
  const asked = server === undefined ? entries : [entryOf(entries, server)]
  const found: HeldTool[] = []
  for (const entry of asked) {
    for (const { name, hash, definition, held, flags } of await heldOf(shared, entry)) {
      const [before] = await shared.approvedBefore(entry.name, name)
      found.push({
        server: entry.name,
        tool: spelledOut(
          name
        ),
        approve: `${name}@${hash.slice(0, SHOWN)}`,
        why: held!,
        flags,
        changes: changesOf(before, definition)
      })
    }
  }
  return found
}

/** The hash that approves all that is held of a server now. */
export async function hashOfHeld (store: Store, entries: readonly UpstreamEntry[], server: string): Promise<string> {
  const entry = entryOf(entries, server)
  return listHash(await heldOf(new SharedCatalogue(store, QUIET), entry)).slice(0, SHOWN)
}

/**
 * @param which `<tool>@<hash>` as `heldTools` shows them, or the one hash of all
 * @throws {UsageError} where what is held is not what was shown
 */
export async function approveTools (
  store: Store, entries: readonly UpstreamEntry[], server: string, which: readonly string[] | { readonly all: string }
): Promise<string[]> {
  const entry = entryOf(entries, server)
  const shared = new SharedCatalogue(store, QUIET)
  const held = (await heldOf(shared, entry)).filter(({ hash }) => hash !== '')
  const chosen = 'all' in which ? allOf(held, which.all) : which.map(one => oneOf(held, one))
  await shared.approve(entry.name, chosen, 'approved at the command line')
  return chosen.map(({ name }) => name)
}

/** Characters of a hash that are shown and typed: 64 bits. */
const SHOWN = 16

function allOf (held: readonly JudgedTool[], hash: string): readonly JudgedTool[] {
  if (hash.length < SHOWN || !listHash(held).startsWith(hash)) {
    throw new UsageError('What is held is not what was shown. Look again: tools diff')
  }
  return held
}

function oneOf (held: readonly JudgedTool[], which: string): JudgedTool {
  const at = which.lastIndexOf('@')
  const hash = which.slice(at + 1)
  const tool = held.find(({ name }) => name === which.slice(0, at))
  if (at < 1 || hash.length < SHOWN) {
    throw new UsageError('Name a tool with its hash, as tools diff shows it: read_file@0123456789abcdef')
  }
  if (tool?.hash.startsWith(hash) !== true) {
    throw new UsageError(
      `"${spelledOut(which.slice(0, at)).slice(0, 80)}" is not held with that hash. Look again: tools diff`
    )
  }
  return tool
}

async function heldOf (shared: SharedCatalogue, entry: UpstreamEntry): Promise<JudgedTool[]> {
  return shared.judge(entry, (await shared.read(entry))?.lists.tools ?? []).filter(({ held }) => held !== undefined)
}

function entryOf (entries: readonly UpstreamEntry[], server: string): UpstreamEntry {
  const entry = entries.find(({ name }) => name === server)
  if (entry === undefined) throw new UsageError(`MCP_SERVERS_FILE names no server "${server.slice(0, 64)}"`)
  return entry
}

function changesOf (before: unknown, after: unknown): string[] {
  const [old, now] = [membersOf(before), membersOf(after)]
  const lines: string[] = []
  for (const place of new Set([...old.keys(), ...now.keys()])) {
    const [was, is] = [old.get(place), now.get(place)]
    if (was === is) continue
    if (was !== undefined) lines.push(spelledOut(`- ${place}: ${was}`))
    if (is !== undefined) lines.push(spelledOut(`+ ${place}: ${is}`))
  }
  return lines
}

/** Every text, number and switch in a value by the place where it is. */
function membersOf (value: unknown, place = '', found = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) membersOf(inner, place === '' ? name : `${place}.${name}`, found)
  } else if (value !== undefined) found.set(place, JSON.stringify(value))
  return found
}
