/**
 * `npm run measure upstreams -- drift`: two replicas on one Redis, a server behind them, and one character of a tool that changes; once the
 * server says so, once it is started anew and says nothing. How long until neither replica offers the tool, what is on record, and how long from
 * the command that approves what `tools diff` showed until both offer it again.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { MAIN } from '../../test/support/processes.ts'
import { freePort, startRedis } from '../../test/support/redis.ts'
import { text, tool } from '../../test/support/scripted-upstream.ts'
import { until } from '../../test/support/until.ts'
import { startHttpUpstream } from '../../test/support/upstream-http.ts'
import { callText, folder, replica, STATE_SECRET, type Replica } from './stage.ts'

const MOST_MS = 1000
/** The log is written in pieces. */
const WRITTEN_MS = 5000
const TOOL = 'files_read'
const HELD = /is not offered: it is new or changed/g

const redis = await startRedis()
const port = await freePort()
const read = tool('read', () => text('read'), { description: 'Reads a file.' })
const startServer = async () => await startHttpUpstream({ teardown () {} }, { port, speaks: true, tools: [read] })
let server = await startServer()
const mcpServers = { files: { url: server.url } }
const env = { REDIS_URL: redis.url, REPLICAS: '2' }
const replicas = [await replica({ mcpServers, env }), await replica({ mcpServers, env })]

const operator = join(folder, 'operator')
mkdirSync(operator)
const file = join(operator, 'mcp_servers.json')
writeFileSync(file, JSON.stringify({ mcpServers }))
/** A command, as an operator gives it elsewhere. */
async function secureMcp (...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], { cwd: operator, env: { PATH: process.env.PATH, ...env, STATE_SECRET, MCP_SERVERS_FILE: file } })
  return stdout
}

const claims: Array<[string, boolean]> = []
const offers = async ({ asker }: Replica) => (await asker.list('tools')).some(({ name }) => name === TOOL)
const heldLines = ({ output }: Replica) => output().match(HELD)?.length ?? 0
/** @returns ms since `began` until it is so on each */
async function msUntil (began: number, isSo: (one: Replica) => Promise<boolean>): Promise<number[]> {
  return await Promise.all(replicas.map(async one => {
    await until(async () => await isSo(one))
    return Math.round(performance.now() - began)
  }))
}

await msUntil(0, offers)
await sleep(1500)
await drift('it says that its list changed', 'Reads a file,', async () => {
  for (const stream of server.own) stream.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })}\n\n`)
})
await sleep(1500)
await drift('it is started anew and says nothing, under calls', 'Reads a file;', async () => {
  await server.close()
  server = await startServer()
}, async one => { await callText(one.asker, TOOL) })

for (const [claim, holds] of claims) console.log(`${holds ? 'ok  ' : 'FAIL'} ${claim}`)
await redis.stop()
process.exit(claims.every(([, holds]) => holds) ? 0 : 1)

/** @param change what the server does beside, @param use what a caller does meanwhile, again and again */
async function drift (how: string, description: string, change: () => Promise<void>, use: (one: Replica) => Promise<void> = async () => {}): Promise<void> {
  const [lines, operations] = [replicas.map(heldLines), await approvals()]
  read.listed.description = description
  await change()
  const held = await msUntil(performance.now(), async one => {
    await use(one)
    return !await offers(one)
  })
  claims.push([`${how}: neither replica offers the tool after ${held.join(' and ')} ms, at most ${MOST_MS}`, held.every(ms => ms <= MOST_MS)])
  const said = await Promise.all(replicas.map(one => callText(one.asker, TOOL)))
  claims.push([`a call of it is refused: ${said[0]!.slice(0, 100)}`, said.every(one => /unknown/i.test(one))])
  const told = () => replicas.map((one, i) => heldLines(one) - lines[i]!)
  await until(() => told().every(count => count > 0), WRITTEN_MS).catch(() => {}) // the claim says so
  claims.push([`the log of each replica says so (${told().join(' and ')} lines)`, told().every(count => count > 0)])

  const shown = await secureMcp('tools', 'diff')
  console.log(shown.trimEnd())
  const [, hash] = /tools approve files '(read@[0-9a-f]+)'/.exec(shown) ?? []
  claims.push(['tools diff shows what it was and what it is', shown.includes(description) && hash !== undefined])
  const began = performance.now()
  let commandMs = NaN
  const [back] = await Promise.all([
    msUntil(began, offers),
    secureMcp('tools', 'approve', 'files', hash ?? '').then(() => { commandMs = Math.round(performance.now() - began) })
  ])
  claims.push([`approved by ${hash} (the command took ${commandMs} ms): back on both ${back.join(' and ')} ms after the command began`, back.every(ms => ms <= commandMs + MOST_MS)])
  claims.push(['the approval is on record', await approvals() === operations + 1])
  const calls = await Promise.all(replicas.map(one => callText(one.asker, TOOL)))
  claims.push(['and it can be called', calls.every(one => one === 'read')])
}

/** Approvals on record. */
async function approvals (): Promise<number> {
  return (await secureMcp('audit', 'tail', '--json', '--since', '1h')).split('\n').filter(line => line.includes('"tools.approve"')).length
}
