/** Each check on facts of a set-up that is well and of one that is not: it names the fault, and what to do. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { examine, type DoctorFacts, type IssuerFact, type KeyFacts, type OutsideFacts, type SeenAnswer, type SpoolFacts, type StateFacts, type UpstreamFact } from '../../src/doctor/check.ts'
import { CHECKS } from '../../src/doctor/checks/index.ts'
import { collectKeys, collectState } from '../../src/doctor/collect.ts'
import { loadConfig } from '../../src/settings/load.ts'
import { buildRuntime } from '../../src/runtime.ts'
import { addKey, build, redisUrl, silent } from '../support/app.ts'
import type { ReplicaAnswer } from '../../src/operate/roll-call.ts'
import type { KeyView } from '../../src/operate/keys.ts'

const NOW = Date.parse('2026-11-28')
const DAY = 86_400_000
const SECRET = randomBytes(32).toString('base64url')

const settings = (env: Record<string, string> = {}, more: object = {}): DoctorFacts => ({
  settings: { config: loadConfig({ PUBLIC_URL: 'https://mcp.example.com', ...env }), warnings: [], node: 'v24.1.0', now: NOW, ...more }
})
const redis = (env: Record<string, string> = {}) => settings({ REDIS_URL: 'rediss://u:p@redis.example:6379', STATE_SECRET: SECRET, REPLICAS: '3', ...env })

const key = (more: Partial<KeyView> = {}): KeyView => ({ id: 'a', name: 'ci', role: 'caller', permissions: ['echo'], created: NOW, status: 'active', ...more })
const boss = key({ id: 'boss', name: 'boss', role: 'operator', permissions: [] })
const keys = (list: readonly KeyView[], more: Partial<KeyFacts> = {}): DoctorFacts => ({ keys: { keys: [boss, ...list], fileWarnings: [], offered: ['echo'], now: NOW, ...more } })

const NODE = { node: 'redis:6379', version: '7.2.1', maxMemory: 256e6, usedMemory: 1e6, policy: 'noeviction', appendOnly: true, persistenceOk: true }
const state = (more: Partial<StateFacts> = {}, node: Partial<typeof NODE> = {}): DoctorFacts => ({
  state: { kind: 'redis', health: 'ok', missing: [], heardMs: 3, commandTimeoutMs: 250, skewMs: 5000, nodes: [{ ...NODE, ...node }], roundTripMs: 1, clockAheadMs: 5, grants: { missing: [], excess: [] }, ...more }
})
const issuer = (more: Partial<IssuerFact> = {}): DoctorFacts => ({ issuers: [{ issuer: 'https://login.example', metadataFault: undefined, usableKeys: 2, ...more }] })

const rpc = (reason: string, status: number, headers: Record<string, string> = {}): SeenAnswer => ({ status, ms: 5, headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: status, message: '', data: { reason, requestId: 'r' } } }) })
const html = (status: number): SeenAnswer => ({ status, ms: 5, headers: { server: 'nginx' }, body: '<html>' })
const plain = (status: number, body: object = {}): SeenAnswer => ({ status, ms: 5, headers: {}, body: JSON.stringify(body) })
const resource = { resource: 'https://mcp.example.com/mcp' }
const WELL: Record<string, SeenAnswer> = {
  'no-key': rpc('AUTHENTICATION_REQUIRED', 401, { 'www-authenticate': 'Bearer' }),
  'unknown-key': rpc('INVALID_CREDENTIAL', 401),
  'other-origin': rpc('ORIGIN_REFUSED', 403),
  preflight: rpc('ORIGIN_REFUSED', 403),
  metadata: plain(200, resource),
  'metadata-of-endpoint': plain(200, resource),
  'absent-path': plain(404, { error: 'NOT_FOUND', requestId: 'r' }),
  metrics: html(404),
  'management-api': plain(404, { error: 'NOT_FOUND' }),
  'long-body': rpc('AUTHENTICATION_REQUIRED', 401),
  'long-header': rpc('INVALID_CREDENTIAL', 401),
  'like-an-attack': rpc('AUTHENTICATION_REQUIRED', 401),
  http: html(308),
  list: plain(200, { result: {} }),
  'other-header': rpc('HEADER_MISMATCH', 400),
  'x-api-key': plain(200, { result: {} }),
  stream: { status: 200, ms: 40, headers: {}, body: ': hello' }
}
const outside = (answers: Record<string, SeenAnswer> = {}, more: Partial<OutsideFacts> = {}): DoctorFacts => ({
  outside: { url: 'https://mcp.example.com/mcp', now: NOW, certificateEnds: NOW + 60 * DAY, tlsFault: undefined, answers: new Map(Object.entries({ ...WELL, ...answers })), ...more }
})

const spool = (more: Partial<SpoolFacts> = {}): DoctorFacts => ({ spool: { folder: 'audit', fault: undefined, usedBytes: 2e6, maxBytes: 1e9, freeBytes: 9e9, isVolatile: false, chains: [{ chain: 'a', lost: 0 }], ...more } })
const one: ReplicaAnswer = { name: 'a', version: '1.0.0', settings: 'aaa', tools: 'x' }
const replicas = (more: Partial<ReplicaAnswer> = {}, expected = 3): DoctorFacts => ({ replicas: { heard: [one, { ...one, name: 'b', ...more }], expected } })
const upstream = (more: Partial<UpstreamFact> = {}): DoctorFacts => ({ upstreams: [{ name: 'files', isKnown: true, held: 0, ...more }] })

const CASES: Array<[string, DoctorFacts, 'bad' | 'warn', RegExp]> = [
  ['settings', { settings: { problem: 'PORT must be a whole number' } }, 'bad', /PORT/],
  ['settings', settings({}, { warnings: ['REDIS_HOST is no setting'] }), 'warn', /REDIS_HOST/],
  ['public-url', settings({ PUBLIC_URL: 'http://mcp.example.com' }), 'bad', /clear text.*TLS/s],
  ['authentication', settings({ MCP_AUTH_ENABLED: 'false', PUBLIC_URL: 'http://localhost:3000' }), 'warn', /everyone/],
  ['state-secret', redis({ STATE_SECRET: `${SECRET},${SECRET}b` }), 'warn', /rotation/],
  ['inspection', settings({ INSPECTION: 'observe' }), 'warn', /observe/],
  ['short-keys', settings({ ALLOW_SHORT_KEYS: 'true' }), 'warn', /ALLOW_SHORT_KEYS/],
  ['redis-transport', redis({ REDIS_URL: 'rediss://redis.example:6379' }), 'bad', /password/],
  ['redis-transport', redis({ REDIS_URL: 'redis://u:p@redis.example:6379' }), 'warn', /TLS/],
  ['replicas', redis({ REPLICAS: '1' }), 'warn', /REPLICAS/],
  ['drain', settings({ DRAIN_MS: '0' }), 'warn', /DRAIN_MS/],
  ['node', settings({}, { node: 'v20.19.0' }), 'warn', /2026-04-30/],
  ['files', { files: [{ setting: 'API_KEYS_FILE', path: '/k.json', mode: 0o100644 }] }, 'bad', /chmod 600 \/k\.json/],
  ['state', { state: { fault: 'ECONNREFUSED' } }, 'bad', /ECONNREFUSED/],
  ['state', state({ health: 'lost' }), 'bad', /accept-loss/],
  ['state', state({ missing: ['a'] }), 'bad', /1 keys are missing/],
  ['redis-latency', state({ roundTripMs: 80 }), 'warn', /80\.0 ms/],
  ['redis-version', state({}, { version: '6.2.1' }), 'bad', /6\.2\.1/],
  ['redis-policy', state({}, { policy: 'allkeys-lru' }), 'bad', /allkeys-lru.*noeviction/s],
  ['redis-policy', state({}, { maxMemory: 0 }), 'warn', /maxmemory is not set/],
  ['redis-memory', state({}, { usedMemory: 250e6 }), 'warn', /98 %/],
  ['redis-persistence', state({}, { appendOnly: false }), 'bad', /appendonly yes/],
  ['redis-persistence', state({}, { persistenceOk: false }), 'bad', /disk/],
  ['clock', state({ clockAheadMs: 3000 }), 'warn', /3\.0 s ahead/],
  ['clock', state({ clockAheadMs: -60_000 }), 'bad', /60\.0 s behind/],
  ['redis-user', state({ grants: { missing: ['xadd'], excess: [] } }), 'bad', /xadd.*users\.acl/s],
  ['redis-user', state({ grants: { missing: [], excess: ['flushall'] } }), 'warn', /flushall/],
  ['audit-key', redis({ AUDIT: 'true' }), 'warn', /rotation/],
  ['audit-folder', spool({ fault: 'EACCES' }), 'bad', /EACCES.*AUDIT_DIR/s],
  ['audit-folder', spool({ usedBytes: 9e8 }), 'warn', /858 of 954 MiB/],
  ['audit-folder', spool({ freeBytes: 1e6 }), 'warn', /1 MiB are free/],
  ['audit-folder', spool({ isVolatile: true }), 'warn', /memory/],
  ['audit-chain', spool({ chains: [{ chain: 'a', lost: 0, fault: 'a.jsonl, line 3: a line was moved' }] }), 'bad', /line 3/],
  ['audit-chain', spool({ chains: [{ chain: 'a', lost: 7 }] }), 'warn', /7 records/],
  ['ready', { probe: { status: 503, body: 'state unreachable' } }, 'bad', /503: state unreachable/],
  ['replica-versions', replicas({ version: '0.9.0' }), 'warn', /1\.0\.0 and 0\.9\.0/],
  ['replica-settings', replicas({ settings: 'bbb' }), 'bad', /aaa \(a\), bbb \(b\).*Roll out/s],
  ['replica-tools', replicas({ tools: 'y' }), 'warn', /TOOLS_DIR/],
  ['replica-count', replicas({}, 1), 'warn', /2 replicas run, and REPLICAS is 1/],
  ['upstreams', upstream({ isKnown: false, trouble: 'ECONNREFUSED' }), 'bad', /files.*ECONNREFUSED.*servers test/s],
  ['held-tools', upstream({ held: 2 }), 'warn', /2 of "files".*tools diff/s],
  ['client-address', outside({}, { arrivedFrom: ['203.0.113.9', '192.0.2.77'] }), 'bad', /forged.*TRUST_PROXY/s],
  ['idle-streams', outside({}, { idle: { wantedMs: 130_000, livedMs: 30_100 } }), 'bad', /after 30 s.*proxy_read_timeout/s],
  ['pubsub', state({ heardMs: undefined }), 'bad', /not heard/],
  ['pubsub', state({ heardMs: 1500 }), 'warn', /1500 ms/],
  ['tools', { keys: { fault: 'tools/a.mjs: must export' } }, 'bad', /tools\/a\.mjs/],
  ['plain-keys', keys([], { fileWarnings: ['key "a" stands in plain text'] }), 'warn', /plain text/],
  ['wide-keys', keys([key({ permissions: ['*'] })]), 'warn', /ci/],
  ['unused-keys', keys([key({ created: NOW - 100 * DAY })]), 'warn', /90 days: ci/],
  ['ending-keys', keys([key({ expires: NOW + DAY })]), 'warn', /ci/],
  ['operator-key', { keys: { keys: [key()], fileWarnings: [], offered: ['echo'], now: NOW } }, 'warn', /operator/],
  ['doubled-names', keys([key(), key({ id: 'b' })]), 'warn', /ci/],
  ['idle-patterns', keys([key({ permissions: ['echo', 'ecko'] })]), 'warn', /ci/],
  ['unreachable-tools', keys([key({ permissions: ['other'] })], { offered: ['echo', 'other'] }), 'warn', /echo/],
  ['issuer-metadata', issuer({ metadataFault: 'issuer differs' }), 'bad', /issuer differs.*OAUTH2_AUTH_SERVER/s],
  ['issuer-keys', issuer({ usableKeys: 0 }), 'bad', /OAUTH2_ALGORITHMS/],
  ['reachable', outside({ 'no-key': { fault: 'ENOTFOUND' } }), 'bad', /DNS/],
  ['reachable', outside({ 'no-key': { fault: 'x' } }, { tlsFault: 'self-signed certificate' }), 'bad', /chain/],
  ['certificate', outside({}, { certificateEnds: NOW + 3 * DAY }), 'warn', /3 days/],
  ['https', outside({}, { url: 'http://mcp.example.com/mcp' }), 'bad', /clear text/],
  ['redirect', outside({ http: html(301) }), 'warn', /308/],
  ['redirect', outside({ http: html(200) }), 'bad', /clear text/],
  ['challenge', outside({ 'no-key': html(302) }), 'bad', /login/],
  ['challenge', outside({ 'no-key': rpc('AUTHENTICATION_REQUIRED', 401, { 'x-amzn-remapped-www-authenticate': 'Bearer' }) }), 'bad', /WWW-Authenticate/],
  ['host', outside({ 'no-key': rpc('ORIGIN_REFUSED', 403) }), 'bad', /proxy_set_header Host/],
  ['unknown-key', outside({ 'unknown-key': rpc('AUTHENTICATION_REQUIRED', 401) }), 'bad', /Authorization header does not arrive/],
  ['other-origin', outside({ 'other-origin': rpc('AUTHENTICATION_REQUIRED', 401) }), 'bad', /Origin/],
  ['cors', outside({ preflight: { status: 204, ms: 1, headers: { 'access-control-allow-origin': '*' }, body: '' } }), 'bad', /CORS/],
  ['metadata', outside({ metadata: html(404) }), 'bad', /Route both paths/],
  ['metadata', outside({ metadata: plain(200, { resource: 'http://mcp.example.com/mcp' }) }), 'bad', /PUBLIC_URL/],
  ['metadata-of-endpoint', outside({ 'metadata-of-endpoint': html(401) }), 'bad', /without a login/],
  ['own-errors', outside({ 'absent-path': html(404) }), 'warn', /HTML.*proxy_intercept_errors/s],
  ['metrics-hidden', outside({ metrics: plain(200) }), 'bad', /metrics/],
  ['management-hidden', outside({ 'management-api': { status: 401, ms: 1, headers: { 'content-type': 'application/problem+json' }, body: '{}' } }), 'bad', /management API/],
  ['long-body', outside({ 'long-body': html(413) }), 'bad', /client_max_body_size/],
  ['long-header', outside({ 'long-header': html(400) }), 'bad', /large_client_header_buffers/],
  ['firewall', outside({ 'like-an-attack': html(403) }), 'warn', /firewall/],
  ['key', outside({ list: rpc('INVALID_CREDENTIAL', 401) }), 'bad', /INVALID_CREDENTIAL/],
  ['protocol-headers', outside({ 'other-header': plain(200) }), 'bad', /Mcp-/],
  ['api-key-header', outside({ 'x-api-key': rpc('AUTHENTICATION_REQUIRED', 401) }), 'warn', /X-API-Key/],
  ['buffering', outside({ stream: { status: 200, ms: 9000, headers: {}, body: ':' } }), 'bad', /proxy_buffering off/],
  ['buffering', outside({ stream: { status: 200, ms: 9, headers: { 'content-encoding': 'gzip' }, body: ':' } }), 'bad', /compress/],
  ['stream-held', outside({ stream: { fault: 'no answer within 20 s' } }), 'bad', /proxy_buffering off/]
]

t.test('each check names what is wrong and what to do about it', async t => {
  for (const [id, facts, severity, words] of CASES) {
    const found = examine(CHECKS, facts).find(result => result.id === id)
    t.match(found, { severity }, `${id}: ${words}`)
    t.match(`${found?.found} ${found?.remedy}`, words)
    t.ok((found?.remedy ?? '').length > 5, 'with a remedy')
  }
})

t.test('no check is without a case that fails, and a set-up that is well passes them all', async t => {
  const failing = new Set(CASES.map(([id]) => id))
  t.same(CHECKS.map(({ id }) => id).filter(id => !failing.has(id)), [])
  t.equal(new Set(CHECKS.map(({ id }) => id)).size, CHECKS.length)
  const well: DoctorFacts = { ...redis({ AUDIT_KEY: randomBytes(32).toString('base64url') }), files: [{ setting: 'API_KEYS_FILE', path: '/k.json', mode: 0o100600 }], ...keys([key()]), ...state(), ...issuer(), ...spool(), ...replicas(), ...upstream(), probe: { status: 200, body: 'ok' }, ...outside({}, { arrivedFrom: ['203.0.113.9'], idle: { wantedMs: 130_000, livedMs: 130_000 } }) }
  const results = examine(CHECKS, well)
  t.same(results.filter(({ severity }) => severity !== 'ok'), [])
  // A stream that is held back is the opposite of one that begins.
  t.same(CHECKS.map(({ id }) => id).filter(id => !results.some(result => result.id === id)), ['stream-held'])
  t.comment(`figure: ${CHECKS.length} checks, ${CASES.length} cases that fail`)
})

t.test('the worst comes first', async t => {
  const results = examine(CHECKS, { ...settings({ PUBLIC_URL: 'http://mcp.example.com', INSPECTION: 'off' }) })
  t.same(results.map(({ severity }) => severity), [...results].map(({ severity }) => severity).sort((a, b) => ['bad', 'warn', 'ok'].indexOf(a) - ['bad', 'warn', 'ok'].indexOf(b)))
  t.equal(results[0]?.severity, 'bad')
})

t.test('facts of a living Redis and of files', async t => {
  for (const env of [{}, { REDIS_URL: redisUrl }] as Array<Record<string, string>>) {
    const { config, store } = await build(t, { env })
    await addKey(store, { permissions: ['*'] })
    const found = await collectState(config, store)
    if ('fault' in found) return t.fail(found.fault)
    t.match(found, { kind: store.kind, health: 'ok', missing: [], heardMs: Number })
    if (store.kind === 'redis') t.match(found, { nodes: [{ version: /^\d+\.\d+/, policy: String }], roundTripMs: Number })
    const { offer, close } = await buildRuntime({ config, store, logger: silent })
    t.match((await collectKeys(config, store, offer.current)).keys, [{ permissions: ['*'] }])
    await close()
  }
})
