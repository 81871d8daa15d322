/**
 * `dev`: tools are loaded again when their files change. In production nothing
 * reloads, for a tool that changes is another tool.
 */
import type { Log } from '../telemetry/log.ts'
import type { Catalogue } from './catalogue.ts'
import { Generations } from './generations.ts'
import type { CurrentOffer } from './offer.ts'
import { watchFolder } from './watch-folder.ts'

/** Editors write a file in several steps, ms. */
const QUIET_MS = 50
/** A file that waits longer than this at its top level is not loaded, ms. */
const MOST_MS = 10_000

export interface ReloaderOptions {
  /** Folder of the tools; it need not exist yet. */
  dir: string
  /**
   * @param query stands behind the URL of each module
   * @throws {UsageError} naming the file that is wrong
   */
  load: (query: string) => Promise<Catalogue>
  offer: Pick<CurrentOffer, 'replace'>
  log: Log
}

/** Calls that run end with the code that they began with; a file that is wrong leaves what was offered before. */
export class Reloader {
  readonly #options: ReloaderOptions
  readonly #generations: Generations
  readonly #stopWatching: () => void
  #timer: NodeJS.Timeout | undefined
  #loading = false
  #again = false

  constructor (options: ReloaderOptions) {
    this.#options = options
    this.#generations = new Generations(options.dir)
    this.#stopWatching = watchFolder(options.dir, () => this.#soon())
  }

  close (): void {
    this.#stopWatching()
    clearTimeout(this.#timer)
  }

  #soon (): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(async () => await this.#loadAll(), QUIET_MS)
  }

  /** One at a time; what changes meanwhile is loaded after it. */
  async #loadAll (): Promise<void> {
    this.#again = true
    if (this.#loading) return
    this.#loading = true
    while (this.#again) {
      this.#again = false
      await this.#load()
    }
    this.#loading = false
  }

  async #load (): Promise<void> {
    const { load, offer, log, dir } = this.#options
    try {
      const next = await inTime(load(this.#generations.next()), dir)
      offer.replace(next)
      const resources = next.resources.size + next.templates.size
      log.info({ tools: next.tools.size, prompts: next.prompts.size, resources }, 'tools loaded again')
    } catch (error) {
      log.error({ why: (error as Error).message }, 'tools not loaded again; those from before stay')
    }
  }
}

async function inTime<T> (loading: Promise<T>, dir: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    const why = `a file of ${dir} waits for something at its top level for more than ${MOST_MS / 1000} s`
    timer = setTimeout(() => reject(new Error(why)), MOST_MS)
  })
  try {
    return await Promise.race([loading, late])
  } finally {
    clearTimeout(timer)
  }
}
