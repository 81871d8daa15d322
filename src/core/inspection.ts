/**
 * Suspicious patterns in the arguments of a call. They are sought in decoded
 * strings, so that JSON, percent, HTML and full-width escapes hide nothing, with
 * an engine whose time is linear in the text (RE2), so that no text is slow.
 *
 * This finds what is plainly an attack on whatever stands behind a tool. It is
 * no proof that the rest is harmless: a tool checks what it builds from text.
 */
import { RE2JS } from 're2js'

export interface Pattern {
  readonly name: string
  readonly description: string
}

export interface Finding {
  readonly pattern: string
  /** Where, as `a.b.0`. */
  readonly path: string
}

const COMMANDS = '(?:cat|ls|id|whoami|curl|wget|nc|ncat|bash|sh|zsh|rm|uname|env|printenv|echo|ping|python\\d?|perl|ruby|node|sleep|touch|chmod|base64)'
/** What may stand between two SQL words. */
const GAP = '(?:\\s|/\\*[^*]{0,40}\\*/|\\(){1,8}'

const DEFINITIONS: ReadonlyArray<Pattern & { source: string }> = [
  {
    name: 'path_traversal',
    description: '`../` or `..\\`: climbing out of a folder.',
    source: '(?:^|[^.])\\.\\.[/\\\\]|[/\\\\]\\.\\.$'
  },
  {
    name: 'script_tag',
    description: '`<script>`, an event handler inside a tag, or a `javascript:` URL in an attribute.',
    source: '<\\s{0,8}/?\\s{0,8}script(?:[\\s/>]|$)|<[a-z][^<>]{0,400}[\\s/"\']on[a-z]{3,20}\\s{0,8}=|(?:href|src|action|data|srcdoc)\\s{0,8}=\\s{0,8}["\']?\\s{0,8}(?:javascript|vbscript):'
  },
  {
    name: 'sql_union_select',
    description: '`UNION SELECT` with what it selects.',
    source: `\\bunion${GAP}(?:(?:all|distinct)${GAP})?select\\b.{0,60}?(?:\\bfrom\\b|,|\\bnull\\b|@@|\\(|\\d|--|#|\\*)`
  },
  {
    name: 'sql_tautology',
    description: 'A quote that ends early and a condition that is always true, or a second statement that drops something.',
    source: '[\'"]\\s{0,8}\\)?\\s{0,8}(?:or|and|\\|\\|)\\s{1,8}\\(?[\'"]?\\w{1,20}[\'"]?\\s{0,8}(?:=|like)\\s{0,8}[\'"]?\\w{1,20}|;\\s{0,8}(?:drop|truncate|alter)\\s{1,8}(?:table|database|schema)\\b|[\'"]\\s{0,8};\\s{0,8}(?:delete\\s{1,8}from|insert\\s{1,8}into|update\\s{1,8}\\w{1,40}\\s{1,8}set|shutdown)\\b'
  },
  {
    name: 'code_eval',
    description: '`eval(`, `exec(`, `__import__(`, `require("child_process")` and the like.',
    source: '\\beval\\s{0,8}\\(|\\b(?:exec|execfile|execSync|spawnSync|shell_exec|passthru|popen|proc_open|system)\\(|__import__\\s{0,8}\\(|\\brequire\\s{0,8}\\(\\s{0,8}[\'"`](?:node:)?(?:child_process|vm|fs)\\b|\\bnew\\s{1,8}Function\\s{0,8}\\(|\\bimport\\s{0,8}\\(\\s{0,8}[\'"`](?:node:)?child_process'
  },
  {
    name: 'command_substitution',
    description: '`$(…)` or backticks around a command, or a command behind `;`, `|` or `&&`.',
    source: `(?:\\$\\(|\`)\\s{0,8}(?:/[a-z/]{1,40}/)?${COMMANDS}(?:[\\s)\`;|&]|$)|[;|&]\\s{0,8}(?:sudo\\s{1,4})?(?:rm\\s{1,4}-|cat\\s{1,4}/|wget\\s{1,4}\\S|curl\\s{1,4}(?:-|https?:)|nc\\s{1,4}-|ncat\\s{1,4}-|bash\\s{1,4}-|sh\\s{1,4}-|chmod\\s{1,4}[0-7+]|/bin/|/usr/bin/|whoami\\b|id\\s{0,8}$)|(?:\\r|\\n)\\s{0,8}(?:rm\\s{1,4}-rf|/bin/sh)`
  },
  { name: 'null_byte', description: 'A NUL character, which ends strings early elsewhere.', source: '\\x00' },
  {
    name: 'xxe',
    description: 'An XML entity or an external document type.',
    source: '<!entity\\b|<!doctype[^>\\[]{0,200}(?:\\[|\\bsystem\\b)|<\\?xml-stylesheet\\b|<xi:include\\b'
  },
  {
    name: 'template_injection',
    description: '`${jndi:…}`, or `{{…}}` and `${…}` that call or climb to a constructor.',
    source: '\\$\\{\\s{0,8}jndi\\s{0,8}:|\\$\\{\\s{0,8}\\$\\{|\\$\\{\\s{0,8}(?:lower|upper|env|sys|::)\\s{0,2}[-:]|\\{\\{[^{}]{0,200}(?:__|\\.constructor|\\bconfig\\b|\\brequest\\b|\\w\\()[^{}]{0,200}\\}\\}|[$#]\\{[^{}]{0,200}(?:\\bprocess\\.|\\bglobal|constructor|require\\(|T\\(|getClass|@java)|<%[^%]{0,200}(?:system|eval|Runtime|`)'
  }
]

/** The patterns, for documents and for checking exemptions. */
export const PATTERNS: readonly Pattern[] = DEFINITIONS.map(({ name, description }) => ({ name, description }))

const COMPILED = DEFINITIONS.map(({ name, source }) => ({ name, engine: RE2JS.compile(source, RE2JS.CASE_INSENSITIVE) }))

/**
 * Whether a text could match any pattern or hold an escape. Native, with no
 * quantifier that overlaps its neighbour, so linear too; most texts end here.
 */
const WORTH_A_LOOK = /[<`\0]|\.\.[/\\]|[/\\]\.\.$|\$[({]|[;|&]|['"]\s{0,8}\)?\s{0,8}(?:or|and|\|\|)\b|%[0-9a-f]{2}|&[#a-z]|\{\{|#\{|\w\(|eval|union|import|require|function|[\r\n]\s{0,8}[r/]|[\u0080-\uffff]/i

/** Text looked at in one piece, characters; longer text is looked at in overlapping pieces. */
const PIECE = 65_536
const OVERLAP = 1024

/**
 * Look through a value, strings and keys, in document order.
 *
 * @param exempt pattern names that do not apply here
 * @returns the first finding, or undefined
 */
export function inspect (value: unknown, { exempt }: { exempt?: ReadonlySet<string> } = {}): Finding | undefined {
  const stack: Array<{ value: unknown, path: string }> = [{ value, path: '' }]
  while (stack.length > 0) {
    const { value, path } = stack.pop()!
    if (typeof value === 'string') {
      const pattern = suspicious(value, exempt)
      if (pattern !== undefined) return { pattern, path }
    } else if (Array.isArray(value)) {
      for (let i = value.length - 1; i >= 0; i--) {
        if (typeof value[i] === 'string' || typeof value[i] === 'object') stack.push({ value: value[i], path: below(path, String(i)) })
      }
    } else if (typeof value === 'object' && value !== null) {
      for (const key in value) {
        const pattern = suspicious(key, exempt)
        if (pattern !== undefined) return { pattern, path: below(path, '(key)') }
        const inner = (value as Record<string, unknown>)[key]
        if (typeof inner === 'string' || typeof inner === 'object') stack.push({ value: inner, path: below(path, key) })
      }
    }
  }
  return undefined
}

function suspicious (text: string, exempt: ReadonlySet<string> | undefined): string | undefined {
  if (text.length <= PIECE) return inPiece(text, exempt)
  for (let at = 0; at < text.length; at += PIECE - OVERLAP) {
    const found = inPiece(text.slice(at, at + PIECE), exempt)
    if (found !== undefined) return found
  }
  return undefined
}

function inPiece (text: string, exempt: ReadonlySet<string> | undefined): string | undefined {
  if (!WORTH_A_LOOK.test(text)) return undefined
  for (const form of formsOf(text)) {
    for (const { name, engine } of COMPILED) {
      if (exempt?.has(name) !== true && engine.matcher(form).find()) return name
    }
  }
  return undefined
}

/** The text and what it becomes when decoded, at most twice over: a reader behind the tool may decode again. */
function formsOf (text: string): Set<string> {
  const forms = new Set([text])
  let current = text
  for (let round = 0; round < 2; round++) {
    const next = withoutEntities(withoutPercent(current)).normalize('NFKC')
    if (next === current) break
    forms.add(next)
    current = next
  }
  return forms
}

/** Percent escapes decoded; a wrong one stays, and overlong forms of dot and slash count as what they mean. */
function withoutPercent (text: string): string {
  if (!text.includes('%')) return text
  return text
    .replace(/%u00([0-9a-f]{2})/gi, '%$1')
    .replace(/%c0%ae/gi, '.').replace(/%c0%af/gi, '/').replace(/%c1%9c/gi, '\\')
    .replace(/(?:%[0-9a-f]{2})+/gi, run => {
      try {
        return decodeURIComponent(run)
      } catch {
        return run.replace(/%([0-7][0-9a-f])/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
      }
    })
}

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'", colon: ':', sol: '/', period: '.', lpar: '(', rpar: ')', newline: '\n', tab: '\t' }

function withoutEntities (text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,8}));?/gi, (all, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? all
    const code = decimal === undefined ? Number.parseInt(hex!, 16) : Number(decimal)
    return code <= 0x10ffff ? String.fromCodePoint(code) : all
  })
}

function below (path: string, key: string): string {
  return (path === '' ? key : `${path}.${key}`).slice(0, 200)
}
