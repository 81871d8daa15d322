import t from 'tap'
import { isRevoked, revokedBy } from '../../src/core/revocation.ts'

t.test('the entry that revoked somebody is told, with when and why', async t => {
  const entries = new Map([['key:a', { since: 1, note: 'left the company' }], ['sub:https://as#ada', { since: 100_000 }]])
  t.same(revokedBy({ revocableAs: ['jti:1', 'key:a'] }, entries), { id: 'key:a', since: 1, note: 'left the company' })
  t.equal(revokedBy({ revocableAs: ['key:b'] }, entries), undefined)
  t.equal(revokedBy({ revocableAs: [] }, entries), undefined)
})

t.test('a subject that logs in again afterwards is served; its older tokens are not', async t => {
  const entries = new Map([['sub:ada', { since: 100_000 }]])
  const revocableAs = ['sub:ada']
  t.ok(isRevoked({ revocableAs, issuedAt: 99_000 }, entries))
  t.ok(isRevoked({ revocableAs, issuedAt: 104_000 }, entries), 'clocks of authorization servers may be ahead')
  t.notOk(isRevoked({ revocableAs, issuedAt: 106_000 }, entries))
  t.ok(isRevoked({ revocableAs }, entries), 'a token without a date is older')
})
