import t from 'tap'
import { hasHiddenCharacters } from '../../src/core/visible-text.ts'

t.test('joiners, selectors and tags pass where the writing needs them', async t => {
  for (const text of [
    'Asks a developer 👩‍💻', '👨‍👩‍👧‍👦 and 👩🏽‍🚀', '❤️ ☺︎ ✈️', '1️⃣ #️⃣', '🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🏴󠁧󠁢󠁷󠁬󠁳󠁿', '🏳️‍🌈', 'می‌خواهم', 'क्‍ष और क्‌ष', 'ශ්‍රී ලංකා',
    'Sagt die Zeit, auch auf 日本語, עברית und عربي.', '❤️‍🔥'
  ]) t.notOk(hasHiddenCharacters(text), text)
})

t.test('characters that a reviewer cannot see are found', async t => {
  for (const hidden of [
    'Tells\u200dthe time', 'a\u200cb', '\u200b', 'x\u202ey', '\u2066x', '\ufeffx', 'soft\u00adhyphen', 'tag\u{e0041}', '👩\u200d', '\u200d💻', '🏴\u{e0067}\u{e0062}',
    '🏴\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}\u{e007f}', 'a\ufe0fb', '\u3164', 'م\u200cx', 'x\u2028y', 'v\u{e0100}', '👩\u200d\u200d💻'
  ]) t.ok(hasHiddenCharacters(hidden), [...hidden].map(character => character.codePointAt(0)!.toString(16)).join(' '))
})
