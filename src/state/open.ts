import { dirname } from 'node:path'
import { environmentKey } from '../core/api-key.ts'
import { usesRedis } from '../settings/rules.ts'
import type { Config } from '../settings/schema.ts'
import type { Log } from '../telemetry/log.ts'
import { KEYS_TOPIC } from './keys.ts'
import { openKeyFile } from './memory/key-file.ts'
import { memoryStore } from './memory/store.ts'
import type { Store } from './store.ts'

export interface OpenOptions {
  /** Told of each count that this process made alone. */
  onDegraded?: (() => void) | undefined
  /** This process serves: commands may ask it whether their change is in use. */
  serving?: boolean
  /** How long a start and each question may wait for Redis, ms; a command has more time than a request. */
  patienceMs?: number | undefined
}

/**
 * The store that the settings name, with the keys that stand outside it. The
 * Redis client is loaded only where there is a Redis.
 *
 * @throws {UsageError} for a broken file or an address that Redis refuses
 */
export async function openStore (
  config: Config,
  log: Log,
  { onDegraded, serving, patienceMs }: OpenOptions = {}
): Promise<Store> {
  const environment = config.MCP_API_KEY === undefined ? undefined : environmentKey(config.MCP_API_KEY)
  const warn = (message: string) => log.warn({}, message)
  const allowShort = config.ALLOW_SHORT_KEYS
  if (!usesRedis(config)) {
    return memoryStore({
      keysFile: config.API_KEYS_FILE,
      folder: dirname(config.API_KEYS_FILE),
      environmentKey: environment,
      allowShortKeys: allowShort,
      serving,
      warn
    })
  }
  const { redisStore } = await import('./redis/store.ts')
  let onKeysChange = () => {}
  const file = openKeyFile({
    path: config.API_KEYS_FILE, setting: 'API_KEYS_FILE', allowShort, warn, onChange: () => onKeysChange()
  })
  try {
    const store = await redisStore({
      ...addressOf(config),
      prefix: config.REDIS_KEY_PREFIX,
      commandTimeoutMs: Math.max(config.REDIS_COMMAND_TIMEOUT_MS, patienceMs ?? 0),
      patienceMs,
      replicas: config.REPLICAS,
      log,
      fixedKey: file.byHash,
      fixedKeys: file.records,
      environmentKey: environment,
      onClose: () => file.close(),
      ...(onDegraded === undefined ? {} : { onDegraded })
    })
    // The file is this process's own, but nobody minds to look again.
    onKeysChange = () => {
      store.bus.publish(KEYS_TOPIC, '').catch(() => {})
    }
    return store
  } catch (error) {
    file.close()
    throw error
  }
}

function addressOf (config: Config) {
  return {
    url: config.REDIS_URL,
    sentinels: config.REDIS_SENTINELS === undefined
      ? undefined
      : {
          hosts: config.REDIS_SENTINELS,
          masterName: config.REDIS_MASTER_NAME!,
          username: config.REDIS_SENTINEL_USERNAME,
          password: config.REDIS_SENTINEL_PASSWORD
        },
    clusterNodes: config.REDIS_CLUSTER_NODES,
    username: config.REDIS_USERNAME,
    password: config.REDIS_PASSWORD,
    tls: config.REDIS_TLS,
    ca: config.REDIS_CA
  }
}
