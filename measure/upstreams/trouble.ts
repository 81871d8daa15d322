/**
 * `npm run measure upstreams -- trouble [--rate 100] [--seconds 10]`: twenty servers over stdio, of which five get into trouble at once: one is
 * frozen, one crashes each second, one answers 50 MB, one lists 700 tools, one floods notifications. Calls to the other fifteen and lists, in
 * quiet phases and in phases of trouble by turns.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { until } from '../../test/support/until.ts'
import { callText, folder, KEY, percentile, replica } from './stage.ts'

const { values } = parseArgs({ allowPositionals: true, options: { rate: { type: 'string', default: '100' }, seconds: { type: 'string', default: '10' } } })
const [rate, seconds] = [Number(values.rate), Number(values.seconds)]
const LISTS_PER_S = 5
const MOST_MORE = { share: 1.1, ms: 1 }
const MOST_LIST_MS = 50
const MOST_MORE_MIB = 128

const TROUBLED = ['frozen', 'crashing', 'huge', 'many', 'flooding'] as const
/** Those whose calls cannot come to anything. */
const FAILING: ReadonlySet<string> = new Set(['frozen', 'crashing', 'huge'])
const OTHERS = Array.from({ length: 15 }, (_, i) => `other${i + 1}`)
const flag = join(folder, 'trouble')
const entryOf = (kind: string) => ({
  command: process.execPath, args: [join(import.meta.dirname, 'troubled-server.mjs'), kind, flag], pin: 'off', ...(kind === 'frozen' ? { timeoutMs: 1000 } : {})
})
const mcpServers = Object.fromEntries([...TROUBLED.map(kind => [kind, entryOf(kind)]), ...OTHERS.map(name => [name, entryOf('well')])])

const server = await replica({ mcpServers })
const echo = async (name: string, text: string) => await callText(server.asker, `${name}_echo`, { text })
await until(async () => (await server.asker.list('tools')).filter(({ name }) => String(name).endsWith('_echo')).length === TROUBLED.length + OTHERS.length, 60_000)

interface Phase {
  readonly inTrouble: boolean
  /** Calls to the other fifteen, ms. */
  readonly calls: number[]
  readonly lists: number[]
  /** What the others answered that they should not. */
  readonly failed: string[]
  readonly troubled: Array<{ readonly name: string, readonly text: string, readonly said: string }>
  mostTools: number
  mostMiB: number
}
const phases: Phase[] = []
const watching = setInterval(() => {
  const current = phases.at(-1)
  if (current !== undefined) current.mostMiB = Math.max(current.mostMiB, residentMiB())
}, 100)

for (let i = 0; i < 10; i++) await Promise.all(Object.keys(mcpServers).map(name => echo(name, 'warm')))
const before = residentMiB()
for (const inTrouble of [false, true, false, true]) {
  await run(inTrouble)
  await allWell()
}
clearInterval(watching)
await sleep(2000)
const after = residentMiB()
process.exit(report() ? 0 : 1)

async function run (inTrouble: boolean): Promise<void> {
  const phase: Phase = { inTrouble, calls: [], lists: [], failed: [], troubled: [], mostTools: 0, mostMiB: residentMiB() }
  phases.push(phase)
  if (inTrouble) writeFileSync(flag, '')
  await Promise.all([
    steadily(rate, async n => {
      const began = performance.now()
      const said = await echo(OTHERS[n % OTHERS.length]!, String(n))
      phase.calls.push(performance.now() - began)
      if (said !== String(n)) phase.failed.push(said)
    }),
    steadily(LISTS_PER_S, async () => {
      const { ms, tools, status } = await list()
      phase.lists.push(ms)
      phase.mostTools = Math.max(phase.mostTools, tools)
      if (status !== 200) phase.failed.push(`tools/list: HTTP ${status}`)
    }),
    steadily(TROUBLED.length, async n => {
      const [name, text] = [TROUBLED[n % TROUBLED.length]!, `of ${n}`]
      phase.troubled.push({ name, text, said: await echo(name, text) })
    })
  ])
}

/** End the trouble, and wait until those who were in it answer again. */
async function allWell (): Promise<void> {
  rmSync(flag, { force: true })
  const began = performance.now()
  await until(async () => {
    thaw()
    return (await Promise.all(TROUBLED.map(name => echo(name, 'well')))).every(said => said === 'well')
  }, 60_000)
  if (phases.at(-1)!.inTrouble) console.log(`all five answer again ${Math.round(performance.now() - began)} ms after their trouble`)
}

function thaw (): void {
  try {
    process.kill(Number(readFileSync(`${flag}.frozen`, 'utf8')), 'SIGCONT')
    rmSync(`${flag}.frozen`)
  } catch {} // nobody was frozen, or it was ended meanwhile
}

/** Begin so many a second, however long they take. */
async function steadily (perSecond: number, one: (n: number) => Promise<void>): Promise<void> {
  const under: Array<Promise<void>> = []
  const began = performance.now()
  for (let n = 0; n < perSecond * seconds; n++) {
    await sleep(Math.max(0, began + n * 1000 / perSecond - performance.now()))
    under.push(one(n))
  }
  await Promise.all(under)
}

/** Read but not parsed: that time would be ours. */
async function list (): Promise<{ ms: number, tools: number, status: number }> {
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
  const began = performance.now()
  const response = await fetch(server.url, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta } })
  })
  const text = await response.text()
  return { ms: performance.now() - began, tools: text.split('"inputSchema"').length - 1, status: response.status }
}

function residentMiB (): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))![1]) / 1024
}

/** @returns whether all that is claimed holds */
function report (): boolean {
  const f = (ms: number) => ms.toFixed(2)
  for (const { inTrouble, calls, lists, mostTools, mostMiB } of phases) {
    console.log(`${inTrouble ? 'trouble' : 'quiet  '}: ${calls.length} calls, p50 ${f(percentile(calls, 0.5))}, p99 ${f(percentile(calls, 0.99))}, most ${f(Math.max(...calls))} ms; ${lists.length} lists of at most ${mostTools} tools, p99 ${f(percentile(lists, 0.99))} ms; RSS at most ${Math.round(mostMiB)} MiB`)
  }
  const [quiet, trouble] = [phases.filter(({ inTrouble }) => !inTrouble), phases.filter(({ inTrouble }) => inTrouble)]
  const p99 = (some: readonly Phase[], what: 'calls' | 'lists') => percentile(some.flatMap(phase => phase[what]), 0.99)
  const asked = (some: readonly Phase[], name: string) => some.flatMap(({ troubled }) => troubled.filter(one => one.name === name))
  const named = ({ name, said }: { name: string, said: string }) => said.startsWith(`Upstream "${name}" `)
  for (const name of TROUBLED) {
    const all = asked(trouble, name)
    const failed = all.filter(named)
    console.log(`${name}: ${all.length} calls in its trouble, ${all.filter(({ text, said }) => said === text).length} served, ${failed.length} failed by its name: ${[...new Set(failed.map(({ said }) => said.slice(0, 120)))].slice(0, 3).join(' | ')}`)
  }
  if (existsSync(`${flag}.flooded`)) console.log(`${readFileSync(`${flag}.flooded`, 'utf8')} notifications written in the last flood`)
  const [before99, during99] = [p99(quiet, 'calls'), p99(trouble, 'calls')]
  const most99 = Math.max(before99 * MOST_MORE.share, before99 + MOST_MORE.ms)
  const failed = phases.flatMap(({ failed }) => failed)
  const odd = TROUBLED.flatMap(name => asked(trouble, name)).filter(one => !named(one) && one.said !== one.text)
  const mostMiB = (some: readonly Phase[]) => Math.max(...some.map(({ mostMiB }) => mostMiB))
  const claims: Array<[string, boolean]> = [
    [`p99 of the others ${f(before99)} ms quiet, ${f(during99)} ms in trouble (${f((during99 / before99 - 1) * 100)} % more), at most ${f(most99)}`, during99 <= most99],
    [`tools/list p99 ${f(p99(trouble, 'lists'))} ms in trouble, at most ${MOST_LIST_MS}`, p99(trouble, 'lists') <= MOST_LIST_MS],
    [`${failed.length} calls to others and lists failed; ${[...failed, ...odd.map(({ said }) => said)].filter(said => /503|UNAVAILABLE/.test(said)).length} answers of 503`, failed.length === 0],
    ['all five are well in quiet phases', TROUBLED.every(name => asked(quiet, name).every(({ text, said }) => said === text))],
    [`each answer of the five is its own or names it (${odd.length} others)`, odd.length === 0],
    ['those that cannot answer are named', [...FAILING].every(name => asked(trouble, name).some(named))],
    ['700 tools were listed', Math.max(...trouble.map(({ mostTools }) => mostTools)) >= 700],
    [`RSS ${Math.round(before)} MiB before, at most ${Math.round(mostMiB(quiet))} quiet and ${Math.round(mostMiB(trouble))} in trouble, ${Math.round(after)} after; at most ${MOST_MORE_MIB} more than quiet`, mostMiB(trouble) <= mostMiB(quiet) + MOST_MORE_MIB]
  ]
  for (const [claim, holds] of claims) console.log(`${holds ? 'ok  ' : 'FAIL'} ${claim}`)
  for (const said of [...failed, ...odd.map(({ name, said }) => `${name}: ${said}`)].slice(0, 10)) console.error(`ODD ${said.slice(0, 200)}`)
  return claims.every(([, holds]) => holds)
}
