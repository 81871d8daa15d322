/** Settings, files and the runtime. */
import { isLoopback } from '../../core/origin.ts'
import { readRedisUrl } from '../../core/redis-url.ts'
import { usesRedis } from '../../settings/rules.ts'
import type { Config } from '../../settings/schema.ts'
import { bad, defineCheck, warn, well, type Diagnosis, type HealthCheck, type ReadSettingsFacts } from '../check.ts'

/** When a major version of Node gets no more mends (nodejs.org/en/about/previous-releases). */
const NODE_ENDS: Readonly<Record<string, string>> = { 20: '2026-04-30', 22: '2027-04-30', 24: '2028-04-30' }

/** A check of settings that could be read. */
function ofConfig (
  id: string, asks: string, judge: (config: Config, more: ReadSettingsFacts) => Diagnosis | undefined
): HealthCheck {
  return defineCheck({
    id, asks, needs: 'settings', run: facts => 'problem' in facts ? undefined : judge(facts.config, facts)
  })
}

const isPublic = ({ PUBLIC_URL: url }: Config) => !isLoopback(new URL(url).hostname)

export const SETTINGS_CHECKS: readonly HealthCheck[] = [
  defineCheck({
    id: 'settings',
    asks: 'the settings can be read, and each is known',
    needs: 'settings',
    run (facts) {
      if ('problem' in facts) return bad(facts.problem, 'Correct them: docs/configuration.md')
      const [first] = facts.warnings
      return first === undefined
        ? well(`${facts.config.chosen.size} settings are chosen`)
        : warn(first, 'Correct or remove it: docs/configuration.md')
    }
  }),
  ofConfig('public-url', 'clients reach the server by https', config => {
    const { protocol } = new URL(config.PUBLIC_URL)
    return protocol === 'https:' || !isPublic(config)
      ? well(config.PUBLIC_URL)
      : bad(
        `PUBLIC_URL is ${config.PUBLIC_URL}: keys and tokens cross the network in clear text`,
        'Put TLS before the server, and set PUBLIC_URL to the https URL that clients type'
      )
  }),
  ofConfig('authentication', 'callers are authenticated', config => config.MCP_AUTH_ENABLED
    ? well('authentication is on')
    : warn(
      'MCP_AUTH_ENABLED=false: everyone who reaches the address may call everything',
      'Set it to true before anybody else reaches this machine'
    )),
  ofConfig('state-secret', 'one secret signs', ({ STATE_SECRET: secrets }) => secrets.length < 2
    ? well('no rotation is under way')
    : warn(
      `STATE_SECRET holds ${secrets.length} secrets: a rotation is under way`,
      'After SESSION_MAX_MS keep the new one alone'
    )),
  ofConfig('audit-key', 'seals of the records outlive a rotation', config => {
    if (!config.AUDIT || config.STATE_SECRET.length === 0) return undefined
    return config.AUDIT_KEY.length > 0
      ? well('AUDIT_KEY is set')
      : warn(
        'Records are sealed with a key that STATE_SECRET gives: after its rotation older seals cannot be verified',
        'Set AUDIT_KEY to the output of: openssl rand -base64 32'
      )
  }),
  ofConfig('inspection', 'suspicious arguments are refused', ({ INSPECTION: mode }) => mode === 'block'
    ? well('INSPECTION=block')
    : warn(
      `INSPECTION=${mode}: suspicious arguments are served`,
      'Set INSPECTION=block once the log shows what it would refuse'
    )),
  ofConfig('short-keys', 'keys cannot be found by trying', ({ ALLOW_SHORT_KEYS: short }) => short
    ? warn('ALLOW_SHORT_KEYS=true', 'Rotate short keys (keys create), then remove it')
    : well('short keys are refused')),
  ofConfig('redis-transport', 'Redis is reached with a password, and with TLS off this machine', redisTransport),
  ofConfig('replicas', 'limits are shared out among the replicas', config => usesRedis(
    config
  ) && isPublic(config) && config.REPLICAS === 1
    ? warn(
      'REPLICAS is 1: while Redis is unreachable each replica grants the whole limit',
      'Set REPLICAS to the most replicas that run'
    )
    : well(`REPLICAS=${config.REPLICAS}`)),
  ofConfig('drain', 'load balancers notice the end before connections do', config => isPublic(
    config
  ) && config.DRAIN_MS < 2000
    ? warn(`DRAIN_MS is ${config.DRAIN_MS}`, 'Set it longer than the load balancer takes between two looks at /readyz')
    : well(`DRAIN_MS=${config.DRAIN_MS}, SHUTDOWN_GRACE_MS=${config.SHUTDOWN_GRACE_MS}`)),
  ofConfig('node', 'this Node still gets security mends', (_config, { node, now }) => {
    const [, major = ''] = /^v(\d+)\./.exec(node) ?? []
    const ends = NODE_ENDS[major]
    if (ends === undefined || now < Date.parse(ends)) return well(`Node ${node}`)
    return warn(
      `Node ${node} has had no mends since ${ends}`,
      'Use the newest even version of Node, or the image of the newest release'
    )
  }),
  defineCheck({
    id: 'files',
    asks: 'nobody else reads keys and secrets',
    needs: 'files',
    run (files) {
      const open = files.filter(({ mode }) => mode !== undefined && (mode & 0o007) !== 0)
      return open.length === 0
        ? well('files of keys and secrets are closed to others')
        : bad(
          `Every user of this machine reads ${open.map(({ path }) => path).join(', ')}`,
          `chmod 600 ${open.map(({ path }) => path).join(' ')}; in Kubernetes defaultMode: 0440`
        )
    }
  })
]

function redisTransport (config: Config): Diagnosis | undefined {
  if (!usesRedis(config)) return undefined
  const url = config.REDIS_URL === undefined ? undefined : readRedisUrl(config.REDIS_URL)
  const parsed = url === undefined || 'problem' in url ? undefined : url
  const host = config.REDIS_URL === undefined ? '' : new URL(config.REDIS_URL).hostname
  if (isLoopback(host)) return well('Redis is on this machine')
  const hasTls = parsed?.tls ?? config.REDIS_TLS
  const hasPassword = parsed?.password !== undefined || config.REDIS_PASSWORD !== undefined
  if (!hasPassword) {
    return bad(
      'Redis is asked without a password: whoever reaches it makes keys',
      'Load k8s/components/redis/users.acl, and set REDIS_USERNAME and REDIS_PASSWORD'
    )
  }
  return hasTls
    ? well('with password and TLS')
    : warn('Redis is asked without TLS', 'Use rediss:// in REDIS_URL, or REDIS_TLS=true')
}
