import t from 'tap'
import { loadConfig, loadSettings, properties, wanted } from '../../src/settings/load.ts'
import type { SettingName } from '../../src/settings/schema.ts'

const SECRET = 'a-state-secret-of-this-test-0123456789abcdef'
const REDIS = { REDIS_URL: 'redis://localhost:6379', STATE_SECRET: SECRET }

/** The problems that a start would tell, one a line. */
function problems (env: Record<string, string>, file: Record<string, string> = {}): string[] {
  try {
    loadConfig(env, file)
    return []
  } catch (error) {
    return (error as Error).message.split('\n').slice(1).map(line => line.trim())
  }
}

t.test('a wrong value is told with what is wanted: values, range and unit, never the value', async t => {
  const cases: Array<[Record<string, string>, string]> = [
    [{ PORT: 'abc-canary' }, 'PORT must be a whole number from 0 to 65535'],
    [{ PORT: '70000' }, 'PORT must be a whole number from 0 to 65535'],
    [{ PORT: '3.5' }, 'PORT must be a whole number from 0 to 65535'],
    [{ SESSION_IDLE_MS: '5' }, 'SESSION_IDLE_MS must be a whole number of ms from 1000 to 86400000'],
    [{ MAX_REQUEST_BYTES: '1mb' }, 'MAX_REQUEST_BYTES must be a whole number of bytes from 1024 to 67108864'],
    [{ INSPECTION: 'maybe-canary' }, 'INSPECTION must be block, observe or off'],
    [{ OAUTH2_TOKEN_TYP: 'JWT' }, 'OAUTH2_TOKEN_TYP must be at+jwt or jwt'],
    [{ MCP_DEBUG: 'perhaps' }, 'MCP_DEBUG must be true or false (or yes, no, on, off, 1, 0)'],
    [{ PUBLIC_URL: 'mcp.example.com' }, 'PUBLIC_URL must be a URL such as https://mcp.example.com, without user, query or fragment'],
    [{ PUBLIC_URL: 'https://h:99999' }, 'PUBLIC_URL must be a URL such as https://mcp.example.com, without user, query or fragment'],
    [{ PUBLIC_URL: 'https://user:canary@h' }, 'PUBLIC_URL must be a URL such as https://mcp.example.com, without user, query or fragment'],
    [{ REDIS_KEY_PREFIX: 'a b' }, 'REDIS_KEY_PREFIX must be at most 64 letters, digits and the characters : _ -'],
    [{ PORT: '"3000"' }, 'PORT must be a whole number from 0 to 65535; remove the quotation marks around the value (docker --env-file keeps them)']
  ]
  for (const [env, message] of cases) t.same(problems(env), [message])
  t.equal(problems({ PORT: 'a', INSPECTION: 'b', TRUST_PROXY: '0.0.0.0/0', REPLICAS: '0' }).length, 4, 'all at once')
})

t.test('every setting says in words what it must be, and refuses to be empty wherever it is given', async t => {
  for (const name of Object.keys(properties) as SettingName[]) {
    t.match(wanted(properties[name]), /^(a |at |true |\w[\w+]*,? )/, name)
    t.match(problems({ [name]: ' ' }), [`${name} is empty: give it a value, or remove it`], name)
    t.match(problems({}, { [name]: '' }), [`${name} is empty: give it a value, or remove it`], `${name} in the file`)
  }
  t.match(problems({ REDIS_URL: '' }, { REDIS_URL: 'redis://h' }), ['REDIS_URL is empty'], 'the file does not fill in')
})

t.test('switches take the words that people use', async t => {
  for (const [text, value] of Object.entries({ true: true, ON: true, yes: true, 1: true, off: false, No: false, 0: false, FALSE: false })) {
    t.equal(loadConfig({ MCP_AUTH_ENABLED: text }).MCP_AUTH_ENABLED, value, text)
  }
  t.equal(loadConfig({ TRUST_PROXY: 'off' }).TRUST_PROXY, false)
  for (const text of ['constructor', 'toString', '2', 'enabled']) t.equal(problems({ MCP_DEBUG: text }).length, 1, text)
})

t.test('settings that contradict each other are refused, with what to do', async t => {
  const cases: Array<[Record<string, string>, RegExp]> = [
    [{ REPLICAS: '3' }, /REPLICAS above 1 needs Redis/],
    [{ ...REDIS, REDIS_SENTINELS: 'a:1', REDIS_MASTER_NAME: 'm' }, /REDIS_URL and REDIS_SENTINELS name different Redis/],
    [{ ...REDIS, REDIS_SENTINELS: 'a:1', REDIS_MASTER_NAME: 'm', REDIS_CLUSTER_NODES: 'b:1' }, /REDIS_URL and REDIS_SENTINELS and REDIS_CLUSTER_NODES/],
    [{ ...REDIS, REDIS_MASTER_NAME: 'm' }, /need each other/],
    [{ REDIS_PASSWORD: 'x' }, /REDIS_PASSWORD is set, but no Redis is/],
    [{ ...REDIS, REDIS_URL: 'redis://u:p@h', REDIS_PASSWORD: 'x' }, /both hold a password/],
    [{ ...REDIS, REDIS_URL: 'redis://u:p@h', REDIS_USERNAME: 'x' }, /both name a user/],
    [{ ...REDIS, REDIS_TLS: 'true' }, /write rediss:/],
    [{ ...REDIS, REDIS_CA: '-----BEGIN CERTIFICATE-----' }, /REDIS_CA is used with TLS only/],
    [{ REDIS_CLUSTER_NODES: 'a', STATE_SECRET: SECRET }, /REDIS_CLUSTER_NODES must be a comma list of host:port/],
    [{ REDIS_CLUSTER_NODES: 'a:99999', STATE_SECRET: SECRET }, /REDIS_CLUSTER_NODES must be a comma list of host:port/],
    [{ PORT: '9090' }, /PORT and MANAGEMENT_PORT must differ/],
    [{ PORT: '5000', MANAGEMENT_PORT: '5000', MANAGEMENT_HOST: '0.0.0.0' }, /PORT and MANAGEMENT_PORT must differ/],
    [{ SESSION_MAX_MS: '60000' }, /SESSION_IDLE_MS must not be longer than SESSION_MAX_MS/],
    [{ ALLOWED_HOSTS: '*' }, /ALLOWED_HOSTS must be .* no \*, scheme or path/],
    [{ ALLOWED_HOSTS: 'https://mcp.example.com' }, /ALLOWED_HOSTS/],
    [{ ALLOWED_ORIGINS: 'mcp.example.com' }, /ALLOWED_ORIGINS/],
    [{ ALLOWED_ORIGINS: 'https://a.example/path' }, /ALLOWED_ORIGINS/],
    [{ STATE_SECRET: ',' }, /STATE_SECRET must be random/]
  ]
  for (const [env, message] of cases) t.match(problems(env), [message], JSON.stringify(env))
  t.match(loadConfig({ ...REDIS, REDIS_USERNAME: 'mcp', REDIS_PASSWORD: 'pa/ss#?@' }), { REDIS_USERNAME: 'mcp', REDIS_PASSWORD: 'pa/ss#?@' }, 'user and password go with REDIS_URL')
})

t.test('a URL of Redis that a special character cuts is refused without a word of it', async t => {
  for (const url of ['redis://mcp:pa/ss@h', 'redis://mcp:12#canary@h', 'redis://mcp:12/canary@h', 'redis://mcp:1?canary@h', 'redis://u:p%canary@h', 'redis://', 'redis://:canary#@h']) {
    const [problem, ...more] = problems({ ...REDIS, REDIS_URL: url })
    t.match(problem, /^REDIS_URL .*percent-encoding.*REDIS_PASSWORD/, url)
    t.notMatch(problem, 'canary')
    t.same(more, [])
  }
  for (const url of ['redis://h:65536', 'redis://u:canary@h:99999/0', 'redis://h:0', 'rediss://[2001:db8::1]:70000?family=6', 'redis://h:0000']) {
    const [problem, ...more] = problems({ ...REDIS, REDIS_URL: url })
    t.match(problem, /^REDIS_URL names a port .* 1 to 65535/, url)
    t.notMatch(problem, 'canary')
    t.same(more, [])
  }
  t.same(problems({ ...REDIS, REDIS_URL: 'redis://u:70000@h:65535/1' }), [], 'a password may be a number')
  for (const url of ['http://h', 'localhost:6379', 'REDIS://h']) t.match(problems({ ...REDIS, REDIS_URL: url }), [/^REDIS_URL must be an address such as redis:/], url)
})

t.test('short keys are refused as short secrets are, or allowed with a warning', async t => {
  const key = (length: number) => 'sk-0123456789abcdefghijklmn'.slice(0, length)
  t.match(problems({ MCP_API_KEY: 'tiger-4821' }), [/MCP_API_KEY must have 20 characters or more.*ALLOW_SHORT_KEYS/])
  t.match(problems({ MCP_API_KEY: key(19) }), [/20 characters/])
  for (const length of [20, 22, 24]) t.match(loadSettings({ MCP_API_KEY: key(length) }).warnings, [/MCP_API_KEY is short enough to be guessed/], `${length} go on`)
  t.same(loadSettings({ MCP_API_KEY: key(25) }).warnings, [])
  t.match(loadSettings({ MCP_API_KEY: 'tiger-4821', ALLOW_SHORT_KEYS: 'true' }).warnings, [/short enough to be guessed/])
})

t.test('a name that is near a setting is told with the nearest real one, and never refused', async t => {
  const told = (env: Record<string, string>, file: Record<string, string> = {}) => loadSettings(env, file).warnings
  for (const [name, meant] of Object.entries({
    REDIS_URI: 'REDIS_URL', redis_url: 'REDIS_URL', REDIS_URI_FILE: 'REDIS_URL_FILE', MCP_API_KEYS: 'MCP_API_KEY', OAUTH2_AUTH_SERVERS: 'OAUTH2_AUTH_SERVER', ALLOWED_HOST: 'ALLOWED_HOSTS', PUBLIC_URI: 'PUBLIC_URL', INSPECTIONS: 'INSPECTION', REPLICA: 'REPLICAS', TRUSTPROXY: 'TRUST_PROXY', RATE_LIMT_API_KEY: 'RATE_LIMIT_API_KEY'
  })) {
    t.match(told({ [name]: 'canary' }), [`${name} is no setting of this release and is ignored; is ${meant} meant?`], name)
    t.notMatch(told({ [name]: 'canary' }).join(), 'canary')
  }
  t.match(told({ MCP_SOMETHING_OF_A_NEWER_RELEASE: '1' }), [/is no setting of this release and is ignored; see/])
  t.match(told({}, { WHATEVER: '1' }), [/^whatever is no setting/], 'in the encrypted file every name is ours')
  for (const name of ['PATH', 'HOME', 'HOSTNAME', 'SESSION_ID', 'SESSION_MANAGER', 'REDIS_SERVICE_HOST', 'REDIS_SERVICE_PORT', 'REDIS_PORT_6379_TCP_ADDR', 'TEST_REDIS_URL', 'npm_config_prefix', 'constructor', '__proto__']) t.same(told({ [name]: 'x' }), [], name)
  t.same(told({ REDIS_PORT: 'tcp://10.0.0.1:6379' }), [], 'what Kubernetes sets for a service')
  t.match(told({ REDIS_PORT: '6379' }), [/REDIS_PORT is no setting/], 'and what a person sets')
})

t.test('quotation marks around a value are named', async t => {
  for (const [name, value] of [['MCP_API_KEY', '"sk-0123456789abcdef0123456789"'], ['STATE_SECRET', `'${SECRET}'`], ['TOOLS_DIR', '"tools"']] as const) {
    const { warnings } = loadSettings({ [name]: value })
    t.match(warnings, [new RegExp(`^${name} begins and ends with a quotation mark`)])
    t.notMatch(warnings.join(), value)
  }
  t.same(loadSettings({ MCP_API_KEY: '"sk-0123456789abcdef0123456789' }).warnings, [], 'one alone is part of it')
})

t.test('what has no effect is named', async t => {
  t.match(loadSettings({ OAUTH2_CLIENT_ID: 'us' }).warnings, ['OAUTH2_CLIENT_ID has no effect without OAUTH2_AUTH_SERVER, which turns OAuth2 on'])
  t.same(loadSettings({}).warnings, [])
})
