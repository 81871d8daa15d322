/** Redis and what is kept there. */
import { isLoopback } from '../../core/origin.ts'
import { usesRedis } from '../../settings/rules.ts'
import {
  bad, defineCheck, warn, well, type Diagnosis, type HealthCheck, type ReplicaFacts, type StateFacts
} from '../check.ts'

const FULL = 0.8
const CLOCK_WARN_MS = 2000
const HEARD_MS = 1000
/** Redis 7 brought what the scripts and users of this server need. */
const LEAST_MAJOR = 7

function ofRedis (id: string, asks: string, judge: (facts: StateFacts) => Diagnosis | undefined): HealthCheck {
  return defineCheck({
    id,
    asks,
    needs: 'state',
    run: facts => 'fault' in facts || facts.kind === 'memory' || facts.health === 'unreachable'
      ? undefined
      : judge(facts)
  })
}

export const STATE_CHECKS: readonly HealthCheck[] = [
  defineCheck({
    id: 'state',
    asks: 'state can be read, and is whole',
    needs: 'state',
    run (facts, { settings }) {
      if ('fault' in facts) {
        const isInFiles = settings !== undefined && 'config' in settings && !usesRedis(settings.config)
        return bad(
          facts.fault,
          isInFiles
            ? 'Correct the file that is named'
            : 'Bring Redis back, or correct REDIS_URL, user, password and the network policy'
        )
      }
      const { kind, health, missing } = facts
      if (health === 'unreachable') {
        return bad('Redis does not answer', 'Bring it back; check REDIS_URL and the network')
      }
      if (health === 'lost') {
        return bad('Redis lost what it held: everything is refused', 'Restore the backup, or: state accept-loss')
      }
      return missing.length === 0
        ? well(`state is in ${kind === 'redis' ? 'Redis' : 'files beside API_KEYS_FILE'}`)
        : bad(`The records of ${missing.length} keys are missing`, 'Restore the backup, or: state accept-loss')
    }
  }),
  ofRedis('redis-latency', 'Redis answers far within the time-out', (
    { roundTripMs, commandTimeoutMs }
  ) => roundTripMs === undefined
    ? undefined
    : roundTripMs <= commandTimeoutMs / 5
      ? well(`p99 of a round trip ${roundTripMs.toFixed(1)} ms`)
      : warn(
        `p99 of a round trip is ${roundTripMs.toFixed(1)} ms, the time-out ${commandTimeoutMs} ms`,
        'Run Redis nearer, or raise REDIS_COMMAND_TIMEOUT_MS'
      )),
  ofRedis('redis-version', 'this Redis is new enough', ({ nodes }) => {
    const old = nodes.filter(({ version }) => Number.parseInt(version) < LEAST_MAJOR)
    return old.length === 0
      ? well(nodes.map(({ version }) => version).join(', '))
      : bad(`Redis ${old[0]!.version} at ${old[0]!.node}`, 'Upgrade to 7.0 or later')
  }),
  ofRedis('redis-policy', 'Redis never evicts keys and revocations', ({ nodes }) => {
    const evicting = nodes.find(({ policy, maxMemory }) => policy.startsWith('allkeys') && maxMemory > 0)
    if (evicting !== undefined) {
      return bad(
        `maxmemory-policy is ${evicting.policy} at ${evicting.node}: revocations may vanish`,
        'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf'
      )
    }
    const unbounded = nodes.find(({ maxMemory }) => maxMemory === 0)
    return unbounded === undefined
      ? well('a bound, and no eviction')
      : warn(
      `maxmemory is not set at ${unbounded.node}: the machine may end Redis`,
      'Set maxmemory to 256 MB or more, with maxmemory-policy noeviction'
      )
  }),
  ofRedis('redis-memory', 'Redis has room', ({ nodes }) => {
    const full = nodes.find(({ usedMemory, maxMemory }) => maxMemory > 0 && usedMemory / maxMemory > FULL)
    return full === undefined
      ? well('less than four fifths are used')
      : warn(
      `${Math.round(full.usedMemory / full.maxMemory * 100)} % of the memory are used at ${full.node}`,
      'Raise maxmemory, or lower MAX_SESSIONS'
      )
  }),
  ofRedis('redis-persistence', 'a restart of Redis forgets nothing', ({ nodes }) => {
    const failing = nodes.find(({ persistenceOk }) => !persistenceOk)
    if (failing !== undefined) {
      return bad(`The last write to disk failed at ${failing.node}`, 'Make room on its disk; see the log of Redis')
    }
    const volatile = nodes.find(({ appendOnly }) => !appendOnly)
    return volatile === undefined
      ? well('append-only file on')
      : bad(`The append-only file is off at ${volatile.node}: a restart forgets keys and revocations`, 'appendonly yes')
  }),
  ofRedis('redis-user', 'the user of Redis may do its work, and no more', ({ grants, nodes }) => {
    if (grants === undefined) return undefined
    const { missing, excess } = grants
    if (missing.length > 0) {
      return bad(
        `The user of Redis may not: ${missing.join(', ')}`,
        'Load k8s/components/redis/users.acl, or compare its rules and REDIS_KEY_PREFIX with those of the user'
      )
    }
    return excess.length === 0 || nodes.every(({ node }) => isLoopback(node.replace(/:\d+$/, '')))
      ? well('it may do its work')
      : warn(
        `The user of Redis may also: ${excess.join(', ')}`,
        'Give the server a user of its own: k8s/components/redis/users.acl'
      )
  }),
  ofRedis('clock', 'the clocks agree', ({ clockAheadMs, skewMs }) => {
    const off = Math.abs(clockAheadMs)
    const side = clockAheadMs > 0 ? 'ahead of' : 'behind'
    const said = `The clock of Redis is ${(off / 1000).toFixed(1)} s ${side} this machine's`
    if (off > Math.max(skewMs, CLOCK_WARN_MS)) {
      return bad(said, 'Synchronize the clocks (chrony, systemd-timesyncd): tokens are refused as issued in the future')
    }
    return off > CLOCK_WARN_MS ? warn(said, 'Synchronize the clocks') : well(`within ${Math.ceil(off)} ms`)
  }),
  ofRedis('pubsub', 'replicas hear each other', ({ heardMs }) => heardMs === undefined
    ? bad(
      'What is published is not heard: revocations wait for the next poll, streams miss changes',
      'Allow the channels to the user of Redis (&mcp:bus:*), and long connections in the firewall'
    )
    : heardMs > HEARD_MS
      ? warn(`A message took ${Math.round(heardMs)} ms`, 'Look for what delays Redis')
      : well(`heard after ${Math.round(heardMs)} ms`))
]

/** Replicas that share the state. */
export const REPLICA_CHECKS: readonly HealthCheck[] = [
  ofReplicas('replica-versions', 'every replica runs the same version', ({ heard }) => {
    const versions = new Set(heard.map(({ version }) => version))
    return versions.size < 2
      ? well([...versions].join('') || 'none runs')
      : warn(
        `Replicas run ${[...versions].join(' and ')}`, 'Wait for the rollout, or look why it hangs: rollout status'
      )
  }),
  ofReplicas('replica-settings', 'every replica has the same settings', ({ heard }) => {
    const hashes = new Map<string, string[]>()
    for (const { name, settings = 'none' } of heard) hashes.set(settings, [...hashes.get(settings) ?? [], name])
    return hashes.size < 2
      ? well(`${heard.length} replicas`)
      : bad(
        'Replicas run with different settings: ' +
          [...hashes].map(([hash, names]) => `${hash} (${names.join(', ')})`).join(', '),
        'Roll out again, so that every replica reads the settings of now'
      )
  }),
  ofReplicas('replica-tools', 'every replica offers the same tools', ({ heard }) => {
    const hashes = new Set(heard.map(({ tools }) => tools))
    return hashes.size < 2
      ? well('one list')
      : warn('Replicas offer different tools', 'Roll out again; compare TOOLS_DIR and MCP_SERVERS_FILE on each')
  }),
  ofReplicas('replica-count', 'as many run as REPLICAS says', ({ heard, expected }) => heard.length <= expected
    ? well(`${heard.length} of at most ${expected}`)
    : warn(
      `${heard.length} replicas run, and REPLICAS is ${expected}: without Redis they grant more than the limits`,
      'Set REPLICAS to the most replicas that run'
    ))
]

function ofReplicas (
  id: string, asks: string, run: (facts: ReplicaFacts) => Diagnosis
): HealthCheck {
  return defineCheck({ id, asks, needs: 'replicas', run })
}

/** MCP servers behind this one. */
export const UPSTREAM_CHECKS: readonly HealthCheck[] = [
  defineCheck({
    id: 'upstreams',
    asks: 'MCP servers behind this one answer',
    needs: 'upstreams',
    run (upstreams) {
      const failing = upstreams.find(({ isKnown }) => !isKnown)
      return failing === undefined
        ? well(`${upstreams.length} of them`)
        : bad(
        `Upstream "${failing.name}" does not answer${failing.trouble === undefined ? '' : `: ${failing.trouble}`}`,
        `servers test ${failing.name}; then correct MCP_SERVERS_FILE, or bring it back`
        )
    }
  }),
  defineCheck({
    id: 'held-tools',
    asks: 'no tool of theirs waits for approval',
    needs: 'upstreams',
    run (upstreams) {
      const holding = upstreams.filter(({ held }) => held > 0)
      return holding.length === 0
        ? well('none is held')
        : warn(
        `Held: ${holding.map(({ name, held }) => `${held} of "${name}"`).join(', ')}`,
        'tools diff shows what changed; tools approve offers them again'
        )
    }
  })
]

/** Authorization servers. */
export const ISSUER_CHECKS: readonly HealthCheck[] = [
  defineCheck({
    id: 'issuer-metadata',
    asks: 'authorization servers are found',
    needs: 'issuers',
    run (issuers) {
      const failing = issuers.find(({ metadataFault }) => metadataFault !== undefined)
      return failing === undefined
        ? well('each answers')
        : bad(
        `${failing.issuer}: ${failing.metadataFault}`,
        'Compare OAUTH2_AUTH_SERVER with the issuer in its metadata, letter by letter; ' +
          'let HTTPS out (components/egress-https); NODE_EXTRA_CA_CERTS for a private authority'
        )
    }
  }),
  defineCheck({
    id: 'issuer-keys',
    asks: 'their keys verify an allowed algorithm',
    needs: 'issuers',
    run (issuers) {
      const none = issuers.find(({ metadataFault, usableKeys }) => metadataFault === undefined && usableKeys === 0)
      return none === undefined
        ? well('each has a usable key')
        : bad(
        `${none.issuer} publishes no key for an algorithm of OAUTH2_ALGORITHMS, or its key set cannot be fetched`,
        'Compare OAUTH2_ALGORITHMS with its signing algorithm; OAUTH2_JWKS_URL'
        )
    }
  })
]
