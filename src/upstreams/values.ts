/** `${…}` in the file of upstreams: what it names, what is wrong with it, and its value when a connection is opened. */
import { hasSecretForm } from '../core/secret-form.ts'
import { UsageError } from '../errors.ts'
import { readSecureConfig, type SecureConfig } from '../secrets/secure-config.ts'
import { SECRET_SETTINGS, Settings } from '../settings/schema.ts'
import type { Template } from './entry.ts'

/** Where values come from. Nothing is read from the process itself. */
export interface ValueSources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** What SECURE_CONFIG_FILE holds encrypted under a name, of whatever case. */
  secret (name: string): string | undefined
}

/**
 * The environment, and the encrypted file as it is now.
 *
 * @throws {UsageError} for a file that cannot be read
 */
export function valueSources (env: ValueSources['env'], file: SecureConfig): ValueSources {
  const secrets = readSecureConfig(file)
  return { env, secret: name => Object.hasOwn(secrets, name.toUpperCase()) ? secrets[name.toUpperCase()] : undefined }
}

type Named = { readonly kind: 'secret' | 'env', readonly name: string, readonly otherwise?: string | undefined }
type Part = string | Named | { readonly kind: 'unknown', readonly text: string }

/** As the file spells it. */
function named (text: string): string {
  return `\${${text}}`
}

const NAMED = /^(?:(secret|env):)?([A-Za-z_][A-Za-z0-9_]{0,127})(?::-([^}]*))?$/

function partsOf (template: Template): Part[] {
  const parts: Part[] = []
  let at = 0
  for (const match of template.matchAll(/\$\{([^}]*)(\}?)/g)) {
    if (match.index > at) parts.push(template.slice(at, match.index))
    const words = match[2] === '' ? null : NAMED.exec(match[1]!)
    if (words === null || (words[1] !== undefined && words[3] !== undefined)) {
      parts.push({ kind: 'unknown', text: match[0] })
    } else parts.push({ kind: words[1] === 'secret' ? 'secret' : 'env', name: words[2]!, otherwise: words[3] })
    at = match.index + match[0].length
  }
  if (at < template.length) parts.push(template.slice(at))
  return parts
}

/**
 * What is wrong with a text of the file; its words are not told.
 *
 * @param place `shown`: the process list and logs show it, so no secret may stand there
 * @param sources undefined: whether what it names exists is not asked
 */
export function faultsOfTemplate (
  template: Template, place: 'hidden' | 'shown', sources: ValueSources | undefined
): string[] {
  const faults: string[] = []
  for (const part of partsOf(template)) {
    if (typeof part === 'string') {
      if (place === 'shown' && hasSecretForm(part)) {
        faults.push(`holds a secret, which the process list and logs would show. ${ELSEWHERE}`)
      }
    } else if (part.kind === 'unknown') {
      faults.push(
        `has a ${named('…')} that is none of ${['secret:NAME', 'env:NAME', 'NAME', 'NAME:-default'].map(named).join(', ')}; servers import translates those of clients`
      )
    } else {
      const fault = faultOfName(part, place, sources)
      if (fault !== undefined) faults.push(fault)
    }
  }
  return faults
}

/** Where a secret belongs instead. */
export const ELSEWHERE = `Name it in env or headers as ${named('secret:NAME')}, and keep its value with: config set NAME`

function faultOfName (part: Named, place: 'hidden' | 'shown', sources: ValueSources | undefined): string | undefined {
  const { kind, name } = part
  const setting = name.toUpperCase()
  if (kind === 'secret') {
    if (place === 'shown') return `names \${secret:${name}}, which the process list and logs would show. ${ELSEWHERE}`
    if (Object.hasOwn(Settings.properties, setting)) {
      return `names \${secret:${name}}, which is a setting of this server; give the secret a name of its own`
    }
  } else if (
    SECRET_SETTINGS.has(setting) || SECRET_SETTINGS.has(setting.replace(/_FILE$/, '')) || setting === OPERATOR_KEY
  ) {
    return `names \${${name}}, which holds a secret of this server`
  }
  if (sources === undefined || valueOf(part, sources) !== undefined) return undefined
  return kind === 'secret'
    ? `names \${secret:${name}}, which is not kept here; keep it: config set ${name.toLowerCase()}, with the value on standard input`
    : `names \${${name}}, but that variable is not set or empty; set it, or write \${${name}:-default}`
}

/** What commands present to the management listener. */
const OPERATOR_KEY = 'MCP_OPERATOR_KEY'

/** An empty value is none. */
function valueOf ({ kind, name, otherwise }: Named, { env, secret }: ValueSources): string | undefined {
  const value = kind === 'secret' ? secret(name) : Object.hasOwn(env, name) ? env[name] : undefined
  return value === undefined || value === '' ? otherwise : value
}

/** Whether a text names a variable or a secret. */
export function isTemplate (text: string): boolean {
  return text.includes('${')
}

/**
 * The value of a text.
 *
 * @throws {UsageError} naming what is missing or wrong; checked when the file was read, but secrets may go since
 */
export function resolve (template: Template, sources: ValueSources): string {
  return partsOf(template).map(part => {
    if (typeof part === 'string') return part
    const value = part.kind === 'unknown' ? undefined : valueOf(part, sources)
    if (value === undefined) {
      throw new UsageError(
        part.kind === 'unknown'
          ? `a ${named('…')} that nothing stands for`
          : `\${${part.kind}:${part.name}} has no value`
      )
    }
    return value
  }).join('')
}
