/** What servers behind this one offer by what they listed last: nobody is asked, for commands beside the server. */
import type { Log } from '../telemetry/log.ts'
import type { Catalogue } from '../tools/catalogue.ts'
import type { UpstreamEntry } from './entry.ts'
import { NO_LISTS } from './listing.ts'
import { mergeParts } from './merge.ts'
import { namer } from './names.ts'
import { offeredPart, type LeftOut } from './offered.ts'
import type { SharedCatalogue } from './shared-catalogue.ts'

export interface KeptOffer {
  readonly catalogue: Catalogue
  readonly servers: readonly KeptServer[]
}

export interface KeptServer {
  readonly name: string
  /** False where nothing that it listed is kept. */
  readonly isListed: boolean
  readonly leftOut: readonly LeftOut[]
}

const QUIET: Log = { debug () {}, info () {}, warn () {}, error () {} }

export async function keptOffer (
  own: Catalogue, entries: readonly UpstreamEntry[], shared: SharedCatalogue
): Promise<KeptOffer> {
  const listed = await Promise.all(entries.map(entry => shared.read(entry)))
  const parts = entries.map((entry, i) => {
    const lists = listed[i]?.lists ?? NO_LISTS
    const held = new Map(shared.judge(entry, lists.tools).map(({ definition, held }) => [definition, held]))
    const nobody = () => { throw new Error('nobody is asked here') }
    const calls = { name: entry.name, call: async () => nobody(), watch: nobody }
    return offeredPart(
      { entry, calls, log: QUIET, publicName: namer(entry, entries), held: tool => held.get(tool) }, lists
    )
  })
  const { catalogue, overlaps } = mergeParts(own, parts)
  const servers = parts.map(({ name, leftOut }, i) => ({
    name,
    isListed: listed[i] !== undefined,
    leftOut: [
      ...leftOut,
      ...overlaps.filter(({ upstream }) => upstream === name).map(
        ({ what, owner }) => ({ what, why: `${owner} has it already` })
      )
    ]
  }))
  return { catalogue, servers }
}
