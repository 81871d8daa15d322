/** Replicas that keep records, callers at a steady rate, and whether each answer has its record: in the folder, in Redis, in the log. */
import { mkdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sealKeys } from '../../src/audit/seal.ts'
import { segmentsIn } from '../../src/audit/spool.ts'
import { verifyChain, type ChainVerdict } from '../../src/audit/verify.ts'
import { redisStore } from '../../src/state/redis/store.ts'
import type { Store } from '../../src/state/store.ts'
import type { Log } from '../../src/telemetry/log.ts'
import { freePort } from '../../test/support/redis.ts'
import { command } from '../operators/servers.ts'
import { folder, KEY, replica, STATE_SECRET, type Replica } from '../upstreams/stage.ts'

const PREFIX = 'audit:'
const BODY = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: 'hello' } } })
const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${KEY}`, 'content-length': String(Buffer.byteLength(BODY)) }
/** Refusals of callers without a name are written together each second. */
const FOLDED_MS = 1500
const KEYS = sealKeys([STATE_SECRET])

/** One answer; `status` is 0 where there was none. */
export interface Asked { readonly began: number, readonly ended: number, readonly status: number }

/** One life of a process that serves and keeps records. */
export interface Life {
  readonly name: string
  readonly server: Replica
  readonly env: Readonly<Record<string, string>>
  readonly auditDir: string
  readonly agent: Agent
  /** Ids of answers by what they were, whose first byte came. */
  readonly answered: Map<string, number>
  readonly asked: Asked[]
  /** What was decided, by the ids of the request lines on its standard output. */
  readonly logged: Map<string, string>
  /** Its other lines. */
  readonly notes: string[]
  pending: number
  isOver: boolean
}

export interface LifeOptions {
  readonly name: string
  readonly env?: Readonly<Record<string, string>>
  /** Of its records; one of its own if absent. */
  readonly auditDir?: string
  readonly port?: number
}

export async function begin ({ name, env = {}, auditDir = join(folder, name), port }: LifeOptions): Promise<Life> {
  mkdirSync(auditDir, { recursive: true })
  const settings = { AUDIT_DIR: auditDir, REDIS_KEY_PREFIX: PREFIX, MAX_IN_FLIGHT: '10000', MANAGEMENT_PORT: String(await freePort()), ...env }
  const server = await replica({ env: settings, ...(port === undefined ? {} : { port }) })
  const life: Life = { name, server, env: settings, auditDir, agent: new Agent({ keepAlive: true, maxSockets: 128 }), answered: new Map(), asked: [], logged: new Map(), notes: [], pending: 0, isOver: false }
  let rest = ''
  server.child.stdout!.on('data', (part: Buffer) => {
    const text = rest + part.toString()
    const end = text.lastIndexOf('\n') + 1
    for (const { id, decision } of requestsIn(text.slice(0, end))) life.logged.set(id, decision)
    life.notes.push(...text.slice(0, end).split('\n').filter(line => !line.includes('"msg":"request"')))
    rest = text.slice(end)
  })
  return life
}

/** Sent on time, whatever became of those before: what is late makes none later. */
export class Callers {
  readonly #lives: () => readonly Life[]
  readonly #timer: NodeJS.Timeout
  readonly #began = performance.now()
  count = 0

  constructor (rate: number, lives: () => readonly Life[]) {
    this.#lives = lives
    this.#timer = setInterval(() => {
      while (this.count < (performance.now() - this.#began) / 1000 * rate) this.#send()
    }, 5)
  }

  /** Waits for all answers and their records. @returns calls a second */
  async end (): Promise<number> {
    clearInterval(this.#timer)
    const rate = this.count / (performance.now() - this.#began) * 1000
    while (this.#lives().some(({ pending }) => pending > 0)) await sleep(20)
    await sleep(FOLDED_MS)
    return rate
  }

  #send (): void {
    const lives = this.#lives().filter(({ isOver }) => !isOver)
    ask(lives[this.count++ % lives.length]!)
  }
}

function ask (life: Life): void {
  const began = performance.now()
  let isDone = false
  const done = (status: number) => {
    if (isDone) return
    isDone = true
    life.pending--
    life.asked.push({ began, ended: performance.now(), status })
  }
  life.pending++
  request({ host: '127.0.0.1', port: life.server.port, path: '/mcp', method: 'POST', agent: life.agent, headers: HEADERS }, response => {
    const { statusCode = 0, headers: { 'x-request-id': id } } = response
    life.answered.set(String(id), statusCode)
    response.resume().once('end', () => done(response.complete ? statusCode : 0)).once('close', () => done(0))
  }).once('error', () => done(0)).end(BODY)
}

interface RequestLine { readonly id: string, readonly decision: string, readonly count: number }

function requestsIn (text: string): RequestLine[] {
  return text.split('\n').flatMap(line => {
    if (!line.includes('"msg":"request"')) return []
    const { reqId, decision, count = 1 } = JSON.parse(line) as { reqId: string, decision: string, count?: number }
    return [{ id: reqId, decision, count }]
  })
}

export interface Kept {
  readonly verdict: ChainVerdict
  /** Answers without a record in the folder. */
  readonly missing: readonly string[]
  /** Records; of those that are folded, how many they stand for. */
  readonly count: number
  /** As the lines `gap` say. */
  readonly lost: number
  readonly refused: number
}

/** What the newest chain in the folder of a life has of its answers. */
export async function keptOf ({ auditDir, answered }: Life): Promise<Kept> {
  const segments = segmentsIn(auditDir)
  const { chain } = segments.at(-1)!
  const paths = segments.filter(segment => segment.chain === chain).sort((a, b) => a.first - b.first).map(({ path }) => path)
  // The end of the last line may be torn by a kill.
  const texts = paths.map(path => readFileSync(path, 'utf8')).map(text => text.slice(0, text.lastIndexOf('\n') + 1))
  const requests = texts.flatMap(requestsIn)
  const ids = new Set(requests.map(({ id }) => id))
  const gaps = texts.flatMap(text => text.split('\n')).filter(line => line.includes('"msg":"gap"')).map(line => JSON.parse(line) as { lost: number, refused?: number })
  return {
    verdict: await verifyChain(chain, paths, { keys: KEYS }),
    missing: [...answered.keys()].filter(id => !ids.has(id)),
    count: requests.reduce((sum, { count }) => sum + count, 0),
    lost: gaps.reduce((sum, { lost }) => sum + lost, 0),
    refused: gaps.reduce((sum, { refused = 0 }) => sum + refused, 0)
  }
}

const silent: Log = { debug () {}, info () {}, warn () {}, error () {} }

/** What Redis has, read as it comes: it keeps the newest alone. */
export class SharedRecords {
  readonly ids = new Set<string>()
  readonly store: Store
  readonly #reading: Promise<void>
  #isOver = false

  private constructor (store: Store) {
    this.store = store
    this.#reading = this.#read()
  }

  static async of (url: string): Promise<SharedRecords> {
    return new SharedRecords(await redisStore({ url, prefix: PREFIX, commandTimeoutMs: 10_000, patienceMs: 30_000, replicas: 1, log: silent }))
  }

  async end (): Promise<void> {
    this.#isOver = true
    await this.#reading
    await this.store.close()
  }

  async #read (): Promise<void> {
    let after: string | undefined
    while (!this.#isOver) {
      const batches = await this.store.records!.after(after, 64).catch(() => [])
      for (const { text } of batches) for (const { id } of requestsIn(text)) this.ids.add(id)
      after = batches.at(-1)?.id ?? after
      if (batches.length < 64) await sleep(100)
    }
  }
}

/** `audit verify` as an operator runs it, in the folder of a life or of what Redis has. */
export async function auditVerify ({ env }: Life, args: readonly string[] = []): Promise<{ code: number, out: string }> {
  return await command(folder, { ...env, STATE_SECRET }, ['audit', 'verify', ...args])
}

/** The value of a metric of one series. */
export async function metric ({ env }: Life, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${env.MANAGEMENT_PORT}/metrics`)).text()
  return Number(new RegExp(String.raw`^${name}(?:\{[^}]*\})? (\S+)`, 'm').exec(text)?.[1])
}

/** How many of each status, and of each reason as the log has it. */
export function tally (lives: readonly Life[]): string {
  const counts = new Map<string, number>()
  const add = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1)
  for (const { asked, logged } of lives) {
    for (const { status } of asked) add(status === 0 ? 'no answer' : String(status))
    for (const decision of logged.values()) if (decision !== 'served') add(decision)
  }
  return [...counts].sort(([a], [b]) => a < b ? -1 : 1).map(([what, count]) => `${count} × ${what}`).join(', ')
}
