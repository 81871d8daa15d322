import t from 'tap'
import { gatewayName, namesIn, passedBy, viaHeader } from '../../src/core/via.ts'

const [A, B] = [gatewayName('the secret of one'), gatewayName('the secret of another')] as const

t.test('replicas have one name, and others another', async t => {
  t.equal(gatewayName('the secret of one'), A)
  t.not(A, B)
  t.match(A, /^secure-mcp-[0-9a-f]{16}$/)
})

t.test('a message names whom it passed, among proxies of any kind', async t => {
  t.same(passedBy(viaHeader([A], B)), [A, B])
  t.same(passedBy(`1.1 varnish (comment, with a comma), HTTP/2  ${A} (x),1.0 fred`), [A])
  for (const none of [undefined, '', ',', A, `1.1 ${A}x`, '1.1 secure-mcp-UPPERCASE']) t.same(passedBy(none), [])
  t.ok(passedBy(`1.1 ${A}, `.repeat(100_000)).length <= 32)
})

t.test('a list from elsewhere is taken as far as it consists of names', async t => {
  t.same(namesIn([A, 7, null, 'x', B, A]), [A, B])
  for (const none of [undefined, A, { 0: A }, [[A]]]) t.same(namesIn(none), [])
  t.equal(namesIn(Array.from({ length: 100 }, (_, i) => gatewayName(String(i)))).length, 32)
})
