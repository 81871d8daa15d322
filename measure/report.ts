// docs/measurements.md is written by the programs that measure: each owns the section that bears its name.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, totalmem } from 'node:os'
import { join } from 'node:path'

const FILE = join(import.meta.dirname, '..', 'docs', 'measurements.md')

/**
 * Put text in the place of a section's: between `<!-- begin name -->` and
 * `<!-- end name -->`; at the end of the file if there is no such section yet.
 */
export function writeSection (name: string, markdown: string): void {
  const text = readFileSync(FILE, 'utf8')
  const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`]
  const section = `${begin}\n${markdown.trim()}\n${end}`
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  writeFileSync(FILE, from < 0 || to < 0 ? `${text.trimEnd()}\n\n${section}\n` : text.slice(0, from) + section + text.slice(to + end.length))
}

/** The text between a section's markers, or none. */
export function readSection (name: string): string {
  const text = readFileSync(FILE, 'utf8')
  return text.split(`<!-- begin ${name} -->`)[1]?.split(`<!-- end ${name} -->`)[0] ?? ''
}

/** A table of rows, each a list of cells. */
export function markdownTable (head: string[], rows: unknown[][]): string {
  const line = (cells: unknown[]) => `| ${cells.map(cell => String(cell).replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/**
 * When, where and on what: for the line under a section's heading.
 *
 * @param node the program that was measured
 */
export function circumstances (command: string, node = process.execPath): string {
  const date = new Date().toISOString().slice(0, 10)
  const model = cpus()[0]?.model.trim().replace(/\s+/g, ' ') || arch()
  return `\`${command}\`, ${date}, ${cpus().length} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim()}, commit ${commit()}`
}

/** The commit that is measured. */
export function commit (): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}
