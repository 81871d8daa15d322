import t from 'tap'
import { judgeIntrospection, judgeTokenInfo, shown, type TokenRules } from '../../src/core/access-token.ts'

const ISSUER = 'https://as.example'
const AUDIENCE = 'https://mcp.example.com/mcp'
const NOW = 1_800_000_000_000
const RULES: TokenRules = {
  audiences: [AUDIENCE], scopeClaims: ['scope', 'realm_access.roles'], scopeMap: new Map(), claims: [], skewMs: 5000, maxAgeMs: 86_400_000, introspectionWithoutAud: 'refuse'
}
const ACTIVE = { active: true, iss: ISSUER, aud: AUDIENCE, sub: 'ada', client_id: 'c', scope: 'mcp:server:access', exp: NOW / 1000 + 60 }

const judge = (answer: object, rules: Partial<TokenRules> = {}) => judgeIntrospection(answer as Record<string, unknown>, ISSUER, { ...RULES, ...rules }, NOW)

t.test('null is absent in an introspection answer, wherever it stands', async t => {
  const good: Record<string, object> = {
    'as LemonLDAP and others write it': { cnf: null, jti: null, token_type: null, username: null },
    'every optional member': { iss: null, nbf: null, iat: null, exp: null, client_id: null, azp: null, nonce: null, at_hash: null, typ: null, token_use: null },
    'a confirmation without a method': { cnf: { jkt: null, 'x5t#S256': null } },
    'claims of scopes': { realm_access: null },
    'the subject, where the client stands for itself': { sub: null }
  }
  for (const [name, more] of Object.entries(good)) t.match(judge({ ...ACTIVE, ...more }), { facts: { issuer: ISSUER } }, name)
  t.match(judge({ ...ACTIVE, cnf: { jkt: 'thumb', 'x5t#S256': null } }), { facts: { keyThumbprint: 'thumb' } })
  const bad: Record<string, object> = {
    active: { active: null },
    'the audience, where it decides': { aud: null },
    'subject and client': { sub: null, client_id: null },
    'a binding that is not checked here': { cnf: { 'x5t#S256': 'x', jkt: null } },
    'a binding to nothing': { cnf: {} },
    'a binding of another form': { cnf: [] }
  }
  for (const [name, more] of Object.entries(bad)) t.match(judge({ ...ACTIVE, ...more }), { refused: String }, name)
})

t.test('an answer without an audience is refused, or accepted where the settings say so', async t => {
  const { aud: _aud, ...without } = ACTIVE
  for (const answer of [without, { ...without, aud: null }]) {
    t.match(judge(answer), { refused: /audience: none seen, "https:\/\/mcp.example.com\/mcp" wanted/ })
    t.match(judge(answer, { introspectionWithoutAud: 'accept' }), { facts: { subject: 'ada' } })
  }
  for (const aud of ['', [], 'https://other.example', [''], {}, 7, false, [null]]) {
    t.match(judge({ ...without, aud }, { introspectionWithoutAud: 'accept' }), { refused: /^audience/ }, `one that is there must be ours: ${JSON.stringify(aud)}`)
  }
  t.match(judge({ ...without, active: false }, { introspectionWithoutAud: 'accept' }), { refused: 'not active' })
  const info = judgeTokenInfo({ ...without, expires_in: '60' }, ISSUER, { ...RULES, introspectionWithoutAud: 'accept' }, NOW)
  t.match(info, { refused: /^audience/ }, 'tokeninfo answers everyone: its audience is never optional')
})

t.test('times may be numbers, fractions or text; anything else is no time', async t => {
  for (const exp of [NOW / 1000 + 60, NOW / 1000 + 60.5, String(NOW / 1000 + 60)]) t.match(judge({ ...ACTIVE, exp, iat: exp === ACTIVE.exp ? '1700000000' : 1.7e9 }), { facts: { expiresAt: Number(exp) * 1000 } }, String(exp))
  t.strictSame(judge({ ...ACTIVE, exp: NOW / 1000 - 1 }), { refused: 'expired', expired: true })
  for (const exp of ['soon', -1, 1e12, {}, [NOW], true, '2026-11-28', '1e9']) t.match(judge({ ...ACTIVE, exp }), { refused: 'exp is not a time' }, JSON.stringify(exp))
})

t.test('text for a truth is none, and the log says so', async t => {
  for (const active of ['true', 1, 'yes', [true], {}]) t.match(judge({ ...ACTIVE, active }), { refused: /not active: `active` is .* instead of true/ })
  t.match(judge({ ...ACTIVE, active: false }), { refused: 'not active' })
})

t.test('the kinds of tokens are told apart', async t => {
  for (const more of [{ token_type: 'Bearer' }, { token_type: 'access_token' }, { token_type: 'urn:ietf:params:oauth:token-type:access_token' }, { token_use: 'access_token' }, { typ: 'Bearer', nonce: 'n' }, { nonce: 'n' }]) {
    t.match(judge({ ...ACTIVE, ...more }), { facts: {} }, JSON.stringify(more))
  }
  for (const more of [{ token_type: 'refresh_token' }, { token_type: 'N_A' }, { token_type: ['Bearer'] }, { token_use: 'refresh_token' }, { token_use: true }, { typ: 'ID' }, { typ: 'Refresh' }, { at_hash: 'x' }, { c_hash: '' }]) {
    t.match(judge({ ...ACTIVE, ...more }), { refused: String }, JSON.stringify(more))
  }
})

t.test('what is shown of a value is a line', async t => {
  t.equal(shown(undefined), 'none')
  t.equal(shown(null), 'null')
  t.equal(shown('a"\n'), '"a\\"\\n"')
  t.equal(shown('x'.repeat(1000)).length, 201)
})
