import { randomBytes } from 'node:crypto'
import t from 'tap'
import { makeKey } from '../../src/core/api-key.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { redact } from '../../src/telemetry/redact.ts'

const secret = (bytes: number) => randomBytes(bytes).toString('base64url')
const token = () => `eyJ${secret(20)}.${secret(60)}.${secret(32)}`

t.test('credentials are taken out, whatever stands around them', async t => {
  for (let i = 0; i < 50; i++) {
    for (const credential of [makeKey().key, `sk-${secret(20)}`, token(), `eyJ${secret(20)}`]) {
      for (const around of ['', ' ', '"', 'Bearer ', 'key=', '-', '.', '/', 'é', '\n', '%']) {
        const shown = redact(`before ${around}${credential}${around} after`)
        t.notOk(shown.includes(credential.slice(-12)), JSON.stringify(around))
        t.match(shown, /^before .*\[redacted\].* after$/s)
      }
    }
  }
})

t.test('passwords in URLs are taken out, escaped ones in a line of JSON, too', async t => {
  t.equal(redact('redis://user:pass@host/0'), 'redis://[redacted]@host/0')
  const line = JSON.stringify({ url: 'redis://user:p"ss\\word@host', b: 1 })
  t.strictSame(JSON.parse(redact(line)), { url: 'redis://[redacted]@host', b: 1 })
})

t.test('words stay', async t => {
  for (const text of ['risk-assessment of the task-list', 'sk-short', 'https://example.com/a?b=c', 'ask-me-anything-about-keys', 'the prefix mcpk_ and no more', '// a comment', 'eyJ', '']) t.equal(redact(text), text)
})

t.test('a credential that the cut parts leaves nothing behind', async t => {
  const { key } = makeKey()
  for (let most = 6; most < key.length + 8; most++) {
    const shown = redact(`x ${key} y`, most)
    t.ok(shown.length <= most + '[redacted]'.length)
    t.notOk(shown.includes(key.slice(0, 8)), `${most}: ${shown}`)
  }
})

t.test('a log line holds no credential, in whatever field, name, message or error it was given', async t => {
  const { key } = makeKey()
  const written: string[] = []
  const log = createLog({ destination: { write: line => { written.push(line) } } })
  const error = new Error(`no ${key}`, { cause: new Error(`from ${key}`) })
  log.info({ [key]: 1, path: `a.${key}.b`, deep: { list: [{ [`x-${key}`]: key }] }, err: error }, `told ${key}`)
  log.child({ [key]: key }).warn({ url: `redis://u:${key}@h` }, 'child')
  log.child({}, { redact: [] }).info({ target: key }, 'a child without paths')
  t.equal(written.length, 3)
  for (const line of written) {
    t.notOk(line.includes(key.slice(12)), line)
    t.match(JSON.parse(line), { level: String, msg: String })
  }
})
