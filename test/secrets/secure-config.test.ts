import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeFernet, openFernet } from '../../src/secrets/fernet.ts'
import { newKey } from '../../src/secrets/keys.ts'
import { getValue, listValues, readSecureConfig, rewriteAll, rotateKey, setValue, type SecureConfig } from '../../src/secrets/secure-config.ts'
import { folder } from '../support/app.ts'
import { secureMcp } from '../support/processes.ts'

function source (t: Parameters<typeof folder>[0], keys?: string): SecureConfig {
  const dir = folder(t)
  return { file: join(dir, 'secure_config.json'), keyFile: join(dir, 'encryption.key'), keys }
}

// https://github.com/fernet/spec: generate.json, verify.json, invalid.json (those that do not turn on the clock)
const SPEC_KEY = 'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4='
const SPEC_TOKEN = 'gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=='
const SPEC_INVALID = {
  'incorrect mac': 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==',
  'too short': 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==',
  'invalid base64': '%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==',
  'no multiple of the block size': 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm',
  'padding error': 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==',
  'incorrect iv': 'gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ=='
}

t.test('the older format matches its published vectors', async t => {
  const key = Buffer.from(SPEC_KEY, 'base64url')
  t.equal(openFernet(SPEC_TOKEN, key), 'hello')
  t.equal(makeFernet('hello', key, Buffer.from(Array.from({ length: 16 }, (_, i) => i)), Date.parse('1985-10-26T01:20:00-07:00') / 1000), SPEC_TOKEN)
  for (const [what, token] of Object.entries(SPEC_INVALID)) t.equal(openFernet(token, key), undefined, what)
})

t.test('a file of the older format is read, and rewritten when something is set', async t => {
  const at = source(t, SPEC_KEY)
  writeFileSync(at.file, JSON.stringify({ encrypted_redis_url: SPEC_TOKEN, port: 4000 }))
  t.same(readSecureConfig(at), { REDIS_URL: 'hello', PORT: '4000' })
  await setValue(at, 'oauth2_client_secret', 'another')
  t.notMatch(readFileSync(at.file, 'utf8'), 'gAAAAA')
  t.same(readSecureConfig(at), { REDIS_URL: 'hello', PORT: '4000', OAUTH2_CLIENT_SECRET: 'another' })
})

t.test('a value is not found in the file, and each writing of it differs', async t => {
  const at = source(t)
  await setValue(at, 'REDIS_URL', 'redis://:canary@host')
  const first = readFileSync(at.file, 'utf8')
  t.notMatch(first, 'canary')
  t.equal(getValue(at, 'redis_url'), 'redis://:canary@host')
  await setValue(at, 'redis_url', 'redis://:canary@host')
  t.not(readFileSync(at.file, 'utf8'), first)
  t.equal(statSync(at.keyFile).mode & 0o777, 0o600)
  t.equal(statSync(at.file).mode & 0o777, 0o600)
})

t.test('whatever is altered is refused by name, and nothing is overwritten', async t => {
  const at = source(t)
  await setValue(at, 'a', 'value-a')
  await setValue(at, 'b', 'value-b')
  const good = readFileSync(at.file, 'utf8')
  const { encrypted_a: a, encrypted_b: b } = JSON.parse(good)
  const damage: Record<string, unknown> = {
    'a bit': { encrypted_a: a.slice(0, -3) + (a.at(-3) === 'A' ? 'B' : 'A') + a.slice(-2), encrypted_b: b },
    'two names swapped': { encrypted_a: b, encrypted_b: a },
    'cut short': { encrypted_a: a.slice(0, -8), encrypted_b: b },
    'not a value': { encrypted_a: 'plain text', encrypted_b: b }
  }
  for (const [what, content] of Object.entries(damage)) {
    writeFileSync(at.file, JSON.stringify(content))
    const before = readFileSync(at.file, 'utf8')
    for (const attempt of [async () => await setValue(at, 'c', 'x'), async () => { await rotateKey(at) }, async () => { await rewriteAll(at) }]) {
      await t.rejects(attempt(), { name: 'UsageError', message: /encrypted_a .*Nothing was changed/ }, what)
    }
    t.equal(readFileSync(at.file, 'utf8'), before, what)
  }
})

t.test('a wrong key is named, a loose one refused, and the file stays', async t => {
  const at = source(t)
  await setValue(at, 'a', 'value')
  const before = readFileSync(at.file, 'utf8')
  const other = { ...at, keys: newKey() }
  t.throws(() => readSecureConfig(other), /key that is not here/)
  await t.rejects(setValue(other, 'b', 'x'), /key that is not here/)
  t.equal(readFileSync(at.file, 'utf8'), before)
  for (const mode of [0o644, 0o640, 0o622]) {
    chmodSync(at.keyFile, mode)
    if (mode === 0o640 && process.getuid?.() === 0) continue // what Kubernetes mounts looks like this
    t.throws(() => readSecureConfig(at), /can be read by others.*chmod 600/, mode.toString(8))
  }
  t.throws(() => readSecureConfig({ ...at, keys: 'short' }), /CONFIG_ENCRYPTION_KEY: key 1 must be 32 random bytes/)
  t.throws(() => readSecureConfig({ ...at, keys: Buffer.alloc(32, 7).toString('base64url') }), /32 random bytes/)
})

t.test('a key rotates: by command, or by a list', async t => {
  const at = source(t)
  await setValue(at, 'a', 'value')
  const old = listValues(at)[0]!.keyId
  const now = await rotateKey(at)
  t.not(now, old)
  t.same(listValues(at), [{ name: 'a', keyId: now }])
  t.equal(getValue(at, 'a'), 'value')

  const [first, second] = [newKey(), newKey()]
  const listed = source(t, first)
  await setValue(listed, 'a', 'value')
  const both = { ...listed, keys: `${second}, ${first}` }
  t.equal(getValue(both, 'a'), 'value')
  await t.rejects(rotateKey(both), /put a new key in front/)
  await rewriteAll(both)
  t.equal(getValue({ ...listed, keys: second }, 'a'), 'value', 'the first is needed no more')
})

t.test('the command line takes values from standard input and a server reads them as settings', async t => {
  const cwd = folder(t)
  const secret = randomBytes(32).toString('base64url')
  t.equal((await secureMcp(['config', 'set', 'mcp_api_key'], { cwd, input: secret + '\n' })).code, 0)
  t.same((await secureMcp(['config', 'get', 'mcp_api_key'], { cwd })).out, secret + '\n')
  t.match((await secureMcp(['config', 'list'], { cwd })).out, /mcp_api_key/)
  t.equal((await secureMcp(['config', 'rotate-key'], { cwd })).code, 0)
  t.ok(existsSync(join(cwd, 'config/encryption.key')))
  // The key named `default` exists exactly where MCP_API_KEY was read.
  const rows = JSON.parse((await secureMcp(['tools', 'list', '--json'], { cwd })).out) as Array<{ callers: string[] }>
  t.same(rows[0]?.callers, ['default'])
})
