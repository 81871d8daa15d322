/**
 * Everything that an upstream lists, page by page, within bounds. What breaks a bound ends the list and is told; it
 * throws nothing away.
 */
import { namesIn, VIA_META_KEY } from '../core/via.ts'
import type { Agreement, OnBehalf } from './handshake.ts'
import { dress } from './handshake.ts'
import { isMembers, member, membersIn, UpstreamFault, type Members } from './messages.ts'
import type { Peer } from './peer.ts'

/** What an upstream lists, in its own words. */
export interface UpstreamLists {
  readonly tools: readonly Members[]
  readonly prompts: readonly Members[]
  readonly resources: readonly Members[]
  readonly templates: readonly Members[]
}

export interface ListingBounds {
  readonly maxTools: number
  readonly deadlineMs: number
}

export interface UpstreamListing {
  readonly lists: UpstreamLists
  /** What was left out and why, in words that go on from "Upstream x". */
  readonly remarks: readonly string[]
  /** Gateways that it names behind its tools. */
  readonly via: readonly string[]
}

export const NO_LISTS: UpstreamLists = { tools: [], prompts: [], resources: [], templates: [] }

const MAX_PAGES = 100
const MAX_BYTES = 4 * 1024 * 1024
/** Prompts, resources and templates, each. */
const MAX_OTHERS = 1000

interface ListKind {
  readonly list: keyof UpstreamLists
  readonly method: string
  /** The member of the result. */
  readonly in: string
  readonly capability: string
}

const KINDS: readonly ListKind[] = [
  { list: 'tools', method: 'tools/list', in: 'tools', capability: 'tools' },
  { list: 'prompts', method: 'prompts/list', in: 'prompts', capability: 'prompts' },
  { list: 'resources', method: 'resources/list', in: 'resources', capability: 'resources' },
  { list: 'templates', method: 'resources/templates/list', in: 'resourceTemplates', capability: 'resources' }
]

/** What is told beside the lists. */
interface Told {
  readonly remarks: string[]
  readonly via: Set<string>
}

interface ListingDeps {
  readonly peer: Peer
  readonly agreement: Agreement
  readonly behalf: OnBehalf
  readonly bounds: ListingBounds
}

/**
 * Ask for every list that the upstream says it has.
 *
 * @throws {PeerTrouble} where nothing came: what was listed before stays then
 */
export async function listAll (deps: ListingDeps): Promise<UpstreamListing> {
  const remarks: string[] = []
  const via = new Set<string>()
  const lists: Record<keyof UpstreamLists, readonly Members[]> = { ...NO_LISTS }
  for (const kind of KINDS) {
    if (member(deps.agreement.capabilities, kind.capability) === undefined) continue
    try {
      lists[kind.list] = await listOne(deps, kind, { remarks, via })
    } catch (error) {
      // It claims what it has not: that list is empty.
      if (!(error instanceof UpstreamFault)) throw error
      if (error.code !== -32601) remarks.push(`answers ${kind.method} with error ${error.code}`)
    }
  }
  return { lists, remarks, via: [...via] }
}

async function listOne (
  { peer, agreement, behalf, bounds }: ListingDeps, { list, method, in: name }: ListKind, { remarks, via }: Told
): Promise<Members[]> {
  const most = list === 'tools' ? bounds.maxTools : MAX_OTHERS
  const found: Members[] = []
  const seen = new Set<string>()
  let cursor: string | undefined
  let bytes = 0
  for (let page = 1; ; page++) {
    const { params, headers } = dress(agreement, method, cursor === undefined ? {} : { cursor }, behalf)
    const result = await peer.ask(method, params, { deadlineMs: bounds.deadlineMs, headers })
    for (const gateway of namesIn(member(membersIn(result, '_meta'), VIA_META_KEY))) via.add(gateway)
    const items = member(result, name)
    if (!Array.isArray(items)) remarks.push(`answers ${method} without the list "${name}"`)
    for (const item of Array.isArray(items) ? items as unknown[] : []) {
      if (!isMembers(item)) {
        remarks.push(`has an entry in ${method} that is no object`)
        continue
      }
      if (found.length >= most) {
        return cut(found, remarks, `lists over ${most} entries in ${method}; the rest is left out`)
      }
      bytes += JSON.stringify(item).length
      if (bytes > MAX_BYTES) {
        return cut(found, remarks, `lists over ${MAX_BYTES} bytes in ${method}; the rest is left out`)
      }
      found.push(item)
    }
    cursor = nextCursor(result, agreement)
    if (cursor === undefined) return found
    if (seen.has(cursor)) {
      return cut(found, remarks, `gives the same cursor of ${method} again; its further pages are left out`)
    }
    if (page === MAX_PAGES) {
      return cut(found, remarks, `has more than ${MAX_PAGES} pages in ${method}; the others are left out`)
    }
    seen.add(cursor)
  }
}

function cut (found: Members[], remarks: string[], remark: string): Members[] {
  remarks.push(remark)
  return found
}

/** In the older revisions some servers write an empty cursor for none; in the newer one it is a cursor. */
function nextCursor (result: Members, { era }: Agreement): string | undefined {
  const cursor = member(result, 'nextCursor')
  return typeof cursor === 'string' && (cursor !== '' || era === 'modern') ? cursor : undefined
}
