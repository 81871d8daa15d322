/** Looks at Redis itself, for an operator who asks: how it is set, how fast it answers, what time it has. */
import type { Redis } from 'ioredis'
import type { RedisDiagnosis, StateDiagnosis } from '../diagnosis.ts'

/** Round trips that are timed. */
const ROUNDS = 100

/** One command of each kind that the server sends. */
const NEEDED: ReadonlyArray<readonly [string, (prefix: string) => string[]]> = [
  ['get', prefix => [`${prefix}doctor`]],
  ['set', prefix => [`${prefix}doctor`, '1', 'px', '1000']],
  ['del', prefix => [`${prefix}doctor`]],
  ['hset', prefix => [`${prefix}doctor`, 'a', '1']],
  ['zadd', prefix => [`${prefix}doctor`, '1', 'a']],
  ['sadd', prefix => [`${prefix}doctor`, 'a']],
  ['xadd', prefix => [`${prefix}doctor`, '*', 'a', '1']],
  ['pexpire', prefix => [`${prefix}doctor`, '1000']],
  ['evalsha', prefix => ['0'.repeat(40), '1', `${prefix}doctor`]],
  ['script', () => ['load', 'return 1']],
  ['scan', () => ['0']],
  ['time', () => []],
  ['publish', prefix => [`${prefix}bus:doctor`, '1']],
  ['subscribe', prefix => [`${prefix}bus:doctor`]]
]

/** What whoever stole this user's password should not be able to do. */
const NEEDLESS: ReadonlyArray<readonly [string, readonly string[]]> = [
  ['flushall', []], ['config', ['set', 'dir', '/tmp']], ['keys', ['*']], ['get', ['a-key-of-somebody-else']],
  ['acl', ['setuser', 'x']]
]

/**
 * @param prefix of our keys
 * @throws whatever the client throws where Redis does not answer
 */
export async function diagnoseRedis (masters: readonly Redis[], prefix: string): Promise<StateDiagnosis> {
  const nodes = await Promise.all(masters.map(diagnoseNode))
  const times: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const since = performance.now()
    await masters[i % masters.length]!.ping()
    times.push(performance.now() - since)
  }
  times.sort((a, b) => a - b)
  const asked = Date.now()
  const [seconds, micros] = await masters[0]!.time()
  const theirs = Number(seconds) * 1000 + Number(micros) / 1000
  const clockAheadMs = theirs - (asked + Date.now()) / 2
  const grants = await grantsOf(masters[0]!, prefix)
  return { nodes, roundTripMs: times[Math.ceil(ROUNDS * 0.99) - 1], clockAheadMs, grants }
}

/** What the user may, without doing it. */
async function grantsOf (redis: Redis, prefix: string): Promise<StateDiagnosis['grants']> {
  const user = redis.options.username ?? 'default'
  const may = async (command: string, args: readonly string[]) =>
    await redis.call('acl', 'dryrun', user, command, ...args) === 'OK'
  try {
    const missing: string[] = []
    const excess: string[] = []
    for (const [command, argsFor] of NEEDED) {
      if (!await may(command, argsFor(prefix))) missing.push(command)
    }
    for (const [command, args] of NEEDLESS) if (await may(command, args)) excess.push([command, ...args].join(' '))
    return { missing, excess }
  } catch {
    // The user may not ask.
    return undefined
  }
}

async function diagnoseNode (redis: Redis): Promise<RedisDiagnosis> {
  const texts = await Promise.all(['server', 'memory', 'persistence'].map(section => redis.info(section)))
  const info = new Map(
    texts.join('\n').split(/\r?\n/).map(line => [line.split(':', 1)[0]!, line.slice(line.indexOf(':') + 1)])
  )
  const ok = (name: string) => (info.get(name) ?? 'ok') === 'ok'
  return {
    node: `${redis.options.host}:${redis.options.port}`,
    version: info.get('redis_version') ?? '',
    maxMemory: Number(info.get('maxmemory') ?? 0),
    usedMemory: Number(info.get('used_memory') ?? 0),
    policy: info.get('maxmemory_policy') ?? '',
    appendOnly: info.get('aof_enabled') === '1',
    persistenceOk: ok('aof_last_write_status') && ok('aof_last_bgrewrite_status') && ok('rdb_last_bgsave_status')
  }
}
