import t from 'tap'
import { settingsDigest } from '../../src/settings/digest.ts'
import { loadConfig } from '../../src/settings/load.ts'

const secret = { STATE_SECRET: 'a-state-secret-of-this-test-0123456789abcdef' }
const digest = (env: Record<string, string>) => settingsDigest(loadConfig({ ...secret, ...env }))

t.test('settings that differ have another digest, and those of one process do not count', async t => {
  t.match(digest({}), /^[0-9a-f]{12}$/)
  t.equal(digest({ PORT: '4000', PUBLIC_URL: 'https://a.example' }), digest({ PORT: '4001', PUBLIC_URL: 'https://a.example', MANAGEMENT_PORT: '1' }))
  const others: Array<Record<string, string>> = [{}, { INSPECTION: 'observe' }, { RATE_LIMIT_API_KEY: '5' }, { OAUTH2_AUTH_SERVER: 'https://a.example', OAUTH2_SCOPE_MAP: 'a=mcp:server:access' }, { OAUTH2_AUTH_SERVER: 'https://a.example', OAUTH2_SCOPE_MAP: 'b=mcp:server:access' }, { STATE_SECRET: 'another-secret-of-this-test-0123456789abcdef' }]
  t.equal(new Set(others.map(digest)).size, others.length)
})

t.test('without a secret there is none: whoever knows the settings but a password could find it', async t => {
  t.equal(settingsDigest(loadConfig({})), undefined)
})
