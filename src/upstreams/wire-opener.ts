/** From an entry of the file to a wire: values take the place of templates here, when a connection is opened. */
import type { Log } from '../telemetry/log.ts'
import { redact } from '../telemetry/redact.ts'
import { childEnvironment, type ChildEnvironment } from './child.ts'
import type { HttpTarget, StdioTarget, Template, UpstreamAuth, UpstreamEntry } from './entry.ts'
import { Outgoing, UpstreamTokens, type ResolvedAuth } from './outgoing.ts'
import { Reaper } from './reaper.ts'
import { SecretMask } from './secret-mask.ts'
import { UndiciWire } from './wire-http.ts'
import { StdioWire } from './wire-stdio.ts'
import type { Wire } from './wire.ts'

export interface WireOpenerOptions {
  /** The environment of this process, of which children see a few names. */
  readonly ambient: ChildEnvironment
  /** @throws {UsageError} for a value that is missing */
  readonly resolve: (template: Template) => string
  readonly log: Log
  /** The name of this gateway. */
  readonly gateway: string
}

export class WireOpener {
  readonly #options: WireOpenerOptions
  readonly #secrets = new SecretMask()
  readonly #reaper: Reaper
  /** By name of the upstream: connections of one share its tokens. */
  readonly #tokens = new Map<string, { readonly of: string, readonly tokens: UpstreamTokens }>()

  constructor (options: WireOpenerOptions) {
    this.#options = options
    this.#reaper = new Reaper(options.ambient.PATH)
  }

  /** Takes out of a text what looks like a secret, and what was given to upstreams as one. */
  readonly mask = (text: string): string => this.#secrets.mask(redact(text))

  /**
   * @throws {UsageError} for a value that is missing
   * @throws {TokenTrouble} for one that is no header
   */
  readonly open = (entry: UpstreamEntry): Wire => {
    const { target } = entry
    return target.kind === 'stdio' ? this.#openStdio(entry, target) : this.#openHttp(entry, target)
  }

  async close (): Promise<void> {
    await Promise.all([...this.#tokens.values()].map(({ tokens }) => tokens.close()))
  }

  #openStdio ({ name, maxAnswerBytes }: UpstreamEntry, { command, args, cwd, env }: StdioTarget): Wire {
    const { resolve, ambient } = this.#options
    const own = this.#resolved(env)
    this.#secrets.set(name, Object.values(own))
    return new StdioWire({
      child: {
        command: resolve(command),
        args: args.map(resolve),
        cwd: cwd === undefined ? undefined : resolve(cwd),
        env: childEnvironment(ambient, own),
        reaper: this.#reaper
      },
      maxAnswerBytes,
      log: logOfUpstream(this.#options.log, name),
      mask: this.mask
    })
  }

  #openHttp ({ name, maxAnswerBytes, maxInFlight }: UpstreamEntry, target: HttpTarget): Wire {
    const { url, headers, forwardHeaders, auth, network } = target
    const resolved = this.#resolved(headers)
    const tokens = auth === undefined ? undefined : this.#tokensOf(name, auth)
    this.#secrets.set(name, [...Object.values(resolved), ...tokens === undefined ? [] : [tokens.clientSecret ?? '']])
    return new UndiciWire({
      url,
      network,
      outgoing: new Outgoing({ headers: resolved, forwardHeaders, tokens, gateway: this.#options.gateway }),
      maxAnswerBytes,
      maxInFlight,
      log: logOfUpstream(this.#options.log, name)
    })
  }

  #resolved (templates: ReadonlyMap<string, Template>): Record<string, string> {
    return Object.fromEntries([...templates].map(([name, template]) => [name, this.#options.resolve(template)]))
  }

  #tokensOf (name: string, auth: UpstreamAuth): UpstreamTokens {
    const clientSecret = auth.clientSecret === undefined ? undefined : this.#options.resolve(auth.clientSecret)
    const resolved: ResolvedAuth = { ...auth, clientSecret }
    const of = JSON.stringify(resolved)
    const known = this.#tokens.get(name)
    if (known?.of === of) return known.tokens
    // Connections that are on their way out hold the former until they end.
    const tokens = new UpstreamTokens(resolved)
    this.#tokens.set(name, { of, tokens })
    return tokens
  }
}

/** A log whose every line bears the name of the upstream. */
function logOfUpstream (log: Log, upstream: string): Log {
  return {
    debug: (data, message) => log.debug({ upstream, ...data }, message),
    info: (data, message) => log.info({ upstream, ...data }, message),
    warn: (data, message) => log.warn({ upstream, ...data }, message),
    error: (data, message) => log.error({ upstream, ...data }, message)
  }
}
