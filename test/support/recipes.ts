/** The recipes of CONTRIBUTING.md, and the files that each has its reader open. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Recipe {
  readonly name: string
  /** What everyone who follows it opens; `<name>` stands for a name of theirs. */
  readonly files: readonly string[]
  /** What only some do: named by sentences that begin with "Where". */
  readonly special: readonly string[]
}

export function recipes (): Recipe[] {
  const page = readFileSync(join(import.meta.dirname, '../../CONTRIBUTING.md'), 'utf8')
  const section = /^## Recipes$([^]*?)^## /m.exec(page)![1]!
  return [...section.matchAll(/^\*\*(.+?)\.\*\* ([^]*?)\n\n/gm)].map(([, name, text]) => {
    const sentences = text!.replaceAll('\n', ' ').split(/(?<=\.) (?=[A-Z])/)
    const special = sentences.filter(sentence => sentence.startsWith('Where'))
    return { name: name!, files: filesIn(sentences.filter(sentence => !special.includes(sentence))), special: filesIn(special) }
  })
}

function filesIn (sentences: readonly string[]): string[] {
  return [...sentences.join(' ').matchAll(/`([\w<>.-]+(?:\/[\w<>.-]*)+)`/g)].map(([, path]) => path!)
}
