import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BEGINNING, link, type Head } from '../../src/audit/chain.ts'
import { sealed, sealKeys } from '../../src/audit/seal.ts'
import { verifyChain, type VerifyOptions } from '../../src/audit/verify.ts'
import { folder } from '../support/app.ts'
import fc from '../support/fast-check.ts'
import { secureMcp } from '../support/processes.ts'

const KEYS = sealKeys(['a'.repeat(40)])
const CHAIN = 'replica-0011223344556677'

interface Made { lines: string[], head: Head }

/** A chain of writes of one to five records, sealed now and then, as a process that was killed leaves it. */
function chain (id = CHAIN, { value = 'echo', seals = true }: { value?: string, seals?: boolean } = {}): Made {
  let head: Head = BEGINNING
  let text = ''
  const write = (lines: string[]) => {
    const written = link(head, lines)
    head = { n: written.n, z: written.z }
    text += written.text
  }
  write([JSON.stringify({ msg: 'chain', chain: id })])
  for (let i = 0; i < 60; i++) {
    write(Array.from({ length: 1 + i % 5 }, (_, k) => JSON.stringify({ msg: 'request', reqId: `${id}-${i}-${k}`, target: i === 30 ? value : 'echo', decision: 'served' })))
    if (seals && i % 10 === 9) write([sealed({ msg: 'seal', chain: id, of: head.z }, head.n + 1, KEYS[0]!)])
  }
  return { lines: text.split('\n').slice(0, -1), head }
}

/** Where edits are made: of the seed, like all that is drawn. */
const drawn = fc.sample(fc.nat(), 20_000)
const random = (most: number) => drawn.pop()! % most

const EDITS: Readonly<Record<string, (lines: string[]) => string[]>> = {
  'a byte changed': lines => {
    const at = random(lines.length)
    const line = lines[at]!
    const place = random(line.length)
    const other = String.fromCharCode(33 + (line.charCodeAt(place) - 33 + 1 + random(90)) % 93)
    return lines.with(at, line.slice(0, place) + other + line.slice(place + 1))
  },
  'a byte gone': lines => {
    const at = random(lines.length)
    const place = random(lines[at]!.length)
    return lines.with(at, lines[at]!.slice(0, place) + lines[at]!.slice(place + 1))
  },
  'a line gone': lines => lines.toSpliced(random(lines.length), 1),
  'a line doubled': lines => {
    const at = random(lines.length)
    return lines.toSpliced(at, 0, lines[at]!)
  },
  'a line of another chain': lines => {
    const at = 1 + random(lines.length - 1)
    return lines.with(at, chain('other-0011223344556677').lines[at]!)
  },
  'two lines swapped': lines => {
    const at = random(lines.length - 1)
    return lines.with(at, lines[at + 1]!).with(at + 1, lines[at]!)
  },
  'the tail gone': lines => lines.slice(0, lines.length - 1 - random(60)),
  'a value changed and every z made anew': () => anew(chain(CHAIN, { value: `x${random(1e6)}` }).lines),
  'the same with the numbers made anew': () => anew(chain(CHAIN, { value: `y${random(1e6)}` }).lines.toSpliced(1 + random(20), 1 + random(3))),
  'the same with all seals left out': () => anew(chain(CHAIN, { value: `z${random(1e6)}`, seals: false }).lines)
}

/** What somebody without the key makes of lines: another chain, whose seals he can only copy. */
function anew (lines: string[]): string[] {
  let head: Head = BEGINNING
  return lines.map(line => {
    const members = JSON.parse(line) as Record<string, unknown>
    const { n: _n, z: _z, ...rest } = members
    const written = link(head, [JSON.stringify(rest.msg === 'seal' ? { ...rest, of: head.z, mac: '0'.repeat(64) } : rest)])
    head = written
    return written.text.slice(0, -1)
  })
}

async function judge (t: Parameters<typeof folder>[0], lines: readonly string[], options: Partial<VerifyOptions> = {}) {
  const file = join(folder(t), `audit-${CHAIN}-000000000001.jsonl`)
  writeFileSync(file, lines.join('\n') + '\n')
  return await verifyChain(CHAIN, [file], { keys: KEYS, ...options })
}

t.test('an untouched chain is whole, and its seals fit', async t => {
  const { lines, head } = chain()
  const verdict = await judge(t, lines, { heads: new Map([[CHAIN, head]]) })
  t.match(verdict, { whole: true, complete: true, seals: 6, unknownKeys: [], tail: 0 })
})

t.test('a thousand edits of ten kinds are found', async t => {
  const { lines, head } = chain()
  const heads = new Map([[CHAIN, head]])
  for (const [kind, edit] of Object.entries(EDITS)) {
    let found = 0
    for (let i = 0; i < 100; i++) if (!(await judge(t, edit(lines), { heads })).whole) found++
    t.equal(found, 100, kind)
  }
})

t.test('without a witness, who has no key is found at the next seal', async t => {
  for (const kind of ['a value changed and every z made anew', 'the same with the numbers made anew'] as const) {
    t.notOk((await judge(t, EDITS[kind]!([]))).whole, kind)
  }
})

t.test('a seal whose key is gone is named, and not taken for altered', async t => {
  const verdict = await judge(t, chain().lines, { keys: sealKeys(['b'.repeat(40)]) })
  t.match(verdict, { whole: true, seals: 0, unknownKeys: [KEYS[0]!.kid] })
})

t.test('what a crash left of a line at the end is no fault; in the middle it is', async t => {
  const { lines } = chain()
  const file = join(folder(t), 'torn.jsonl')
  writeFileSync(file, lines.join('\n') + '\n{"n":999,"v":1,"le')
  t.match(await verifyChain(CHAIN, [file], { keys: KEYS }), { whole: true, complete: false, tail: 1 })
  t.notOk((await judge(t, lines.toSpliced(10, 0, '{"n":11,"v":1,"le'))).whole)
})

t.test('what began and has no end is counted', async t => {
  const { text } = link(BEGINNING, [{ msg: 'chain', chain: CHAIN }, { msg: 'begun', reqId: 'a' }, { msg: 'begun', reqId: 'b' }, { msg: 'request', reqId: 'a' }].map(line => JSON.stringify(line)))
  t.same((await judge(t, text.split('\n').slice(0, -1))).unfinished, ['b'])
})

t.test('the command that verifies makes nothing: without a key it says whose seals it cannot judge', async t => {
  const cwd = folder(t)
  const file = join(cwd, `audit-${CHAIN}-000000000001.jsonl`)
  writeFileSync(file, chain().lines.join('\n') + '\n')
  const { code, out } = await secureMcp(['audit', 'verify', file], { cwd })
  t.equal(code, 0)
  t.match(out, `no key for seals of ${KEYS[0]!.kid}`)
  t.same(readdirSync(cwd), [`audit-${CHAIN}-000000000001.jsonl`])
})
