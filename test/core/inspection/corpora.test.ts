/**
 * What the default level refuses of ordinary text and finds of attacks, each
 * miss by name. Both were written when the patterns were done, which had been
 * tuned on other text: what was missed is listed and was not mended, but for
 * one false alarm (`VERSION=$(cat VERSION)`).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Inspector } from '../../../src/core/inspection.ts'

const inspector = new Inspector()
const refused = (text: string) => inspector.inspectNow({ text })?.pattern
const linesOf = (file: string) => readFileSync(join(import.meta.dirname, file), 'utf8').split('\n').filter(line => line.trim() !== '')

/** Ordinary text that is refused, and stays so: each looks like what it is taken for. */
const FALSE_ALARMS: Readonly<Record<string, string>> = {
  '<form onSubmit={handleSubmit(onSubmit)}>': 'script_tag'
}

/** Attacks that pass. */
const MISSES: readonly string[] = [
  '" autofocus onfocus=alert(1) x="',
  '1/**/union/*!50000select*/1,2',
  "#set($x='')#set($rt=$x.class.forName('java.lang.Runtime'))"
]

t.test('ordinary requests, issues, code and prose in many languages pass', async t => {
  const texts = readdirSync(import.meta.dirname).filter(file => file.startsWith('ordinary-')).flatMap(linesOf)
  t.ok(new Set(texts).size === texts.length && texts.length > 400, `${texts.length} different texts`)
  const found = Object.fromEntries(texts.flatMap(text => {
    const pattern = refused(text) ?? refused(text.replaceAll('\\n', '\n'))
    return pattern === undefined ? [] : [[text, pattern]]
  }))
  t.strictSame(found, FALSE_ALARMS)
})

t.test('the Markdown of packages that are installed passes, but for what shows script tags', async t => {
  const root = join(import.meta.dirname, '../../../node_modules')
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(path => /(^|\/)(README|CHANGELOG)[^/]*\.md$/i.test(path)).sort()
  const texts = [...new Set(files.flatMap(file => readFileSync(join(root, file), 'utf8').split(/\n\s*\n/)))].filter(text => text.trim() !== '' && text.length < 20_000)
  t.ok(texts.length > 2000, `${texts.length} paragraphs`)
  const found = texts.filter(text => refused(text) !== undefined)
  for (const text of found) t.comment(`${refused(text)}: ${JSON.stringify(text.trim().slice(0, 100))}`)
  t.ok(found.length <= texts.length * 0.002, `${found.length} of ${texts.length} refused`)
})

t.test('attacks of every kind are found', async t => {
  const texts = linesOf('attacks.txt')
  t.ok(texts.length >= 300 && new Set(texts).size === texts.length, `${texts.length} different attacks`)
  const missed = texts.filter(text => refused(text) === undefined)
  t.strictSame(missed, MISSES)
  t.ok(missed.length <= texts.length * 0.03, `${missed.length} of ${texts.length} missed`)
})
