/**
 * The settings as options of a program: `RATE_LIMIT_API_KEY` is `rateLimitApiKey`.
 * The spelling is mechanical both ways, so there is one vocabulary and no second list.
 */
import { nearest } from '../core/nearest.ts'
import { UsageError } from '../errors.ts'
import { loadValues, properties, type Loaded } from './load.ts'
import type { Raw, SettingName } from './schema.ts'

/** Settings that mean nothing inside somebody's app, and what does there. */
export const NOT_OPTIONS = {
  HOST: 'the app listens where its own listen() says',
  PORT: 'the app listens where its own listen() says',
  MANAGEMENT_HOST: 'there is no management listener; app.secureMcp.metrics() gives the metrics',
  MANAGEMENT_PORT: 'there is no management listener; app.secureMcp.metrics() gives the metrics',
  MANAGEMENT_URL: 'there is no management listener; app.secureMcp manages keys and tools',
  MCP_OPERATOR_KEY: 'there is no management listener; app.secureMcp manages keys and tools',
  TRUST_PROXY: 'write Fastify({ trustProxy })',
  MAX_CONNECTIONS: 'set app.server.maxConnections',
  MAX_CONNECTIONS_PER_ADDRESS: 'set app.server.maxConnections',
  KEEP_ALIVE_TIMEOUT_MS: 'write Fastify({ keepAliveTimeout })',
  DRAIN_MS: 'the app decides when it closes',
  SHUTDOWN_GRACE_MS: 'the app decides when it closes',
  TOOLS_DIR: 'write tools',
  MCP_AUTH_ENABLED: 'to serve everyone write principal: () => ({ id: \'everyone\', permissions: [\'*\'] })',
  AUDIT: 'the app\'s log has the request lines; records are kept by the server',
  AUDIT_DIR: 'records are kept by the server',
  AUDIT_MAX_BYTES: 'records are kept by the server',
  AUDIT_WHEN_FULL: 'records are kept by the server',
  AUDIT_KEY: 'records are kept by the server',
  AUDIT_PRIVACY: 'records are kept by the server',
  AUDIT_RETENTION_DAYS: 'records are kept by the server',
  SECURE_CONFIG_FILE: 'the app reads its own configuration',
  CONFIG_ENCRYPTION_KEY: 'the app reads its own configuration',
  CONFIG_ENCRYPTION_KEY_FILE: 'the app reads its own configuration'
} as const satisfies Partial<Record<SettingName, string>>

/** What is otherwise in an app: nothing of this product is public that the app did not ask for. */
const DEFAULTS: ReadonlyArray<readonly [SettingName, unknown]> = [['BUILT_IN_TOOLS', false]]

type CamelCase<S extends string> =
  S extends `${infer A}_${infer B}` ? `${Lowercase<A>}${Capitalize<CamelCase<B>>}` : Lowercase<S>

/** Every setting that an app may give, by its option's name and of its type. */
export type SettingOptions = {
  [N in Exclude<SettingName, keyof typeof NOT_OPTIONS> as CamelCase<N>]?: NonNullable<Raw[N]> | undefined
}

export function optionOf (setting: string): string {
  return setting.toLowerCase().replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

export function settingOf (option: string): string {
  return option.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()
}

/**
 * Read settings that a program gives.
 *
 * @param options by their names; a value that is undefined is absent
 * @param path of the endpoint below PUBLIC_URL
 * @throws {UsageError} every problem at once, in the names of the options and without values
 */
export function loadOptions (options: Readonly<Record<string, unknown>>, path: string): Loaded {
  const values = new Map<SettingName, unknown>(DEFAULTS)
  const problems: string[] = []
  for (const [option, value] of Object.entries(options)) {
    const name = settingOf(option)
    if (value === undefined) continue
    const instead = NOT_OPTIONS[name as keyof typeof NOT_OPTIONS] as string | undefined
    if (!isSetting(name) || optionOf(name) !== option) problems.push(notOption(option))
    else if (instead !== undefined) problems.push(`${option} is no option of the plugin: ${instead}`)
    else values.set(name, value)
  }
  if (problems.length > 0) throw new UsageError(['Invalid options:', ...problems].join('\n  '))
  try {
    const { config, warnings } = loadValues(values, path)
    return { config, warnings: warnings.map(inOptions) }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    throw new UsageError(inOptions(error.message).replace('Invalid configuration:', 'Invalid options:'))
  }
}

function notOption (option: string): string {
  const near = nearest(option, NAMES)
  return `${option.slice(0, 64)} is no option${near === undefined ? '' : `; is ${near} meant?`}`
}

/** A sentence about settings, with the options in their place. */
export function inOptions (text: string): string {
  return text.replace(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b/g, name => isSetting(name) ? optionOf(name) : name)
}

function isSetting (name: string): name is SettingName {
  return Object.hasOwn(properties, name)
}

/** Of the plugin's own options and of those that are settings. */
const NAMES: ReadonlySet<string> = new Set([
  'path', 'tools', 'principal', 'redis', 'requestLog',
  ...Object.keys(properties).filter(name => !Object.hasOwn(NOT_OPTIONS, name)).map(optionOf)
])
