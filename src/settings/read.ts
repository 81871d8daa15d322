import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { readIfThere } from '../files.ts'
import { readSecureConfig, type SecureConfig } from '../secrets/secure-config.ts'
import { readSettingFiles } from './files.ts'
import { loadSettings, type Environment } from './load.ts'
import { Settings, type Config } from './schema.ts'

export interface ReadOptions {
  /** Told what goes on, and should be changed. */
  warn?: (message: string) => void
  /** For whoever serves: tell of a key file that does not exist, too. */
  serving?: boolean
}

/**
 * The settings of this process: the environment and the files that it names
 * (`<NAME>_FILE`), over the encrypted file.
 *
 * @throws {UsageError}
 */
export function readSettings (env: Environment, { warn = () => {}, serving = false }: ReadOptions = {}): Config {
  const kept = readSecureConfig(secureConfigOf(env))
  const named = secretsNamedIn(
    env.MCP_SERVERS_FILE || kept.MCP_SERVERS_FILE || Settings.properties.MCP_SERVERS_FILE.default
  )
  const isSetting = (name: string) => Object.hasOwn(Settings.properties, name)
  const file = Object.fromEntries(Object.entries(kept).filter(([name]) => isSetting(name) || !named.has(name)))
  const { config, warnings } = loadSettings(
    { ...env, ...readSettingFiles(env, Object.keys(Settings.properties)) }, file, absentFile(env)
  )
  if (serving && config.chosen.has('API_KEYS_FILE') && !existsSync(config.API_KEYS_FILE)) {
    warnings.push(
      `API_KEYS_FILE: ${resolve(config.API_KEYS_FILE)} does not exist; no key is read from it until it does`
    )
  }
  warnings.forEach(warn)
  return config
}

/** What upstreams are given of the encrypted file, in upper case: no settings, and not mistaken for ones. */
export function secretsNamedIn (path: string): ReadonlySet<string> {
  try {
    const text = readIfThere(path) ?? ''
    return new Set([...text.matchAll(/\$\{secret:(\w+)\}/g)].map(([, name]) => name!.toUpperCase()))
  } catch {
    return new Set() // whoever serves reads it and says what is wrong
  }
}

/** Where the encrypted file is, and its keys. */
export function secureConfigOf (env: Environment): SecureConfig {
  return {
    file: env.SECURE_CONFIG_FILE || 'config/secure_config.json',
    keys: env.CONFIG_ENCRYPTION_KEY,
    keyFile: env.CONFIG_ENCRYPTION_KEY_FILE || 'config/encryption.key'
  }
}

/** Without the file that was named, settings would silently be others. */
function absentFile ({ SECURE_CONFIG_FILE: path }: Environment): string | undefined {
  return path === undefined || path === '' || existsSync(path)
    ? undefined
    : `SECURE_CONFIG_FILE: ${resolve(path)} does not exist; name the file that config set wrote, or remove the setting`
}
