/** What commands change is on record: who, what, before and after. */
import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { folder, redisUrl } from '../support/app.ts'
import { secureMcp } from '../support/processes.ts'

const shared = () => ({ REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, STATE_SECRET: randomBytes(32).toString('base64url') })

t.test('each change is a record with what was there and what is there, in Redis and in files', async t => {
  for (const env of [shared(), {}]) {
    const cwd = folder(t)
    const run = async (...args: string[]) => {
      const ran = await secureMcp(args, { cwd, env })
      t.equal(ran.code, 0, `${args.join(' ')}: ${ran.err}`)
      return ran
    }
    const key = (await run('keys', 'create', 'ci', '--allow', 'get_*')).out.trim()
    await run('keys', 'change', 'ci', '--allow', 'echo')
    const rotated = (await run('keys', 'rotate', 'ci')).out.trim()
    await run('keys', 'revoke', 'ci')
    await run('ip', 'block', '203.0.113.0/24', '--note', 'scanner')
    await run('ip', 'unblock', '203.0.113.0/24')
    await run('tokens', 'revoke', '--subject', 'eve')
    await run('tokens', 'unrevoke', '--subject', 'eve')
    const { out } = await run('audit', 'tail', '--json', '--since', '1h')
    const records = out.trimEnd().split('\n').map(line => JSON.parse(line) as Record<string, unknown>)
    t.same(records.map(({ operation }) => operation), ['keys.create', 'keys.change', 'keys.rotate', 'keys.revoke', 'blocklist.add', 'blocklist.remove', 'revocations.add', 'revocations.remove'])
    t.match(records[1], { principal: /^cli:./, target: /^[a-z0-9]{10}$/, before: { permissions: ['get_*'] }, after: { permissions: ['get_*', 'echo'] } })
    t.match(records[3], { before: { status: 'rotating' }, after: { status: 'revoked' } })
    t.match(records[5], { target: '203.0.113.0/24', before: { note: 'scanner' } })
    t.notMatch(out, /"hash"/)
    for (const secret of [key, rotated]) t.notOk(out.includes(secret))
    t.equal((await secureMcp(['audit', 'verify', ...('REDIS_URL' in env ? ['--stream'] : [])], { cwd, env })).code, 0)
  }
})

t.test('what cannot be put on record is changed with a warning, or with the policy closed not at all', async t => {
  const cwd = folder(t)
  writeFileSync(join(cwd, 'file'), '')
  const env = { AUDIT_DIR: join(cwd, 'file/audit') }
  const closed = await secureMcp(['keys', 'create', 'one'], { cwd, env: { ...env, AUDIT_WHEN_FULL: 'closed' } })
  t.match(closed, { code: 1, err: /cannot be put on record \(ENOTDIR\).*Nothing was changed/ })
  t.notMatch((await secureMcp(['keys', 'list'], { cwd, env })).out, ' one ')
  const open = await secureMcp(['keys', 'create', 'two'], { cwd, env })
  t.match(open, { code: 0, err: /cannot be put on record/ })
  t.match(readFileSync(join(cwd, 'config/api_keys.json'), 'utf8'), '"two"')
  t.match(await secureMcp(['keys', 'create', 'three'], { cwd, env: { AUDIT: 'off' } }), { code: 0, err: /^Key "three"/ })
  t.notOk(readdirSync(cwd).includes('audit'))
})
