/**
 * What upstreams list and what of it is approved, in the state that replicas share: a replica offers it before it is
 * connected, and while the upstream is away.
 */
import type { Store } from '../state/store.ts'
import type { Log } from '../telemetry/log.ts'
import type { UpstreamEntry } from './entry.ts'
import { NO_LISTS, type UpstreamLists } from './listing.ts'
import { isMembers, type Members } from './messages.ts'
import { approvalId, approvalsOf, judgeTools, trustable, type JudgedTool } from './pins.ts'

type SharedState = Pick<Store, 'approvals' | 'catalogues' | 'claim' | 'health' | 'now'>

const DAY_MS = 86_400_000
const LISTED_MS = 7 * DAY_MS
const DEFINITION_MS = 90 * DAY_MS
/** What is kept is written again this often even where nothing changed, ms. */
const RENEW_MS = 3_600_000
const MAX_TEXT = 4 * 1024 * 1024
/** What could not be kept is tried again so soon, ms. */
const AGAIN_MS = 1000
/** A first time comes once; ten years stand for ever. */
const EVER_MS = 3650 * DAY_MS

/** What an upstream listed, and when: ms since the epoch. */
export interface ListedBefore {
  readonly at: number
  readonly lists: UpstreamLists
}

export class SharedCatalogue {
  readonly #state: SharedState
  readonly #log: Log
  /** What this process wrote last, by id. */
  readonly #written = new Map<string, { text: string, at: number }>()
  /** First lists whose approval was not written yet. */
  readonly #owed = new Set<string>()
  /** Of each upstream whose lists came while the state was in trouble: when they are kept. */
  readonly #later = new Map<string, NodeJS.Timeout>()
  #isClosed = false

  constructor (state: SharedState, log: Log) {
    this.#state = state
    this.#log = log
  }

  /** What was listed last; undefined where nothing is kept, or it cannot be read now. */
  async read (entry: UpstreamEntry): Promise<ListedBefore | undefined> {
    try {
      const text = await this.#state.catalogues.get(idOf(entry))
      return text === undefined ? undefined : listedIn(text)
    } catch (error) {
      this.#log.warn({ err: error as Error, upstream: entry.name }, 'what the upstream listed before cannot be read')
      return undefined
    }
  }

  /** Keep what was listed; of a server that was never seen, approve what there is. */
  async keep (entry: UpstreamEntry, lists: UpstreamLists): Promise<void> {
    clearTimeout(this.#later.get(entry.name))
    try {
      await this.#trustFirst(entry, lists.tools)
      const id = idOf(entry)
      const text = JSON.stringify(lists)
      const written = this.#written.get(id)
      const now = this.#state.now()
      if (written?.text === text && now - written.at < RENEW_MS) return
      if (text.length > MAX_TEXT) {
        this.#log.warn({ upstream: entry.name, characters: text.length }, 'what the upstream lists is more than is kept')
        return
      }
      await this.#state.catalogues.put(new Map([[id, `{"at":${now},"lists":${text}}`]]), LISTED_MS)
      this.#written.set(id, { text, at: now })
      if (this.#state.health() === 'ok') return
    } catch (error) {
      this.#log.warn({ err: error as Error, upstream: entry.name }, 'what the upstream lists could not be kept')
    }
    // Else a server that is seen for the first time would offer nothing until it lists again.
    this.#keepLater(entry, lists)
  }

  close (): void {
    this.#isClosed = true
    for (const timer of this.#later.values()) clearTimeout(timer)
  }

  #keepLater (entry: UpstreamEntry, lists: UpstreamLists): void {
    if (this.#isClosed) return
    const timer = setTimeout(() => {
      if (this.#state.health() !== 'ok') this.#keepLater(entry, lists)
      else this.keep(entry, lists).catch(() => {}) // it tells of its own failures
    }, AGAIN_MS)
    this.#later.set(entry.name, timer.unref())
  }

  judge (entry: UpstreamEntry, tools: readonly Members[]): JudgedTool[] {
    const named = tools.filter(({ name }) => typeof name === 'string')
    return judgeTools(named, { server: entry.name, pin: entry.pin, approved: this.#state.approvals.entries() })
  }

  /** Let these be offered, on every replica. What they are now is kept, so that a change can be shown. */
  async approve (server: string, tools: readonly JudgedTool[], note: string): Promise<void> {
    const since = this.#state.now()
    const definitions = tools.map(
      ({ hash, definition }) => [`definition:${hash.slice(0, 32)}`, JSON.stringify(definition)] as const
    )
    await this.#state.catalogues.put(new Map(definitions), DEFINITION_MS)
    const ids = tools.map(({ name, hash }) => approvalId(server, name, hash))
    await this.#state.approvals.setMany(new Map(ids.map(id => [id, { since, note }])))
  }

  /** Definitions of a tool that were approved, the latest first. */
  async approvedBefore (server: string, tool: string): Promise<Members[]> {
    const prefix = `${approvalsOf(server)}${tool}:`
    const ids = [
      ...this.#state.approvals.entries()
    ].filter(([id]) => id.startsWith(prefix) && id.length === prefix.length + 32)
    const found: Members[] = []
    for (const [id] of ids.sort(([, a], [, b]) => b.since - a.since)) {
      const value = parsed(await this.#state.catalogues.get(`definition:${id.slice(-32)}`))
      if (isMembers(value)) found.push(value)
    }
    return found
  }

  /** Told, once for many, when something was approved or is approved no more. @returns the way to stop */
  onApprovals (listener: () => void): () => void {
    let timer: NodeJS.Timeout | undefined
    const stop = this.#state.approvals.onChange(() => {
      timer ??= setTimeout(() => {
        timer = undefined
        listener()
      }, 20).unref()
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }

  /** An emptied list of approvals is no first time: the claim tells that there was one. */
  async #trustFirst (entry: UpstreamEntry, tools: readonly Members[]): Promise<void> {
    const { approvals, claim, health } = this.#state
    if (entry.pin !== 'trust_first_use' || tools.length === 0 || health.call(this.#state) !== 'ok') return
    if (!this.#owed.has(entry.name)) {
      const prefix = approvalsOf(entry.name)
      for (const id of approvals.entries().keys()) if (id.startsWith(prefix)) return
      if (!await claim.call(this.#state, `servers:${entry.name}`, EVER_MS)) return
      this.#owed.add(entry.name)
    }
    const first = trustable(this.judge(entry, tools))
    await this.approve(entry.name, first, 'first use')
    this.#owed.delete(entry.name)
    this.#log.info({ upstream: entry.name, tools: first.length }, 'tools of an upstream approved on first use')
  }
}

function idOf ({ name, digest }: UpstreamEntry): string {
  return `catalogue:${name}:${digest}`
}

function parsed (text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

function listedIn (text: string): ListedBefore | undefined {
  const value = parsed(text)
  if (!isMembers(value) || typeof value.at !== 'number' || !isMembers(value.lists)) return undefined
  const kept = value.lists
  const list = (
    name: keyof UpstreamLists
  ) => (Array.isArray(kept[name]) ? kept[name] as unknown[] : []).filter(isMembers)
  return {
    at: value.at,
    lists: {
      ...NO_LISTS,
      tools: list('tools'),
      prompts: list('prompts'),
      resources: list('resources'),
      templates: list('templates')
    }
  }
}
