/** Looks at Redis itself, for an operator who asks: how it is set, how fast it answers, what time it has. */
import type { Redis } from 'ioredis'
import type { RedisDiagnosis, StateDiagnosis } from '../diagnosis.ts'

/** Round trips that are timed. */
const ROUNDS = 100

/** @throws whatever the client throws where Redis does not answer */
export async function diagnoseRedis (masters: readonly Redis[]): Promise<StateDiagnosis> {
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
  return { nodes, roundTripMs: times[Math.ceil(ROUNDS * 0.99) - 1], clockAheadMs: theirs - (asked + Date.now()) / 2 }
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
