/** From a client's own file to servers in the form of MCP_SERVERS_FILE, with every secret taken out. */
import { looksSecret, hasSecretForm } from '../../core/secret-form.ts'
import { serverName } from '../../upstreams/file.ts'
import type { ClientMembers, ClientServer } from './shapes.ts'

export interface TranslateOptions {
  readonly home: string
  /** Text of a file that an entry names; undefined where there is none. */
  read (path: string): string | undefined
}

export interface Translated {
  readonly name: string
  /** Undefined: it cannot be taken over; the notes say why. */
  readonly server: ClientMembers | undefined
  /** By the name under which the encrypted file keeps them. */
  readonly secrets: ReadonlyMap<string, string>
  readonly notes: readonly string[]
}

/** What is passed over: it means something to the client only. */
const IGNORED = new Set([
  'alwaysAllow',
  'autoApprove',
  'trust',
  'dev',
  'gallery',
  'description',
  'enabled',
  'disabled',
  'type',
  'name',
  'source',
  'id',
  'version',
  'required'
])

/** What may stand between the braces of a value here. */
const KNOWN_HERE = /^(?:secret:|env:)?[A-Za-z_]\w*(?::-.*)?$/s

export function translate (
  { name: written, client, server: from }: ClientServer, options: TranslateOptions
): Translated {
  return new Translation(written, client, from, options).result()
}

class Translation {
  readonly #name: string
  readonly #isGemini: boolean
  readonly #from: ClientMembers
  readonly #options: TranslateOptions
  readonly #secrets = new Map<string, string>()
  readonly #notes: string[] = []
  readonly #used = new Set<string>()
  #refused = false

  constructor (written: string, client: string, from: ClientMembers, options: TranslateOptions) {
    this.#name = serverName(written).replace(/[^a-z0-9-]/g, '-').replace(/^-+/, '').slice(0, 24)
    this.#isGemini = client === 'gemini'
    this.#from = from
    this.#options = options
    if (this.#name !== written) this.#notes.push(`"${written.slice(0, 80)}" is called ${this.#name} here`)
  }

  result (): Translated {
    const server: ClientMembers = { ...this.#target(), ...this.#limits() }
    if (this.#from.disabled === true || this.#from.enabled === false) server.disabled = true
    const ignored = Object.keys(this.#from).filter(name => !this.#used.has(name) && !IGNORED.has(name))
    if (ignored.length > 0) this.#notes.push(`not taken over: ${ignored.map(name => name.slice(0, 40)).join(', ')}`)
    return {
      name: this.#name,
      server: this.#refused ? undefined : server,
      secrets: this.#refused ? new Map() : this.#secrets,
      notes: this.#notes
    }
  }

  #take (...names: string[]): unknown {
    for (const name of names) this.#used.add(name)
    return names.map(name => this.#from[name]).find(value => value !== undefined)
  }

  #refuse (why: string): ClientMembers {
    this.#refused = true
    this.#notes.push(`left out: ${why}`)
    return {}
  }

  #target (): ClientMembers {
    const nested = this.#from.command
    const inner = isJson(nested) ? nested : undefined
    const command = this.#take('command')
    const http = this.#take('httpUrl', 'serverUrl')
    const plain = this.#take('url')
    if (this.#from.headersHelper !== undefined) {
      return this.#refuse('headersHelper runs a program for headers; use "auth", or a header with a secret')
    }
    if (this.#from.type === 'sse' || (this.#isGemini && http === undefined && plain !== undefined)) {
      return this.#refuse('it speaks SSE, which MCP has given up; name its Streamable HTTP endpoint (mostly /mcp)')
    }
    if (command !== undefined) return this.#program(inner ?? this.#from, inner === undefined ? command : inner.path)
    const url = http ?? plain
    if (typeof url !== 'string') return this.#refuse('it has neither a command nor a URL')
    return this.#http(url)
  }

  #program (from: ClientMembers, command: unknown): ClientMembers {
    const env: ClientMembers = {}
    const file = this.#take('envFile')
    if (typeof file === 'string') Object.assign(env, this.#envFile(this.#text(file)))
    const given = inObject(from.env)
    this.#used.add('env')
    for (const [name, value] of Object.entries(given)) env[name] = value
    const passed = this.#take('env_vars')
    if (Array.isArray(passed)) for (const name of passed) env[String(name)] ??= `\${${String(name)}}`
    this.#used.add('args')
    const args = this.#arguments(Array.isArray(from.args) ? from.args.map(String) : [], env)
    const cwd = this.#take('cwd')
    return {
      command: this.#text(String(command)),
      ...(args.length === 0 ? {} : { args }),
      ...(Object.keys(env).length === 0 ? {} : { env: this.#hidden(env) }),
      ...(typeof cwd === 'string' ? { cwd: this.#text(cwd) } : {})
    }
  }

  /** A secret among arguments becomes a variable: other users see arguments. */
  #arguments (args: readonly string[], env: ClientMembers): string[] {
    const kept: string[] = []
    for (let i = 0; i < args.length; i++) {
      const arg = args[i]!
      const [, option, value] = /^--?([\w-]+)=(.+)$/s.exec(arg) ?? []
      const next = args[i + 1]
      const lone = /^--?([\w-]+)$/.exec(arg)?.[1]
      if (option !== undefined && isSecretValue(option, value!)) this.#moved(option, value!, env)
      else if (lone !== undefined && next !== undefined && !next.startsWith('-') && isSecretValue(lone, next)) {
        this.#moved(lone, next, env)
        i++
      } else if (hasSecretForm(arg)) this.#moved(`arg_${i}`, arg, env)
      else kept.push(this.#text(arg))
    }
    return kept
  }

  #moved (option: string, value: string, env: ClientMembers): void {
    const name = option.toUpperCase().replace(/-/g, '_')
    env[name] ??= value
    this.#notes.push(
      `the argument --${option} held a secret: it is the variable ${name} now; check that the server reads it there`
    )
  }

  #http (text: string): ClientMembers {
    const headers: ClientMembers = { ...inObject(this.#take('headers')), ...inObject(this.#take('http_headers')) }
    const bearer = this.#take('bearer_token_env_var')
    if (typeof bearer === 'string') headers.Authorization = `Bearer \${${bearer}}`
    for (
      const [name, variable] of Object.entries(inObject(this.#take('env_http_headers')))
    ) headers[name] = `\${${String(variable)}}`
    let url = this.#text(text)
    const user = /^(https?:\/\/)([^/@]*)@/.exec(url)
    if (user !== null) {
      headers.Authorization ??= `Basic ${Buffer.from(decodeURIComponent(user[2]!)).toString('base64')}`
      url = url.replace(user[0], user[1]!)
      this.#notes.push('the user and password of its URL are the header Authorization now')
    }
    const query = URL.canParse(url) ? [...new URL(url).searchParams] : []
    if (hasSecretForm(url) || query.some(([name, value]) => !value.includes('${') && isSecretValue(name, value))) {
      return this.#refuse(
        'its URL holds a secret, which logs would show; name its URL without, and send the secret in headers'
      )
    }
    return { url, ...(Object.keys(headers).length === 0 ? {} : { headers: this.#hidden(headers) }) }
  }

  #limits (): ClientMembers {
    const timeout = this.#take('timeout')
    const seconds = this.#take('tool_timeout_sec')
    const start = this.#take('startup_timeout_sec')
    const startMs = this.#take('startup_timeout_ms')
    // Cline and Roo count seconds, Gemini and Claude Code milliseconds; no server is given 1,000 s or 1 s.
    const ms = typeof seconds === 'number'
      ? seconds * 1000
      : typeof timeout === 'number'
        ? timeout * (
          this.#isGemini || timeout >= 1000 ? 1 : 1000
        )
        : undefined
    const startTimeoutMs = typeof start === 'number' ? start * 1000 : startMs
    const allow = this.#take('enabled_tools', 'includeTools', 'allowedTools')
    const deny = this.#take('disabled_tools', 'excludeTools', 'disabledTools')
    const tools = { ...(isTexts(allow) ? { allow } : {}), ...(isTexts(deny) ? { deny } : {}) }
    return {
      ...(Object.keys(tools).length === 0 ? {} : { tools }),
      ...(ms === undefined ? {} : { timeoutMs: within(ms, 3_600_000) }),
      ...(typeof startTimeoutMs === 'number' ? { startTimeoutMs: within(startTimeoutMs, 600_000) } : {})
    }
  }

  /** Values with their secrets moved. */
  #hidden (values: ClientMembers): ClientMembers {
    return Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, this.#hiddenValue(name, this.#text(String(value)))])
    )
  }

  #hiddenValue (name: string, value: string): string {
    if (value.includes('${') || !looksSecret(name, value)) return value
    const [, scheme = '', secret = value] = /^((?:Bearer|Basic|Token|token)\s+)(.+)$/s.exec(value) ?? []
    return `${scheme}\${secret:${this.#secret(name, secret)}}`
  }

  #secret (name: string, value: string): string {
    const key = `${this.#name}_${name}`.toLowerCase().replace(
      /[^a-z0-9_]/g, '_'
    ).replace(/^([^a-z])/, 's_$1').slice(0, 64)
    this.#secrets.set(key, value)
    return key
  }

  #envFile (path: string): ClientMembers {
    const text = this.#options.read(path)
    if (text === undefined) {
      this.#notes.push(`its envFile ${path} is not there`)
      return {}
    }
    return Object.fromEntries(text.split(/\r?\n/).flatMap(line => {
      const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line)
      return match === null ? [] : [[match[1]!, match[2]!.replace(/^(["'])(.*)\1$/s, '$2')]]
    }))
  }

  /** A text with the client's own variables translated. */
  #text (text: string): string {
    const { home, read } = this.#options
    let done = text.replace(/\$\{userHome\}/g, home).replace(/\$\{input:([\w-]+)\}/g, (_all, id: string) => {
      const key = `${this.#name}_${id}`.toLowerCase().replace(/[^a-z0-9_]/g, '_').slice(0, 64)
      this.#notes.push(`the client asked for "${id}": keep its value with config set ${key}`)
      return `\${secret:${key}}`
    })
    done = done.replace(/\$\{file:([^}]+)\}/g, (_all, path: string) => {
      const value = read(path.replace(/^~/, home))?.trim()
      if (value === undefined) this.#notes.push(`the file ${path} that it names is not there`)
      return `\${secret:${this.#secret('file', value ?? '')}}`
    })
    if (this.#isGemini) done = done.replace(/\$([A-Za-z_]\w*)/g, (_all, name: string) => `\${${name}}`)
    const unknown = [...done.matchAll(/\$\{([^{}$]*)\}/g)].find(([, words]) => !KNOWN_HERE.test(words!))
    if (unknown !== undefined) {
      this.#notes.push(`${unknown[0].slice(0, 60)} has no meaning here: write what it stands for`)
    }
    if (done.startsWith(home) || done.startsWith('~/')) {
      this.#notes.push('it names a path in your home folder: the server may not see it')
    }
    return done
  }
}

function isSecretValue (name: string, value: string): boolean {
  return !value.includes('${') && !/^[./~]|^https?:\/\/[^@]*$/.test(
    value
  ) && (hasSecretForm(value) || (/(?:token|key|secret|passw|credential|auth)/i.test(name) && looksSecret(name, value)))
}

const within = (value: number, most: number) => Math.min(most, Math.max(100, Math.round(value)))
const isTexts = (
  value: unknown
): value is string[] => Array.isArray(value) && value.every(one => typeof one === 'string')

function inObject (value: unknown): ClientMembers {
  return isJson(value) ? value : {}
}

function isJson (value: unknown): value is ClientMembers {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
