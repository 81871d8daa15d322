/** The set as MCP_SERVERS_FILE says, now and after each change of the file or of the secrets that it names. */
import { createHmac, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import type { Inspector } from '../core/inspection.ts'
import { watchFile } from '../files.ts'
import { readSecureConfig, type SecureConfig } from '../secrets/secure-config.ts'
import { secureConfigOf } from '../settings/read.ts'
import { usesRedis } from '../settings/rules.ts'
import type { Config } from '../settings/schema.ts'
import type { Log } from '../telemetry/log.ts'
import type { Template, UpstreamEntry } from './entry.ts'
import { readUpstreamsFile, type FileOptions, type UpstreamsFile } from './file.ts'
import { UpstreamSet, type UpstreamSetOptions } from './upstreams.ts'
import { resolve, type ValueSources } from './values.ts'
import { WireOpener } from './wire-opener.ts'

export interface UpstreamsFromSettings extends Pick<
  UpstreamSetOptions, 'offer' | 'shared' | 'parked' | 'clientInfo' | 'gateway' | 'counts'
> {
  readonly config: Config
  /** Of the process: variables that the file names, and what children are passed on. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Log
  readonly patterns: Inspector['patterns']
}

/** The set, and the files that it follows. */
export interface FollowedUpstreams {
  readonly set: UpstreamSet
  /** Read the files now. */
  reload (): Promise<void>
  /** Follow them no longer; when the set is closed. */
  stop (): Promise<void>
}

/**
 * @throws {UsageError} with every fault of the file
 */
export function upstreamsFromSettings (options: UpstreamsFromSettings): FollowedUpstreams {
  return new FollowedFile(options)
}

class FollowedFile implements FollowedUpstreams {
  readonly set: UpstreamSet
  readonly #options: UpstreamsFromSettings
  readonly #secrets: Secrets
  readonly #file: FileOptions
  readonly #opener: WireOpener
  readonly #watches: Array<() => void>

  constructor (options: UpstreamsFromSettings) {
    const { config, env, log, patterns, gateway } = options
    this.#options = options
    const secureConfig = secureConfigOf(env)
    this.#secrets = new Secrets(secureConfig)
    const sources: ValueSources = { env, secret: name => this.#secrets.get(name) }
    this.#file = { sources, stdio: config.STDIO_UPSTREAMS ?? !usesRedis(config), patterns }
    const valueOf = (template: Template) => resolve(template, sources)
    this.#opener = new WireOpener({ ambient: env, resolve: valueOf, log, gateway })
    const key = randomBytes(32)
    this.set = new UpstreamSet({
      ...options,
      open: this.#opener.open,
      mask: this.#opener.mask,
      valuesOf: entry => fingerprint(entry, valueOf, key),
      entries: this.#read().entries
    })
    const changed = () => {
      this.reload().catch(error => { log.error({ err: error as Error }, 'following MCP_SERVERS_FILE failed') })
    }
    this.#watches = [watchFile(config.MCP_SERVERS_FILE, changed), watchFile(secureConfig.file, changed)]
  }

  async reload (): Promise<void> {
    const { log, counts } = this.#options
    this.#secrets.forget()
    let file: UpstreamsFile
    try {
      // A file that was there and vanished is a fault, too.
      file = readUpstreamsFile(this.#options.config.MCP_SERVERS_FILE, this.#file)
    } catch (error) {
      counts?.configError()
      log.error({ why: (error as Error).message }, 'MCP_SERVERS_FILE is wrong: what was read before stays in force')
      return
    }
    this.#warn(file)
    log.info({ servers: file.entries.map(({ name }) => name) }, 'MCP_SERVERS_FILE read again')
    await this.set.reconcile(file.entries)
  }

  async stop (): Promise<void> {
    for (const stop of this.#watches) stop()
    await this.#opener.close()
  }

  /** At the start the default file may be absent: there are no upstreams then. */
  #read (): Pick<UpstreamsFile, 'entries'> {
    const { MCP_SERVERS_FILE: path, chosen } = this.#options.config
    if (!chosen.has('MCP_SERVERS_FILE') && !existsSync(path)) return { entries: [] }
    const file = readUpstreamsFile(path, this.#file)
    this.#warn(file)
    return file
  }

  #warn ({ warnings }: UpstreamsFile): void {
    for (const warning of warnings) this.#options.log.warn({}, warning)
  }
}

/** Changes with the values that an entry names, and says nothing about them: its key lives as long as this process. */
function fingerprint ({ target }: UpstreamEntry, valueOf: (template: Template) => string, key: Buffer): string {
  const secret = target.kind === 'http' ? target.auth?.clientSecret : undefined
  const templates = [
    ...(target.kind === 'stdio' ? target.env : target.headers).values(), ...(secret === undefined ? [] : [secret])
  ]
  const digest = createHmac('sha256', key)
  for (const template of templates) {
    try {
      digest.update(JSON.stringify(valueOf(template)))
    } catch {
      digest.update('none')
    }
  }
  return digest.digest('base64')
}

/** The values of the encrypted file, read when one is first asked for. */
class Secrets {
  readonly #source: SecureConfig
  #values: Readonly<Record<string, string>> | undefined

  constructor (source: SecureConfig) {
    this.#source = source
  }

  /** @throws {UsageError} where the file cannot be read */
  get (name: string): string | undefined {
    this.#values ??= readSecureConfig(this.#source)
    const known = name.toUpperCase()
    return Object.hasOwn(this.#values, known) ? this.#values[known] : undefined
  }

  forget (): void {
    this.#values = undefined
  }
}
