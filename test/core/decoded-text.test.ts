import t from 'tap'
import { decodeOnce } from '../../src/core/decoded-text.ts'

function decoded (text: string): string {
  const decoding = decodeOnce(text)
  for (;;) {
    const step = decoding.next()
    if (step.done === true) return step.value
  }
}

t.test('escapes become what they stand for', async t => {
  const pairs: Array<[string, string]> = [
    ['%2e%2e%2f', '../'], ['%252e', '%2e'], ['%uff0e', '.'], ['%e0%80%ae', '.'], ['%f0%80%80%ae', '.'], ['%fc%80%80%80%80%ae', '.'], ['%c0%ae', '.'], ['%c0%2f', '/'], ['%c1%1c', '\\'],
    ['%c3%a9', 'é'], ['%F0%9F%98%80', '😀'], ['%ff%fe', ''], ['%zz%', '%zz%'], ['100% of', '100% of'], ['%00', '\0'],
    ['&lt;b&gt', '<b>'], ['&LT;', '<'], ['&#60;&#x3C&#0000060;', '<<<'], ['&copy;', '&copy;'], ['&colon', '&colon'], ['&colon;', ':'], ['a&b', 'a&b'], ['&#99999999999;', ''],
    ['\\u003c\\x3c\\u{3c}', '<<<'], ['\\\\\\u003c', '<'], ['\\/\\"', '/"'], ['a\\nb', 'a b'], ['\\u000a', ' '], ['\\u0000', '\\u0000'], ['\\x1b[0m', '\\x1b[0m'], ['\\q', '\\q'], ['\\\\', '\\'], ['\\u{110000}', '\\u{110000}'],
    ['ＡＢ／', 'AB/'], ['𝐬𝐜𝐫', 'scr'], ['ﬁ', 'fi'], ['ſ', 's'], ['…', '...'], ['un\u200bion', 'union'], ['∕⧵', '/\\'], ['\u00a0', ' '], ['漢字', '漢字'], ['\ufdfa', '\ufdfa'],
    ['a+b', 'a b'], ['a + b', 'a + b'], ['', ''], ['plain text', 'plain text']
  ]
  for (const [text, expected] of pairs) t.equal(decoded(text), expected, JSON.stringify(text))
})

t.test('every character of Unicode that normalises to ASCII is decoded to it', async t => {
  for (let code = 0x80; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code < 0xe000) continue
    const letter = String.fromCodePoint(code)
    const normal = letter.normalize('NFKC')
    if (/^[\x20-\x7e]+$/.test(normal) && decoded(letter) !== normal) t.fail(`U+${code.toString(16)} is ${normal}`)
  }
})

t.test('an escape is never cut, however long the text', async t => {
  for (const escape of ['%2e', '&#x0000003c;', '\\u003c', '\\\\\\\\u003c', '%e0%80%ae', '😀', '．']) {
    for (let before = 262_144 - 16; before < 262_144 + 2; before++) {
      t.equal(decoded('x'.repeat(before) + escape + ' %').slice(before), decoded(escape + ' %'), `${escape} at ${before}`)
    }
  }
})

t.test('decoding takes time in proportion to the text', async t => {
  for (const pump of ['%', '%2e', '%c0', '&', '&#', '&#x', '&#0', '&lt', '\\', '\\\\u', '\\u{', '\\u{0', '．', '\u200b', '+', 'é', '&amp;']) {
    const time = (length: number) => {
      const text = pump.repeat(length / pump.length) + 'u0000'
      const start = process.cpuUsage()
      decoded(text)
      const { user, system } = process.cpuUsage(start)
      return user + system
    }
    time(100_000)
    const small = Math.max(Math.min(time(100_000), time(100_000)), 3000)
    const large = Math.min(time(400_000), time(400_000))
    t.ok(large / small < 9, `${pump}: ${small} µs, four times as long ${large} µs`)
  }
})
