/** The members of one server in MCP_SERVERS_FILE: what each may be, and what holds between them. */
import { looksSecret } from '../core/secret-form.ts'
import { urlFault } from './address-guard.ts'
import type { HttpTarget, PerTool, StdioTarget, Template, UpstreamAuth, UpstreamEntry } from './entry.ts'
import { shown, type Placed, type Section } from './section.ts'
import { ELSEWHERE, faultsOfTemplate, isTemplate, resolve, type ValueSources } from './values.ts'

export interface EntryReader {
  readonly section: Section
  readonly name: string
  /** Undefined: nothing is resolved, for an entry that is not used. */
  readonly sources: ValueSources | undefined
  readonly patterns: { has (name: string): boolean }
}

type Auth = { readonly auth: UpstreamAuth | undefined, readonly names: ReadonlySet<string> }

/** What ends a line or a text would end a header or a variable early. */
const NO_CONTROL = /^[^\0\r\n]*$/
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_.-]*$/
const HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Headers that belong to the connection or the protocol, so the file cannot set them (RFC 9110 section 7.6.1). */
const OWN_HEADERS =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|proxy-connection|content-length|content-type|content-encoding|accept|accept-encoding|expect|last-event-id|mcp-.*)$/
/** Headers of a caller that never go on: its credentials, and what proxies say of it. */
const NEVER_FORWARDED = /^(?:authorization|proxy-.*|cookie|x-api-key|forwarded|x-forwarded-.*|x-upstream-.*|dpop)$/

/** A permission pattern that gives. */
const PATTERN = { form: /^(?:\*|[^\s*!]{1,256}\*?)$/, wanted: 'a list of names, of beginnings and * (get_*), or "*"' }
const URI_PATTERN = {
  form: /^(?:\*|[^\s*]{1,2000}\*?)$/, wanted: 'a list of URIs, or of beginnings and * (file:///data/*)'
}

export function stdioTarget (reader: EntryReader): StdioTarget | undefined {
  const { section } = reader
  const command = shownText(reader, section.text('command'), 'command')
  const args = section.texts('args')?.map((arg, i, all) => {
    if (isSecretOption(all[i - 1]?.value, arg.value)) {
      section.fault(`"args" holds a secret, which the process list would show. ${ELSEWHERE}`, arg.offset)
    }
    return shownText(reader, arg, 'args')
  })
  const cwd = shownText(reader, section.text('cwd'), 'cwd')
  const env = hiddenTexts(reader, 'env', { name: VARIABLE, value: /^[^\0]*$/ })
  return command === undefined ? undefined : { kind: 'stdio', command, args: (args ?? []).map(String), cwd, env }
}

/** `--api-key=…` and the like, with a value that looks like one. */
function isSecretOption (before: string | undefined, arg: string): boolean {
  const [
    , name, value
  ] = /^(-{1,2}[\w-]+)[=:](.+)$/s.exec(arg) ?? [undefined, before?.startsWith('-') === true ? before : undefined, arg]
  return name !== undefined && value !== undefined && !isTemplate(value) && !/^[-./~]|:\/\//.test(value) &&
    /(?:token|api-?key|secret|password|passwd)$/i.test(name) && looksSecret(name, value)
}

export function httpTarget (reader: EntryReader, { auth, names }: Auth): HttpTarget | undefined {
  const { section } = reader
  const at = section.text('url')
  const text = shownText(reader, at, 'url')
  const headers = new Map<string, Template>()
  for (const [name, value] of hiddenTexts(reader, 'headers', { name: HEADER, value: NO_CONTROL })) {
    const lower = name.toLowerCase()
    if (OWN_HEADERS.test(lower)) {
      section.fault(`"headers" may not set ${lower}, which belongs to the connection`, section.offsetOf('headers'))
    } else if (headers.has(lower)) section.fault(`"headers" has ${lower} twice`, section.offsetOf('headers'))
    else if (
      names.has(lower)
    ) section.fault(`"headers" may not set ${lower}, which "auth" sets`, section.offsetOf('headers'))
    headers.set(lower, value)
  }
  const forwardHeaders = forwarded(section, headers)
  const network = section.choice('network', ['public', 'private', 'loopback'])
  const url = text === undefined ? undefined : urlOf(text, section, at!.offset)
  if (url === undefined) return undefined
  const lying = urlFault(url, network, headers.size > 0 || auth !== undefined)
  if (lying !== undefined) section.fault(`"url" ${lying}`, at!.offset)
  return { kind: 'http', url, headers, forwardHeaders, auth, network }
}

/** A URL that credentials may be sent to; what it holds is not told. */
function urlOf (text: string, section: Section, offset: number): URL | undefined {
  // What names a variable of an entry that is not used has no value.
  if (isTemplate(text)) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) section.fault('"url" is no absolute URL', offset)
  else if (
    url.protocol !== 'http:' && url.protocol !== 'https:'
  ) section.fault('"url" must begin with https:// or http://', offset)
  else if (
    url.username !== '' || url.password !== ''
  ) section.fault('"url" holds a user or password, which logs would show: send it in headers', offset)
  else if (url.hash !== '') section.fault('"url" has a fragment (#…), which is never sent', offset)
  else return url
  return undefined
}

function forwarded (section: Section, headers: ReadonlyMap<string, Template>): string[] {
  return section.texts(
    'forwardHeaders', { form: HEADER, wanted: 'a list of names of headers' }
  )?.map(({ value, offset }) => {
    const name = value.toLowerCase()
    if (NEVER_FORWARDED.test(name) || OWN_HEADERS.test(name)) {
      section.fault(
        `"forwardHeaders" may not name ${name}: credentials of callers, and headers of the connection or of proxies, never go on`,
        offset
      )
    } else if (headers.has(name)) section.fault(`"forwardHeaders" names ${name}, which "headers" sets`, offset)
    return name
  }) ?? []
}

/** What gets tokens, and the headers that it will set. */
export function authOf ({ section, sources }: EntryReader): Auth {
  const inner = section.section('auth')
  if (inner === undefined) return { auth: undefined, names: new Set() }
  const type = inner.choice('type', ['client_credentials', 'token_exchange'])
  const url = (name: string) => {
    const at = inner.text(name)
    if (at === undefined) return undefined
    faultsOfTemplate(at.value, 'shown', sources).forEach(fault => inner.fault(`"auth.${name}" ${fault}`, at.offset))
    return sources === undefined || !isTemplate(at.value) ? at.value : resolvedOr(at.value, sources)
  }
  const tokenUrl = url('tokenUrl')
  const issuer = url('issuer')
  for (const [name, value] of Object.entries({ tokenUrl, issuer })) {
    if (value !== undefined && sources !== undefined) urlOf(value, inner, inner.offsetOf(name))
  }
  if ((tokenUrl === undefined) === (issuer === undefined)) inner.fault('"auth" needs one of "tokenUrl" and "issuer"')
  const clientSecret = inner.text('clientSecret', { form: NO_CONTROL })
  if (clientSecret !== undefined) {
    faultsOfTemplate(
      clientSecret.value, 'hidden', sources
    ).forEach(fault => inner.fault(`"auth.clientSecret" ${fault}`, clientSecret.offset))
  }
  const [clientId, scope, resource, audience] = (
    ['clientId', 'scope', 'resource', 'audience'] as const
  ).map(name => inner.text(name, { form: NO_CONTROL })?.value)
  if (type === undefined && !inner.has('type')) {
    inner.fault('"auth" needs "type": "client_credentials" or "token_exchange"')
  }
  if (clientId === undefined && !inner.has('clientId')) inner.fault('"auth" needs "clientId"')
  // What it lists would have to be asked for when nobody is signed in.
  if (type === 'token_exchange') {
    inner.fault(
      '"auth" of type token_exchange would offer nothing: its lists are asked for when nobody is signed in; use client_credentials', inner.offsetOf('type')
    )
  }
  if (type === 'client_credentials' && clientSecret === undefined) {
    inner.fault('"auth" of type client_credentials needs "clientSecret"')
  }
  if (type === 'client_credentials' && audience !== undefined) {
    inner.fault('"auth.audience" goes with token_exchange; name "resource"', inner.offsetOf('audience'))
  }
  refuseUnread(inner, 'auth')
  return type === undefined || clientId === undefined
    ? { auth: undefined, names: AUTH_HEADERS }
    : {
        auth: { type, tokenUrl, issuer, clientId, clientSecret: clientSecret?.value, scope, resource, audience },
        names: AUTH_HEADERS
      }
}

const AUTH_HEADERS: ReadonlySet<string> = new Set(['authorization'])

type Own = Omit<UpstreamEntry, 'name' | 'line' | 'target' | 'digest'>

/** Everything but how the server is reached. */
export function ownOptions (reader: EntryReader, target: StdioTarget | HttpTarget | undefined): Own {
  const { section, name } = reader
  const stdio = target?.kind === 'stdio'
  const prefix = section.text(
    'prefix', { form: /^(?:[a-z0-9][a-z0-9-]{0,23})?$/, wanted: '"", or 1 to 24 lower-case letters, digits and -' }
  )
  const questions = section.flag('questions')
  return {
    prefix: prefix?.value ?? name,
    tools: toolsOf(section),
    uris: section.texts('uris', URI_PATTERN)?.map(({ value }) => value),
    share: shareOf(
      section, stdio && questions === true, target?.kind === 'http' && target.auth?.type === 'token_exchange'
    ),
    questions: questions ?? !stdio,
    protocol: section.choice('protocol', ['auto', 'legacy', 'modern']) ?? (stdio ? 'legacy' : 'auto'),
    timeoutMs: section.integer('timeoutMs', 100, 3_600_000) ?? 30_000,
    startTimeoutMs: section.integer('startTimeoutMs', 100, 600_000) ?? 30_000,
    maxInFlight: section.integer('maxInFlight', 1, 1024) ?? (stdio ? 32 : 64),
    maxAnswerBytes: section.integer('maxAnswerBytes', 1024, 67_108_864) ?? 1_048_576,
    maxTools: section.integer('maxTools', 1, 10_000) ?? 1000,
    output: section.choice('output', ['refuse', 'warn']) ?? 'refuse',
    pin: section.choice('pin', ['trust_first_use', 'approve', 'off']) ?? 'trust_first_use',
    exempt: exemptions(reader),
    cost: costs(section),
    rate: rates(section)
  }
}

function toolsOf (section: Section): UpstreamEntry['tools'] {
  const inner = section.section('tools', 'an object with "allow" and "deny"')
  const [allow, deny] = ['allow', 'deny'].map(name => inner?.texts(name, PATTERN)?.map(({ value }) => value))
  if (inner !== undefined) refuseUnread(inner, 'tools')
  return { allow, deny: deny ?? [] }
}

/** A question or a token is one caller's: nobody else may be on that connection. */
function shareOf (section: Section, asks: boolean, exchanges: boolean): 'all' | 'caller' {
  const share = section.choice('share', ['all', 'caller'])
  if (share === 'all' && (asks || exchanges)) {
    section.fault(
      `"share": "all" does not go with ${asks ? '"questions": true of a program' : 'token_exchange'}: each caller needs a connection`,
      section.offsetOf('share')
    )
  }
  return share ?? (asks || exchanges ? 'caller' : 'all')
}

function exemptions ({ section, patterns }: EntryReader): UpstreamEntry['exempt'] {
  return perTool(section, 'exempt', section.typesIn('exempt').every(type => type === 'string'), inner => {
    const reasons = Object.fromEntries(inner.names().flatMap(name => {
      const reason = inner.text(name, { form: /\S/, wanted: 'the reason, as a text' })
      if (!patterns.has(name)) {
        inner.fault(`"exempt": there is no inspection pattern "${shown(name)}"`, inner.offsetOf(name))
      }
      return reason === undefined ? [] : [[name, reason.value]]
    }))
    return reasons as Readonly<Record<string, string>>
  })
}

function costs (section: Section): UpstreamEntry['cost'] {
  if (section.typeOf('cost') !== 'object') return { all: section.integer('cost', 1, 10_000), byTool: new Map() }
  const inner = section.section('cost')!
  return {
    all: undefined,
    byTool: new Map(inner.names().flatMap(name => {
      const cost = inner.integer(name, 1, 10_000)
      return cost === undefined ? [] : [[name, cost]]
    }))
  }
}

function rates (section: Section): UpstreamEntry['rate'] {
  return perTool(section, 'rate', section.typesIn('rate').every(type => type === 'number'), inner => {
    const limit = inner.integer('limit', 1, 1_000_000_000)
    const windowMs = inner.integer('windowMs', 1000, 86_400_000)
    refuseUnread(inner, 'rate')
    if (!inner.has('limit') || !inner.has('windowMs')) inner.fault('"rate" must be {"limit": …, "windowMs": …}')
    return limit === undefined || windowMs === undefined ? undefined : { limit, windowMs }
  })
}

function perTool<T> (
  section: Section, name: string, forAll: boolean, read: (inner: Section) => T | undefined
): PerTool<T> {
  const outer = section.section(name)
  if (outer === undefined) return { all: undefined, byTool: new Map() }
  if (forAll) return { all: read(outer), byTool: new Map() }
  return {
    all: undefined,
    byTool: new Map(outer.names().flatMap(tool => {
      const inner = outer.section(tool)
      const value = inner === undefined ? undefined : read(inner)
      return value === undefined ? [] : [[tool, value] as const]
    }))
  }
}

function refuseUnread (section: Section, of: string): void {
  for (
    const { value, offset } of section.unread()
  ) section.fault(`"${of}.${shown(value)}" is no member of "${of}"`, offset)
}

/** A text that the process list and logs show, with its value put in; undefined where it has none. */
function shownText (
  { section, sources }: EntryReader, at: Placed<string> | undefined, member: string
): string | undefined {
  if (at === undefined) return undefined
  const faults = faultsOfTemplate(at.value, 'shown', sources)
  for (const fault of faults) section.fault(`"${member}" ${fault}`, at.offset)
  if (sources === undefined || faults.length > 0) return sources === undefined ? at.value : undefined
  return resolvedOr(at.value, sources)
}

function resolvedOr (template: Template, sources: ValueSources): string | undefined {
  return faultsOfTemplate(template, 'shown', sources).length > 0 ? undefined : resolve(template, sources)
}

/** Texts that are resolved when a connection is opened. */
function hiddenTexts (
  { section, sources }: EntryReader, member: 'env' | 'headers', form: { name: RegExp, value: RegExp }
): Map<string, Template> {
  const texts = new Map<string, Template>()
  const inner = section.section(member)
  for (const name of inner?.names() ?? []) {
    if (!form.name.test(name)) {
      inner!.fault(
        `"${member}" has "${shown(name)}", which is no name of a ${member === 'env' ? 'variable' : 'header'}`,
        inner!.offsetOf(name)
      )
    }
    const at = inner!.text(name, {
      form: form.value,
      wanted: `a text${member === 'env' ? '' : ' without line ends'}; write numbers and switches as texts, too`
    })
    if (at === undefined) continue
    for (
      const fault of faultsOfTemplate(at.value, 'hidden', sources)
    ) inner!.fault(`"${member}.${shown(name)}" ${fault}`, at.offset)
    texts.set(name, at.value)
  }
  return texts
}
