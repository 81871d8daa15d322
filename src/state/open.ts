import { dirname } from 'node:path'
import { usesRedis, type Config } from '../settings/schema.ts'
import { hashKey, type ApiKeyRecord } from '../core/api-key.ts'
import type { Log } from '../telemetry/log.ts'
import { openKeyFile } from './memory/key-file.ts'
import { memoryStore } from './memory/store.ts'
import { redisStore } from './redis/store.ts'
import type { Store } from './store.ts'

/**
 * The store that the settings name, with the keys that stand outside it.
 *
 * @throws {UsageError} for a broken file or an address that Redis refuses
 */
export async function openStore (config: Config, log: Log, onDegraded?: () => void): Promise<Store> {
  const environment: ApiKeyRecord[] = config.MCP_API_KEY === undefined ? [] : [environmentKey(config.MCP_API_KEY)]
  const warn = (message: string) => log.warn({}, message)
  if (!usesRedis(config)) {
    return memoryStore({ keysFile: config.API_KEYS_FILE, folder: dirname(config.API_KEYS_FILE), fixedKeys: environment, warn })
  }
  const file = openKeyFile({ path: config.API_KEYS_FILE, warn })
  const fixed = new Map(environment.map(record => [record.hash, record]))
  const list = (text: string | undefined) => text?.split(',').map(part => part.trim()).filter(part => part !== '')
  const sentinels = list(config.REDIS_SENTINELS)
  try {
    const store = await redisStore({
      url: config.REDIS_URL,
      sentinels: sentinels === undefined
        ? undefined
        : {
            hosts: sentinels,
            masterName: config.REDIS_MASTER_NAME!,
            username: config.REDIS_SENTINEL_USERNAME,
            password: config.REDIS_SENTINEL_PASSWORD
          },
      clusterNodes: list(config.REDIS_CLUSTER_NODES),
      username: config.REDIS_USERNAME,
      password: config.REDIS_PASSWORD,
      tls: config.REDIS_TLS,
      ca: config.REDIS_CA,
      prefix: config.REDIS_KEY_PREFIX,
      commandTimeoutMs: config.REDIS_COMMAND_TIMEOUT_MS,
      replicas: config.REPLICAS,
      log,
      fixedKey: hash => fixed.get(hash) ?? file.byHash(hash),
      fixedKeys: () => [...environment, ...file.records()],
      ...(onDegraded === undefined ? {} : { onDegraded })
    })
    return { ...store, close: async () => { file.close(); await store.close() } }
  } catch (error) {
    file.close()
    throw error
  }
}

function environmentKey (key: string): ApiKeyRecord {
  return { id: 'default', name: 'default', role: 'caller', permissions: ['*'], hash: hashKey(key), created: 0 }
}
