/**
 * Whether a restart would lose what scripts wrote. Redis up to 8.2 plays a
 * script's writes back from its append-only file as one transaction of the
 * user `default`, and leaves out in silence what that user may not do.
 */
import type { Redis } from 'ioredis'

/**
 * One example of each command that writes in lua/, as `default` will be asked to repeat it; a test compares
 * the two.
 */
export const REPLAYED: ReadonlyArray<readonly [command: string, ...args: string[]]> = [
  ['SET', '1'], ['SETRANGE', '0', '1'], ['DEL'], ['PEXPIRE', '1'], ['PEXPIREAT', '1'],
  ['HSET', 'f', '1'], ['HSETNX', 'f', '1'], ['HDEL', 'f'], ['HINCRBY', 'f', '1'],
  ['ZADD', '1', 'm'], ['ZREMRANGEBYSCORE', '0', '1'],
  ['XADD', '*', 'f', '1'], ['XTRIM', 'MAXLEN', '1']
]

/** The last release that plays back as `default`. */
const LAST = [8, 2] as const

const REMEDY = 'load the users.acl of this release: user default off resetpass ~* &* +@all (nobody can log in as it)'

export interface ReplayFault {
  text: string
  /** Known to be so, not merely unknown. */
  certain: boolean
}

/** @param key any key under the prefix */
export async function replayFault (redis: Redis, key: string): Promise<ReplayFault | undefined> {
  const info = await redis.info()
  if (!/^aof_enabled:1/m.test(info)) return undefined
  for (const [command, ...args] of REPLAYED) {
    const answer = await redis.call('ACL', 'DRYRUN', 'default', command, key, ...args).catch((error: Error) => error)
    if (answer === 'OK') continue
    if (answer instanceof Error) {
      return {
        certain: false,
        text: `it cannot be told whether Redis keeps what it acknowledged through a restart: let this user run ACL DRYRUN, and ${REMEDY}`
      }
    }
    return {
      certain: playsAsDefault(info),
      text: `Redis would forget revocations, rotations and blocked addresses at its next restart, for its user "default" may not run ${command}: ${REMEDY}`
    }
  }
  return undefined
}

function playsAsDefault (info: string): boolean {
  const [, major, minor] = /^redis_version:(\d+)\.(\d+)/m.exec(info) ?? []
  return Number(major) < LAST[0] || (Number(major) === LAST[0] && Number(minor) <= LAST[1])
}
