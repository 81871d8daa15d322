/** Reading the settings out of texts: by name, each of its type, every problem told at once and no value said. */
import { nearest } from '../core/nearest.ts'
import { readIcons } from '../core/identity.ts'
import { readScopeMap } from '../core/oauth-scopes.ts'
import { defaultHosts } from '../core/origin.ts'
import { fits } from '../core/plain-schema.ts'
import { UsageError } from '../errors.ts'
import { problemsBetween, readTrustProxy, readUrlsByIssuer, warningsAbout } from './rules.ts'
import { Settings, type Config, type Raw, type SettingName, type SettingSchema } from './schema.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export const properties: Readonly<Record<SettingName, SettingSchema>> = Settings.properties
const names = Object.keys(properties) as SettingName[]

export interface Loaded {
  config: Config
  /** What a start goes on with, and should be changed. */
  warnings: string[]
}

/**
 * Read the settings, or fail naming every one that is wrong.
 * Values are left out of the message: some of them are secrets.
 *
 * @param env the environment; it wins over `file`
 * @param file settings from the encrypted file, by name
 * @param besides a problem that was found before
 * @throws {UsageError} one problem a line
 */
export function loadSettings (env: Environment, file: Environment = {}, besides?: string): Loaded {
  const texts = new Map(names.flatMap(name => {
    const text = (env[name] ?? file[name])?.trim()
    return text === undefined ? [] : [[name, text] as const]
  }))
  const { config, warnings } = settle(gather(texts, fromText), '/mcp', besides)
  return { config, warnings: [...unknownNames(env, file), ...quotedValues(texts), ...warnings] }
}

/**
 * The settings out of values of their types, as a program gives them.
 *
 * @param path of the MCP endpoint, below PUBLIC_URL
 * @throws {UsageError} one problem a line
 */
export function loadValues (values: ReadonlyMap<SettingName, unknown>, path: string): Loaded {
  return settle(gather(values, value => value), path)
}

function settle ({ raw, chosen, texts, problems }: Gathered, path: string, besides?: string): Loaded {
  for (const name of names) {
    if (problems.has(name)) raw[name] = properties[name].default
  }
  for (const name of misfits(raw)) {
    problems.set(name, `${name} must be ${wanted(properties[name])}${quotedHint(texts.get(name))}`)
    // With defaults in their place the rest can be judged, so that one start tells everything.
    raw[name] = properties[name].default
  }
  const found = [...problems.values(), ...(besides === undefined ? [] : [besides])]
  const config = worked(raw as unknown as Raw, { chosen, path }, found)
  found.push(...problemsBetween(config))
  if (found.length > 0) throw new UsageError(['Invalid configuration:', ...new Set(found)].join('\n  '))
  return { config, warnings: warningsAbout(config) }
}

/** The settings alone, for whoever has no use for warnings. */
export function loadConfig (env: Environment, file: Environment = {}): Config {
  return loadSettings(env, file).config
}

interface Gathered {
  raw: Partial<Record<SettingName, unknown>>
  chosen: Set<SettingName>
  texts: Map<SettingName, string>
  problems: Map<SettingName, string>
}

function gather<T> (
  values: ReadonlyMap<SettingName, T>, read: (value: T, type: string | undefined) => unknown
): Gathered {
  const gathered: Gathered = { raw: {}, chosen: new Set(), texts: new Map(), problems: new Map() }
  for (const name of names) {
    const schema = properties[name]
    const value = values.get(name)
    if (value === undefined) {
      if (schema.default !== undefined) gathered.raw[name] = schema.default
      continue
    }
    // An empty value may be a variable that was not set where this one was made from it.
    if (value === '') gathered.problems.set(name, `${name} is empty: give it a value, or remove it`)
    gathered.raw[name] = read(value, schema.type)
    gathered.chosen.add(name)
    if (typeof value === 'string') gathered.texts.set(name, value)
  }
  return gathered
}

function misfits (raw: Gathered['raw']): SettingName[] {
  return names.filter(
    name =>
      raw[name] !== undefined && !(fits(properties[name], raw[name]) && isUrlWhereWanted(properties[name], raw[name]))
  )
}

/** A pattern lets some through that are none, such as a port of 99999. */
function isUrlWhereWanted ({ url }: SettingSchema, value: unknown): boolean {
  return url !== true || URL.canParse(String(value))
}

/** What a setting may be, in words for whoever sets it. */
export function wanted (schema: SettingSchema): string {
  const { type, minimum, maximum, unit, enum: choices, maxLength } = schema
  if (schema.wanted !== undefined) return schema.wanted
  if (type === 'integer') {
    return `a whole number${unit === undefined ? '' : ` of ${unit}`} from ${minimum} to ${maximum}`
  }
  if (type === 'boolean') return 'true or false (or yes, no, on, off, 1, 0)'
  if (choices !== undefined) return choices.join(', ').replace(/, (?=[^,]*$)/, ' or ')
  return `a text of 1 to ${maxLength ?? 4096} characters`
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true, 1: true, yes: true, on: true, false: false, 0: false, no: false, off: false
}

function fromText (text: string, type: string | undefined): unknown {
  if (type === 'integer') return /^-?\d{1,15}$/.test(text) ? Number(text) : text
  if (type === 'boolean') return Object.hasOwn(BOOLEANS, text.toLowerCase()) ? BOOLEANS[text.toLowerCase()] : text
  return text
}

const isQuoted = (text: string) => text.length > 1 && /^(["'`]).*\1$/s.test(text)

function quotedHint (text: string | undefined): string {
  return text !== undefined && isQuoted(text)
    ? '; remove the quotation marks around the value (docker --env-file keeps them)'
    : ''
}

function quotedValues (texts: ReadonlyMap<SettingName, string>): string[] {
  return [...texts]
    .filter(([, text]) => isQuoted(text))
    .map(
      ([name]) =>
        `${name} begins and ends with a quotation mark, which is part of the value; remove both if they are not meant (docker --env-file keeps them)`
    )
}

/** Beginnings that only settings of this server have. Other names are told only if they are very near one. */
const PREFIXES =
  /^(MCP|REDIS|OAUTH2|RATE_LIMIT|API_KEYS?|CONFIG_ENCRYPTION|SECURE_CONFIG|MANAGEMENT|STATE_SECRET|AUDIT)_/i
/** Settings, and the names of files that may hold their values. */
const KNOWN: ReadonlySet<string> = new Set(
  names.flatMap(name => (name.endsWith('_FILE') ? [name] : [name, `${name}_FILE`]))
)
/** What Kubernetes puts into every pod for each service of the namespace. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?$/

/**
 * Names that are no settings but were probably meant to be. Told and not
 * refused: a release must start with the settings of a newer one.
 */
function unknownNames (env: Environment, file: Environment): string[] {
  const fromEnvironment = Object.keys(env).filter(name => !KNOWN.has(name) && !isServiceLink(name, env[name]) &&
    (PREFIXES.test(name) || nearest(name, KNOWN, 6) !== undefined))
  const fromFile = Object.keys(file).filter(name => !KNOWN.has(name))
  return [...fromEnvironment.map(notSetting), ...fromFile.map(name => notSetting(name.toLowerCase()))]
}

/** What to say of a name in the encrypted file; undefined if it is a setting. */
export function unknownSetting (name: string): string | undefined {
  return Object.hasOwn(properties, name.toUpperCase()) ? undefined : notSetting(name)
}

function notSetting (name: string): string {
  const meant = nearest(name, KNOWN)
  return `${name.slice(0, 64)} is no setting of this release and is ignored${meant === undefined ? '; see docs/configuration.md' : `; is ${meant} meant?`}`
}

function isServiceLink (name: string, value: string | undefined): boolean {
  return (
    SERVICE_LINK.test(name) &&
    (name.includes('_SERVICE_') || /^(tcp|udp|sctp):\/\//.test(value ?? '') || /_PORT_\d/.test(name))
  )
}

/** The settings with lists split and defaults worked out. */
function worked (settings: Raw, { chosen, path }: Pick<Config, 'chosen' | 'path'>, problems: string[]): Config {
  const issuers = list(settings.OAUTH2_AUTH_SERVER)
  const publicUrl = withoutSlash(settings.PUBLIC_URL ?? originOf(settings.HOST, settings.PORT))
  return {
    ...settings,
    chosen,
    path,
    PUBLIC_URL: publicUrl,
    MANAGEMENT_URL: withoutSlash(
      settings.MANAGEMENT_URL ?? originOf(settings.MANAGEMENT_HOST, settings.MANAGEMENT_PORT)
    ),
    TRUST_PROXY: readTrustProxy(settings.TRUST_PROXY, problems),
    ALLOWED_HOSTS:
      settings.ALLOWED_HOSTS === undefined ? defaultHosts(publicUrl) : list(settings.ALLOWED_HOSTS.toLowerCase()),
    ALLOWED_ORIGINS:
      settings.ALLOWED_ORIGINS === undefined
        ? defaultHosts(publicUrl).map(host => `${new URL(publicUrl).protocol}//${host}`)
        : list(settings.ALLOWED_ORIGINS.toLowerCase()),
    REDIS_SENTINELS: settings.REDIS_SENTINELS === undefined ? undefined : list(settings.REDIS_SENTINELS),
    REDIS_CLUSTER_NODES: settings.REDIS_CLUSTER_NODES === undefined ? undefined : list(settings.REDIS_CLUSTER_NODES),
    STATE_SECRET: list(settings.STATE_SECRET),
    TOOL_HEADERS: list(settings.TOOL_HEADERS?.toLowerCase()),
    OAUTH2_CLAIMS: list(settings.OAUTH2_CLAIMS),
    AUDIT_KEY: list(settings.AUDIT_KEY),
    SERVER_ICONS: icons(settings.SERVER_ICONS, problems),
    OAUTH2_AUTH_SERVER: issuers,
    OAUTH2_METADATA_URL: readUrlsByIssuer('OAUTH2_METADATA_URL', list(settings.OAUTH2_METADATA_URL), issuers, problems),
    OAUTH2_JWKS_URL: readUrlsByIssuer('OAUTH2_JWKS_URL', list(settings.OAUTH2_JWKS_URL), issuers, problems),
    OAUTH2_INTROSPECTION_URL: readUrlsByIssuer(
      'OAUTH2_INTROSPECTION_URL',
      list(settings.OAUTH2_INTROSPECTION_URL),
      issuers,
      problems
    ),
    OAUTH2_AUDIENCE: settings.OAUTH2_AUDIENCE === undefined ? [`${publicUrl}${path}`] : list(settings.OAUTH2_AUDIENCE),
    OAUTH2_ALGORITHMS: list(settings.OAUTH2_ALGORITHMS),
    OAUTH2_SCOPE_CLAIMS: list(settings.OAUTH2_SCOPE_CLAIMS),
    OAUTH2_SCOPE_MAP: scopeMap(settings.OAUTH2_SCOPE_MAP, problems),
    OAUTH2_LOGIN_SCOPES: settings.OAUTH2_LOGIN_SCOPES.split(/\s+/)
  }
}

function list (text: string | undefined): string[] {
  return text === undefined ? [] : text.split(',').map(part => part.trim()).filter(part => part !== '')
}

function icons (text: string | undefined, problems: string[]): Config['SERVER_ICONS'] {
  const read = readIcons(text ?? '')
  if (read === undefined) problems.push('SERVER_ICONS must be https URLs or data:image/…;base64,… separated by blanks')
  return read ?? []
}

function scopeMap (text: string | undefined, problems: string[]): Config['OAUTH2_SCOPE_MAP'] {
  const map = readScopeMap(text ?? '')
  if (map === undefined) {
    problems.push('OAUTH2_SCOPE_MAP must look like "role=mcp:server:access mcp:tool:get_*,other=…"')
  }
  return map ?? new Map()
}

function withoutSlash (url: string): string {
  return url.replace(/(?<!\/)\/+$/, '')
}

function originOf (host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  const origin = `http://${name.includes(':') ? `[${name}]` : name}:${port}`
  // Whether HOST is an address of this machine shows when it is listened on.
  return URL.canParse(origin) ? origin : `http://localhost:${port}`
}
