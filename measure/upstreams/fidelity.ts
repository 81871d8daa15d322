/** What differs between `everything` asked directly and asked through this server. */
import { isDeepStrictEqual } from 'node:util'
import type { Answered, Asker, Json } from './asker.ts'

/** Tools that answer the same twice, with arguments. The rest tells its environment, adds to its lists, or waits for a client. */
const CALLS: ReadonlyArray<readonly [string, Json]> = [
  ['echo', { message: 'grüße \u{1f600} "x"\n' }],
  ['echo', { message: 1 }],
  ['get-annotated-message', { messageType: 'error', includeImage: true }],
  ['get-annotated-message', { messageType: 'none' }],
  ['get-resource-links', { count: 4 }],
  ['get-resource-reference', { resourceType: 'Text', resourceId: 1 }],
  ['get-resource-reference', { resourceType: 'Blob', resourceId: 2 }],
  ['get-structured-content', { location: 'Chicago' }],
  ['get-sum', { a: 1, b: 2.5 }],
  ['get-sum', { a: 'x' }],
  ['get-tiny-image', {}]
]
const PROMPTS: ReadonlyArray<readonly [string, Json]> = [
  ['simple-prompt', {}],
  ['args-prompt', { city: 'Oslo', state: 'x' }],
  ['args-prompt', { city: 'Oslo' }],
  ['completable-prompt', { department: 'Sales', name: 'David' }],
  ['resource-prompt', { resourceType: 'Text', resourceId: '1' }]
]
const READS = ['demo://resource/dynamic/text/1', 'demo://resource/dynamic/blob/2', 'demo://resource/static/document/features.md']
const COMPLETIONS: readonly Json[] = [
  { ref: { type: 'ref/prompt', name: 'completable-prompt' }, argument: { name: 'department', value: 'S' } },
  { ref: { type: 'ref/prompt', name: 'completable-prompt' }, argument: { name: 'name', value: '' }, context: { arguments: { department: 'Sales' } } },
  { ref: { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' }, argument: { name: 'resourceId', value: '1' } }
]
/** Members that belong to one hop: what a client of 2026 is told beside the result, and how a tool may run as a task. */
const OF_THE_HOP = new Set(['resultType', 'ttlMs', 'cacheScope', 'execution'])
/** A tool that can run only as a task is left out, and said so. */
const LEFT_OUT = new Set(['simulate-research-query'])

export interface Differences { compared: number, different: string[] }

/** @param prefix of public names */
export async function differencesOf (direct: Asker, through: Asker, prefix: string): Promise<Differences> {
  const found: Differences = { compared: 0, different: [] }
  const compare = (what: string, one: unknown, other: unknown) => {
    found.compared++
    const [expected, actual] = [plain(one), plain(other)]
    if (!isDeepStrictEqual(expected, actual)) found.different.push(`${what}: ${cut(expected)} directly, ${cut(actual)} through`)
  }
  for (const list of ['tools', 'prompts', 'resources', 'resources/templates'] as const) {
    const isNamed = list === 'tools' || list === 'prompts'
    const here = (await direct.list(list)).filter(({ name }) => !LEFT_OUT.has(String(name))).map(item => isNamed ? { ...item, name: prefix + String(item.name) } : item)
    const there = (await through.list(list)).filter(({ name }) => !isNamed || String(name).startsWith(prefix))
    const by = (one: Json, other: Json) => cut(one) < cut(other) ? -1 : 1
    compare(list, [...here].sort(by), [...there].sort(by))
  }
  for (const [name, args] of CALLS) {
    const ask = (asker: Asker, before: string) => asker.ask('tools/call', { name: before + name, arguments: args })
    const [one, other] = [await ask(direct, ''), await ask(through, prefix)]
    // Arguments that do not fit are refused here, in this server's words, before the upstream is asked.
    const refusedByBoth = isRefusal(one) && isRefusal(other)
    compare(`${name} ${JSON.stringify(args)}`, refusedByBoth ? 'refused' : said(one), refusedByBoth ? 'refused' : said(other))
  }
  for (const [name, args] of PROMPTS) {
    compare(name, said(await direct.ask('prompts/get', { name, arguments: args })), said(await through.ask('prompts/get', { name: prefix + name, arguments: args })))
  }
  for (const uri of READS) compare(uri, said(await direct.ask('resources/read', { uri })), said(await through.ask('resources/read', { uri })))
  for (const params of COMPLETIONS) {
    const ref = params.ref as Json
    const renamed = typeof ref.name === 'string' ? { ...params, ref: { ...ref, name: prefix + ref.name } } : params
    compare(`completion ${cut(params)}`, said(await direct.ask('completion/complete', params)), said(await through.ask('completion/complete', renamed)))
  }
  await compareProgress(direct, through, prefix, compare)
  return found
}

async function compareProgress (direct: Asker, through: Asker, prefix: string, compare: (what: string, one: unknown, other: unknown) => void): Promise<void> {
  const ask = async (asker: Asker, before: string) => {
    const { before: messages, ...rest } = await asker.ask('tools/call', { name: `${before}trigger-long-running-operation`, arguments: { duration: 0.4, steps: 4 }, _meta: { progressToken: 'p' } })
    return { progress: messages.filter(({ method }) => method === 'notifications/progress').map(({ params }) => params), ...rest }
  }
  compare('progress, in order, before the answer', await ask(direct, ''), await ask(through, prefix))
}

function said ({ result, error }: Answered): unknown {
  return error === undefined ? result : { error }
}

function isRefusal ({ result, error }: Answered): boolean {
  return error !== undefined || result?.isError === true
}

/** Without what belongs to the hop, and without the time of the day that `everything` writes into texts. */
function plain (value: unknown): unknown {
  if (typeof value === 'string') return timeless(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value)
    .filter(([name]) => !OF_THE_HOP.has(name) && !name.startsWith('io.modelcontextprotocol/'))
    .map(([name, member]) => [name, plain(member)] as const)
    .filter(([name, member]) => name !== '_meta' || Object.keys(member as object).length > 0))
}

function timeless (text: string): string {
  const decoded = /^[A-Za-z0-9+/]{40,}={0,2}$/.test(text) ? Buffer.from(text, 'base64').toString('utf8') : text
  return /created at/.test(decoded) ? decoded.replace(/\d{1,2}:\d\d:\d\d( [AP]M)?/g, '') : text
}

function cut (value: unknown): string {
  return JSON.stringify(value).slice(0, 300)
}
