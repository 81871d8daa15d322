// A Redis Cluster of real nodes on loopback, and Sentinels over real servers: for tests and measurements.
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort, startRedis } from './redis.ts'

const SLOTS = 16384

export interface ServerOptions {
  /** Settings of redis.conf, as arguments, after the usual ones. */
  args?: readonly string[]
  /** Keeps its data through a kill. */
  aof?: boolean
  /** Password of the user `operator`, who may do everything; `default` where absent. */
  operator?: string
}

export type RedisNode = Awaited<ReturnType<typeof startNode>>

/** A server that can be started again on its port and data. */
export async function startNode ({ args = [], aof = false, operator }: ServerOptions = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'redis-node-'))
  const persistence = ['--save', '', '--appendonly', aof ? 'yes' : 'no', '--appendfsync', 'everysec', '--repl-diskless-sync-delay', '0']
  const own = { dir, args: [...persistence, ...args] }
  let running = await startRedis(own)
  const { port } = running
  const settings = { ...own, port }
  const admin = new Redis({ port, ...(operator === undefined ? {} : { username: 'operator', password: operator }), retryStrategy: () => 100 })
  admin.on('error', () => {})
  return {
    port,
    dir,
    url: running.url,
    address: `127.0.0.1:${port}`,
    admin,
    freeze: () => { running.process.kill('SIGSTOP') },
    thaw: () => { running.process.kill('SIGCONT') },
    kill: (signal: NodeJS.Signals = 'SIGKILL') => running.stop(signal),
    /** Start it anew, after `kill`. */
    async again () { running = await startRedis(settings) },
    async stop () {
      admin.disconnect()
      await running.stop('SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    }
  }
}

export interface ClusterOptions extends ServerOptions {
  masters?: number
  /** Of each master. */
  replicas?: number
  /** How soon a node is taken for dead, ms. */
  nodeTimeoutMs?: number
}

export interface RedisCluster {
  /** Masters first. */
  readonly nodes: readonly RedisNode[]
  readonly addresses: readonly string[]
  /** The node that serves a slot, as the first node that answers says. */
  masterOf (slot: number): Promise<RedisNode>
  stop (): Promise<void>
}

/** A Cluster whose masters share the slots evenly, once every node says that it is whole. */
export async function startCluster ({ masters = 3, replicas = 0, nodeTimeoutMs = 2000, args = [], ...options }: ClusterOptions = {}): Promise<RedisCluster> {
  const clustered = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeoutMs), '--cluster-replica-validity-factor', '0', ...args]
  const nodes: RedisNode[] = []
  const stop = async () => { await Promise.all(nodes.map(node => node.stop())) }
  try {
    for (let i = 0; i < masters * (1 + replicas); i++) nodes.push(await startNode({ ...options, args: clustered }))
    await meet(nodes, masters)
    await replicate(nodes, masters)
    await until(async () => (await Promise.all(nodes.map(({ admin }) => admin.cluster('INFO')))).every(text => text.includes('cluster_state:ok')))
    await until(async () => (await Promise.all(nodes.slice(0, masters).map(({ admin }) => admin.info('replication')))).every(text => online(text) === replicas))
  } catch (error) {
    await stop()
    throw error
  }
  return { nodes, addresses: nodes.map(({ address }) => address), masterOf: slot => masterOf(nodes, slot), stop }
}

async function meet (nodes: readonly RedisNode[], masters: number): Promise<void> {
  const share = Math.ceil(SLOTS / masters)
  for (const [i, { admin }] of nodes.slice(0, masters).entries()) {
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', String(i * share), String(Math.min(SLOTS, (i + 1) * share) - 1))
  }
  // Each its own number of the configuration: two that had the same would settle it only after a while.
  for (const [i, { admin }] of nodes.entries()) await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1))
  for (const { port } of nodes.slice(1)) await nodes[0]!.admin.call('CLUSTER', 'MEET', '127.0.0.1', String(port))
  await until(async () => (await Promise.all(nodes.map(({ admin }) => admin.cluster('NODES') as Promise<string>)))
    .every(text => text.trim().split('\n').length === nodes.length && !text.includes('handshake')))
}

async function replicate (nodes: readonly RedisNode[], masters: number): Promise<void> {
  for (const [i, { admin }] of nodes.slice(masters).entries()) {
    const id = String(await nodes[i % masters]!.admin.cluster('MYID'))
    await until(() => admin.call('CLUSTER', 'REPLICATE', id).then(() => true, () => false))
  }
}

async function masterOf (nodes: readonly RedisNode[], slot: number): Promise<RedisNode> {
  for (const { admin } of nodes) {
    const ranges = await Promise.race([admin.cluster('SLOTS').catch(() => undefined), sleep(500)]) as Array<[number, number, [string, number]]> | undefined
    const range = ranges?.find(([from, to]) => from <= slot && slot <= to)
    const found = nodes.find(({ port }) => port === range?.[2][1])
    if (found !== undefined) return found
  }
  throw new Error('no node of the cluster answers')
}

export interface SentinelOptions extends ServerOptions {
  sentinels?: number
  replicas?: number
  /** Further lines of each Sentinel's file, such as `sentinel auth-pass main …`. */
  lines?: readonly string[]
}

export interface Sentinels {
  readonly master: RedisNode
  readonly others: readonly RedisNode[]
  /** host:port of each Sentinel; the master's name is `main`. */
  readonly hosts: readonly string[]
  stop (): Promise<void>
}

/** Sentinels over a master and replicas, once they know all of them and one another: before that they fail over to nobody. */
export async function startSentinels ({ sentinels = 3, replicas = 2, lines = [], args = [], ...options }: SentinelOptions = {}): Promise<Sentinels> {
  const master = await startNode({ ...options, args })
  const others: RedisNode[] = []
  const watchers: Array<{ port: number, stop (): Promise<void> }> = []
  const dir = mkdtempSync(join(tmpdir(), 'redis-sentinel-'))
  const stop = async () => {
    await Promise.all([master, ...others, ...watchers].map(each => each.stop()))
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    for (let i = 0; i < replicas; i++) others.push(await startNode({ ...options, args: [...args, '--replicaof', '127.0.0.1', String(master.port)] }))
    await until(async () => online(await master.admin.info('replication')) === replicas)
    for (let i = 0; i < sentinels; i++) {
      const port = await freePort()
      const file = join(dir, `sentinel-${port}.conf`)
      writeFileSync(file, [
        `port ${port}`, 'bind 127.0.0.1', `dir ${dir}`, 'logfile ""', `sentinel monitor main 127.0.0.1 ${master.port} ${Math.floor(sentinels / 2) + 1}`,
        'sentinel down-after-milliseconds main 1000', 'sentinel failover-timeout main 3000', 'sentinel parallel-syncs main 2', ...lines, ''
      ].join('\n'))
      watchers.push(await startRedis({ port, args: [file, '--sentinel'], sentinel: true }))
    }
    for (const { port } of watchers) await knowsAll(port, { replicas, sentinels })
  } catch (error) {
    await stop()
    throw error
  }
  return { master, others, hosts: watchers.map(({ port }) => `127.0.0.1:${port}`), stop }
}

async function knowsAll (port: number, { replicas, sentinels }: { replicas: number, sentinels: number }): Promise<void> {
  const asked = new Redis(port)
  await until(async () => {
    const answer = await asked.call('SENTINEL', 'MASTER', 'main') as string[] | Record<string, string>
    const of = (name: string) => Number(Array.isArray(answer) ? answer[answer.indexOf(name) + 1] : answer[name])
    return of('num-slaves') === replicas && of('num-other-sentinels') === sentinels - 1
  })
  asked.disconnect()
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/**
 * The users.acl that ships, with a password for `mcp` and further users, in a
 * file; and the arguments of a server that go with it.
 *
 * @param users lines such as `user operator on >password ~* &* +@all`
 */
export function shippedUsers (dir: string, password: string, users: readonly string[] = []): string[] {
  const rules = readFileSync(resolve(import.meta.dirname, '../../k8s/components/redis/users.acl'), 'utf8').replace('<sha256>', sha256(password))
  const file = join(dir, 'users.acl')
  writeFileSync(file, [rules.trim(), ...users, ''].join('\n'), { mode: 0o600 })
  return ['--aclfile', file, '--protected-mode', 'no']
}

/** Replicas that have all that their master has. */
function online (replication: string): number {
  return (replication.match(/state=online/g) ?? []).length
}

async function until (claim: () => Promise<boolean>, withinMs = 30_000): Promise<void> {
  const end = performance.now() + withinMs
  while (!await claim().catch(() => false)) {
    if (performance.now() > end) throw new Error(`redis: not so within ${withinMs} ms: ${claim.toString()}`)
    await sleep(30)
  }
}
