import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { UsageError } from '../../src/errors.ts'
import { readSettings } from '../../src/settings/read.ts'
import { folder } from '../support/app.ts'

const SECRET = 'a-state-secret-of-this-test-0123456789abcdef'

t.test('a setting comes from the file that <NAME>_FILE names, without the line end at its end', async t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'redis_url'), 'redis://mcp:pass@localhost:6379\n')
  writeFileSync(join(dir, 'state_secret'), `${SECRET}\r\n`)
  writeFileSync(join(dir, 'port'), '8080')
  const config = readSettings({ REDIS_URL_FILE: join(dir, 'redis_url'), STATE_SECRET_FILE: join(dir, 'state_secret'), PORT_FILE: join(dir, 'port') })

  t.equal(config.REDIS_URL, 'redis://mcp:pass@localhost:6379')
  t.strictSame(config.STATE_SECRET, [SECRET])
  t.equal(config.PORT, 8080, 'with the type that the setting has')
})

t.test('a file reached through links, readable for the group alone, as Kubernetes mounts it, is read', async t => {
  const dir = folder(t)
  mkdirSync(join(dir, '..2026_11_25'))
  writeFileSync(join(dir, '..2026_11_25', 'STATE_SECRET'), SECRET)
  chmodSync(join(dir, '..2026_11_25', 'STATE_SECRET'), 0o440)
  symlinkSync('..2026_11_25', join(dir, '..data'))
  symlinkSync('..data/STATE_SECRET', join(dir, 'STATE_SECRET'))

  t.strictSame(readSettings({ STATE_SECRET_FILE: join(dir, 'STATE_SECRET') }).STATE_SECRET, [SECRET])
})

t.test('a named file wins over the encrypted file', async t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'secure_config.json'), JSON.stringify({ port: 4000, inspection: 'observe' }))
  writeFileSync(join(dir, 'port'), '5000')
  const config = readSettings({ SECURE_CONFIG_FILE: join(dir, 'secure_config.json'), PORT_FILE: join(dir, 'port') })

  t.match(config, { PORT: 5000, INSPECTION: 'observe' })
})

t.test('every file that cannot be a value is named at once, and no value is', async t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'empty'), ' \n')
  writeFileSync(join(dir, 'large'), 'x'.repeat(65_537))
  writeFileSync(join(dir, 'secret'), SECRET)
  const wrong = () => readSettings({
    REDIS_URL_FILE: join(dir, 'absent'),
    REDIS_MASTER_NAME_FILE: dir,
    OAUTH2_CLIENT_SECRET_FILE: join(dir, 'empty'),
    MCP_API_KEY_FILE: join(dir, 'large'),
    STATE_SECRET: SECRET,
    STATE_SECRET_FILE: join(dir, 'secret')
  })

  t.throws(wrong, UsageError)
  try { wrong() } catch (error) {
    const { message } = error as Error
    for (const name of ['REDIS_URL_FILE', 'REDIS_MASTER_NAME_FILE', 'OAUTH2_CLIENT_SECRET_FILE', 'MCP_API_KEY_FILE']) t.match(message, `${name}: ${dir}`)
    t.match(message, 'STATE_SECRET and STATE_SECRET_FILE are both set')
    t.notMatch(message, SECRET)
  }
})

t.test('settings that are paths keep their meaning', async t => {
  const dir = folder(t)
  t.equal(readSettings({ API_KEYS_FILE: join(dir, 'keys.json') }).API_KEYS_FILE, join(dir, 'keys.json'))
  t.doesNotThrow(() => readSettings({ API_KEYS_FILE_FILE: join(dir, 'absent'), CONFIG_ENCRYPTION_KEY_FILE: join(dir, 'absent') }), 'they name no file to be read for a value')
})
