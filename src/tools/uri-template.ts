/** RFC 6570 level 1: text and `{variable}`, with text between two variables so that reading one back is certain. */

import { RE2JS } from 're2js'

/** Of a variable's value as the URI spells it, characters. */
const MAX_VALUE = 1024

export interface UriTemplate {
  readonly variables: readonly string[]
  /**
   * The variables of a URI that fits, decoded; else undefined. A URI fits only
   * as expansion spells it: permission is decided by its text, so a second
   * spelling of it would slip by a pattern that takes the first away.
   */
  match (uri: string): Record<string, string> | undefined
  /**
   * The URI that these values make, or its beginning up to the first variable that has none; undefined for a value
   * that no URI can hold.
   */
  expand (values: Readonly<Record<string, string>>): { readonly uri: string, readonly whole: boolean } | undefined
}

/** @returns null if the text is no such template */
export function uriTemplate (text: string): UriTemplate | null {
  const parts = text.split(/(\{[A-Za-z0-9_]{1,64}\})/)
  if (parts.some((part, i) => i % 2 === 0 && /[{}]/.test(part))) return null
  if (parts.some((part, i) => i % 2 === 0 && i > 0 && i < parts.length - 1 && part === '')) return null
  const variables = parts.filter((_, i) => i % 2 === 1).map(part => part.slice(1, -1))
  if (variables.length === 0 || new Set(variables).size !== variables.length) return null

  // RE2: between several variables a backtracking engine tries every division of what does not fit.
  const pattern = RE2JS.compile(
    '^' + parts.map((part, i) => i % 2 === 1 ? '([^/?#]+)' : RE2JS.quote(part)).join('') + '$'
  )
  return {
    variables,
    match (uri) {
      if (uri.length > 4096) return undefined
      const found = pattern.exec(uri)
      if (found === null || found.some((text, i) => i > 0 && text.length > MAX_VALUE)) return undefined
      try {
        const values = found.slice(1).map(decodeURIComponent)
        if (values.some((value, i) => encoded(value) !== found[i + 1])) return undefined
        return Object.fromEntries(variables.map((name, i) => [name, values[i]!]))
      } catch {
        return undefined
      }
    },
    expand (values) {
      let uri = parts[0]!
      for (const [i, name] of variables.entries()) {
        if (!Object.hasOwn(values, name)) return { uri, whole: false }
        try {
          uri += encoded(values[name]!) + parts[2 * i + 2]!
        } catch {
          return undefined // half a pair of surrogates
        }
      }
      return { uri, whole: true }
    }
  }
}

/** As RFC 6570 §3.2.2 expands a value: everything but unreserved characters is encoded. */
function encoded (value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, letter => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
}

const EXPRESSION = /\{[+#./;?&]?([A-Za-z0-9_.,:*%]{1,256})\}/g

/**
 * A template that somebody else wrote, with whatever operators of RFC 6570:
 * what is not simple fits by the text before its first variable.
 *
 * @returns undefined where that text is empty, or it is no template
 */
export function foreignTemplate (text: string): UriTemplate | undefined {
  const simple = uriTemplate(text)
  if (simple !== null) return simple
  const beginning = text.slice(0, text.indexOf('{'))
  if (!text.includes('{') || !/^[a-z][a-z0-9+.-]*:/i.test(beginning)) return undefined
  const variables = [...text.matchAll(EXPRESSION)].flatMap(
    ([, names]) => names!.split(',').map(name => name.replace(/[*:].*$/, ''))
  )
  return {
    variables: [...new Set(variables)],
    match: uri => uri.length <= 4096 && uri.startsWith(beginning) ? {} : undefined,
    expand: () => ({ uri: beginning, whole: false })
  }
}
