import { closingQuote } from './json-scan.ts'

/**
 * Where a name stands for the second time in one object: the offset of its
 * quotation mark. JSON.parse keeps the last of them in silence (RFC 8259,
 * section 4, calls what happens unpredictable), so a slip in a file of
 * permissions would decide who may do what. Undefined if there is none.
 *
 * @param text valid JSON of any depth
 */
export function doubledNameAt (text: string): number | undefined {
  /** The names of each open object; undefined for a list. */
  const open: Array<Set<string> | undefined> = []
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{') open.push(new Set())
    else if (character === '[') open.push(undefined)
    else if (character === '}' || character === ']') open.pop()
    else if (character === '"') {
      const end = closingQuote(text, at)
      const names = open.at(-1)
      if (names !== undefined && isName(text, end)) {
        const name = JSON.parse(text.slice(at, end + 1)) as string
        if (names.has(name)) return at
        names.add(name)
      }
      at = end
    }
  }
  return undefined
}

/** In an object a text is a name where a colon follows. */
function isName (text: string, end: number): boolean {
  let next = end + 1
  while (text[next] === ' ' || text[next] === '\n' || text[next] === '\r' || text[next] === '\t') next++
  return text[next] === ':'
}
